//! Meters that fail while the command runs: it goes on, it is waited for, and no energy is made up.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use fake_machine::Guard;
use treehouse_tests::child::{self, Ended};
use treehouse_tests::lines::Lines;
use treehouse_tests::machine;
use treehouse_tests::scratch::Scratch;

use crate::support::{FAKE_MACHINE, LIMIT, between, number, on, shell};

/// Runs a script that says `ready` and then works for two seconds; `meanwhile` is done to the machine.
fn run_while(machine: &Guard, script: &str, meanwhile: impl FnOnce()) -> Ended {
    let scratch = Scratch::new().unwrap();
    let mut command = on(&scratch, machine);
    command.args(["sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let out = Lines::read(child.stdout.take().unwrap());
    let ready = out.wait(LIMIT, |line| (line == "ready").then_some(()));
    meanwhile();
    let ended = child::collect(child, LIMIT).unwrap();
    assert!(ready.is_some() && out.wait_for_end(LIMIT), "{}", ended.stderr);
    Ended { stdout: out.text().into_bytes(), ..ended }
}

#[test]
fn a_meter_that_fails_until_the_end_takes_nothing_from_the_command() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap() else { return };
    for fault in ["eio", "eacces", "garbage", "empty", "negative", "gone", "enodev"] {
        let ended = run_while(&machine, "echo ready; sleep 1.3; echo done; exit 7", || {
            machine.ctl(&format!("fault package-0 {fault}")).unwrap();
        });
        machine.ctl("fault package-0 ok").unwrap();
        assert_eq!(ended.code(), Some(7), "{fault}: {}", ended.stderr);
        assert!(ended.text().starts_with("ready\ndone\n{"), "{fault}: {}", ended.text());
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        let report = ended.json().unwrap();
        // no reading of the package after the first: its energy is not known, and so the host's is not
        assert!(report["host_energy_j"].is_null() && report["energy_j"].is_null(), "{fault}: {report}");
        let package = report["domains"].as_array().unwrap().iter().find(|d| d["domain"] == "package-0").unwrap();
        assert!(package["energy_j"].is_null(), "{fault}: {package}");
        // the folder of the memory's zone lies in the package's: both are gone together
        let memory = report["domains"].as_array().unwrap().iter().find(|d| d["domain"] == "dram-0").unwrap();
        assert!(fault == "gone" || memory["energy_j"].as_f64().is_some_and(|j| j >= 6.0), "{fault}: {memory}");
        let warnings = report["warnings"].as_array().unwrap();
        assert!(warnings.iter().any(|w| w.as_str().unwrap().contains("package-0")), "{fault}: {warnings:?}");
    }
}

#[test]
fn a_meter_that_recovers_gives_the_whole_energy() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap() else { return };
    for fault in ["eio", "garbage", "gone", "stall"] {
        let before = machine.truth().unwrap();
        let ended = run_while(&machine, "echo ready; sleep 2.5; exit 0", || {
            machine.ctl(&format!("fault package-0 {fault}")).unwrap();
            thread::sleep(Duration::from_millis(1500));
            machine.ctl("fault package-0 ok").unwrap();
        });
        let after = machine.truth().unwrap();
        assert_eq!(ended.code(), Some(0), "{fault}: {}", ended.stderr);
        let report = ended.json().unwrap();
        let (told, most) = (number(&report, "host_energy_j"), between(&before, &after));
        assert!(told >= 45.0 * 2.5 - 0.001 && told <= most + 0.001, "{fault}: {told} J, at most {most}: {report}");
        if fault != "stall" {
            assert!(report["warnings"].to_string().contains("package-0"), "{fault}: {report}");
        }
    }
}

#[test]
fn a_counter_that_starts_anew_is_a_gap_and_not_a_quarter_of_a_megajoule() {
    let start = ["--watts", "40", "--start-uj", "200000000000"];
    let Some(machine) = machine::start(FAKE_MACHINE, &start).unwrap() else { return };
    let before = machine.truth().unwrap();
    let ended = run_while(&machine, "echo ready; sleep 2.5; exit 0", || {
        thread::sleep(Duration::from_millis(500));
        machine.ctl("reset package-0").unwrap();
    });
    let most = between(&before, &machine.truth().unwrap());
    let report = ended.json().unwrap();
    // at most one stretch between two readings is lost, and it is said so
    if let Some(told) = report["host_energy_j"].as_f64() {
        assert!(told <= most, "{told} J of {most}");
    }
    assert!(report["warnings"].to_string().contains("package-0"), "{report}");
}

#[test]
fn a_counter_that_reads_zero_for_a_while_has_not_measured_in_it() {
    let start = ["--watts", "40", "--start-uj", "50000000000"];
    let Some(machine) = machine::start(FAKE_MACHINE, &start).unwrap() else { return };
    let before = machine.truth().unwrap();
    let ended = run_while(&machine, "echo ready; sleep 6.5; exit 0", || {
        thread::sleep(Duration::from_millis(1500));
        machine.ctl("fault package-0 zero").unwrap();
        thread::sleep(Duration::from_millis(3500));
        machine.ctl("fault package-0 ok").unwrap();
    });
    let most = between(&before, &machine.truth().unwrap());
    let report = ended.json().unwrap();
    let told = number(&report, "host_energy_j");
    assert!(told > 0.0 && told <= most, "{told} J of {most}: {report}");
    // the share of the time that was measured is the share of the energy that is told
    let warnings = report["warnings"].to_string();
    let (_, rest) = warnings.split_once("package-0 covers ").unwrap_or_else(|| panic!("{warnings}"));
    let percent: f64 = rest.split_once(' ').unwrap().0.parse().unwrap();
    let told_of = told / (40.0 * number(&report, "wall_s"));
    assert!((told_of * 100.0 - percent).abs() < 3.0, "{percent} % are said, {told_of} are told: {report}");
}

#[test]
fn a_meter_that_may_not_be_read_leaves_the_model_and_its_name() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    machine.ctl("fault package-0 eacces").unwrap();
    let scratch = Scratch::new().unwrap();
    let ended = shell(on(&scratch, &machine), "sleep 0.3", &[]);
    let report = ended.json().unwrap();
    assert_eq!(report["provenance"], "modelled", "{report}");
    for domain in report["domains"].as_array().unwrap() {
        assert_eq!(domain["provenance"], "modelled", "{domain}");
    }
    assert!(number(&report, "uncertainty_j") > 0.0);
}
