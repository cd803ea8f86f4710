//! RAPL through powercap: one counter a zone, kept open, opened anew after its driver went away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rapl_sys::powercap::{Found, Zone, discover};
use rapl_sys::{Error, Kind};

use super::{DomainReport, Meter, SourceReport, Status, Value};
use crate::counter::{CounterSpec, Wrap};
use crate::domain::{DomainInfo, DomainKind, Source};
use crate::error::ReadError;
use crate::stamp::Clock;

/// The rule that lets a group read the counters, to be pasted.
const UDEV_RULE: &str = r#"put this line into /etc/udev/rules.d/60-treehouse.rules: ACTION=="add", SUBSYSTEM=="powercap", KERNEL=="intel-rapl*:*", RUN+="/bin/chgrp treehouse /sys%p/energy_uj", RUN+="/bin/chmod g+r /sys%p/energy_uj" ; then run: udevadm trigger -s powercap -c add ; or once: sudo treehouse run …"#;
/// What to do where a container masks the tree.
const CONTAINER: &str = "in a container, bind-mount the host's /sys/devices/virtual/powercap read-only and pass --sysfs";
/// What to do where a counter answers nonsense.
const BROKEN: &str = "the counter is there and does not answer: look for intel_rapl in `dmesg`, then load its driver anew: modprobe -r intel_rapl_msr && modprobe intel_rapl_msr";
/// RAPL renews its registers about every millisecond.
const UPDATE_S: f64 = 0.001;

/// What the configuration may say about RAPL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowercapOptions {
    /// Relative accuracy; 0.05 by default (no vendor gives a figure).
    pub accuracy: f64,
    /// The most one domain can draw, in watts; else twice its largest limit, at least 1000 W.
    pub max_power_w: Option<f64>,
    /// Dies of one package read one counter (AMD, Hygon): die 0 stands for the package.
    pub twin_dies: bool,
}

impl Default for PowercapOptions {
    fn default() -> Self {
        Self { accuracy: 0.05, max_power_w: None, twin_dies: false }
    }
}

/// All readable zones of the powercap tree.
#[derive(Debug)]
pub struct PowercapMeter {
    domains: Vec<DomainInfo>,
    zones: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    folder: PathBuf,
    zone: Option<Zone>,
}

impl PowercapMeter {
    /// Looks for zones below `sysfs`; says what became of each, readable or not.
    pub fn discover(sysfs: &Path, options: &PowercapOptions) -> (Option<Self>, SourceReport) {
        let class = sysfs.join("class/powercap");
        let found = match discover(sysfs) {
            Ok(found) => found,
            Err(error) => return (None, refused(&error, class, "no powercap tree: this kernel or machine has no RAPL")),
        };
        if found.is_empty() {
            let mut report = report(Status::Absent, "the powercap tree holds no RAPL zone".into(), class);
            report.mend = Some(CONTAINER.into());
            return (None, report);
        }
        let packages = || found.iter().filter(|f| matches!(f.identity.kind, Kind::Package | Kind::Psys));
        if let Some(error) = packages().find_map(|f| f.zone.as_ref().err())
            && packages().all(|f| f.zone.is_err())
        {
            return (None, refused(error, class, "no package counter may be read"));
        }
        let domains = describe(&found, options);
        let unread: Vec<String> =
            found.iter().filter_map(|f| Some(format!("{}: {}", f.identity, f.zone.as_ref().err()?))).collect();
        let mut report = report(Status::Ok, format!("{} zones", found.len()), class);
        if !unread.is_empty() {
            report.detail = format!("{} zones; not readable: {}", found.len(), unread.join("; "));
            report.mend = Some(UDEV_RULE.into());
        }
        report.domains = DomainReport::list(&domains, &crate::cover::host_cover(&domains, &crate::cover::HostCover::Auto));
        let zones = found.into_iter().map(|f| Held { folder: f.path, zone: f.zone.ok() }).collect();
        (Some(Self { domains, zones }), report)
    }
}

