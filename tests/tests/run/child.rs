//! The command as a child: its output, its status, its signals.

use std::process::Stdio;

use nix::sys::signal::Signal;
use treehouse_tests::child::{self, Ended, signal};
use treehouse_tests::lines::Lines;
use treehouse_tests::scratch::Scratch;

use crate::support::{LIMIT, TREEHOUSE, on_model, shell};

#[test]
fn the_status_of_the_command_is_passed_on() {
    let scratch = Scratch::new().unwrap();
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143), ("kill -SEGV $$", 139)]
    {
        let ended = shell(on_model(&scratch), script, &[]);
        assert_eq!(ended.code(), Some(code), "{script}: {}", ended.stderr);
        assert_eq!(ended.json().unwrap()["exit_code"], code, "{script}");
    }
}

#[test]
fn a_command_that_cannot_be_run_is_named_with_the_status_of_a_shell() {
    let scratch = Scratch::new().unwrap();
    let plain = scratch.write("plain", "no program").unwrap().into_os_string();
    let folder = scratch.folder("folder").unwrap().into_os_string();
    for (program, code) in [("treehouse-no-such-command".into(), 127), ("/no/such/file".into(), 127), (plain, 126), (folder, 126)]
    {
        let ended = child::run(on_model(&scratch).arg(&program), LIMIT).unwrap();
        assert_eq!(ended.code(), Some(code), "{}", ended.stderr);
        let first = ended.stderr.lines().next().unwrap_or_default();
        assert!(first.starts_with("treehouse: ") && first.contains(program.to_str().unwrap()), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

#[test]
fn stdout_is_the_commands_own_and_then_one_line() {
    let scratch = Scratch::new().unwrap();
    // bytes that are no text, and no newline at the end
    let ended = shell(on_model(&scratch), r"printf 'a\000\377\nb'; printf 'own\n' >&2", &[]);
    assert!(ended.stdout.starts_with(b"a\0\xff\nb"), "{:?}", ended.stdout);
    assert_eq!(ended.stderr, "own\n");
    let object = &ended.stdout[6 - 1..];
    assert_eq!(object.split(|&byte| byte == b'\n').count(), 2, "one line");
    let report: serde_json::Value = serde_json::from_slice(object).unwrap();
    assert_eq!(report["exit_code"], 0);
}

#[test]
fn the_text_report_goes_to_stderr_and_leaves_stdout_alone() {
    let scratch = Scratch::new().unwrap();
    let mut command = scratch.command(TREEHOUSE);
    command.arg("--sysfs").arg(scratch.folder("empty").unwrap()).args(["run", "--"]);
    let ended = shell(command, "echo out; echo err >&2", &[]);
    assert_eq!(ended.stdout, b"out\n");
    assert!(ended.stderr.starts_with("err\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("modelled") && ended.stderr.contains('±'), "{}", ended.stderr);
}

#[test]
fn the_command_reads_our_stdin() {
    let scratch = Scratch::new().unwrap();
    let ended = child::run_with_input(on_model(&scratch).arg("cat"), "from outside\n", LIMIT).unwrap();
    assert!(ended.text().starts_with("from outside\n{"), "{}", ended.text());
}

/// Starts a script that says `ready`, sends `run` a signal then, and returns how it ended.
fn interrupted(script: &str, sent: Signal) -> Ended {
    let scratch = Scratch::new().unwrap();
    // what these tests were started with, such as nohup, may ignore a signal, and `run` leaves that so
    let mut command = scratch.command("env");
    command.args(["--default-signal=HUP,INT,TERM", TREEHOUSE]).args(on_model(&scratch).get_args());
    command.args(["sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let out = Lines::read(child.stdout.take().unwrap());
    let ready = out.wait(LIMIT, |line| (line == "ready").then_some(()));
    signal(child.id(), sent).unwrap();
    let ended = child::collect(child, LIMIT).unwrap();
    assert!(ready.is_some() && out.wait_for_end(LIMIT), "{}", ended.stderr);
    Ended { stdout: out.text().into_bytes(), ..ended }
}

#[test]
fn a_signal_is_passed_on_and_the_report_still_comes() {
    for (sent, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        // `exec`: a shell that waits for a child would hear the signal only after it
        let ended = interrupted("echo ready; exec sleep 300", sent);
        assert_eq!(ended.code(), Some(code), "{sent}: {}", ended.stderr);
        assert_eq!(ended.json().unwrap()["exit_code"], code);
    }
}

#[test]
fn a_command_that_handles_the_signal_ends_as_it_wants() {
    let script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.02; done";
    let ended = interrupted(script, Signal::SIGTERM);
    assert_eq!(ended.code(), Some(9), "{}", ended.stderr);
    assert!(ended.text().contains("\ncaught\n{"), "{}", ended.text());
}

#[test]
fn the_report_is_written_to_the_files_that_were_asked_for() {
    let scratch = Scratch::new().unwrap();
    let mut command = scratch.command(TREEHOUSE);
    command.arg("--sysfs").arg(scratch.folder("empty").unwrap()).args(["--format", "json", "run"]);
    let file = |name: &str| scratch.path().join(name);
    for (flag, name) in [("--export-json", "r.json"), ("--export-csv", "r.csv"), ("--export-markdown", "r.md")] {
        command.arg(flag).arg(file(name));
    }
    command.arg("--");
    let ended = shell(command, "echo ',\"'", &[]);
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let read = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    let exported: serde_json::Value = serde_json::from_str(&read("r.json")).unwrap();
    assert_eq!(exported, ended.json().unwrap());
    let csv = read("r.csv");
    assert_eq!(csv.lines().count(), 2);
    assert!(csv.lines().nth(1).unwrap().contains("\"sh -c echo ',\"\"'\""), "{csv}");
    assert_eq!(read("r.md").lines().count(), 3);
}

#[test]
fn a_file_that_cannot_be_written_is_named_after_the_command_has_run() {
    let scratch = Scratch::new().unwrap();
    let mut command = scratch.command(TREEHOUSE);
    command.arg("--sysfs").arg(scratch.folder("empty").unwrap());
    command.args(["run", "--export-json", "/no/such/folder/r.json", "--"]);
    let ended = shell(command, "echo ran", &[]);
    assert_eq!((ended.code(), ended.text().as_str()), (Some(2), "ran\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("/no/such/folder/r.json"), "{}", ended.stderr);
}

#[test]
fn a_daemon_that_holds_the_ledger_is_no_reason_to_fail() {
    let scratch = Scratch::new().unwrap();
    let mut serve = scratch.command(TREEHOUSE);
    serve.arg("--sysfs").arg(scratch.folder("empty").unwrap());
    let _daemon = treehouse_tests::daemon::Daemon::start(serve, &[]).unwrap();
    let ended = shell(on_model(&scratch), "exit 4", &[]);
    assert_eq!(ended.code(), Some(4), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "one warning: {}", ended.stderr);
    assert!(ended.stderr.contains("ledger"), "{}", ended.stderr);
}
