//! Meters that fail while the command runs: it goes on, it is waited for, and no energy is made up.

use std::time::Duration;

use fake_machine::Guard;
use serde_json::Value;
use treehouse_tests::child::Ended;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::{machine, stall};

use crate::support::{FAKE_MACHINE, between, number, on, shell};

/// A stall that can keep the program from a reading for as long as a fault lasts, or put a stamp far behind its reading.
const STALL: Duration = Duration::from_millis(200);

/// Runs a script whose `$0` is the control file of the machine: what happens to the meter happens inside the command, however
/// slow the machine is.
fn run(machine: &Guard, script: &str) -> Ended {
    let scratch = Scratch::new().unwrap();
    shell(on(&scratch, machine), script, &[machine.directory().join("ctl").into()])
}

fn domain<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["domains"].as_array().unwrap().iter().find(|d| d["domain"] == name).unwrap()
}

/// Something that a reading in between decides, which a machine that stands still may keep from being taken.
fn that(holds: bool, what: &str, report: &Value) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what}: {report}")) }
}

#[test]
fn a_meter_that_fails_until_the_end_takes_nothing_from_the_command() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap() else { return };
    for fault in ["eio", "eacces", "garbage", "empty", "negative", "gone", "enodev"] {
        stall::unless_stalled(STALL, || {
            let ended = run(&machine, &format!("echo 'fault package-0 {fault}' > \"$0\"; sleep 1.3; echo done; exit 7"));
            machine.ctl("fault package-0 ok").unwrap();
            assert_eq!(ended.code(), Some(7), "{fault}: {}", ended.stderr);
            assert!(ended.text().starts_with("done\n{"), "{fault}: {}", ended.text());
            assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
            let report = ended.json().unwrap();
            // the folder of the memory's zone lies in the package's: both are gone together
            let memory = domain(&report, "dram-0");
            assert!(fault == "gone" || memory["energy_j"].as_f64().is_some_and(|j| j >= 6.0), "{fault}: {memory}");
            let warnings = report["warnings"].as_array().unwrap();
            assert!(warnings.iter().any(|w| w.as_str().unwrap().contains("package-0")), "{fault}: {warnings:?}");
            // no reading of the package after the first: its energy is not known, and so the host's is not
            let unknown = [&report["host_energy_j"], &report["energy_j"], &domain(&report, "package-0")["energy_j"]];
            that(unknown.iter().all(|figure| figure.is_null()), fault, &report)
        });
    }
}

#[test]
fn a_meter_that_recovers_gives_the_whole_energy() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap() else { return };
    for fault in ["eio", "garbage", "gone", "stall"] {
        let script =
            format!("echo 'fault package-0 {fault}' > \"$0\"; sleep 1.5; echo 'fault package-0 ok' > \"$0\"; sleep 1; exit 0");
        stall::unless_stalled(STALL, || {
            let before = machine.truth().unwrap();
            let ended = run(&machine, &script);
            let after = machine.truth().unwrap();
            assert_eq!(ended.code(), Some(0), "{fault}: {}", ended.stderr);
            let report = ended.json().unwrap();
            let (told, most) = (number(&report, "host_energy_j"), between(&before, &after));
            assert!(told >= 45.0 * 2.5 - 0.001 && told <= most + 0.001, "{fault}: {told} J, at most {most}: {report}");
            that(fault == "stall" || report["warnings"].to_string().contains("package-0"), fault, &report)
        });
    }
}

#[test]
fn a_counter_that_starts_anew_is_a_gap_and_not_a_quarter_of_a_megajoule() {
    let start = ["--watts", "40", "--start-uj", "200000000000"];
    let Some(machine) = machine::start(FAKE_MACHINE, &start).unwrap() else { return };
    let before = machine.truth().unwrap();
    let ended = run(&machine, "sleep 0.5; echo 'reset package-0' > \"$0\"; sleep 2; exit 0");
    let most = between(&before, &machine.truth().unwrap());
    let report = ended.json().unwrap();
    // at most one stretch between two readings is lost, and it is said so
    if let Some(told) = report["host_energy_j"].as_f64() {
        assert!(told <= most + 0.001, "{told} J of {most}");
    }
    assert!(report["warnings"].to_string().contains("package-0"), "{report}");
}

#[test]
fn a_counter_that_reads_zero_for_a_while_has_not_measured_in_it() {
    stall::unless_stalled(STALL, || {
        let start = ["--watts", "40", "--start-uj", "50000000000"];
        let Some(machine) = machine::start(FAKE_MACHINE, &start).unwrap() else { return Ok(()) };
        let before = machine.truth().unwrap();
        let script = "sleep 1.5; echo 'fault package-0 zero' > \"$0\"; sleep 3.5; echo 'fault package-0 ok' > \"$0\"; sleep 1.5";
        let ended = run(&machine, script);
        let most = between(&before, &machine.truth().unwrap());
        let report = ended.json().unwrap();
        let Some(told) = report["host_energy_j"].as_f64() else { return Err(format!("no energy: {report}")) };
        assert!(told > 0.0 && told <= most + 0.001, "{told} J of {most}: {report}");
        // the share of the time that was measured is the share of the energy that is told
        let warnings = report["warnings"].to_string();
        let percent = warnings.split_once("package-0 covers ").and_then(|(_, rest)| rest.split_once(' ')?.0.parse::<f64>().ok());
        let told_of = told / (40.0 * number(&report, "wall_s")) * 100.0;
        that(percent.is_some_and(|percent| (told_of - percent).abs() < 3.0), &format!("{told_of} % are told"), &report)
    });
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
