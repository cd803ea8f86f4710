//! On-device power monitors of phones (Google's ODPM) over IIO: one cumulative energy a rail, on the device's own clock.
//!
//! The clock of a value is the device's `t`, never the host's: a read within 50 ms of the last shows the values of then.
//! Facts from the drivers `s2mpg10-odpm` to `s2mpg13-odpm` (android.googlesource.com, kernel/google-modules/power): eight
//! channels a chip, each set to a rail by `enabled_rails`, which zeroes it; energy in uWs; the sampling clock is off by up to
//! 12.5 %.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DomainReport, Meter, SourceReport, Status, Value};
use crate::counter::{CounterSpec, Wrap};
use crate::domain::{DomainInfo, DomainKind, Source};
use crate::error::ReadError;
use crate::stamp::{Clock, Stamp};
use crate::system::{KernelFile, malformed};

mod place;
mod text;

pub use place::Place;
pub use text::{Channel, EnergyText, Rail, is_monitor, rails, sampling_rate};

/// Who may read the monitors.
const DENIED: &str = "root or the vendor HAL";
/// What to do where a monitor answers nonsense.
const BROKEN: &str = "look at energy_value in the device's folder: it must begin with a time and hold one rail a line";
/// A sysfs file is at most a page long.
const PAGE: usize = 4096;
/// The drivers show the last values again to whoever comes back sooner.
const CACHE_S: f64 = 0.05;
/// How far the device's clock may be ahead of ours: it is the same clock, read earlier, in milliseconds.
const AHEAD_MS: u64 = 1000;

/// What the configuration may say about power monitors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OdpmOptions {
    /// Relative accuracy; 0.125 by default (bound of the sampling clock in the driver).
    pub accuracy: f64,
    /// The most one rail can draw, in watts.
    pub max_power_w: f64,
}

impl Default for OdpmOptions {
    fn default() -> Self {
        Self { accuracy: 0.125, max_power_w: CounterSpec::MAX_POWER_W }
    }
}

/// All power monitors of a phone.
#[derive(Debug)]
pub struct OdpmMeter {
    domains: Vec<DomainInfo>,
    chips: Vec<Chip>,
    buffer: Vec<u8>,
}

/// One monitor: its file and its channels.
#[derive(Debug)]
struct Chip {
    name: String,
    folder: PathBuf,
    file: Option<KernelFile>,
    places: Vec<Place>,
}

impl OdpmMeter {
    /// Looks for power monitors below `sysfs`; says what became of each.
    pub fn discover(sysfs: &Path, options: &OdpmOptions) -> (Option<Self>, SourceReport) {
        let class = sysfs.join("bus/iio/devices");
        let found = monitors(&class);
        if found.is_empty() {
            return (None, report(Status::Absent, "no on-device power monitor".into(), class));
        }
        let (mut chips, mut unused, mut first_error) = (Vec::new(), Vec::new(), None);
        for (name, folder) in found {
            match Chip::open(name, folder) {
                Ok(chip) => chips.push(chip),
                Err(error) => {
                    unused.push(error.to_string());
                    first_error.get_or_insert(error);
                }
            }
        }
        if let (true, Some(error)) = (chips.is_empty(), &first_error) {
            return (None, refused(error, class));
        }
        make_unique(&mut chips);
        let domains = describe(&chips, options);
        let mut detail = format!("{} rails of {} monitors", domains.len(), chips.len());
        if !unused.is_empty() {
            detail = format!("{detail}; not usable: {}", unused.join("; "));
        }
        let mut report = report(Status::Ok, detail, class);
        report.mend = first_error.as_ref().map(|e| mend(e).into());
        report.domains = DomainReport::list(&domains, &crate::cover::host_cover(&domains, &crate::cover::HostCover::Auto));
        (Some(Self { domains, chips, buffer: vec![0; PAGE] }), report)
    }
}

