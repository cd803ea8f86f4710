//! `treehouse serve` in the guest, asked over TCP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::program::User;

const ADDRESS: &str = "127.0.0.1:9464";
/// How long it may take to answer for the first time.
const START: Duration = Duration::from_secs(180);
/// How long something that must come may take.
const EVENTUALLY: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);

/// One that runs; it is ended when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    address: &'static str,
}

impl Daemon {
    /// Starts it and waits for its first answer with energy.
    pub(crate) fn start() -> Result<Self> {
        let mut command = User::Root.command();
        command
            .args(["serve", "--no-ledger", "--listen", ADDRESS])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let daemon = Self { address: ADDRESS, child: command.spawn().context("cannot start the daemon")? };
        let start = Instant::now();
        while !daemon.energy().is_ok_and(|energy| energy["host_energy_j"].as_f64().is_some_and(|joules| joules > 0.0)) {
            if start.elapsed() > START {
                bail!("the daemon gives no energy: {:?}", daemon.energy());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(daemon)
    }

    /// `/v1/energy`.
    pub(crate) fn energy(&self) -> Result<Value> {
        serde_json::from_str(&get(self.address, "/v1/energy")?).context("no JSON from /v1/energy")
    }

    /// What `/v1/energy` says of one domain.
    pub(crate) fn domain(&self, source: &str, name: &str) -> Result<Value> {
        let energy = self.energy()?;
        let mut domains = energy["domains"].as_array().into_iter().flatten();
        let found = domains.find(|domain| domain["source"] == source && domain["domain"] == name).cloned();
        found.with_context(|| format!("the daemon has no {source}/{name}"))
    }

    /// Joules of all domains of a source.
    pub(crate) fn total(&self, source: &str) -> Result<f64> {
        let energy = self.energy()?;
        let domains = energy["domains"].as_array().into_iter().flatten();
        Ok(domains.filter(|domain| domain["source"] == source).filter_map(|domain| domain["energy_j"].as_f64()).sum())
    }

    /// Joules of the host.
    pub(crate) fn host(&self) -> Result<f64> {
        self.energy()?["host_energy_j"].as_f64().context("the daemon has no energy of the host")
    }

    /// Waits for so many new snapshots.
    pub(crate) fn ticks(&self, count: u32) -> Result<()> {
        for _ in 0..count {
            let before = self.energy()?["until"].clone();
            eventually("the daemon's next tick", || Ok((self.energy()?["until"] != before).then_some(())))?;
        }
        Ok(())
    }

    /// Waits until what is told holds everything up to now: of the snapshots from here on the first may have been made before,
    /// the second may stand at an earlier reading, and a reader without a privilege may be one behind.
    pub(crate) fn catch_up(&self) -> Result<()> {
        self.ticks(4)
    }

    /// The sum of all series of a metric whose labels hold each of these, such as `reason="fall"`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        Ok(sum(&get(self.address, "/metrics")?, name, labels))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer, or for two minutes.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().with_context(|| what.to_owned())? {
            return Ok(answer);
        }
        if start.elapsed() > EVENTUALLY {
            bail!("not within {} s: {what}", EVENTUALLY.as_secs());
        }
        thread::sleep(LOOK);
    }
}

fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(EVENTUALLY))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: guest\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("cannot read {path}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer to {path}"))?;
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => bail!("{path}: {}", head.lines().next().unwrap_or_default()),
    }
}

fn sum(exposition: &str, name: &str, labels: &[&str]) -> f64 {
    let of = |line: &str| -> Option<f64> {
        let rest = line.strip_prefix(name)?;
        let (series, value) = rest.rsplit_once(' ')?;
        let named = series.is_empty() || series.starts_with('{');
        (named && labels.iter().all(|label| series.contains(label))).then(|| value.parse().ok())?
    };
    exposition.lines().filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_chosen_by_name_and_labels() {
        let text =
            "# TYPE a_total counter\na_total{x=\"1\",y=\"2\"} 3\na_total{x=\"2\",y=\"2\"} 4.5\na_total_more{x=\"1\"} 9\nb 1\n";
        assert!((sum(text, "a_total", &[]) - 7.5).abs() < 1e-9);
        assert!((sum(text, "a_total", &["x=\"1\""]) - 3.0).abs() < 1e-9);
        assert!((sum(text, "b", &[]) - 1.0).abs() < 1e-9);
        assert!(sum(text, "c", &[]).abs() < 1e-9);
    }
}
