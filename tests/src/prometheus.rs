//! A real Prometheus for the length of a test.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{self, encode};
use crate::lines::Lines;
use crate::tools;
use crate::wait::LIMIT;

/// How often it is started until it runs.
const ATTEMPTS: u32 = 3;

/// A running Prometheus with a port, a configuration and a store of its own; killed by its id when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    /// Removed last.
    _folder: TempDir,
}

/// One series of an answer: labels, and its samples as (seconds since the epoch, value as text).
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its labels, `__name__` included.
    pub labels: Value,
    /// Its samples, oldest first.
    pub samples: Vec<(f64, String)>,
}

impl Prometheus {
    /// Starts the program with a configuration, and further files beside it that the configuration may name.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(program: &Path, configuration: &str, files: &[(&str, &str)]) -> io::Result<Self> {
        // a port that was free may be taken by the time the program wants it
        let mut started = Self::start_once(program, configuration, files);
        for _ in 1..ATTEMPTS {
            started = started.or_else(|_| Self::start_once(program, configuration, files));
        }
        started
    }

    fn start_once(program: &Path, configuration: &str, files: &[(&str, &str)]) -> io::Result<Self> {
        let folder = TempDir::with_prefix("treehouse-prometheus-")?;
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, configuration)?;
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content)?;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], tools::free_port()?));
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut prometheus = Self { child, address, _folder: folder };
        let said = prometheus.child.stderr.take().map_or_else(Lines::default, Lines::read);
        let end = Instant::now() + LIMIT;
        while Instant::now() < end && prometheus.child.try_wait()?.is_none() {
            if http::get(address, "/-/ready", &[]).is_ok_and(|answer| answer.status == 200) {
                return Ok(prometheus);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(io::Error::other(format!("prometheus did not start: {}", said.text())))
    }

    /// Asks the API, and returns `data`.
    ///
    /// # Errors
    /// It refuses: the error says why.
    pub fn api(&self, path: &str) -> io::Result<Value> {
        let answer = http::get(self.address, &format!("/api/v1/{path}"), &[])?.json()?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].clone()),
            _ => Err(io::Error::other(format!("{path}: {answer}"))),
        }
    }

    /// An instant query, at an instant (seconds since the epoch) or now.
    ///
    /// # Errors
    /// As [`Prometheus::api`].
    pub fn query(&self, expression: &str, at: Option<f64>) -> io::Result<Vec<Answered>> {
        let at = at.map_or_else(String::new, |at| format!("&time={at:.3}"));
        let data = self.api(&format!("query?query={}{at}", encode(expression)))?;
        let sample = |pair: &Value| Some((pair[0].as_f64()?, pair[1].as_str()?.to_owned()));
        let series = |row: &Value| {
            let many = row["values"].as_array().map_or_else(|| vec![row["value"].clone()], Clone::clone);
            Answered { labels: row["metric"].clone(), samples: many.iter().filter_map(sample).collect() }
        };
        if data["resultType"] == "scalar" {
            return Ok(vec![Answered { labels: Value::Null, samples: sample(&data["result"]).into_iter().collect() }]);
        }
        Ok(data["result"].as_array().into_iter().flatten().map(series).collect())
    }

    /// The one value of an instant query.
    ///
    /// # Errors
    /// As [`Prometheus::api`], or the answer is not one value.
    pub fn value(&self, expression: &str, at: Option<f64>) -> io::Result<f64> {
        let rows = self.query(expression, at)?;
        let value = match &*rows {
            [row] => row.samples.last().and_then(|(_, value)| value.parse().ok()),
            _ => None,
        };
        value.ok_or_else(|| io::Error::other(format!("{expression}: not one value: {rows:?}")))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
