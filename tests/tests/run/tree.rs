//! The whole process tree: children of a few milliseconds, and what the command leaves behind.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use treehouse_tests::child::{self, signal};
use treehouse_tests::scratch::Scratch;
use treehouse_tests::stall;

use crate::support::{LIMIT, TREEHOUSE, number, on_model};

/// Seconds in the words of `times`: `0m0.123s`.
fn seconds(word: &str) -> f64 {
    let (minutes, seconds) = word.trim_end_matches('s').split_once('m').unwrap();
    minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
}

/// `run` with its cgroup, and `run` that finds no cgroups and asks the kernel for the usage of reaped children.
fn both_ways(scratch: &Scratch) -> [(&'static str, Command); 2] {
    let empty = scratch.folder("empty").unwrap();
    let mut by_rusage = scratch.command(TREEHOUSE);
    by_rusage.arg("--sysfs").arg(&empty).arg("--cgroupfs").arg(&empty).args(["--format", "json", "run", "--"]);
    [("where groups can be made", on_model(scratch)), ("by rusage", by_rusage)]
}

#[test]
fn children_that_live_for_a_moment_are_counted() {
    // the shell tells at its end what it and its children used
    const SCRIPT: &str = "for i in {1..200}; do /bin/true; done; times";
    let scratch = Scratch::new().unwrap();
    for (way, _) in both_ways(&scratch) {
        stall::unless_stalled(Duration::from_millis(10), || {
            let (_, mut command) = both_ways(&scratch).into_iter().find(|(name, _)| *name == way).unwrap();
            let ended = child::run(command.args(["bash", "-c", SCRIPT]), LIMIT).unwrap();
            assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
            let text = ended.text();
            let truth: f64 = text.lines().take(2).flat_map(str::split_whitespace).map(seconds).sum();
            let told = number(&ended.json().unwrap(), "cpu_s");
            assert!(truth > 0.02, "{text}");
            let fine = (told - truth).abs() <= 0.1 * truth;
            if fine { Ok(()) } else { Err(format!("{way}: {told} s of CPU time, the shell says {truth} s")) }
        });
    }
}

#[test]
fn children_of_children_and_orphans_are_counted() {
    // a grandchild whose parent has ended works on for a while, and tells what it used; the command waits for it by a pipe
    const SCRIPT: &str = "(bash -c \"$0\" & exit 0) | cat";
    const WORK: &str = "for i in {1..100000}; do :; done; for i in {1..60}; do /bin/true; done; times";
    let scratch = Scratch::new().unwrap();
    for (way, mut command) in both_ways(&scratch) {
        let ended = child::run(command.args(["sh", "-c", SCRIPT, WORK]), LIMIT).unwrap();
        let text = ended.text();
        let truth: f64 = text.lines().take(2).flat_map(str::split_whitespace).map(seconds).sum();
        let told = number(&ended.json().unwrap(), "cpu_s");
        // three shells more than the grandchild, however fast the machine; twice the grandchild would be too much
        assert!(truth > 0.02 && told >= 0.95 * truth && told <= 1.6 * truth + 0.03, "{way}: {told} s, at least {truth} s");
    }
}

#[test]
fn a_daemon_that_stays_is_named_and_lives_on() {
    let scratch = Scratch::new().unwrap();
    for (way, mut command) in both_ways(&scratch) {
        let file = scratch.path().join("pid");
        let script = "setsid sleep 300 < /dev/null > /dev/null 2>&1 & echo $! > \"$0\"
            until [ \"$(cat /proc/$!/comm)\" = sleep ]; do sleep 0.01; done";
        let arguments: [OsString; 4] = ["sh".into(), "-c".into(), script.into(), file.clone().into()];
        let ended = child::run(command.args(arguments), LIMIT).unwrap();
        let pid: u32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        let killed = signal(pid, Signal::SIGKILL);
        assert_eq!(ended.code(), Some(0), "{way}: {}", ended.stderr);
        assert_eq!(name.unwrap().trim(), "sleep", "{way}");
        killed.unwrap();
        let report = ended.json().unwrap();
        assert!(number(&report, "wall_s") < 200.0, "{way}: it is not waited for");
        let warnings = report["warnings"].to_string();
        assert!(warnings.contains("sleep") && warnings.contains("still running"), "{way}: {warnings}");
    }
}

#[test]
fn nothing_of_the_group_is_left() {
    let left = || {
        let root = std::path::Path::new("/sys/fs/cgroup");
        let folders = [root.to_path_buf(), root.join("unified")];
        let entries = folders.iter().filter_map(|f| std::fs::read_dir(f).ok()).flatten();
        let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
        names.filter(|name| name.starts_with("treehouse-run-")).collect::<Vec<_>>()
    };
    let scratch = Scratch::new().unwrap();
    let mut command = on_model(&scratch);
    command.args(["sh", "-c", "echo $PPID"]);
    let ended = child::run(&mut command, LIMIT).unwrap();
    let text = ended.text();
    let pid = text.lines().next().unwrap();
    assert!(!left().contains(&format!("treehouse-run-{pid}")), "{:?}", left());
}
