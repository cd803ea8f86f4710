//! The Unix socket: where it lies, who may not take it, and what is left of it.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use treehouse_tests::child;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::http::{self, Target};
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::LIMIT;
use treehouse_tests::{machine, stall};

use crate::support::{FAKE_MACHINE, inside};

const CONFIGURATION: &str = "[attribution]\nperiod_s = 0.1\n[ledger]\nenabled = false\n";

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket() && about.mode() & 0o777 == 0o666)
}

fn answers(path: &Path) -> bool {
    http::ask(&Target::Unix(path.into()), "/healthz", &[]).is_ok_and(|answer| answer.status == 200)
}

#[test]
fn it_lies_in_the_state_folder_and_goes_with_the_daemon() {
    let Some(machine) = machine::start(FAKE_MACHINE, &[]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let path = scratch.state().join("treehouse.sock");
    stall::unless_stalled(Duration::from_millis(200), || {
        let daemon = Daemon::ready(inside(&scratch, &machine, "[attribution]\nperiod_s = 0.1\n"), &[]).unwrap();
        assert!(is_socket(&path) && answers(&path));
        let found = std::fs::read(scratch.state().join("daemon.json")).unwrap();
        let found: serde_json::Value = serde_json::from_slice(&found).unwrap();
        assert_eq!(found["socket"].as_str(), path.to_str());
        let stopped = daemon.stop().unwrap();
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
        assert!(!path.exists());
        if stopped.took < Duration::from_secs(2) { Ok(()) } else { Err(format!("it took {:?}", stopped.took)) }
    });

    let daemon = Daemon::ready(inside(&scratch, &machine, CONFIGURATION), &["--socket", "off"]).unwrap();
    assert!(!path.exists() && !daemon.errors().text().contains("socket"), "{}", daemon.errors().text());
}

#[test]
fn a_killed_daemons_socket_is_taken_over_and_a_live_ones_is_refused() {
    let Some(machine) = machine::start(FAKE_MACHINE, &[]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let path = scratch.path().join("socket");
    let command = || -> Command { inside(&scratch, &machine, CONFIGURATION) };
    let option = ["--socket", path.to_str().unwrap()];
    Daemon::ready(command(), &option).unwrap().kill().unwrap();
    assert!(is_socket(&path) && !answers(&path), "it is left there");
    let live = Daemon::ready(command(), &option).unwrap();
    assert!(answers(&path));

    let ended = child::run(command().args(["serve", "--listen", "127.0.0.1:0"]).args(option), LIMIT).unwrap();
    assert_eq!((ended.code(), ended.stderr.lines().count()), (Some(2), 1), "{}", ended.stderr);
    for word in [path.to_str().unwrap(), "another daemon", "--socket"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    assert!(answers(&path), "the first one goes on");
    assert!(live.stop().unwrap().status.success() && !path.exists());

    // in the state folder nobody asked for it: the second daemon does without, and says so
    let first = Daemon::ready(command(), &[]).unwrap();
    let second = Daemon::ready(command(), &[]).unwrap();
    assert!(second.errors().text().contains("no socket: ") && !first.errors().text().contains("no socket: "));
}

#[test]
fn a_socket_a_group_or_a_token_that_cannot_be_is_named() {
    let scratch = Scratch::new().unwrap();
    let file = scratch.write("file", "not a token at all, but long").unwrap();
    let path = file.to_str().unwrap();
    let cases = [
        (format!("socket = {path:?}\n"), vec![path, "no socket", "--socket"]),
        ("socket = \"/no/such/folder/s\"\n".to_owned(), vec!["/no/such/folder/s", "--socket"]),
        ("trusted_group = \"no-such-group\"\n".to_owned(), vec!["serve.trusted_group", "no-such-group", "groupadd"]),
        (format!("raw_token_file = {path:?}\n"), vec!["serve.raw_token_file", path, "chmod 600"]),
        ("raw_token_file = \"/no/such/token\"\n".to_owned(), vec!["serve.raw_token_file", "/no/such/token"]),
        ("unprivileged_min_interval_s = 0.01\n".to_owned(), vec!["serve.unprivileged_min_interval_s", "0.1"]),
        ("sokcet = \"off\"\n".to_owned(), vec!["serve.sokcet", "\"socket\""]),
    ];
    for (serve, words) in cases {
        let mut command = scratch.command(crate::support::TREEHOUSE);
        command
            .arg("--config")
            .arg(scratch.write("config.toml", &format!("[serve]\n{serve}[ledger]\nenabled = false\n")).unwrap());
        let ended = child::run(command.args(["serve", "--listen", "127.0.0.1:0"]), LIMIT).unwrap();
        assert_eq!((ended.code(), ended.stderr.lines().count()), (Some(2), 1), "{serve}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
        }
        assert!(!ended.stderr.contains("not a token at all"), "{}", ended.stderr);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a token at all, but long");
}
