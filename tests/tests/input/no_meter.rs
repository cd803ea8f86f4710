//! A machine without a meter: the model, under its own name, with the reason and the mend.

use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::Energy;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::{child, machine};

use crate::support::{FAKE_MACHINE, LIMIT, run, treehouse};

/// Global flags: a sysfs that has nothing.
fn nothing(scratch: &Scratch) -> [String; 2] {
    ["--sysfs".to_owned(), scratch.folder("empty").unwrap().to_str().unwrap().to_owned()]
}

#[test]
fn a_run_without_a_meter_is_modelled_and_says_how_unsure_it_is() {
    let scratch = Scratch::new().unwrap();
    let mut command = treehouse(&scratch, nothing(&scratch));
    command.args(["--format", "json", "run", "--", "sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
    let ended = child::run(&mut command, LIMIT).unwrap();
    assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
    let report = ended.json().unwrap();
    assert_eq!(report["provenance"], "modelled");
    for figure in ["energy_j", "uncertainty_j", "host_energy_j"] {
        assert!(report[figure].as_f64().unwrap() > 0.0, "{figure}: {report}");
    }
    let domains = report["domains"].as_array().unwrap();
    assert!(!domains.is_empty());
    assert!(domains.iter().all(|d| d["source"] == "model" && d["provenance"] == "modelled"), "{report}");
}

#[test]
fn a_daemon_without_a_meter_says_so_in_one_line_and_in_every_figure() {
    let scratch = Scratch::new().unwrap();
    let daemon = Daemon::ready(treehouse(&scratch, nothing(&scratch)), &["--no-ledger"]).unwrap();
    let said = daemon.errors().all();
    assert_eq!(said.iter().filter(|line| line.contains("every figure is modelled")).count(), 1, "{said:?}");
    let energy = Energy::of(&daemon).unwrap();
    assert_eq!(energy.provenance.as_deref(), Some("modelled"));
    assert!(energy.uncertainty_j.unwrap() > 0.0 && energy.host_energy_j.unwrap() > 0.0);
    assert!(energy.domains.iter().all(|row| row.source == "model" && row.provenance == "modelled"));
    let scrape = daemon.scrape().unwrap();
    let mut provenances = 0;
    for (series, _) in scrape.values.iter().filter(|(series, _)| series.labels.contains_key("provenance")) {
        assert_eq!(series.label("provenance"), "modelled", "{series:?}");
        provenances += 1;
    }
    assert!(provenances > 3);
    assert!(daemon.stop().unwrap().status.success());
}

#[test]
fn sources_says_why_and_what_to_do() {
    let scratch = Scratch::new().unwrap();
    let flags = nothing(&scratch);
    let text = run(&scratch, flags.iter().map(String::as_str).chain(["sources"]));
    assert_eq!(text.code(), Some(0), "{}", text.stderr);
    for word in ["host = model/cpu", "rapl_powercap", "absent", "mend: ", "the model is used"] {
        assert!(text.text().contains(word), "no {word} in {}", text.text());
    }
    let ended = run(&scratch, flags.iter().map(String::as_str).chain(["--format", "json", "sources"]));
    let answer = ended.json().unwrap();
    let rapl = answer["sources"].as_array().unwrap().iter().find(|s| s["source"] == "rapl_powercap").unwrap();
    assert_eq!((rapl["status"].as_str(), rapl["errno"].as_i64()), (Some("absent"), Some(2)));
    assert!(rapl["mend"].as_str().is_some_and(|mend| !mend.is_empty()), "{rapl}");
    assert!(rapl["detail"].as_str().unwrap().contains(&flags[1]), "{rapl}");

    let refused = run(&scratch, flags.iter().map(String::as_str).chain(["--no-model", "sources"]));
    assert_eq!(refused.code(), Some(3));
    assert!(refused.text().contains("--no-model") && refused.stderr.lines().count() == 1, "{}", refused.stderr);
}

#[test]
fn denied_names_the_mend() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap() else { return };
    machine.ctl("fault package-0 eacces\nfault dram eacces\n").unwrap();
    let scratch = Scratch::new().unwrap();
    let mut command = treehouse(&scratch, ["--format", "json"]);
    let ended = child::run(command.args(machine::meters(&machine)).arg("sources"), LIMIT).unwrap();
    assert_eq!(ended.code(), Some(0), "the model is allowed: {}", ended.stderr);
    let answer = ended.json().unwrap();
    let rapl = answer["sources"].as_array().unwrap().iter().find(|s| s["source"] == "rapl_powercap").unwrap();
    assert_eq!((rapl["status"].as_str(), rapl["errno"].as_i64()), (Some("denied"), Some(13)), "{rapl}");
    let mend = rapl["mend"].as_str().unwrap();
    assert!(mend.contains("SUBSYSTEM==\"powercap\"") && mend.contains("udevadm trigger"), "{mend}");
    assert_eq!(answer["host_cover"][0], "model/cpu");
}

#[test]
fn absent_is_absent() {
    // memory that is refused from the beginning; no platform meter, no GPU
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap() else { return };
    machine.ctl("fault dram eacces\n").unwrap();
    let scratch = Scratch::new().unwrap();
    let mut command = treehouse(&scratch, ["--config"]);
    command.arg(scratch.write("config.toml", "[attribution]\nperiod_s = 0.1\n").unwrap()).args(machine::meters(&machine));
    let daemon = Daemon::ready(command, &["--no-ledger"]).unwrap();
    let scrape = daemon.scrape().unwrap();
    let energies = || scrape.values.keys().filter(|series| series.name.contains("energy_joules"));
    assert!(energies().any(|series| series.labels.values().any(|value| value == "package-0")), "{scrape:?}");
    for absent in ["dram", "psys", "gpu"] {
        let shown = energies().find(|series| series.labels.values().any(|value| value.contains(absent)));
        // no series at all, in place of one that shows 0
        assert_eq!(shown, None, "{absent}");
    }
    let sources = daemon.json("/v1/sources").unwrap();
    let rapl = sources["sources"].as_array().unwrap().iter().find(|s| s["source"] == "rapl_powercap").unwrap().to_string();
    assert!(rapl.contains("dram-0") && rapl.contains("udevadm trigger"), "{rapl}");
}
