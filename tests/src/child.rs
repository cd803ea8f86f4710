//! Runs a program to its end, which is not later than a limit.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How a program ended, and what it wrote.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// All of stdout.
    pub stdout: Vec<u8>,
    /// All of stderr.
    pub stderr: String,
}

impl Ended {
    /// The exit code; `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The last line of stdout as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> io::Result<serde_json::Value> {
        let text = self.text();
        let last = text.lines().last().unwrap_or_default();
        serde_json::from_str(last).map_err(|error| io::Error::other(format!("{error}: {text}\nstderr: {}", self.stderr)))
    }
}

/// Runs a command with nothing to read; kills it after `limit`.
///
/// # Errors
/// It cannot be started, or it did not end in time.
pub fn run(command: &mut Command, limit: Duration) -> io::Result<Ended> {
    run_with_input(command, "", limit)
}

/// The same with a text to read.
///
/// # Errors
/// As [`run`].
pub fn run_with_input(command: &mut Command, input: &str, limit: Duration) -> io::Result<Ended> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // a program that does not read may have closed it already
        let _ = stdin.write_all(input.as_bytes());
    }
    collect(child, limit)
}

/// Waits for a child whose output is piped, and reads all of it.
///
/// # Errors
/// As [`run`].
pub fn collect(mut child: Child, limit: Duration) -> io::Result<Ended> {
    let (out, err) = (child.stdout.take().map(drain), child.stderr.take().map(drain));
    let ended = wait(&mut child, limit);
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let status = ended?;
    // what the program left behind may hold the pipe open: the bytes that are there are enough then
    let bytes = |reader: Option<Drain>| reader.map(Drain::finish).unwrap_or_default();
    Ok(Ended { status, stdout: bytes(out), stderr: String::from_utf8_lossy(&bytes(err)).into_owned() })
}

/// Waits for the end of a child.
///
/// # Errors
/// It did not end within `limit`; it is still running then.
pub fn wait(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= end {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("process {} still runs after {limit:?}", child.id())));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process by its id.
///
/// # Errors
/// There is no such process.
pub fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    kill(Pid::from_raw(pid), signal).map_err(io::Error::from)
}

/// How long what is left in the pipe of a program that has ended may take.
const REST: Duration = Duration::from_secs(20);

struct Drain {
    bytes: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    thread: thread::JoinHandle<()>,
}

impl Drain {
    fn finish(self) -> Vec<u8> {
        let end = Instant::now() + REST;
        while !self.thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        self.bytes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

fn drain(mut from: impl Read + Send + 'static) -> Drain {
    let bytes = std::sync::Arc::<std::sync::Mutex<Vec<u8>>>::default();
    let filled = std::sync::Arc::clone(&bytes);
    let thread = thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            filled.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(&buffer[..read]);
        }
    });
    Drain { bytes, thread }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::LIMIT;

    #[test]
    fn all_output_and_the_status_are_there() {
        let ended = run(Command::new("sh").args(["-c", "echo a; echo b >&2; exit 3"]), LIMIT).unwrap();
        assert_eq!((ended.code(), ended.text().as_str(), ended.stderr.as_str()), (Some(3), "a\n", "b\n"));
        let ended = run_with_input(&mut Command::new("cat"), "in", LIMIT).unwrap();
        assert_eq!(ended.text(), "in");
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let begun = Instant::now();
        let error = run(Command::new("sleep").arg("60"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(50));
    }
}