impl Meter for OdpmMeter {
    fn domains(&self) -> &[DomainInfo] {
        &self.domains
    }

    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        let mut rest = values;
        for chip in &mut self.chips {
            let (own, others) = rest.split_at_mut(chip.places.len().min(rest.len()));
            rest = others;
            if let Err(error) = chip.read(clock, &mut self.buffer, own) {
                if matches!(error, ReadError::Absent { .. } | ReadError::Denied { .. }) {
                    chip.file = None;
                }
                own.fill(Err(error));
            }
        }
    }
}

impl Chip {
    fn open(name: String, folder: PathBuf) -> Result<Self, ReadError> {
        let file = KernelFile::open(folder.join("energy_value"))?;
        let mut buffer = [0; PAGE];
        let bytes = file.read(&mut buffer)?;
        let text = EnergyText::parse(bytes).ok_or_else(|| no_time(file.path(), bytes))?;
        let places: Vec<Place> = text.channels().filter_map(|c| Some(Place::new(&c.ok()?))).collect();
        if places.is_empty() {
            return Err(malformed(file.path(), bytes, "a time with one rail a line below it"));
        }
        Ok(Self { name, folder, file: Some(file), places })
    }

    fn read(&mut self, clock: &dyn Clock, buffer: &mut [u8], values: &mut [Result<Value, ReadError>]) -> Result<(), ReadError> {
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            let file = KernelFile::open(self.folder.join("energy_value"))?;
            self.places.iter_mut().for_each(Place::interrupt);
            self.file.insert(file)
        };
        let bytes = file.read(buffer)?;
        let now = clock.stamp();
        let text = EnergyText::parse(bytes).ok_or_else(|| no_time(file.path(), bytes))?;
        if text.t_ms > now.boottime_ns / 1_000_000 + AHEAD_MS {
            return Err(malformed(file.path(), bytes, "a time that has already been"));
        }
        let at = device_stamp(text.t_ms, now);
        for (place, value) in self.places.iter_mut().zip(values) {
            let shown = text.channels().filter_map(Result::ok).find(|c| c.number == place.number);
            *value = match &shown {
                Some(channel) => place.take(channel, text.t_ms, at).ok_or_else(|| swapped(file.path(), place, channel)),
                None => Err(not_shown(file.path(), place, text)),
            };
        }
        Ok(())
    }
}

/// The device's time on both of our clocks: the monotonic one is behind by what was slept so far.
fn device_stamp(t_ms: u64, now: Stamp) -> Stamp {
    let boottime_ns = t_ms.saturating_mul(1_000_000);
    let slept = now.boottime_ns.saturating_sub(now.monotonic_ns);
    Stamp { boottime_ns, monotonic_ns: boottime_ns.saturating_sub(slept) }
}

