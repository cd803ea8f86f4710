//! One look at the machine: which chips there are, which of their channels answer, and what each is called.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::HwmonOptions;
use super::channel::{Channel, Recipe, Scale, Way, channels};
use super::chip::{Chip, Chips, Home, Key, file_names, read_label, read_number};
use super::place::{Place, Seen, places};
use super::report::{Unread, report, unlisted};
use super::sensor::Sensor;
use super::table::{DEFAULT_SHUNT_UOHM, chip_type};
use crate::counter::{CounterSpec, Wrap};
use crate::domain::{DomainInfo, DomainKind, Source};
use crate::error::ReadError;
use crate::meter::SourceReport;

/// Seconds between two values of a sensor that does not tell.
const DEFAULT_UPDATE_S: f64 = 0.1;
/// Sampling more often costs more than it shows; sampling more seldom misses what the sensor shows.
const PERIODS_S: (f64, f64) = (0.010, 1.0);
/// One count of the energy registers behind `amd_energy`, in joules: 2^-16.
const AMD_COUNT_J: f64 = 1.0 / 65_536.0;
/// The most that a sensor sees whose place is not known: the supply of a large server.
const SUPPLY_W: f64 = 10_000.0;

/// What one look found.
#[derive(Debug)]
pub(super) struct Survey {
    /// What is metered.
    pub(super) domains: Vec<DomainInfo>,
    /// Its sensors, in the same order; power comes with the period at which to sample it.
    pub(super) sensors: Vec<(Sensor, Option<Duration>)>,
    /// What became of everything.
    pub(super) report: SourceReport,
}

/// A channel that answers.
#[derive(Debug)]
struct Found {
    key: Key,
    /// Name of the chip, or the label that the firmware gives it.
    title: String,
    id: String,
    label: Option<String>,
    update_s: f64,
    /// One count, in watts; `None` for a counter of energy.
    step_w: Option<f64>,
    sensor: Sensor,
}

/// Looks at every chip below `sysfs`.
pub(super) fn survey(sysfs: &Path, options: &HwmonOptions) -> Survey {
    let class = sysfs.join("class/hwmon");
    let chips = match Chips::find(sysfs) {
        Ok(chips) => chips,
        Err(error) => {
            let report = unlisted(&ReadError::from_io(&class, &error), class);
            return Survey { domains: Vec::new(), sensors: Vec::new(), report };
        }
    };
    let root: Arc<Path> = sysfs.into();
    let (mut found, mut unread, mut shunts) = (Vec::new(), Vec::new(), Vec::new());
    for chip in &chips.list {
        let files = file_names(&chip.base);
        let before = found.len();
        found.extend(channels(chip, &files).into_iter().filter_map(|c| open(&root, chip, &files, c, &mut unread)));
        if found.len() > before {
            shunts.extend(shunt_words(chip, &files));
        }
    }
    let seen: Vec<Seen<'_>> = found.iter().map(|f| Seen { key: &f.key, label: f.label.as_deref() }).collect();
    let domains = describe(&found, &places(sysfs, &seen), options);
    let report = report(class, &domains, &unread, &shunts, &chips.second_views);
    let sensors = found.into_iter().map(|f| (f.sensor, f.step_w.map(|_| period(f.update_s)))).collect();
    Survey { domains, sensors, report }
}

/// Opens the best way of a channel that answers, and notes why a better one does not.
fn open(sysfs: &Arc<Path>, chip: &Chip, files: &BTreeSet<String>, channel: Channel, unread: &mut Vec<Unread>) -> Option<Found> {
    let called = format!("{} {}", chip.key, channel.label.as_deref().unwrap_or(&channel.id));
    if channel.label.as_deref() == Some("NC") {
        unread.push(Unread { channel: called, why: "not connected".into(), error: None });
        return None;
    }
    for way in channel.ways {
        let off = way.switches.iter().find(|s| files.contains(*s) && read_number(&chip.base.join(s)) == Some(0));
        if let Some(switch) = off {
            unread.push(Unread { channel: called.clone(), why: format!("switched off: {switch} is 0"), error: None });
            continue;
        }
        let (update_s, step_w) = (update_s(chip, &way), step_w(chip, files, &way.recipe, channel.number));
        match Sensor::open(sysfs, &chip.key, &chip.base, way.recipe) {
            Ok(sensor) => {
                let title = read_label(&chip.base.join("label")).unwrap_or_else(|| chip.key.name.clone());
                let (key, id, label) = (chip.key.clone(), channel.id, channel.label);
                return Some(Found { key, title, id, label, update_s, step_w, sensor });
            }
            Err(ReadError::Absent { errno: Some(super::sensor::ENODATA), .. }) => {
                unread.push(Unread { channel: called.clone(), why: "switched off: it has no data".into(), error: None });
            }
            Err(error) => unread.push(Unread { channel: called.clone(), why: error.to_string(), error: Some(error) }),
        }
    }
    None
}

/// How often the sensor is renewed, in seconds.
fn update_s(chip: &Chip, way: &Way) -> f64 {
    let milliseconds = |file: &str| read_number(&chip.base.join(file)).filter(|ms| *ms > 0).map(|ms| ms as f64 / 1e3);
    let hertz = |file: &str| {
        let text = std::fs::read(chip.base.join(file)).ok()?;
        super::parse::fraction(&text).map(f64::recip)
    };
    let told = way.interval.as_deref().and_then(milliseconds).or_else(|| milliseconds("update_interval"));
    let told = told.or_else(|| hertz("in_sampling_frequency")).or_else(|| hertz("sampling_frequency"));
    let known = match chip.key.name.as_str() {
        // the registers are renewed about every millisecond
        "amd_energy" => Some(0.001),
        name => chip_type(name).and_then(|t| t.update_s),
    };
    let update = told.or(known).unwrap_or(DEFAULT_UPDATE_S);
    match way.recipe {
        Recipe::Energy(_) => update,
        // a sensor is no fresher than its last sample
        Recipe::Power(_) | Recipe::Product(..) => update.max(PERIODS_S.0),
    }
}

