//! Machines as trees of files, in virtual time.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;
use crate::cover::{HostCover, host_cover};
use crate::domain::DomainKind;
use crate::stamp::Stamp;

pub(super) const MS: u64 = 1_000_000;

pub(super) struct Hand(pub(super) Cell<u64>);

impl Clock for Hand {
    fn stamp(&self) -> Stamp {
        Stamp::at(self.0.get())
    }

    fn utc(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

/// A sysfs in a folder of its own.
pub(super) struct Tree(pub(super) tempfile::TempDir);

impl Tree {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// A chip as the kernel shows it: the class links to a folder below the device, which links back.
    pub(super) fn chip(&self, k: u32, name: &str, device: &str, files: &[(&str, &str)]) -> String {
        let base = format!("devices/{device}/hwmon/hwmon{k}");
        self.write(&format!("{base}/name"), name);
        self.link(&format!("{base}/device"), &format!("../../../{}", device.rsplit('/').next().unwrap()));
        self.link(&format!("class/hwmon/hwmon{k}"), &format!("../../{base}"));
        for (file, text) in files {
            self.write(&format!("{base}/{file}"), text);
        }
        base
    }

    pub(super) fn meter(&self) -> (HwmonMeter, Vec<Sampler>, SourceReport) {
        let (meter, samplers, report) = HwmonMeter::prepare(self.0.path(), &HwmonOptions::default());
        (meter.unwrap_or_else(|| panic!("no meter: {}", report.detail)), samplers, report)
    }

    pub(super) fn report(&self) -> SourceReport {
        HwmonMeter::prepare(self.0.path(), &HwmonOptions::default()).2
    }
}

pub(super) fn names(meter: &HwmonMeter) -> Vec<&str> {
    meter.domains.iter().map(|d| &*d.name).collect()
}

pub(super) fn cover(meter: &HwmonMeter) -> Vec<&str> {
    host_cover(&meter.domains, &HostCover::Auto).into_iter().map(|i| &*meter.domains[i].name).collect()
}

pub(super) fn holder<'a>(meter: &'a HwmonMeter, name: &str) -> Option<&'a str> {
    let domain = meter.domains.iter().find(|d| &*d.name == name).unwrap();
    domain.contained_in.map(|i| &*meter.domains[i].name)
}

pub(super) fn kind(meter: &HwmonMeter, name: &str) -> DomainKind {
    meter.domains.iter().find(|d| &*d.name == name).unwrap().kind
}

pub(super) fn read(meter: &mut HwmonMeter, clock: &Hand) -> Vec<Result<Value, ReadError>> {
    let mut values = vec![Err(ReadError::Absent { path: "unread".into(), errno: None }); meter.domains.len()];
    meter.read(clock, &mut values);
    values
}

/// Polls every period of virtual time for `seconds`; microjoules by domain.
pub(super) fn run(meter: &mut HwmonMeter, samplers: &mut [Sampler], clock: &Hand, seconds: u64) -> Vec<u64> {
    let before: Vec<u64> = read(meter, clock).iter().map(|v| v.as_ref().map_or(0, |v| v.shown)).collect();
    let start = clock.0.get();
    for ms in 0..=seconds * 1000 {
        clock.0.set(start + ms * MS);
        for sampler in samplers.iter_mut().filter(|s| u128::from(ms) % s.period().as_millis() == 0) {
            sampler.poll(clock);
        }
    }
    read(meter, clock).into_iter().zip(before).map(|(v, b)| v.unwrap().shown - b).collect()
}

pub(super) const ORIN: &[(&str, &str)] = &[
    ("in1_label", "VDD_IN"),
    ("in1_input", "5000"),
    ("in1_enable", "1"),
    ("curr1_input", "2000"),
    ("in2_label", "VDD_CPU_GPU_CV"),
    ("in2_input", "4900"),
    ("in2_enable", "1"),
    ("curr2_input", "1000"),
    ("in3_label", "VDD_SOC"),
    ("in3_input", "5000"),
    ("in3_enable", "1"),
    ("curr3_input", "300"),
    ("in4_input", "10000"),
    ("in5_input", "5000"),
    ("in6_input", "1500"),
    ("in7_label", "sum of shunt voltages"),
    ("in7_input", "16500"),
    ("curr4_input", "3300"),
    ("shunt1_resistor", "5000"),
    ("shunt2_resistor", "5000"),
    ("shunt3_resistor", "5000"),
];

pub(super) fn monitor(watts: u64, label: Option<&'static str>) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("in0_input", "10".to_owned()),
        ("in1_input", "5000".to_owned()),
        ("curr1_input", "250".to_owned()),
        ("power1_input", (watts * 1_000_000).to_string()),
        ("shunt_resistor", "10000".to_owned()),
        ("update_interval", "35".to_owned()),
    ];
    files.extend(label.map(|l| ("power1_label", l.to_owned())));
    files
}

pub(super) fn write_monitor(tree: &Tree, k: u32, device: &str, watts: u64, label: Option<&'static str>) -> String {
    let files = monitor(watts, label);
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
    tree.chip(k, "ina226", device, &files)
}

pub(super) fn amd(tree: &Tree, cores: u32, sockets: u32) -> String {
    let base = tree.chip(3, "amd_energy", "platform/amd_energy.0", &[]);
    for n in 1..=cores + sockets {
        let label = if n <= cores { format!("Ecore{:03}", n - 1) } else { format!("Esocket{}", n - cores - 1) };
        tree.write(&format!("{base}/energy{n}_label"), &label);
        tree.write(&format!("{base}/energy{n}_input"), &(u64::from(n) * 1_000_000).to_string());
    }
    base
}
