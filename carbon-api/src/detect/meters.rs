//! Meters in their order, and the model where none of them covers the processors.

use super::{Options, profile};
use crate::bank::Bank;
use crate::cover::{HostCover, host_cover};
use crate::meter::battery::BatteryMeter;
use crate::meter::hwmon::HwmonMeter;
use crate::meter::model::{self, Calibration, MachineKey, ModelMeter, Rule};
use crate::meter::nvml::NvmlMeter;
use crate::meter::odpm::OdpmMeter;
use crate::meter::rapl::RaplMeter;
use crate::meter::{DomainReport, Meter, SourceReport, Status};
use crate::usage::host::SharedHost;

/// What the machine says of itself.
#[derive(Debug)]
pub(super) struct Facts {
    /// The text of `cpuinfo`; empty where it cannot be read.
    pub(super) cpuinfo: String,
    /// Gigabytes of memory.
    pub(super) memory_gb: Option<f64>,
}

impl Facts {
    /// True in a virtual machine.
    fn is_guest(&self) -> bool {
        self.cpuinfo.split_whitespace().any(|word| word == "hypervisor")
    }
}

/// Every meter that answers, and the model where no meter covers the processors. What became of each is added to `reports`.
pub(super) fn open(options: &Options, facts: &Facts, host: (Option<&SharedHost>, u32), reports: &mut Vec<SourceReport>) -> Bank {
    let mut meters = open_real(options, facts, reports);
    let covered = meters.iter().any(|m| m.domains().iter().any(|d| d.kind.covers_cpu() && d.duplicate_of.is_none()));
    if !covered {
        let why = no_meter(reports, facts, options.model);
        meters.extend(open_model(options, host, facts, &why, reports));
    }
    let bank = Bank::with(meters, &options.contains);
    tell(&bank, &options.cover, reports);
    bank
}

fn open_real(options: &Options, facts: &Facts, reports: &mut Vec<SourceReport>) -> Vec<Box<dyn Meter>> {
    let mut meters: Vec<Box<dyn Meter>> = Vec::new();
    let (rapl, tried) = RaplMeter::discover(&options.sysfs, &options.dev, facts.cpuinfo.as_bytes(), &options.rapl);
    reports.extend(tried);
    meters.extend(rapl.map(|m| Box::new(m) as Box<dyn Meter>));
    if let Some(nvml) = &options.nvml {
        take(NvmlMeter::discover(&options.sysfs, nvml), &mut meters, reports);
    }
    if let Some(hwmon) = &options.hwmon {
        take(HwmonMeter::discover(&options.sysfs, hwmon), &mut meters, reports);
    }
    if let Some(odpm) = &options.odpm {
        take(OdpmMeter::discover(&options.sysfs, odpm), &mut meters, reports);
    }
    if let Some(battery) = &options.battery {
        take(BatteryMeter::discover(&options.sysfs, battery), &mut meters, reports);
    }
    meters
}

fn take<M: Meter + 'static>(
    (meter, report): (Option<M>, SourceReport),
    meters: &mut Vec<Box<dyn Meter>>,
    reports: &mut Vec<SourceReport>,
) {
    meters.extend(meter.map(|m| Box::new(m) as Box<dyn Meter>));
    reports.push(report);
}

/// Says in the list and in one sentence why no meter covers the processors.
fn no_meter(reports: &mut [SourceReport], facts: &Facts, model: bool) -> String {
    let rapl = |r: &&mut SourceReport| r.source.starts_with("rapl_");
    if facts.is_guest()
        && let Some(report) = reports.iter_mut().filter(rapl).find(|r| r.source == "rapl_powercap" && r.status == Status::Absent)
    {
        report.detail = format!("{}; this is a virtual machine", report.detail);
        report.mend = Some(if model {
            "none needed: a virtual machine has no RAPL, the model is used".into()
        } else {
            "none: a virtual machine has no RAPL; leave --no-model out to get a modelled figure".into()
        });
    }
    // what could be mended is told first, then what everybody has
    let told = |status: Option<Status>| {
        let fits = |r: &&SourceReport| match status {
            Some(status) => r.source.starts_with("rapl_") && r.status == status,
            None => r.source == "rapl_powercap",
        };
        reports.iter().find(fits).map(|r| format!("{}: {}", r.status.name(), r.detail))
    };
    told(Some(Status::Denied)).or_else(|| told(Some(Status::Broken))).or_else(|| told(None)).unwrap_or_default()
}

/// Puts what the whole list says of each domain into the reports: containment and host go across meters.
fn tell(bank: &Bank, cover: &HostCover, reports: &mut [SourceReport]) {
    let domains = bank.domain_list();
    let all = DomainReport::list(&domains, &host_cover(&domains, cover));
    for report in reports.iter_mut() {
        let of_it = || domains.iter().zip(&all).filter(|(d, _)| d.source.name() == report.source);
        if of_it().next().is_some() {
            report.domains = of_it().map(|(_, row)| row.clone()).collect();
        }
    }
}

fn open_model(
    options: &Options,
    (host, cpus): (Option<&SharedHost>, u32),
    facts: &Facts,
    why: &str,
    reports: &mut Vec<SourceReport>,
) -> Option<Box<dyn Meter>> {
    let absent = |detail: &str, mend: Option<&str>| SourceReport {
        source: "model".into(),
        status: Status::Absent,
        detail: detail.into(),
        path: None,
        errno: None,
        mend: mend.map(str::to_owned),
        model: None,
        domains: Vec::new(),
    };
    if !options.model {
        reports.push(absent("not allowed (--no-model)", Some("leave --no-model out to get a modelled figure")));
        return None;
    }
    let Some(host) = host.cloned() else {
        reports.push(absent("the model needs the CPU time of the machine", Some("pass the root of procfs with --procfs")));
        return None;
    };
    // a file that cannot be used teaches nothing, and is said so
    let key = MachineKey::new(&facts.cpuinfo, cpus);
    let learned = options.calibration.as_deref().map(|path| Calibration::load(path, &key));
    let (learned, unusable) = match learned {
        Some(Ok(learned)) => (learned, None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    let said = model::Facts::read(&options.sysfs, &facts.cpuinfo, options.tdp_w);
    let mut problems: Vec<String> = unusable.iter().map(ToString::to_string).collect();
    let profile = options.power_profile.as_deref().map(|path| profile::rule(path, &options.sysfs));
    let rule = match profile {
        Some(Ok(rule)) => rule,
        other => {
            problems.extend(other.and_then(Result::err));
            Rule::choose(&said, learned.as_ref())
        }
    };
    let model = ModelMeter::with(rule, facts.memory_gb.unwrap_or(0.0), Box::new(move |clock| host.recent(clock)));
    let mut report = model.report(why);
    for problem in problems {
        report.detail = format!("{}; {problem}", report.detail);
    }
    reports.push(report);
    Some(Box::new(model))
}