impl Meter for PowercapMeter {
    fn domains(&self) -> &[DomainInfo] {
        &self.domains
    }

    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        for (held, value) in self.zones.iter_mut().zip(values) {
            *value = match &held.zone {
                Some(zone) => read(zone, clock),
                // opened before the read, so that a zone that came back gives its value at once
                None => Zone::open(&held.folder).map_err(|e| sort(&e)).and_then(|zone| read(held.zone.insert(zone), clock)),
            };
            if matches!(value, Err(ReadError::Absent { .. } | ReadError::Denied { .. })) {
                held.zone = None;
            }
        }
    }
}

fn read(zone: &Zone, clock: &dyn Clock) -> Result<Value, ReadError> {
    match zone.read_uj() {
        Ok(shown) => Ok(Value::new(shown, clock.stamp())),
        Err(error) => Err(sort(&error)),
    }
}

fn sort(error: &Error) -> ReadError {
    match error {
        Error::Io { path, source } => ReadError::from_io(path, source),
        Error::Skipped { path, .. } => ReadError::Absent { path: path.clone(), errno: None },
        Error::Malformed { path, found, expected } => ReadError::Malformed { path: path.clone(), found: found.clone(), expected },
    }
}

fn describe(found: &[Found], options: &PowercapOptions) -> Vec<DomainInfo> {
    let name = |i: usize| -> Arc<str> {
        let plain = found[i].identity.to_string();
        // a second view bears the name of its folder behind it: names are unique within a source
        let taken = found[..i].iter().any(|f| f.identity.to_string() == plain);
        let folder = found[i].path.file_name().unwrap_or_default().to_string_lossy();
        if taken { format!("{plain}@{folder}").into() } else { plain.into() }
    };
    let twin = |i: usize| {
        let id = &found[i].identity;
        let is_first = |f: &Found| f.identity.kind == id.kind && f.identity.package == id.package && f.duplicate_of.is_none();
        let first = found.iter().position(is_first)?;
        (options.twin_dies && id.die.is_some() && first < i).then_some(first)
    };
    (0..found.len())
        .map(|i| {
            let f = &found[i];
            let kind = match f.identity.kind {
                Kind::Package => DomainKind::Package,
                Kind::Core => DomainKind::Core,
                Kind::Uncore => DomainKind::Uncore,
                Kind::Dram => DomainKind::Dram,
                Kind::Psys => DomainKind::Psys,
                Kind::Other => DomainKind::Other,
            };
            let by_limit = f.max_power_w.map_or(0.0, |w| 2.0 * w).max(CounterSpec::MAX_POWER_W);
            let counter = CounterSpec {
                max_power_w: options.max_power_w.unwrap_or(by_limit),
                ..CounterSpec::new(Wrap::from_range(f.range_uj))
            };
            DomainInfo {
                source: Source::RaplPowercap,
                name: name(i),
                device: f.identity.device().into(),
                kind,
                // memory lies in the package's folder, but its energy does not lie in the package's
                contained_in: f.parent.filter(|_| kind != DomainKind::Dram),
                duplicate_of: f.duplicate_of.or_else(|| twin(i)).map(name),
                counter,
                update_s: UPDATE_S,
                integrated: false,
                on_module: false,
                accuracy: options.accuracy,
            }
        })
        .collect()
}

fn report(status: Status, detail: String, path: PathBuf) -> SourceReport {
    let source = Source::RaplPowercap.name().into();
    SourceReport { source, status, detail, path: Some(path), errno: None, mend: None, model: None, domains: Vec::new() }
}

fn refused(error: &Error, class: PathBuf, why: &str) -> SourceReport {
    let (status, mend) = match sort(error) {
        ReadError::Absent { .. } => (Status::Absent, Some(CONTAINER.to_owned())),
        ReadError::Denied { .. } => (Status::Denied, Some(UDEV_RULE.to_owned())),
        ReadError::Malformed { .. } | ReadError::Io { .. } => (Status::Broken, Some(BROKEN.to_owned())),
    };
    let mut report = report(status, format!("{why} ({error})"), class);
    report.errno = error.errno();
    report.mend = mend;
    report
}
