//! Meters: what a machine offers to be read, each domain with its counter's rules.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

pub use crate::counter::{Epoch, Value};
use crate::domain::DomainInfo;
use crate::error::ReadError;
use crate::stamp::Clock;

#[cfg(feature = "meter-battery")]
pub mod battery;
#[cfg(feature = "meter-hwmon")]
pub mod hwmon;
#[cfg(feature = "meter-model")]
pub mod model;
#[cfg(feature = "meter-nvml")]
pub mod nvml;
#[cfg(feature = "meter-odpm")]
pub mod odpm;
#[cfg(feature = "system")]
pub mod poller;
#[cfg(feature = "meter-power-profile")]
pub mod power_profile;
#[cfg(feature = "meter-rapl")]
pub mod rapl;
#[cfg(feature = "meter-replay")]
pub mod replay;

/// One kind of meter, its files open.
pub trait Meter: Send {
    /// Its domains, in a fixed order; `contained_in` refers to this list.
    fn domains(&self) -> &[DomainInfo];

    /// Reads every domain; `values` holds one place a domain, in order. A failed read touches its own place alone.
    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]);

    /// The longest time between two reads that loses nothing, in seconds; `None`: any.
    fn longest_period_s(&self) -> Option<f64> {
        let wraps = self.domains().iter().filter_map(|d| d.counter.wrap_seconds());
        wraps.map(|s| 0.4 * s).min_by(f64::total_cmp)
    }

    /// Makes sure that the next read is as new as it can be; a meter that polls on a thread of its own waits for one poll.
    /// Called at both ends of a window, never by the measuring loop.
    fn settle(&mut self) {}

    /// Adds plain words on what is doubtful about its figures, each beginning with a word that programs can look for
    /// (`nvml_disagrees: …`).
    fn warnings(&self, _warnings: &mut Vec<Arc<str>>) {}

    /// What the model was made from, for sources that have no meter.
    fn model(&self) -> Option<&ModelInfo> {
        None
    }
}

/// What a power model was made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInfo {
    /// Name and version of the rule: `vcpu-linear/1`, `tdp-curve/1`.
    pub id: &'static str,
    /// Its parameters in words.
    pub parameters: String,
    /// Where they come from.
    pub basis: String,
}

/// What became of a source that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It answers.
    Ok,
    /// It is there and refused.
    Denied,
    /// It is not there.
    Absent,
    /// It is there and does not answer as it should.
    Broken,
}

impl Status {
    /// The word in text output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Absent => "absent",
            Self::Broken => "broken",
        }
    }
}

/// One source that was tried: meter or usage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceReport {
    /// `rapl_powercap`, `model`, `usage/process` …
    pub source: String,
    /// What became of it.
    pub status: Status,
    /// One sentence for people.
    pub detail: String,
    /// Where it looked.
    pub path: Option<PathBuf>,
    /// The error number, where the kernel gave one.
    pub errno: Option<i32>,
    /// What to do about it: a command or rule to paste; `None` where nothing needs to be done.
    pub mend: Option<String>,
    /// The model behind it, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelInfo>,
    /// Its domains.
    pub domains: Vec<DomainReport>,
}

/// One domain of a source that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DomainReport {
    /// `package-0` …
    pub domain: Arc<str>,
    /// Stable hardware id.
    pub device: Arc<str>,
    /// `package`, `dram` …
    pub kind: &'static str,
    /// One count, in joules.
    pub resolution_j: f64,
    /// How often it is renewed, in seconds.
    pub update_s: f64,
    /// Power integrated over time, not a counter of energy.
    pub integrated: bool,
    /// Joules from one zero to the next.
    pub wrap_j: Option<f64>,
    /// Seconds from one zero to the next at the highest power.
    pub wrap_s_at_max: Option<f64>,
    /// The domain that holds it.
    pub contained_in: Option<Arc<str>>,
    /// The domains that it holds.
    pub contains: Vec<Arc<str>>,
    /// The domain of which it is a second view.
    pub duplicate_of: Option<Arc<str>>,
    /// It counts towards the host.
    pub in_host: bool,
    /// It goes on counting during suspend.
    pub survives_suspend: bool,
    /// By which rule its energy is a share of another domain's; `None` where a meter sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<&'static str>,
}

impl DomainReport {
    /// Describes the domains of one meter; `cover` holds the indices of those that make the host.
    pub fn list(domains: &[DomainInfo], cover: &[usize]) -> Vec<Self> {
        let name = |i: usize| Arc::clone(&domains[i].name);
        (0..domains.len())
            .map(|i| {
                let d = &domains[i];
                Self {
                    domain: name(i),
                    device: Arc::clone(&d.device),
                    kind: d.kind.name(),
                    resolution_j: d.counter.resolution_j,
                    update_s: d.update_s,
                    integrated: d.integrated,
                    wrap_j: d.counter.wrap.range_uj().map(|r| r as f64 / 1e6),
                    wrap_s_at_max: d.counter.wrap_seconds(),
                    contained_in: d.contained_in.map(name),
                    contains: (0..domains.len()).filter(|&o| crate::domain::contains(domains, i, o)).map(name).collect(),
                    duplicate_of: d.duplicate_of.clone(),
                    in_host: cover.contains(&i),
                    survives_suspend: d.counter.survives_suspend,
                    basis: d.basis(),
                }
            })
            .collect()
    }
}
