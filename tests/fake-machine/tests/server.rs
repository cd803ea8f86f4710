//! The program itself: its arguments, how it ends, and the plain form in real time.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fake_machine::Guard;
use rustix::process::{Pid, Signal, kill_process};

const BINARY: &str = env!("CARGO_BIN_EXE_fake-machine");

/// Starts a server without a guard and reads its lines up to `ready`.
fn start(arguments: &[&str], directory: &Path) -> io::Result<(Child, Vec<String>)> {
    let mut child = Command::new(BINARY).args(arguments).arg(directory).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut lines = Vec::new();
    for line in BufReader::new(out).lines() {
        lines.push(line?);
        if lines.last().is_some_and(|line| line == "ready") {
            break;
        }
    }
    Ok((child, lines))
}

/// Whether something comes true within two minutes, as it does in a moment on a quiet machine.
fn eventually(mut comes: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(120);
    while Instant::now() < end {
        if comes() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Waits for an end that is due; true when it was a regular one.
fn ends(child: &mut Child) -> io::Result<bool> {
    if eventually(|| child.try_wait().is_ok_and(|status| status.is_some())) {
        return Ok(child.wait()?.success());
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// A server that no guard ends; it ends when the test fails.
struct Orphan(Pid);

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::TERM);
    }
}

/// Whether SIGHUP is ignored here, as under `nohup`: servers then stay on purpose.
fn hangup_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.is_some_and(|mask| mask.trim().ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']))
}

#[test]
fn it_prints_the_form_the_flags_and_ready() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, lines) = start(&["--plain"], directory.path()).unwrap();
    let path = directory.path().canonicalize().unwrap();
    let path = path.display();
    assert!(lines[0].starts_with("form: plain (renewed every 20 ms"));
    let flags = format!("flags: --sysfs {path}/sys --procfs {path}/proc --cgroupfs {path}/cgroup");
    assert_eq!(lines[1], flags);
    assert_eq!(lines.last().unwrap(), "ready");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(ends(&mut child).unwrap());
}

#[test]
fn it_cleans_up_at_each_signal_and_at_the_end_of_its_input() {
    for form in [&["--plain"][..], &[]] {
        for signal in [Some(Signal::TERM), Some(Signal::INT), Some(Signal::HUP), None] {
            if signal == Some(Signal::HUP) && hangup_is_ignored() {
                continue;
            }
            let directory = tempfile::tempdir().unwrap();
            let arguments = [form, &["--until-stdin-closes"]].concat();
            let (mut child, _) = start(&arguments, directory.path()).unwrap();
            assert!(!is_empty(directory.path()));
            // A reader that still holds a file does not keep it.
            let held = File::open(directory.path().join("sys/class/powercap/intel-rapl:0/name"));
            match signal {
                Some(signal) => kill_process(Pid::from_child(&child), signal).unwrap(),
                None => drop(child.stdin.take()),
            }
            assert!(ends(&mut child).unwrap(), "{form:?} {signal:?}");
            assert!(is_empty(directory.path()), "{form:?} {signal:?}");
            drop(held);
        }
    }
}

