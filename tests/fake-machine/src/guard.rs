//! A server for the length of a test.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use crate::truth::Truth;

/// How long a server may take to get ready.
const START: Duration = Duration::from_secs(120);
/// How long plain files may take to carry out a command.
const REACTION: Duration = Duration::from_secs(120);

/// A running server in a temporary directory; it ends with the guard, also when a test panics.
///
/// The server is a process of its own: a reader that hangs in a file of its own process's making
/// would hang both.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    fuse: bool,
    machine: PathBuf,
    /// Removed last.
    _directory: TempDir,
}

impl Guard {
    /// Starts `binary` with `arguments`, the directory and `--until-stdin-closes`, and waits until
    /// it is ready.
    ///
    /// # Errors
    /// When it cannot be started, ends at once, or is not ready within two minutes.
    pub fn spawn(binary: &Path, arguments: &[&str]) -> io::Result<Self> {
        let directory = TempDir::with_prefix("fake-machine-")?;
        let machine = directory.path().join("machine");
        let errors = directory.path().join("stderr");
        fs::create_dir(&machine)?;
        let mut child = Command::new(binary)
            .args(arguments)
            .arg("--until-stdin-closes")
            .arg(&machine)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&errors)?)
            .spawn()?;
        let lines = child.stdout.take().map(read_lines);
        let mut guard = Self { child, fuse: false, machine, _directory: directory };
        let ready = lines.is_some_and(|lines| guard.wait_until_ready(&lines));
        if ready {
            return Ok(guard);
        }
        let said = fs::read_to_string(&errors).unwrap_or_default();
        let binary = binary.display();
        Err(io::Error::other(format!("{binary} did not get ready: {}", said.trim())))
    }

    /// What to pass as `--sysfs`.
    pub fn sysfs(&self) -> PathBuf {
        self.machine.join("sys")
    }

    /// What to pass as `--procfs`.
    pub fn procfs(&self) -> PathBuf {
        self.machine.join("proc")
    }

    /// What to pass as `--cgroupfs`.
    pub fn cgroupfs(&self) -> PathBuf {
        self.machine.join("cgroup")
    }

    /// The directory that holds all of it.
    pub fn directory(&self) -> &Path {
        &self.machine
    }

    /// The `energy_uj` file of a zone, by the zone's directory id.
    pub fn energy(&self, id: &str) -> PathBuf {
        let class = self.sysfs().join("class/powercap");
        class.join(id).join("energy_uj")
    }

    /// Whether values are computed at every read; plain files are up to 20 ms old.
    pub fn is_fuse(&self) -> bool {
        self.fuse
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Carries out commands, one a line; they hold when this returns.
    ///
    /// # Errors
    /// When the machine does not accept a command: the error says why.
    pub fn ctl(&self, commands: &str) -> io::Result<()> {
        let path = self.machine.join("ctl");
        let count = commands.lines().filter(|line| !line.trim().is_empty());
        let wanted = self.truth()?.commands + count.count() as u64;
        let mut file = fs::OpenOptions::new().write(true).open(&path)?;
        if self.fuse {
            return file.write_all(commands.as_bytes()).map_err(|error| {
                let reason = fs::read_to_string(&path).unwrap_or_default();
                io::Error::new(error.kind(), reason.trim().to_owned())
            });
        }
        for line in commands.lines() {
            writeln!(file, "{line}")?;
        }
        let end = Instant::now() + REACTION;
        while Instant::now() < end {
            let truth = self.truth()?;
            if truth.outcome != "ok" {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, truth.outcome));
            }
            if truth.commands >= wanted {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(2));
        }
        let message = "the machine did not carry out the commands";
        Err(io::Error::new(io::ErrorKind::TimedOut, message))
    }

    /// The truth, at an instant inside this call (of plain files: at their last renewal).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn truth(&self) -> io::Result<Truth> {
        let text = fs::read_to_string(self.machine.join("truth"))?;
        serde_json::from_str(&text).map_err(io::Error::other)
    }

    /// Reads the server's lines until `ready`; false when it ends or takes too long.
    fn wait_until_ready(&mut self, lines: &Receiver<String>) -> bool {
        let end = Instant::now() + START;
        loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line == "ready" => return true,
                Ok(line) => self.fuse |= line.starts_with("form: fuse"),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Killed, it answers nobody any more: readers that hang in it get an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Without a mount there, this does nothing.
        let _ = unmount(&self.machine, UnmountFlags::DETACH);
    }
}

/// Reads lines in a thread of its own, for as long as there are any.
fn read_lines(out: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // Nobody may listen any more; reading goes on so that the server never waits.
            let _ = sender.send(line);
        }
    });
    receiver
}
