//! Recordings: made on a fake machine and played again, and every one that is kept in `tests/recorded`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carbon_api::detect::{Machine, Options};
use carbon_api::domain::Source;
use carbon_api::ledger::store::FILE;
use carbon_api::meter::replay::{DomainTotals, READINGS, Recording};
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::Value;
use treehouse_tests::child;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::eventually;
use treehouse_tests::{machine, stall};

use crate::support::{FAKE_MACHINE, LIMIT, run, treehouse};

/// What is known of a recorded machine from elsewhere.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// For people.
    #[serde(rename = "about")]
    _about: String,
    domains: BTreeMap<String, ExpectedDomain>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedDomain {
    truth_j: f64,
    lost_j: f64,
    within_j: f64,
    wraps: Option<u64>,
    errors: Option<BTreeMap<String, u64>>,
    resets: Option<BTreeMap<String, u64>>,
    gaps: Option<BTreeMap<String, u64>>,
}

impl ExpectedDomain {
    fn check(&self, got: &DomainTotals) {
        let explained = got.energy.joules().value() + self.lost_j;
        assert!((explained - self.truth_j).abs() <= self.within_j, "{explained} J for {} J: {got:?}", self.truth_j);
        assert!(self.wraps.is_none_or(|w| w == got.wraps), "{got:?}");
        let named = |counts: &BTreeMap<&'static str, u64>| counts.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        for (expected, counts) in [(&self.errors, &got.errors), (&self.resets, &got.resets), (&self.gaps, &got.gaps)] {
            let counts: BTreeMap<String, u64> = named(counts);
            assert!(expected.as_ref().is_none_or(|e| *e == counts), "{expected:?} for {got:?}");
        }
    }
}

fn kept() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded");
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|p| p.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
fn every_recording_that_is_kept_gives_what_is_known_of_it() {
    let folders = kept();
    assert!(!folders.is_empty());
    for folder in folders {
        let expected = std::fs::read(folder.join("expected.json")).unwrap();
        let expected: Expected = serde_json::from_slice(&expected).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let recording = Recording::open(&folder).unwrap_or_else(|e| panic!("{e}"));
        let totals = recording.replay();
        assert!(!expected.domains.is_empty(), "{}", folder.display());
        for (name, domain) in &expected.domains {
            let got = totals.domains.iter().find(|d| d.name == *name);
            domain.check(got.unwrap_or_else(|| panic!("{}: no {name}", folder.display())));
        }
    }
}

#[test]
fn the_copied_files_of_every_recording_give_its_domains_again() {
    for folder in kept() {
        let recording = Recording::open(&folder).unwrap();
        let tree = folder.join("tree");
        let roots = Options { sysfs: tree.join("sys"), procfs: tree.join("proc"), cgroupfs: tree.clone(), ..Options::default() };
        let found: Vec<String> = Machine::detect(&roots).bank.domains().iter().map(|d| d.full_name()).collect();
        let of_files = |s: Source| matches!(s, Source::RaplPowercap | Source::Hwmon | Source::Odpm | Source::FuelGauge);
        let recorded = recording.head().domains.iter().filter(|d| of_files(d.source));
        for name in recorded.map(|d| format!("{}/{}", d.source.name(), d.name)) {
            assert!(found.contains(&name), "{}: {name} is not among {found:?}", folder.display());
        }
    }
}

