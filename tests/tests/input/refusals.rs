//! Bad input: the exit status of the contract, one line that names the thing and the mend, and nothing changed.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use carbon_api::ledger::store::{FILE, Ledger};
use treehouse_tests::child::{self, Ended};
use treehouse_tests::machine;
use treehouse_tests::scratch::Scratch;

use crate::support::{FAKE_MACHINE, LIMIT, run, treehouse};

/// Every file below a folder with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.insert(entry.path(), std::fs::read(entry.path()).unwrap());
        }
    }
    all
}

/// Checks status and message of something that was refused.
fn refused(ended: &Ended, code: i32, words: &[&str]) {
    let said = &ended.stderr;
    assert_eq!(ended.code(), Some(code), "{said}");
    assert!(ended.stdout.is_empty(), "{}", ended.text());
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    assert!(said.starts_with("treehouse: ") && !said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word} in: {said}");
    }
}

#[test]
fn a_configuration_that_cannot_be_is_told_with_its_line_and_what_was_meant() {
    for (text, words) in [
        ("[grid]\nzon = \"GB\"\n", &["config.toml:2:", "grid.zon", "\"zone\""][..]),
        ("[atribution]\nperiod_s = 1\n", &["config.toml:1:", "\"attribution\""]),
        ("# x\n[attribution]\nperiod_s = -3\n", &["config.toml:3:", "attribution.period_s", "-3"]),
        ("[attribution]\nperiod_s = \"often\"\n", &["config.toml:2:", "often"]),
        ("[ledger]\ncommit_s = 1e30\n", &["config.toml:2:", "ledger.commit_s"]),
        ("[ledger]\nkeep_days = 0\n", &["config.toml:2:", "ledger.keep_days"]),
        ("[attribution.idle]\npolicy = \"fair\"\n", &["config.toml:2:", "separate"]),
        ("[grid]\nproviders = [\"crystal-ball\"]\n", &["config.toml:2:", "crystal-ball"]),
        ("[meter]\nmax_power_w = nan\n", &["config.toml:2:", "meter.max_power_w"]),
        ("[grid\n", &["config.toml:1:"]),
        ("zone = \u{0}\n", &["config.toml:1:"]),
    ] {
        let scratch = Scratch::new().unwrap();
        let path = scratch.write("config.toml", text).unwrap();
        let before = files(scratch.path());
        for verb in [&["config"][..], &["sources"], &["run", "--", "true"], &["serve", "--listen", "127.0.0.1:0"]] {
            let mut command = treehouse(&scratch, ["--config"]);
            let ended = child::run(command.arg(&path).args(verb), LIMIT).unwrap();
            refused(&ended, 2, words);
        }
        assert!(files(scratch.path()) == before, "a file was changed: {text}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let scratch = Scratch::new().unwrap();
    refused(&run(&scratch, ["--config", "/no/such/file.toml", "config"]), 2, &["/no/such/file.toml", "--config"]);
    refused(&run(&scratch, ["decide", "shift", "--input", "/no/such/view.json"]), 2, &["/no/such/view.json", "--input"]);
}

#[test]
fn a_zone_that_nobody_knows_is_named_with_a_mend() {
    let scratch = Scratch::new().unwrap();
    for verb in [&["run", "--", "true"][..], &["serve", "--listen", "127.0.0.1:0"], &["decide", "shift"]] {
        let mut command = treehouse(&scratch, ["--zone", "GBX"]);
        let ended = child::run_with_input(command.args(verb), "{\"view\":{\"duration_s\":60}}", LIMIT).unwrap();
        refused(&ended, 2, &["\"GBX\"", "GB", "--zone"]);
    }
    assert!(!scratch.state().exists(), "nothing was made");
}

#[test]
fn an_intensity_that_no_grid_has_is_refused() {
    let scratch = Scratch::new().unwrap();
    for (value, words) in [("-5", ["-5", "--intensity"]), ("1e9", ["1000000000", "--intensity"]), ("nan", ["NaN", "--intensity"])]
    {
        for verb in [&["run", "--", "true"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let mut command = treehouse(&scratch, ["--intensity", value]);
            refused(&child::run(command.args(verb), LIMIT).unwrap(), 2, &words);
        }
    }
    assert!(!scratch.state().exists(), "nothing was made");
}

#[test]
fn an_address_that_cannot_be_used_is_named() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let scratch = Scratch::new().unwrap();
    for (listen, words) in [
        (address.as_str(), [address.as_str(), "in use", "--listen"]),
        ("127.0.0.1:99999", ["127.0.0.1:99999", "--listen", "9464"]),
        ("nowhere", ["nowhere", "--listen", "9464"]),
        ("0.0.0.0:0", ["0.0.0.0:0", "127.0.0.1", "--insecure"]),
    ] {
        refused(&run(&scratch, ["serve", "--listen", listen]), 2, &words);
    }
    assert!(!scratch.state().exists(), "nothing was made");
}

#[test]
fn a_ledger_that_is_none_stays_as_it_is() {
    for bytes in [&b"this is no ledger"[..], &[0; 8192], &[0xff; 8192]] {
        let scratch = Scratch::new().unwrap();
        std::fs::create_dir_all(scratch.state()).unwrap();
        let path = scratch.state().join(FILE);
        std::fs::write(&path, bytes).unwrap();
        let before = files(scratch.path());
        let ended = run(&scratch, ["serve", "--listen", "127.0.0.1:0"]);
        refused(&ended, 2, &[path.to_str().unwrap(), "move it away", "--state"]);
        // a command is run all the same: its figures are shown, not kept
        let ended = run(&scratch, ["--format", "json", "run", "--", "sh", "-c", "exit 3"]);
        assert_eq!((ended.code(), ended.stderr.lines().count()), (Some(3), 1), "{}", ended.stderr);
        assert!(ended.stderr.contains(FILE), "{}", ended.stderr);
        assert_eq!(ended.json().unwrap()["exit_code"], 3);
        assert!(files(scratch.path()) == before, "a file was changed");
    }
}

#[test]
fn a_ledger_that_was_cut_short_stays_as_it_is() {
    let scratch = Scratch::new().unwrap();
    let ledger = Ledger::open(&scratch.state()).unwrap();
    ledger.record_run(jiff::Timestamp::UNIX_EPOCH, "{}").unwrap();
    let path = ledger.path().to_path_buf();
    drop(ledger);
    let whole = std::fs::read(&path).unwrap();
    for length in [1, 100, 5000, whole.len() / 2] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let before = files(scratch.path());
        let ended = run(&scratch, ["serve", "--listen", "127.0.0.1:0"]);
        refused(&ended, 2, &[path.to_str().unwrap(), "--state"]);
        assert!(files(scratch.path()) == before, "a file was changed that is cut to {length}");
    }
}

#[test]
fn a_ledger_of_a_newer_version_stays_as_it_is() {
    const META: redb::TableDefinition<'_, &str, i128> = redb::TableDefinition::new("meta");
    let scratch = Scratch::new().unwrap();
    drop(Ledger::open(&scratch.state()).unwrap());
    let path = scratch.state().join(FILE);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("schema", 99).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = std::fs::read(&path).unwrap();
    let ended = run(&scratch, ["serve", "--listen", "127.0.0.1:0"]);
    refused(&ended, 2, &[path.to_str().unwrap(), "newer version", "99", "update treehouse", "--state"]);
    assert!(std::fs::read(&path).unwrap() == before, "the file was changed");
}

#[test]
fn a_state_folder_that_cannot_be_is_named() {
    let scratch = Scratch::new().unwrap();
    let file = scratch.write("file", "").unwrap();
    for folder in [file.clone(), file.join("below"), "/proc/1/no".into()] {
        let mut command = treehouse(&scratch, ["--state"]);
        let ended = child::run(command.arg(&folder).args(["serve", "--listen", "127.0.0.1:0"]), LIMIT).unwrap();
        refused(&ended, 2, &[folder.to_str().unwrap(), "--state", "--no-ledger"]);
    }
}

#[test]
fn a_second_daemon_on_one_ledger_is_told_who_is_in_the_way() {
    let scratch = Scratch::new().unwrap();
    let _first = treehouse_tests::daemon::Daemon::start(treehouse(&scratch, [""; 0]), &[]).unwrap();
    let ended = run(&scratch, ["serve", "--listen", "127.0.0.1:0"]);
    refused(&ended, 2, &[FILE, "in use", "--state"]);
}

#[test]
fn a_decision_that_cannot_be_taken_names_the_field() {
    let scratch = Scratch::new().unwrap();
    let example = run(&scratch, ["decide", "shift", "--example"]).text();
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value: serde_json::Value = serde_json::from_str(&example).unwrap();
        change(&mut value);
        value.to_string()
    };
    let cases = [
        ("shift", "{\"view\":".to_owned(), &["stdin", "--example"][..]),
        ("shift", String::new(), &["stdin", "--example"]),
        ("shift", "[]".to_owned(), &["view"]),
        ("shift", "{}".to_owned(), &["view", "missing"]),
        ("shift", with(&|v| v["view"]["duration_s"] = (-4).into()), &["view.duration_s", "-4"]),
        ("shift", with(&|v| v["view"]["duration_s"] = "long".into()), &["view.duration_s"]),
        ("shift", with(&|v| v["view"]["durations"] = 4.into()), &["durations"]),
        ("shift", with(&|v| v["signal"]["forecast"][0]["g_per_kwh"] = (-5).into()), &["signal", "-5"]),
        ("shuft", example.clone(), &["shuft", "shift"]),
    ];
    for (policy, input, words) in cases {
        let ended = child::run_with_input(&mut treehouse(&scratch, ["decide", policy]), &input, LIMIT).unwrap();
        refused(&ended, 2, words);
    }
}

