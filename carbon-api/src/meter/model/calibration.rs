//! What a meter taught the model about this machine, kept in a small file for the time when the meter cannot be read.
//!
//! Minute means of (utilisation, watts) are kept by utilisation, the newest twelve of each twentieth of the range, so that long
//! idle nights do not drown the busy hours. The file belongs to one kind of processor and their number.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::cpus::Processor;
use super::line::{Line, Point};

/// Parts of the range of utilisation.
const BINS: usize = 20;
/// Minutes kept of each part.
const PER_BIN: usize = 12;
/// Seconds that make a point.
const MINUTE_S: f64 = 60.0;
/// Longest interval whose mean says something about a minute.
const LONGEST_S: f64 = 600.0;
/// Bytes beyond which a file is not one of ours.
const MOST_BYTES: u64 = 1 << 20;
const VERSION: u32 = 1;

/// Which machine a calibration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineKey {
    /// The processor's name.
    pub cpu: String,
    /// Online processors.
    pub cpus: u32,
}

impl MachineKey {
    /// By the text of `/proc/cpuinfo`.
    pub fn new(cpuinfo: &str, cpus: u32) -> Self {
        Self { cpu: Processor::parse(cpuinfo).identity(), cpus }
    }
}

/// Why a calibration cannot be read or kept.
#[derive(Debug, Error)]
pub enum CalibrationError {
    /// The file or its folder refuses.
    #[error("{path} cannot be used: {source}; the state folder must be writable")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path} holds no calibration ({reason}); remove it, and a new one is learned")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Minutes of one machine under a meter.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    machine: MachineKey,
    meter: String,
    learned: Option<Timestamp>,
    bins: Vec<Vec<Point>>,
    /// Seconds, and utilisation and watts times seconds, of the minute that runs.
    running: [f64; 3],
    changed: bool,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    machine: MachineKey,
    meter: String,
    learned: Option<Timestamp>,
    minutes: Vec<Point>,
}

impl Calibration {
    /// Nothing learned yet; `meter` is the source that teaches (`rapl_powercap`).
    pub fn new(machine: MachineKey, meter: &str) -> Self {
        let bins = (0..BINS).map(|_| Vec::with_capacity(PER_BIN)).collect();
        Self { machine, meter: meter.into(), learned: None, bins, running: [0.0; 3], changed: false }
    }

    /// Takes what the meter showed over an interval: mean utilisation 0 to 1, mean watts of the processors' packages, its
    /// length in seconds. True where a minute was completed. What cannot be (negative, not a number, no time, over ten
    /// minutes) is left out.
    pub fn observe(&mut self, utilisation: f64, watts: f64, seconds: f64) -> bool {
        let point = Point { utilisation, watts };
        if !point.is_possible() || seconds.is_nan() || seconds <= 0.0 || seconds > LONGEST_S {
            return false;
        }
        for (sum, part) in self.running.iter_mut().zip([1.0, utilisation, watts]) {
            *sum += part * seconds;
        }
        let [total, u, w] = self.running;
        // ten readings of 6 s may sum to a little less
        if total < MINUTE_S - 1e-6 {
            return false;
        }
        self.running = [0.0; 3];
        self.changed = true;
        self.keep(Point { utilisation: (u / total).min(1.0), watts: w / total });
        true
    }

    /// The line through what was learned, where that is enough.
    pub fn line(&self) -> Option<Line> {
        Line::fit(&self.points())
    }

    /// Minutes that are kept.
    pub fn minutes(&self) -> usize {
        self.bins.iter().map(Vec::len).sum()
    }

    /// When it was last kept with something new.
    pub const fn learned(&self) -> Option<Timestamp> {
        self.learned
    }

    /// The source that taught it.
    pub fn meter(&self) -> &str {
        &self.meter
    }

    /// The machine it belongs to.
    pub const fn machine(&self) -> &MachineKey {
        &self.machine
    }

    /// Reads any bytes; minutes that cannot be are left out.
    ///
    /// # Errors
    /// In words, what is wrong: no JSON, another form, another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if stored.version != VERSION {
            return Err(format!("version {} is not {VERSION}", stored.version));
        }
        let mut calibration = Self { learned: stored.learned, ..Self::new(stored.machine, &stored.meter) };
        stored.minutes.into_iter().filter(Point::is_possible).for_each(|point| calibration.keep(point));
        Ok(calibration)
    }

    /// The calibration kept at `path`; `None` where there is none, or one of another machine.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn load(path: &Path, machine: &MachineKey) -> Result<Option<Self>, CalibrationError> {
        let mut bytes = Vec::new();
        match File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CalibrationError::Io { path: path.into(), source }),
        }
        let found = Self::parse(&bytes).map_err(|reason| CalibrationError::Malformed { path: path.into(), reason })?;
        Ok((found.machine == *machine).then_some(found))
    }

    /// Keeps it at `path`, whole or not at all; false where nothing is new.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&mut self, path: &Path, now: Timestamp) -> Result<bool, CalibrationError> {
        if !self.changed {
            return Ok(false);
        }
        let stored = Stored {
            version: VERSION,
            machine: self.machine.clone(),
            meter: self.meter.clone(),
            learned: Some(now),
            minutes: self.points(),
        };
        let failed = |source: std::io::Error| CalibrationError::Io { path: path.into(), source };
        let bytes = serde_json::to_vec(&stored).map_err(|error| failed(error.into()))?;
        replace(path, &bytes).map_err(failed)?;
        (self.learned, self.changed) = (Some(now), false);
        Ok(true)
    }

    fn keep(&mut self, point: Point) {
        let bin = &mut self.bins[((point.utilisation * BINS as f64) as usize).min(BINS - 1)];
        if bin.len() == PER_BIN {
            bin.remove(0);
        }
        bin.push(point);
    }

    fn points(&self) -> Vec<Point> {
        self.bins.iter().flatten().copied().collect()
    }
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
#[path = "calibration_tests.rs"]
mod tests;
