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
const START: Duration = Duration::from_secs(60);

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

fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
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
