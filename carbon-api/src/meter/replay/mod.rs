//! Readings of real meters, kept in a folder and played again: for tests, and to look into what a machine did.
//!
//! A folder holds `recording.json` (what was metered, where and when) and `readings.jsonl` (one line a tick: when, what each
//! counter showed or why it did not, and the CPU time of the machine). All instants are relative to the first line. Nothing
//! that is played again is about the machine that plays it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::bank::Bank;

pub use format::{Head, MachineFacts, RecordedModel, RecordedSource, Tick, TreeFacts, Unreadable};
#[cfg(feature = "machine")]
pub(crate) use playback::model;
pub use playback::{Playback, ReplayClock, ReplayHost, ReplayMeter};
pub use totals::{DomainTotals, Totals};

mod check;
pub mod format;
mod line;
mod playback;
mod totals;

/// The file that says what was metered.
pub const HEAD: &str = "recording.json";
/// The file with the readings, one line a tick.
pub const READINGS: &str = "readings.jsonl";
/// The version of the format that is written, and the highest that is read.
pub const VERSION: u32 = 1;

/// The largest files that are read, in bytes.
const MOST_HEAD: u64 = 16 << 20;
const MOST_READINGS: u64 = 1 << 30;

/// Why a folder is no recording.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// A file cannot be read.
    #[error("{path}: {source}; name a folder that `treehouse record` wrote")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is longer than any recording.
    #[error("{path}: {bytes} bytes are more than the {most} that a recording may have")]
    Size {
        /// Which.
        path: PathBuf,
        /// How long it is.
        bytes: u64,
        /// How long it may be.
        most: u64,
    },
    /// A newer program wrote it.
    #[error("{path}: version {version} is newer than {VERSION}, the newest that this program reads")]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version that it names.
        version: u32,
    },
    /// A line does not hold what it should.
    #[error("{path}:{line}: {problem}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// A recording, read and checked; clones share it.
#[derive(Clone)]
pub struct Recording(Arc<Contents>);

struct Contents {
    folder: PathBuf,
    head: Head,
    ticks: Vec<Tick>,
    unfinished: bool,
}

impl Recording {
    /// Reads a folder.
    ///
    /// # Errors
    /// A file is absent, too long, of a newer version, or a line is malformed: the error names file and line.
    pub fn open(folder: &Path) -> Result<Self, RecordingError> {
        let head = read(&folder.join(HEAD), MOST_HEAD)?;
        let readings = read(&folder.join(READINGS), MOST_READINGS)?;
        Self::parse(folder, &head, &readings)
    }

    /// Takes the bytes of both files; `folder` is for messages only.
    ///
    /// A last line without its end is what a program leaves that was killed while it wrote: it is left out.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub fn parse(folder: &Path, head: &[u8], readings: &[u8]) -> Result<Self, RecordingError> {
        let path = folder.join(HEAD);
        let head = format::parse_head(head).map_err(|wrong| match wrong {
            format::HeadProblem::Version(version) => RecordingError::Version { path: path.clone(), version },
            format::HeadProblem::Malformed { line, problem } => RecordingError::Malformed { path: path.clone(), line, problem },
        })?;
        check::head(&head).map_err(|problem| RecordingError::Malformed { path, line: 1, problem })?;
        let mut ticks: Vec<Tick> = Vec::new();
        let end = readings.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let lines = readings[..end].split(|&b| b == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
        for (number, line) in lines {
            let tick = format::parse_tick(line)
                .and_then(|tick| check::tick(&head, ticks.last(), &tick).map(|()| tick))
                .map_err(|problem| RecordingError::Malformed { path: folder.join(READINGS), line: number + 1, problem })?;
            ticks.push(tick);
        }
        let whole = check::whole(&head, &ticks);
        whole.map_err(|problem| RecordingError::Malformed { path: folder.join(READINGS), line: ticks.len() + 1, problem })?;
        Ok(Self(Arc::new(Contents { folder: folder.into(), head, ticks, unfinished: end < readings.len() })))
    }

    /// What was metered, where and when.
    pub fn head(&self) -> &Head {
        &self.0.head
    }

    /// Every reading, in order; the first is at 0.
    pub fn ticks(&self) -> &[Tick] {
        &self.0.ticks
    }

    /// The folder that it was read from.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// From the first reading to the last, in seconds of boot time.
    pub fn seconds(&self) -> f64 {
        self.0.ticks.last().map_or(0.0, |t| t.boottime_ns as f64 / 1e9)
    }

    /// One line that says what is shown in place of this machine: `replayed: …`.
    pub fn notice(&self) -> String {
        let (folder, head) = (self.0.folder.display(), &self.0.head);
        let unfinished = if self.0.unfinished { "; its last line is unfinished and left out" } else { "" };
        let seconds = self.seconds();
        format!("replayed: {seconds:.0} s from {folder}, recorded at {}; not this machine{unfinished}", head.recorded_at)
    }

    /// Meters that play it, from their first read on.
    pub fn bank(&self) -> Bank {
        Bank::new(vec![Box::new(Playback::new(self).meter())])
    }

    /// Takes every reading through the counters at its recorded time, and sums up what they say.
    pub fn replay(&self) -> Totals {
        totals::replay(self)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("folder", &self.0.folder).field("ticks", &self.0.ticks.len()).finish_non_exhaustive()
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, RecordingError> {
    let wrong = |source| RecordingError::Io { path: path.into(), source };
    let bytes = std::fs::metadata(path).map_err(wrong)?.len();
    if bytes > most {
        return Err(RecordingError::Size { path: path.into(), bytes, most });
    }
    std::fs::read(path).map_err(wrong)
}

#[cfg(test)]
mod tests;
