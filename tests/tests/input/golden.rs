//! The shape of every output, compared with files; `UPDATE_GOLDEN=1` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use treehouse_tests::child;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::Energy;
use treehouse_tests::machine;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::eventually;

use crate::support::{FAKE_MACHINE, LIMIT, run, treehouse};

/// Compares a text with its file.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/input/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{} differs; see it with UPDATE_GOLDEN=1 and git diff. Now:\n{text}", path.display());
}

/// Every key of a value with the type behind it, in order; all items of a list are one.
fn shape(value: &Value) -> String {
    let mut keys: Vec<(String, Vec<&'static str>)> = Vec::new();
    walk(value, "", &mut keys);
    let mut text = String::new();
    for (key, types) in keys {
        writeln!(text, "{key}: {}", types.join(" or ")).unwrap();
    }
    text
}

fn walk(value: &Value, path: &str, keys: &mut Vec<(String, Vec<&'static str>)>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    if !path.is_empty() {
        match keys.iter_mut().find(|(key, _)| key == path) {
            Some((_, kinds)) if kinds.contains(&kind) => {}
            Some((_, kinds)) => kinds.push(kind),
            None => keys.push((path.to_owned(), vec![kind])),
        }
    }
    let dot = if path.is_empty() { "" } else { "." };
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{path}[]"), keys)),
        Value::Object(fields) => fields.iter().for_each(|(key, field)| walk(field, &format!("{path}{dot}{key}"), keys)),
        _ => {}
    }
}

#[test]
fn the_object_of_a_run_keeps_its_keys() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--dram-watts", "5"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let report = |options: &[&str]| {
        let mut command = treehouse(&scratch, ["--format", "json", "--zone", "GB"]);
        command.args(machine::meters(&machine)).arg("run").args(options).args(["--", "sleep", "0.2"]);
        child::run(&mut command, LIMIT).unwrap().json().unwrap()
    };
    let mut report_of_three = report(&["-n", "3"]);
    // each of the runs has the keys of a single one
    let runs = report_of_three.as_object_mut().unwrap().remove("runs").unwrap();
    let one = report(&[]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for single in runs.as_array().unwrap() {
        assert_eq!(keys(single), keys(&one));
    }
    golden("run.txt", &shape(&one));
    golden("run-n.txt", &shape(&report_of_three));
}

#[test]
fn the_configuration_in_force_is_printed_with_every_default() {
    let scratch = Scratch::new().unwrap();
    let ended = run(&scratch, ["config"]);
    assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
    golden("config.toml", &ended.text());
    // what is printed is a configuration, and flags are in it
    let path = scratch.write("printed.toml", &ended.text()).unwrap();
    let mut again = treehouse(&scratch, ["--config"]);
    let again = child::run(again.arg(&path).args(["--zone", "FR", "--no-model", "config"]), LIMIT).unwrap();
    assert!(again.text().contains("zone = \"FR\"\n") && again.text().contains("model = false\n"), "{}", again.text());
    let json = run(&scratch, ["--format", "json", "config"]).json().unwrap();
    assert_eq!((json["serve"]["listen"].as_str(), json["ledger"]["commit_s"].as_f64()), (Some("127.0.0.1:9464"), Some(10.0)));
}

#[test]
fn the_sources_of_the_fake_machine_are_what_they_were() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--packages", "2", "--dram-watts", "5", "--psys"]).unwrap() else {
        return;
    };
    let scratch = Scratch::new().unwrap();
    let told = |format: &str| {
        let mut command = treehouse(&scratch, ["--format", format]);
        let ended = child::run(command.args(machine::everything(&machine)).arg("sources"), LIMIT).unwrap();
        assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
        ended.text().replace(machine.directory().to_str().unwrap(), "$MACHINE")
    };
    golden("sources.txt", &told("text"));
    let json: Value = serde_json::from_str(&told("json")).unwrap();
    golden("sources.json", &(serde_json::to_string_pretty(&json).unwrap() + "\n"));
}

#[test]
fn a_decision_on_the_example_is_the_same_everywhere() {
    let scratch = Scratch::new().unwrap();
    let example = run(&scratch, ["decide", "shift", "--example"]).text();
    let ended = child::run_with_input(&mut treehouse(&scratch, ["decide", "shift"]), &example, LIMIT).unwrap();
    assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
    let mut decision: Value = serde_json::from_str(&ended.text()).unwrap();
    golden("decision.txt", &shape(&decision));
    let action = decision["action"].take();
    golden("decision-action.json", &(serde_json::to_string_pretty(&action).unwrap() + "\n"));
}

#[test]
fn the_answers_of_the_daemon_keep_their_keys() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--dram-watts", "5"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let mut command = treehouse(&scratch, ["--config"]);
    let configuration = "[attribution]\nperiod_s = 0.1\nmin_energy_j = 0.01\n[ledger]\ncommit_s = 0.05\n";
    command.arg(scratch.write("config.toml", configuration).unwrap()).args(machine::everything(&machine));
    let daemon = Daemon::ready(command, &[]).unwrap();
    // everything that can be shown has been: an energy of the meter that fails, its gap, its power again, and a commit
    let seen = |what: &str, is_seen: &dyn Fn(&Energy) -> bool| {
        eventually(what, || Some(()).filter(|()| is_seen(&Energy::of(&daemon).unwrap())));
    };
    let memory = |energy: &Energy| energy.domains.iter().find(|row| row.domain == "dram-0").cloned().unwrap();
    seen("energy of the memory", &|energy| memory(energy).energy_j > 0.0);
    machine.ctl("fault dram eio").unwrap();
    seen("a gap", &|energy| !energy.gaps.is_empty());
    machine.ctl("fault dram ok").unwrap();
    seen("the end of the gap", &|energy| energy.gaps.iter().all(|gap| gap.until.is_some()) && memory(energy).power_w.is_some());
    seen("a commit", &|energy| energy.durable_until.is_some() && energy.recorded.as_ref().is_some_and(|r| r.until.is_some()));
    for route in ["energy", "workloads", "intensity", "power", "policies"] {
        golden(&format!("v1-{route}.txt"), &shape(&daemon.json(&format!("/v1/{route}")).unwrap()));
    }
    // names, types and labels of the metrics
    let answer = daemon.get("/metrics").unwrap();
    let scrape = daemon.scrape().unwrap();
    let mut families: BTreeMap<&str, String> = BTreeMap::new();
    for line in answer.body.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let labels = scrape.family(name).next().map(|(series, _)| series.labels.keys().cloned().collect::<Vec<_>>());
            families.insert(name, format!("{kind} {}", labels.unwrap_or_default().join(" ")));
        }
    }
    let lines: Vec<String> = families.iter().map(|(name, rest)| format!("{name} {}\n", rest.trim_end())).collect();
    golden("metrics.txt", &lines.concat());
}