#[test]
fn what_is_recorded_is_played_with_the_true_energy() {
    // the counters wrap in the middle, and a stamp is taken right after its read, unless the machine stands still
    stall::unless_stalled(Duration::from_millis(30), || {
        let arguments = ["--dram-watts", "5", "--near-wrap", "4"];
        let Some(machine) = machine::start(FAKE_MACHINE, &arguments).unwrap() else { return Ok(()) };
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path().join("rec");
        let mut command = treehouse(&scratch, ["--format", "json"]);
        command.args(machine::everything(&machine)).arg("record").arg(&folder).args(["--duration", "6", "--period", "100ms"]);
        let ended = child::run(&mut command, LIMIT).unwrap();
        assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
        let told = ended.json().unwrap();

        let recording = Recording::open(&folder).unwrap();
        assert_eq!(told["readings"].as_u64(), Some(recording.ticks().len() as u64), "{told}");
        assert!((2..=62).contains(&recording.ticks().len()), "{told}");
        let busy = |i: usize| recording.ticks()[i].host.unwrap().busy_ns;
        assert!(busy(recording.ticks().len() - 1) > busy(0));
        // where it was recorded is told by nothing in it
        let private = scratch.path().to_str().unwrap();
        for name in ["recording.json", READINGS] {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            assert!(!text.contains(private) && !text.contains(machine.directory().to_str().unwrap()), "{text}");
        }

        let totals = recording.replay();
        for (name, watts) in [("rapl_powercap/package-0", 40.0), ("rapl_powercap/dram-0", 5.0)] {
            let d = totals.domains.iter().find(|d| d.name == name).unwrap();
            assert!(d.metered_s > 5.5 && d.lost_s == 0.0, "{d:?}");
            let near = (d.energy.joules().value() - watts * d.metered_s).abs() <= 0.02 * watts;
            if !(near && d.wraps == 1 && recording.ticks().len() >= 15) {
                return Err(format!("{told}: {d:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn ctrl_c_ends_a_recording_and_keeps_it() {
    let Some(machine) = machine::start(FAKE_MACHINE, &[]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("rec");
    let mut command = treehouse(&scratch, ["--sysfs"]);
    command.arg(machine.sysfs()).arg("record").arg(&folder).args(["--period", "20ms"]);
    let piped = std::process::Stdio::piped;
    let child = command.stdout(piped()).stderr(piped()).spawn().unwrap();
    let lines = || std::fs::read_to_string(folder.join(READINGS)).map_or(0, |text| text.lines().count());
    eventually("three lines", || (lines() >= 3).then_some(()));
    child::signal(child.id(), Signal::SIGINT).unwrap();
    let ended = child::collect(child, LIMIT).unwrap();
    assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
    let recording = Recording::open(&folder).unwrap();
    assert!(recording.ticks().len() >= 3);
    assert!(ended.text().starts_with(&format!("{} readings in ", recording.ticks().len())), "{}", ended.text());
    assert!(!recording.notice().contains("unfinished"));
}

#[test]
fn what_is_played_never_passes_for_this_machine() {
    let scratch = Scratch::new().unwrap();
    let folder = kept().into_iter().find(|f| f.ends_with("simulated-wrap-eio-reload")).unwrap();
    let folder = folder.to_str().unwrap();
    let notice = format!("replayed: 16 s from {folder}, recorded at ");
    let sources = run(&scratch, ["--replay", folder, "--format", "json", "sources"]).json().unwrap();
    assert!(sources["warnings"][0].as_str().is_some_and(|w| w.starts_with(&notice)), "{sources}");
    assert!(sources["sources"][0]["detail"].as_str().is_some_and(|d| d.contains("replayed from")), "{sources}");
    assert_eq!(sources["host_cover"], serde_json::json!(["rapl_powercap/package-0", "rapl_powercap/dram-0"]));

    // some seconds later the recorded meter was reloaded: how much is told of so long a time is another question
    stall::unless_stalled(Duration::from_millis(200), || {
        let ended = run(&scratch, ["--replay", folder, "--format", "json", "--zone", "GB", "run", "--", "sleep", "1.2"]);
        let report = ended.json().unwrap();
        assert_eq!((ended.code(), &report["energy_j"], &report["carbon_g"]["embodied"]), (Some(0), &Value::Null, &Value::Null));
        assert!(report["warnings"].as_array().unwrap().iter().any(|w| w.as_str().is_some_and(|w| w.starts_with(&notice))));
        let told = report["host_energy_j"].as_f64().is_some_and(|j| (20.0..100.0).contains(&j));
        if told { Ok(()) } else { Err(report.to_string()) }
    });

    let configuration = scratch.write("config.toml", "[attribution]\nperiod_s = 0.5\n").unwrap();
    let mut command = treehouse(&scratch, ["--replay", folder, "--config"]);
    command.arg(&configuration);
    let daemon = Daemon::ready(command, &[]).unwrap();
    let energy = eventually("the energy of a second", || {
        let energy = daemon.json("/v1/energy").unwrap();
        energy["host_energy_j"].as_f64().is_some_and(|j| j > 20.0).then_some(energy)
    });
    assert!(
        energy["warnings"].as_array().unwrap().iter().any(|w| w.as_str().is_some_and(|w| w.starts_with(&notice))),
        "{energy}"
    );
    let workloads = daemon.json("/v1/workloads").unwrap().to_string();
    assert!(!workloads.contains("\"process\"") && workloads.contains("\"idle\""), "{workloads}");
    let stopped = daemon.stop().unwrap();
    assert!(stopped.stderr.contains(&format!("treehouse: {notice}")), "{}", stopped.stderr);
    assert!(!stopped.stderr.contains("measuring"), "{}", stopped.stderr);
    assert!(!scratch.state().join(FILE).exists(), "the ledger of this machine is not touched");
}

#[test]
fn what_is_no_recording_is_refused_with_its_line() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.folder("rec").unwrap();
    let folder = folder.to_str().unwrap();
    let refused = |arguments: &[&str], words: &[&str]| {
        let ended = child::run(&mut treehouse(&scratch, arguments.iter().copied()), LIMIT).unwrap();
        assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
        assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "no {word} in {}", ended.stderr);
        }
    };
    refused(&["--replay", folder, "sources"], &["rec/recording.json", "treehouse record"]);
    let source = kept().into_iter().find(|f| f.ends_with("simulated-wrap-eio-reload")).unwrap();
    scratch.write("rec/recording.json", &std::fs::read_to_string(source.join("recording.json")).unwrap()).unwrap();
    let readings = std::fs::read_to_string(source.join(READINGS)).unwrap();
    scratch.write("rec/readings.jsonl", &readings.replacen("\"shown\"", "\"shone\"", 7)).unwrap();
    refused(&["--replay", folder, "serve"], &["rec/readings.jsonl:1:", "shone"]);
    refused(&["record", folder], &["rec is not empty", "new one"]);
    refused(&["--replay", folder, "record", folder], &["leave --replay out"]);
    refused(&["--replay", folder, "serve", "--otlp", "http://127.0.0.1:4317"], &["leave --otlp or --replay out"]);
}
