//! `recording.json`: what was metered, as text both ways, any bytes taken.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::VERSION;
pub use super::line::{RecordedValue, Tick, parse_tick};
use crate::counter::CounterSpec;
use crate::domain::{DomainInfo, DomainKind, Source};
use crate::meter::{SourceReport, Status};

/// `recording.json`: what was metered, where and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the format.
    pub version: u32,
    /// Name and version of the program that wrote it.
    pub tool: String,
    /// When the recording began, in UTC.
    pub recorded_at: Timestamp,
    /// Seconds between two lines.
    pub period_s: f64,
    /// What can be told of the machine without telling which one it is.
    pub machine: MachineFacts,
    /// Every domain, in the order of the values of a line.
    pub domains: Vec<RecordedDomain>,
    /// Every source that was tried.
    pub sources: Vec<RecordedSource>,
    /// What was copied beside the readings.
    pub tree: TreeFacts,
}

/// The machine without its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// Online processors.
    pub cpus: u32,
    /// Gigabytes of memory, where known.
    pub memory_gb: Option<f64>,
    /// Release of the kernel.
    pub kernel: String,
    /// `x86_64`, `aarch64` …
    pub architecture: String,
    /// The processor as it calls itself.
    pub processor: String,
}

/// What was copied of sysfs and procfs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TreeFacts {
    /// Files that were copied.
    pub files: usize,
    /// Files that are there and could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// A file that is there and could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Below the tree: `sys/…`, `proc/…`.
    pub path: PathBuf,
    /// The error number; 0 where there was none.
    pub errno: i32,
}

/// A domain with every fact that its meter told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `DomainInfo`")]
pub struct RecordedDomain {
    pub source: Source,
    pub name: Arc<str>,
    pub device: Arc<str>,
    pub kind: DomainKind,
    pub contained_in: Option<usize>,
    pub duplicate_of: Option<Arc<str>>,
    pub counter: CounterSpec,
    pub update_s: f64,
    pub integrated: bool,
    pub on_module: bool,
    pub accuracy: f64,
}

impl From<&DomainInfo> for RecordedDomain {
    fn from(d: &DomainInfo) -> Self {
        Self {
            source: d.source,
            name: Arc::clone(&d.name),
            device: Arc::clone(&d.device),
            kind: d.kind,
            contained_in: d.contained_in,
            duplicate_of: d.duplicate_of.clone(),
            counter: d.counter,
            update_s: d.update_s,
            integrated: d.integrated,
            on_module: d.on_module,
            accuracy: d.accuracy,
        }
    }
}

impl From<&RecordedDomain> for DomainInfo {
    fn from(d: &RecordedDomain) -> Self {
        Self {
            source: d.source,
            name: Arc::clone(&d.name),
            device: Arc::clone(&d.device),
            kind: d.kind,
            contained_in: d.contained_in,
            duplicate_of: d.duplicate_of.clone(),
            counter: d.counter,
            update_s: d.update_s,
            integrated: d.integrated,
            on_module: d.on_module,
            accuracy: d.accuracy,
        }
    }
}

/// A source that was tried; its domains are those of [`Head::domains`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `SourceReport`")]
pub struct RecordedSource {
    pub source: String,
    pub status: RecordedStatus,
    pub detail: String,
    pub path: Option<PathBuf>,
    pub errno: Option<i32>,
    pub mend: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<RecordedModel>,
}

/// [`Status`] as it is read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are those of `Status`")]
pub enum RecordedStatus {
    Ok,
    Denied,
    Absent,
    Broken,
}

/// A model as it is read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `ModelInfo`")]
pub struct RecordedModel {
    pub id: String,
    pub parameters: String,
    pub basis: String,
}

impl From<&SourceReport> for RecordedSource {
    fn from(r: &SourceReport) -> Self {
        let status = match r.status {
            Status::Ok => RecordedStatus::Ok,
            Status::Denied => RecordedStatus::Denied,
            Status::Absent => RecordedStatus::Absent,
            Status::Broken => RecordedStatus::Broken,
        };
        let model = r.model.as_ref().map(|m| RecordedModel {
            id: m.id.to_string(),
            parameters: m.parameters.clone(),
            basis: m.basis.clone(),
        });
        let (source, detail) = (r.source.clone(), r.detail.clone());
        Self { source, status, detail, path: r.path.clone(), errno: r.errno, mend: r.mend.clone(), model }
    }
}

impl From<RecordedStatus> for Status {
    fn from(status: RecordedStatus) -> Self {
        match status {
            RecordedStatus::Ok => Self::Ok,
            RecordedStatus::Denied => Self::Denied,
            RecordedStatus::Absent => Self::Absent,
            RecordedStatus::Broken => Self::Broken,
        }
    }
}

/// What is wrong with `recording.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadProblem {
    /// A newer program wrote it.
    Version(u32),
    /// It is no such object.
    Malformed {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads `recording.json`; any bytes are taken.
///
/// # Errors
/// A newer version, or not an object of this kind: with line and reason.
pub fn parse_head(bytes: &[u8]) -> Result<Head, HeadProblem> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let wrong = |e: serde_json::Error| HeadProblem::Malformed { line: e.line().max(1), problem: reason(&e) };
    // the version first: a newer head may hold what this program does not know
    let Version { version } = serde_json::from_slice(bytes).map_err(wrong)?;
    if version > VERSION {
        return Err(HeadProblem::Version(version));
    }
    serde_json::from_slice(bytes).map_err(wrong)
}

/// The message without the position, which is told as file and line.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}