/// How often to sample power that is renewed every `update_s` seconds.
fn period(update_s: f64) -> Duration {
    Duration::from_micros((update_s.clamp(PERIODS_S.0, PERIODS_S.1) * 1e6).round() as u64)
}

/// One count of a power in watts; `None` for a counter of energy.
fn step_w(chip: &Chip, files: &BTreeSet<String>, recipe: &Recipe, number: u32) -> Option<f64> {
    let known = chip_type(&chip.key.name);
    match recipe {
        Recipe::Energy(_) => None,
        Recipe::Power(part) if chip.key.home == Home::Iio => match &part.scale {
            Scale::In(file, _) => {
                let text = std::fs::read(chip.base.join(file)).ok();
                Some(text.as_deref().and_then(super::parse::fraction).map_or(0.001, |mw| mw / 1e3))
            }
            Scale::Is(_) => Some(0.001),
        },
        Recipe::Power(_) | Recipe::Product(..) => {
            let shunt = shunts(chip, files).into_iter().find(|(n, _)| *n == number || *n == 0);
            Some(known.map_or(1e-6, |t| t.step_w(shunt.map_or(DEFAULT_SHUNT_UOHM, |(_, uohm)| uohm as f64))))
        }
    }
}

/// The shunt resistors that a chip tells, in microohms, by channel; 0 is all of them.
fn shunts(chip: &Chip, files: &BTreeSet<String>) -> Vec<(u32, i64)> {
    let number = |file: &str| match file {
        "shunt_resistor" | "in_shunt_resistor" => Some(0),
        _ => file.strip_prefix("shunt")?.strip_suffix("_resistor")?.parse().ok(),
    };
    files.iter().filter_map(|f| Some((number(f)?, read_number(&chip.base.join(f))?))).collect()
}

/// The shunt resistors in words: a wrong one scales every figure.
fn shunt_words(chip: &Chip, files: &BTreeSet<String>) -> Vec<String> {
    let told = shunts(chip, files);
    if told.is_empty() {
        // what an old Jetson kernel assumes is its own
        let known = chip_type(&chip.key.name).filter(|_| chip.key.home != Home::Rails);
        return known.map(|_| format!("{} {DEFAULT_SHUNT_UOHM} uOhm (assumed)", chip.key)).into_iter().collect();
    }
    let words = told.into_iter().map(|(n, uohm)| match n {
        0 => format!("{} {uohm} uOhm", chip.key),
        n => format!("{} channel {n} {uohm} uOhm", chip.key),
    });
    words.collect()
}

fn describe(found: &[Found], places: &[Place], options: &HwmonOptions) -> Vec<DomainInfo> {
    let domain = |((f, (kind, contained_in)), name): ((&Found, &Place), Arc<str>)| {
        let resolution_j = match f.step_w {
            None if f.key.name == "amd_energy" => AMD_COUNT_J,
            None => 1e-6,
            Some(step_w) => step_w * f.update_s,
        };
        let supply = *kind == DomainKind::Module || chip_type(&f.key.name).is_none() && *kind == DomainKind::Rail;
        let most = if supply { SUPPLY_W } else { CounterSpec::MAX_POWER_W };
        let max_power_w = options.max_power_w.unwrap_or(most);
        DomainInfo {
            source: Source::Hwmon,
            name,
            device: f.key.device_id().into(),
            kind: *kind,
            contained_in: *contained_in,
            duplicate_of: None,
            counter: CounterSpec { resolution_j, max_power_w, ..CounterSpec::new(Wrap::Never) },
            update_s: f.update_s,
            integrated: f.step_w.is_some(),
            on_module: false,
            accuracy: options.accuracy,
        }
    };
    found.iter().zip(places).zip(names(found)).map(domain).collect()
}

/// Names that are unique whatever the numbers of the chips: the label, else the chip; where that is not enough with its device,
/// then with its channel and its chip.
fn names(found: &[Found]) -> Vec<Arc<str>> {
    let alone = |f: &Found| found.iter().filter(|o| o.key == f.key).count() == 1;
    let plain = |f: &Found| match &f.label {
        Some(label) => label.clone(),
        None if alone(f) => f.title.clone(),
        None => format!("{}-{}", f.title, f.id),
    };
    let by_device = |f: &Found| format!("{}@{}", plain(f), f.key.device_id());
    let by_channel = |f: &Found| format!("{}-{}", by_device(f), f.id);
    let by_chip = |f: &Found| format!("{}-{}", by_channel(f), f.key.name);
    let forms: [Vec<String>; 4] =
        [&plain as &dyn Fn(&Found) -> String, &by_device, &by_channel, &by_chip].map(|form| found.iter().map(form).collect());
    let mut names: Vec<Arc<str>> = Vec::with_capacity(found.len());
    for i in 0..found.len() {
        let unique = forms.iter().find(|form| form.iter().filter(|name| **name == form[i]).count() == 1);
        let name = &unique.unwrap_or(&forms[3])[i];
        // chips that are alike in everything, or a label that looks like the name of another
        let taken = names.iter().any(|n| **n == **name);
        names.push(if taken { format!("{name}#{i}").into() } else { name.as_str().into() });
    }
    names
}