#[test]
fn it_ends_with_its_parent_unless_started_by_setsid() {
    for (starter, ends) in [("", true), ("setsid ", false)] {
        if ends && hangup_is_ignored() {
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let script = format!("{starter}\"$0\" \"$1\" & echo $!; wait");
        let mut shell =
            Command::new("sh").args(["-c", &script, BINARY]).arg(directory.path()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(shell.stdout.take().unwrap());
        let (mut orphan, mut ready) = (None, false);
        for line in out.lines().map_while(Result::ok) {
            ready |= line == "ready";
            if let Some(pid) = line.parse().ok().and_then(Pid::from_raw) {
                orphan = Some(Orphan(pid));
            }
            if ready && orphan.is_some() {
                break;
            }
        }
        let orphan = orphan.unwrap();
        assert!(ready && !is_empty(directory.path()));
        shell.kill().unwrap();
        shell.wait().unwrap();
        let gone = || eventually(|| is_empty(directory.path()));
        if ends {
            assert!(gone());
        } else {
            thread::sleep(Duration::from_millis(400));
            assert!(!is_empty(directory.path()));
            kill_process(orphan.0, Signal::TERM).unwrap();
            assert!(gone());
        }
        std::mem::forget(orphan);
    }
}

#[test]
fn it_stays_when_only_the_thread_that_started_it_ends() {
    let guard = thread::spawn(|| Guard::spawn(Path::new(BINARY), &[]).unwrap());
    let guard = guard.join().unwrap();
    thread::sleep(Duration::from_millis(400));
    assert!(guard.truth().is_ok());
}

#[test]
fn a_guard_ends_its_server_when_a_test_panics() {
    let result = thread::spawn(|| {
        let guard = Guard::spawn(Path::new(BINARY), &[]).unwrap();
        let directory = guard.directory().to_owned();
        let pid = guard.pid();
        std::panic::panic_any((directory, pid));
    })
    .join();
    let payload = result.unwrap_err();
    let (directory, pid) = payload.downcast_ref::<(std::path::PathBuf, u32)>().unwrap();
    assert!(!directory.exists());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&*directory.to_string_lossy()));
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_guard_says_why_a_server_did_not_start() {
    let error = Guard::spawn(Path::new(BINARY), &["--watts", "-1"]).unwrap_err();
    assert!(error.to_string().contains("watts must be"), "{error}");
}

#[test]
fn plain_files_follow_the_clock_and_take_commands() {
    let guard = Guard::spawn(Path::new(BINARY), &["--plain", "--watts", "40"]).unwrap();
    assert!(!guard.is_fuse());
    let file = File::open(guard.energy("intel-rapl:0")).unwrap();
    let read = || -> u64 {
        let mut buffer = [0; 64];
        let length = file.read_at(&mut buffer, 0).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        text.trim().parse().unwrap()
    };
    let first = read();
    // What was read is up to one renewal old, and a busy machine may renew late.
    assert!(eventually(|| read() - first > 4_000_000), "{first}");
    let last = read();
    guard.ctl("power package-0 0").unwrap();
    let truth = guard.truth().unwrap();
    let zone = truth.zone("package-0").unwrap();
    assert!(eventually(|| read() == zone.counter_uj));
    assert!(zone.energy_uj >= last && zone.energy_uj - zone.counter_uj <= 62);
    guard.ctl("set package-0 61035").unwrap();
    assert!(eventually(|| read() == 61_035));
    guard.ctl("pulse package-0 10 20").unwrap();
    assert!(eventually(|| (read() - 61_035).abs_diff(200_000) <= 62));
    guard.ctl("fault package-0 garbage").unwrap();
    let text = || fs::read_to_string(guard.energy("intel-rapl:0")).unwrap();
    assert!(eventually(|| text().trim() == "not a number"));
    let error = guard.ctl("fault package-0 eio").unwrap_err();
    assert!(error.to_string().contains("plain files"), "{error}");
}

#[test]
fn wrong_arguments_are_one_clear_line_and_status_2() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let full = directory.path().to_string_lossy().into_owned();
    let file = file.to_string_lossy().into_owned();
    let new = directory.path().join("new").to_string_lossy().into_owned();
    for (arguments, message) in [
        (vec![full.as_str()], "is not empty"),
        (vec![file.as_str()], "is not a directory"),
        (vec!["--watts", "-3", &new], "watts must be a number from 0"),
        (vec!["--watts", "nan", &new], "watts must be a number from 0"),
        (vec!["--busy", "1.5", &new], "a fraction must be a number"),
        (vec!["--idle-watts", "50", &new], "must not be above --watts 40"),
        (vec!["--watts", "0", "--near-wrap", "9", &new], "draws no power"),
        (vec!["--start-uj", "262143328851", &new], "above the range"),
        (vec!["--range", "vax", &new], "invalid value 'vax'"),
        (vec![], "<DIRECTORY>"),
    ] {
        let output = Command::new(BINARY).args(&arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(output.stdout.is_empty());
    }
    assert!(!Path::new(&new).exists());
}

#[test]
fn a_dead_mount_is_named_with_its_mend() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, lines) = start(&[], directory.path()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    if lines[0].starts_with("form: fuse") {
        let output = Command::new(BINARY).arg(directory.path()).output().unwrap();
        let mut said = String::new();
        (&output.stderr[..]).read_to_string(&mut said).unwrap();
        rustix::mount::unmount(directory.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(said.contains("umount -l"), "{said}");
    }
}