#[test]
fn a_collector_that_cannot_be_is_named() {
    let scratch = Scratch::new().unwrap();
    for url in ["https://127.0.0.1:4318", "ftp://127.0.0.1:4318", "http://", "http://me:secret@127.0.0.1:4318"] {
        let ended = run(&scratch, ["serve", "--listen", "127.0.0.1:0", "--otlp", url]);
        refused(&ended, 2, &["otlp.endpoint"]);
        assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    }
}

#[test]
fn a_meter_that_is_wanted_and_cannot_be_read_is_status_three() {
    let scratch = Scratch::new().unwrap();
    let verbs = [&["run", "--", "true"][..], &["serve", "--listen", "127.0.0.1:0"]];
    for verb in verbs {
        let mut command = treehouse(&scratch, ["--sysfs", "/no/such/sys", "--no-model"]);
        refused(&child::run(command.args(verb), LIMIT).unwrap(), 3, &["/no/such/sys", "treehouse sources"]);
    }
    let Some(machine) = machine::start(FAKE_MACHINE, &[]).unwrap() else { return };
    for (fault, word) in [("eacces", "ermission denied"), ("eio", "nput/output error"), ("garbage", "energy_uj")] {
        machine.ctl(&format!("fault package-0 {fault}")).unwrap();
        for verb in verbs {
            let mut command = treehouse(&scratch, ["--no-model"]);
            let ended = child::run(command.args(machine::meters(&machine)).args(verb), LIMIT).unwrap();
            refused(&ended, 3, &[word, "treehouse sources"]);
        }
    }
    assert!(!scratch.state().exists(), "nothing was made");
}

#[test]
fn wrong_usage_is_status_two_and_names_the_word() {
    let scratch = Scratch::new().unwrap();
    for (arguments, word) in [
        (&["frobnicate"][..], "frobnicate"),
        (&["run"], "<CMD>"),
        (&["run", "-n", "0", "--", "true"], "'0'"),
        (&["run", "-n", "few", "--", "true"], "'few'"),
        (&["--intensity", "much", "run", "--", "true"], "'much'"),
        (&["--format", "yaml", "config"], "'yaml'"),
        (&["serve", "--quickly"], "--quickly"),
        (&["decide"], "<POLICY>"),
    ] {
        let ended = run(&scratch, arguments.iter().copied());
        assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(word) && ended.stdout.is_empty(), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}
