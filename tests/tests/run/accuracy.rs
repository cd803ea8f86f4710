//! The energy that `run` tells against the truth of the fake machine.

use std::time::Duration;

use fake_machine::Truth;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::{machine, stall};

use crate::support::{FAKE_MACHINE, between, number, on, shell};

/// Two units of the two counters that are the host, in joules.
const UNITS_J: f64 = 4.0 * 62e-6;
/// The command reads the truth when it begins and when it ends.
const WITNESS: &str = "cat \"$0\"; sleep \"$1\"; cat \"$0\"";

/// Runs `sleep` on a machine of 40 W: between the truths around it always, and within 2 % of power times time.
fn forty_watts(arguments: &[&str], seconds: &str) {
    let Some(machine) = machine::start(FAKE_MACHINE, arguments).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    stall::unless_stalled(Duration::from_millis(10), || {
        let truth = machine.directory().join("truth");
        let before = machine.truth().unwrap();
        let ended = shell(on(&scratch, &machine), WITNESS, &[truth.into(), seconds.into()]);
        let after = machine.truth().unwrap();
        assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
        let report = ended.json().unwrap();
        let text = ended.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "what the command wrote, then one line: {text}");
        let inner: Vec<Truth> = lines[..2].iter().map(|line| serde_json::from_str(line).unwrap()).collect();

        let (told, wall_s) = (number(&report, "host_energy_j"), number(&report, "wall_s"));
        let (least, most) = (between(&inner[0], &inner[1]), between(&before, &after));
        assert!(least - UNITS_J <= told && told <= most + UNITS_J, "{told} J is not between {least} and {most}");
        assert_eq!(report["provenance"], "attributed");
        for domain in report["domains"].as_array().unwrap() {
            assert_eq!(domain["provenance"], "measured", "{domain}");
        }
        let own = number(&report, "energy_j");
        assert!(own > 0.0 && own <= told, "{report}");
        assert!(number(&report, "uncertainty_j") > 0.0);
        let deviation = told / (40.0 * wall_s) - 1.0;
        if deviation.abs() <= 0.02 { Ok(()) } else { Err(format!("{told} J in {wall_s} s: {:.1} % off", deviation * 100.0)) }
    });
}

#[test]
fn forty_watts_for_five_seconds_are_two_hundred_joules() {
    forty_watts(&["--watts", "40"], "5");
}

#[test]
fn a_wrap_in_the_middle_costs_nothing() {
    forty_watts(&["--watts", "40", "--near-wrap", "1.5"], "2.5");
}

#[test]
fn memory_is_added_and_cores_are_not() {
    forty_watts(&["--watts", "32", "--dram-watts", "8"], "2");
}

#[test]
fn a_platform_meter_takes_the_place_of_what_it_contains() {
    // package, memory and 5 W of the board
    let machine = ["--watts", "30", "--dram-watts", "5", "--psys"];
    let Some(machine) = machine::start(FAKE_MACHINE, &machine).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let truth = machine.directory().join("truth");
    let before = machine.truth().unwrap();
    let ended = shell(on(&scratch, &machine), WITNESS, &[truth.into(), "1".into()]);
    let after = machine.truth().unwrap();
    let report = ended.json().unwrap();
    let text = ended.text();
    let inner: Vec<Truth> = text.lines().take(2).map(|line| serde_json::from_str(line).unwrap()).collect();
    let psys = |truth: &Truth| truth.zone("psys").unwrap().energy_nj as f64 / 1e9;
    let (least, most) = (psys(&inner[1]) - psys(&inner[0]), psys(&after) - psys(&before));
    let told = number(&report, "host_energy_j");
    assert!(told >= least - UNITS_J && told <= most + UNITS_J, "{told} J is not between {least} and {most}: {report}");
    let in_host: Vec<_> = report["domains"].as_array().unwrap().iter().filter(|d| d["in_host"] == true).collect();
    assert_eq!(in_host.len(), 1, "{report}");
}

#[test]
fn a_task_of_fifty_milliseconds_gets_its_four_joules() {
    // the machine draws nothing but 80 W for 50 ms, from the moment at which the task begins
    const TASK: &str = "echo 'pulse package-0 80 50' > \"$0\"
        end=$(($(date +%s%N) + 50000000)); while [ $(date +%s%N) -lt $end ]; do :; done";
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "0"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let mut told: Vec<f64> = (0..5)
        .map(|_| {
            let ctl = machine.directory().join("ctl");
            let ended = shell(on(&scratch, &machine), TASK, &[ctl.into()]);
            assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
            number(&ended.json().unwrap(), "host_energy_j")
        })
        .collect();
    told.sort_by(f64::total_cmp);
    assert!((told[2] - 4.0).abs() <= 0.2, "{told:?}");
}

#[test]
fn several_runs_give_median_least_and_most() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let mut command = scratch.command(crate::support::TREEHOUSE);
    command.args(machine::meters(&machine)).args(["--format", "json", "run", "-n", "3", "--warmup", "1", "--"]);
    let ended = shell(command, "echo once; sleep 0.2", &[]);
    assert_eq!(ended.text().matches("once\n").count(), 4);
    let report = ended.json().unwrap();
    assert_eq!(report["statistics"]["n"], 3);
    assert_eq!(report["runs"].as_array().unwrap().len(), 3);
    for figure in ["wall_s", "host_energy_j"] {
        let spread = &report["statistics"][figure];
        let mut values: Vec<f64> = report["runs"].as_array().unwrap().iter().map(|run| number(run, figure)).collect();
        values.sort_by(f64::total_cmp);
        for (name, value) in ["min", "median", "max"].iter().zip(values) {
            assert!((number(spread, name) - value).abs() < 1e-9, "{name} of {figure}: {report}");
        }
    }
}
