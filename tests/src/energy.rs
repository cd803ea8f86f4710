//! What `GET /v1/energy` says.

use std::io;

use jiff::Timestamp;
use serde::Deserialize;

use crate::daemon::Daemon;

/// The fields that tests look at.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the public contract")]
pub struct Energy {
    pub since: Timestamp,
    pub until: Timestamp,
    pub durable_until: Option<Timestamp>,
    pub host_energy_j: Option<f64>,
    pub host_power_w: Option<f64>,
    pub uncertainty_j: Option<f64>,
    pub provenance: Option<String>,
    pub coverage: f64,
    pub domains: Vec<Domain>,
    pub gaps: Vec<Gap>,
    pub recorded: Option<Recorded>,
    pub warnings: Vec<String>,
}

/// One domain.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the public contract")]
pub struct Domain {
    pub source: String,
    pub domain: String,
    pub energy_j: f64,
    pub power_w: Option<f64>,
    pub provenance: String,
    pub in_host: bool,
}

/// Time without a reading.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the public contract")]
pub struct Gap {
    pub source: String,
    pub domain: String,
    pub reason: String,
    pub from: Timestamp,
    pub until: Option<Timestamp>,
}

/// The ledger's total over all runs.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the public contract")]
pub struct Recorded {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub host_energy_j: f64,
}

impl Energy {
    /// Asks a daemon.
    ///
    /// # Errors
    /// It does not answer, or with something else.
    pub fn of(daemon: &Daemon) -> io::Result<Self> {
        let answer = daemon.get("/v1/energy")?;
        serde_json::from_str(&answer.body).map_err(|error| io::Error::other(format!("{error} in: {}", answer.body)))
    }

    /// Energy of a domain so far, in joules.
    pub fn of_domain(&self, name: &str) -> Option<f64> {
        self.domains.iter().find(|row| row.domain == name).map(|row| row.energy_j)
    }

    /// Seconds from the start to the last closed interval.
    pub fn seconds(&self) -> f64 {
        self.until.duration_since(self.since).as_secs_f64()
    }

    /// The host in whole millijoules; `None` where it is not known.
    pub fn host_mj(&self) -> Option<u64> {
        self.host_energy_j.map(millijoules)
    }
}

/// Joules of a JSON number that shows whole millijoules.
pub fn millijoules(joules: f64) -> u64 {
    (joules * 1e3).round() as u64
}
