//! Learns a machine's own line beside its meter, and keeps it on disk without the measuring loop ever waiting for the disk.

use std::path::PathBuf;
use std::thread::JoinHandle;

use jiff::Timestamp;

use super::{Calibration, MachineKey};

/// Minutes between two writes of the file.
const MINUTES: u32 = 10;

/// What the measuring loop tells how busy the machine was, and what its packages drew.
#[derive(Debug)]
pub struct Learner {
    path: PathBuf,
    learned: Calibration,
    minutes: u32,
    writing: Option<JoinHandle<()>>,
}

impl Learner {
    /// Goes on from what `path` holds of this machine and this meter (`rapl_powercap`), or begins anew.
    pub fn start(path: PathBuf, machine: MachineKey, meter: &str) -> Self {
        let kept = Calibration::load(&path, &machine).ok().flatten().filter(|c| c.meter() == meter);
        Self { path, learned: kept.unwrap_or_else(|| Calibration::new(machine, meter)), minutes: 0, writing: None }
    }

    /// Takes one interval: utilisation 0 to 1, mean watts of all packages, its length in seconds; `now` dates the file.
    pub fn observe(&mut self, utilisation: f64, watts: f64, seconds: f64, now: Timestamp) {
        if self.learned.observe(utilisation, watts, seconds) {
            self.minutes += 1;
        }
        if self.minutes >= MINUTES && self.writing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.minutes = 0;
            let (mut learned, path) = (self.learned.clone(), self.path.clone());
            // what cannot be written is tried again with the next ten minutes; nothing that is measured depends on it
            let write = move || drop(learned.save(&path, now));
            self.writing = std::thread::Builder::new().name("learner".into()).spawn(write).ok();
        }
    }

    /// Writes what was learned since the last time.
    pub fn finish(&mut self, now: Timestamp) {
        if let Some(writing) = self.writing.take() {
            let _ = writing.join();
        }
        if self.minutes > 0 {
            let _ = self.learned.save(&self.path, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::model::Rule;

    #[test]
    fn what_is_learned_beside_a_meter_is_the_model_without_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calibration.json");
        let key = || MachineKey::new("model name\t: A processor\n", 4);
        let mut learner = Learner::start(path.clone(), key(), "rapl_perf");
        for minute in 0..25 {
            let utilisation = f64::from(minute) / 24.0;
            for _ in 0..60 {
                learner.observe(utilisation, 20.0 + 60.0 * utilisation, 1.0, Timestamp::UNIX_EPOCH);
            }
        }
        learner.finish(Timestamp::UNIX_EPOCH);
        let kept = Calibration::load(&path, &key()).unwrap().unwrap();
        let line = kept.line().unwrap();
        assert!((line.watts(0.5) - 50.0).abs() < 0.1, "{line:?}");
        assert_eq!(Rule::calibrated(&kept).unwrap().id(), "calibrated-line/1");
        let again = Learner::start(path, key(), "rapl_perf");
        assert_eq!(again.learned.minutes(), kept.minutes(), "a restart goes on from it");
    }
}