/// Name and folder of every monitor, in the order of their names.
fn monitors(class: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(class) else {
        return Vec::new();
    };
    let mut found: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = fs::read(entry.path().join("name")).ok()?;
            let is_device = entry.file_name().to_string_lossy().starts_with("iio:device");
            (is_device && is_monitor(&name)).then(|| (String::from_utf8_lossy(name.trim_ascii()).into_owned(), entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// Two chips of one name are told apart by the folder they were found in.
fn make_unique(chips: &mut [Chip]) {
    let names: Vec<String> = chips.iter().map(|c| c.name.clone()).collect();
    for chip in chips {
        if names.iter().filter(|n| **n == chip.name).count() > 1 {
            let folder = chip.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            chip.name = format!("{}@{folder}", chip.name);
        }
    }
}

fn describe(chips: &[Chip], options: &OdpmOptions) -> Vec<DomainInfo> {
    let all = || chips.iter().flat_map(|c| &c.places);
    let mut domains = Vec::new();
    for chip in chips {
        let list = |file: &str| fs::read(chip.folder.join(file)).unwrap_or_default();
        let (enabled, available) = (list("enabled_rails"), list("available_rails"));
        let period_s = sampling_rate(&list("sampling_rate")).map_or(0.0, f64::recip);
        for place in &chip.places {
            let rail = String::from_utf8_lossy(&place.rail);
            let same_name = |among: &[Place]| among.iter().filter(|p| p.rail == place.rail).count();
            let name: Arc<str> = match (all().filter(|p| p.rail == place.rail).count(), same_name(&chip.places)) {
                (1, _) => rail.into(),
                (_, 1) => format!("{rail}@{}", chip.name).into(),
                _ => format!("{rail}@{}-ch{}", chip.name, place.number).into(),
            };
            let kind = subsystem(place, &enabled, &available).map_or(DomainKind::Rail, kind_of);
            let counter =
                CounterSpec { max_power_w: options.max_power_w, survives_suspend: true, ..CounterSpec::new(Wrap::Never) };
            domains.push(DomainInfo {
                source: Source::Odpm,
                name,
                device: chip.name.as_str().into(),
                kind,
                contained_in: None,
                duplicate_of: None,
                counter,
                update_s: CACHE_S.max(period_s),
                integrated: false,
                on_module: false,
                accuracy: options.accuracy,
            });
        }
    }
    domains
}

/// What the rail of a place feeds, by the list of enabled rails, else by the list of all.
fn subsystem<'a>(place: &Place, enabled: &'a [u8], available: &'a [u8]) -> Option<&'a [u8]> {
    let told = |r: &Rail<'a>| (*r.rail == *place.rail || *r.name == *place.rail) && !r.subsystem.is_empty();
    let by_channel = rails(enabled).find(|r| r.channel == Some(place.number) && told(r));
    by_channel.or_else(|| rails(enabled).chain(rails(available)).find(told)).map(|r| r.subsystem)
}

fn kind_of(subsystem: &[u8]) -> DomainKind {
    let begins = |word: &[u8]| subsystem.get(..word.len()).is_some_and(|s| s.eq_ignore_ascii_case(word));
    if begins(b"CPU") {
        DomainKind::Cpu
    } else if begins(b"GPU") {
        DomainKind::Gpu
    } else if begins(b"DDR") || begins(b"DRAM") || begins(b"MEM") {
        DomainKind::Memory
    } else {
        DomainKind::Rail
    }
}

fn no_time(path: &Path, bytes: &[u8]) -> ReadError {
    malformed(path, bytes, "an energy_value, which begins with a time in milliseconds")
}

/// The rail is gone from its channel; its words stand where the path stands, so that the error says all of it.
fn swapped(path: &Path, place: &Place, channel: &Channel<'_>) -> ReadError {
    let (was, is) = (String::from_utf8_lossy(&place.rail), String::from_utf8_lossy(channel.rail));
    let number = place.number;
    let text = format!("{}: {was} (channel {number} measures {is} now: reload to meter it)", path.display());
    ReadError::Absent { path: text.into(), errno: None }
}

fn not_shown(path: &Path, place: &Place, text: EnergyText<'_>) -> ReadError {
    if let Some(line) = text.channels().find_map(Result::err) {
        return malformed(path, line, "the line of a channel");
    }
    let (channel, rail) = (place.number, String::from_utf8_lossy(&place.rail));
    ReadError::Absent { path: format!("{}: channel {channel} ({rail})", path.display()).into(), errno: None }
}

fn report(status: Status, detail: String, path: PathBuf) -> SourceReport {
    let source = Source::Odpm.name().into();
    SourceReport { source, status, detail, path: Some(path), errno: None, mend: None, model: None, domains: Vec::new() }
}

fn mend(error: &ReadError) -> &'static str {
    if matches!(error, ReadError::Denied { .. }) { DENIED } else { BROKEN }
}

fn refused(error: &ReadError, class: PathBuf) -> SourceReport {
    let status = if matches!(error, ReadError::Denied { .. }) { Status::Denied } else { Status::Broken };
    let detail = format!("no power monitor can be read ({error})");
    SourceReport { errno: error.errno(), mend: Some(mend(error).into()), ..report(status, detail, class) }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "taken over, not computed")]
#[path = "tests.rs"]
mod tests;
