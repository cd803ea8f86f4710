//! A machine that is played from a recording in place of this one.

use std::path::Path;
use std::sync::Arc;

use super::{Machine, Options};
use crate::bank::Bank;
use crate::cover::host_cover;
use crate::domain::DomainInfo;
use crate::error::ReadError;
use crate::meter::model::MachineKey;
use crate::meter::replay::{Playback, RecordedSource, Recording, ReplayClock, ReplayHost, model};
use crate::meter::{DomainReport, SourceReport, Status};
use crate::probe::HostReader;
use crate::stamp::Clock;
use crate::system::SystemClock;
use crate::usage::UsageSource;

impl Machine {
    /// Plays a recording: its meters and its CPU time, and nothing of this machine.
    ///
    /// Who used the processors was not recorded: busy energy has no owner.
    pub fn replay(recording: &Recording, options: &Options) -> Self {
        let playback = Playback::new(recording);
        let bank = Bank::with(vec![Box::new(Arc::clone(&playback).meter())], &options.contains);
        let domains = bank.domain_list();
        let cover = host_cover(&domains, &options.cover);
        let mut usage: Vec<Box<dyn UsageSource>> = Vec::new();
        let has_host = recording.ticks().iter().any(|t| t.host.is_some());
        if has_host {
            usage.push(Box::new(ReplayHost(Arc::clone(&playback))));
        }
        let meters = recording.head().sources.iter().filter(|s| !s.source.starts_with("usage/"));
        let mut reports: Vec<SourceReport> = meters.map(|s| report(s, recording, &domains, &cover)).collect();
        reports.extend(usage_reports(recording.folder(), has_host));
        Self {
            bank,
            usage,
            reports,
            host_cover: cover.iter().map(|&i| domains[i].full_name()).collect(),
            cpus: recording.head().machine.cpus,
            memory_gb: recording.head().machine.memory_gb,
            key: MachineKey::new("", recording.head().machine.cpus),
            options: options.clone(),
            replay: Some(playback),
        }
    }

    /// The clock of its meters: this machine's, or the recorded one's while a recording is played.
    pub fn clock(&self) -> Box<dyn Clock + Send> {
        match &self.replay {
            Some(playback) => Box::new(ReplayClock::new(Arc::clone(playback), SystemClock)),
            None => Box::new(SystemClock),
        }
    }

    /// What is played, where it is no real machine.
    pub fn recording(&self) -> Option<&Recording> {
        self.replay.as_ref().map(|p| p.recording())
    }
}

/// A command that runs here used nothing of the recorded machine: its share cannot be told.
pub(super) fn host_reader(playback: &Playback) -> HostReader {
    let folder = playback.recording().folder().display();
    let path = format!("the share of a command that runs here in the machine of {folder}").into();
    let error = ReadError::Absent { path, errno: None };
    Box::new(move |_| Err(error.clone()))
}

fn report(recorded: &RecordedSource, recording: &Recording, domains: &[DomainInfo], cover: &[usize]) -> SourceReport {
    let rows = DomainReport::list(domains, cover);
    let own = rows.into_iter().zip(domains).filter(|(_, d)| d.source.name() == recorded.source).map(|(row, _)| row);
    let (folder, at) = (recording.folder().display(), recording.head().recorded_at);
    SourceReport {
        source: recorded.source.clone(),
        status: recorded.status.into(),
        detail: format!("{} (replayed from {folder}, recorded at {at})", recorded.detail),
        path: recorded.path.clone(),
        errno: recorded.errno,
        // what was to be done on that machine is nothing to be done here
        mend: None,
        model: recorded.model.as_ref().map(model),
        domains: own.collect(),
    }
}

fn usage_reports(folder: &Path, has_host: bool) -> [SourceReport; 2] {
    let report = |source: &str, status, detail: &str| SourceReport {
        source: source.into(),
        status,
        detail: detail.into(),
        path: Some(folder.into()),
        errno: None,
        mend: None,
        model: None,
        domains: Vec::new(),
    };
    let host = if has_host {
        report("usage/host", Status::Ok, "CPU time of the recorded machine (replayed)")
    } else {
        report("usage/host", Status::Absent, "CPU time was not recorded")
    };
    [host, report("usage/process", Status::Absent, "who used the processors is not recorded")]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"version":1,"tool":"treehouse 0.1.0","recorded_at":"2026-03-01T12:00:00Z","period_s":1.0,
        "machine":{"cpus":8,"memory_gb":16.0,"kernel":"6.1","architecture":"x86_64","processor":"x"},
        "domains":[{"source":"rapl_powercap","name":"package-0","device":"socket0","kind":"package","contained_in":null,
          "duplicate_of":null,"counter":{"wrap":{"Units":{"unit_nj":61035}},"resolution_j":0.000061035,"max_power_w":1000.0,
          "survives_suspend":false},"update_s":0.001,"integrated":false,"on_module":false,"accuracy":0.05}],
        "sources":[{"source":"rapl_powercap","status":"ok","detail":"1 zones","path":"/sys/class/powercap","errno":null,"mend":null},
          {"source":"nvml","status":"absent","detail":"no library","path":null,"errno":null,"mend":"install it"},
          {"source":"usage/process","status":"ok","detail":"d","path":"/proc","errno":null,"mend":null}],
        "tree":{"files":0,"unreadable":[]}}"#;
    const READINGS: &str = r#"{"boottime_ns":0,"monotonic_ns":0,"values":[{"shown":5,"at":[0,0]}],"host":{"at_ns":0,"busy_ns":0,"steal_ns":0,"cpus":8,"quantum_ns":1}}
"#;

    fn recording() -> Recording {
        Recording::parse(Path::new("rec"), HEAD.as_bytes(), READINGS.as_bytes()).unwrap()
    }

    #[test]
    fn its_sources_are_those_of_the_recording_and_say_so() {
        let machine = Machine::replay(&recording(), &Options::default());
        let names: Vec<&str> = machine.reports.iter().map(|r| r.source.as_str()).collect();
        assert_eq!(names, ["rapl_powercap", "nvml", "usage/host", "usage/process"]);
        let rapl = &machine.reports[0];
        assert_eq!(rapl.detail, "1 zones (replayed from rec, recorded at 2026-03-01T12:00:00Z)");
        assert_eq!((rapl.domains.len(), &*rapl.domains[0].domain, rapl.domains[0].in_host), (1, "package-0", true));
        assert_eq!(
            (machine.cpus, machine.memory_gb, machine.host_cover.as_slice()),
            (8, Some(16.0), &["rapl_powercap/package-0".to_owned()][..])
        );
        assert_eq!(machine.reports[1].mend, None);
        assert!(machine.warnings()[0].starts_with("replayed: "), "{:?}", machine.warnings());
    }

    #[test]
    fn the_model_learns_nothing_from_it() {
        let options = Options { calibration: Some("/nonexistent/calibration.json".into()), ..Options::default() };
        assert!(Machine::replay(&recording(), &options).learner().is_none());
    }

    #[test]
    fn a_command_of_this_machine_gets_no_share_of_it() {
        let mut probe = Machine::replay(&recording(), &Options::default()).into_probe().unwrap();
        probe.begin(0);
        let used = probe.end(|| 1_000_000_000);
        assert_eq!(used.own, None);
        assert!(
            used.warnings.iter().any(|w| w.contains("the share of a command that runs here in the machine of rec is absent")),
            "{:?}",
            used.warnings
        );
    }
}
