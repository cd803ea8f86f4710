//! `treehouse serve` for the length of a test.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::child;
use crate::exposition::Scrape;
use crate::http::{self, Answer};
use crate::lines::Lines;
use crate::wait::LIMIT;

/// A running daemon; killed by its id when it is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    address: SocketAddr,
    errors: Lines,
}

/// How a daemon ended.
#[derive(Debug)]
pub struct Stopped {
    /// Its exit status.
    pub status: ExitStatus,
    /// How long it took from the signal on.
    pub took: Duration,
    /// Everything that it wrote to stderr.
    pub stderr: String,
}

impl Daemon {
    /// Starts `serve` on a free port of loopback: `command` is the program with its global flags, `options` those of `serve`.
    ///
    /// # Errors
    /// It ends at once, or does not say where it listens.
    pub fn start(command: Command, options: &[&str]) -> io::Result<Self> {
        let mut daemon = Self::launch(command, options)?;
        match daemon.errors.wait(LIMIT, address) {
            Some(address) => daemon.address = address,
            None => return Err(io::Error::other(format!("serve did not start: {}", daemon.errors.text()))),
        }
        Ok(daemon)
    }

    /// Starts it, and waits until the first interval is closed.
    ///
    /// # Errors
    /// As [`Daemon::start`], or it does not get ready.
    pub fn ready(command: Command, options: &[&str]) -> io::Result<Self> {
        let daemon = Self::start(command, options)?;
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// Starts it and waits for nothing: it can be killed, not asked.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn launch(mut command: Command, options: &[&str]) -> io::Result<Self> {
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(options);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let errors = child.stderr.take().map_or_else(Lines::default, Lines::read);
        Ok(Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), errors })
    }

    /// Waits until the first interval is closed.
    ///
    /// # Errors
    /// It does not get ready in time.
    pub fn wait_until_ready(&self) -> io::Result<()> {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if self.get("/readyz").is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other(format!("serve did not get ready: {}", self.errors.text())))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it wrote to stderr so far.
    pub fn errors(&self) -> &Lines {
        &self.errors
    }

    /// `GET path`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn get(&self, path: &str) -> io::Result<Answer> {
        http::get(self.address, path, &[])
    }

    /// `GET path` as JSON.
    ///
    /// # Errors
    /// It does not answer, or with something else.
    pub fn json(&self, path: &str) -> io::Result<serde_json::Value> {
        self.get(path)?.json()
    }

    /// `GET /metrics` as text 0.0.4.
    ///
    /// # Errors
    /// It does not answer, or with something that no parser reads.
    pub fn scrape(&self) -> io::Result<Scrape> {
        Scrape::parse(&self.get("/metrics")?.body).map_err(io::Error::other)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        child::signal(self.pid(), signal)
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// It does not end; it is killed then.
    pub fn stop(self) -> io::Result<Stopped> {
        self.signal(Signal::SIGTERM)?;
        self.wait()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It does not end; it is killed then.
    pub fn wait(mut self) -> io::Result<Stopped> {
        let begun = Instant::now();
        let status = child::wait(&mut self.child, LIMIT)?;
        let took = begun.elapsed();
        self.errors.wait_for_end(LIMIT);
        Ok(Stopped { status, took, stderr: self.errors.text() })
    }

    /// Kills it without a warning, and waits until it is gone.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the line that names the web page.
fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("web page http://")?;
    rest.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_off_the_line_that_names_the_page() {
        let line = "treehouse: web page http://127.0.0.1:4711/   metrics http://127.0.0.1:4711/metrics   stop with Ctrl-C";
        assert_eq!(address(line), Some(SocketAddr::from(([127, 0, 0, 1], 4711))));
        assert_eq!(address("treehouse: measuring rapl_powercap/package-0"), None);
    }
}
