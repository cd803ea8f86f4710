//! What the fake machine is, in one file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::clock::{boottime_ns, wall_offset_us};
use crate::code::Code;
use crate::error::FakeError;
use crate::gpu::Gpu;

/// The whole machine; JSON with the names of these fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// When it began, in nanoseconds of `CLOCK_BOOTTIME`.
    pub epoch_ns: u64,
    /// What time it is, in place of `CLOCK_BOOTTIME`: for tests that move the time by hand.
    pub now_ns: Option<u64>,
    /// Microseconds from boottime to the time of day; fixed, so that one sample has one stamp.
    pub wall_offset_us: i64,
    /// The driver.
    pub driver: Driver,
    /// The GPUs in the order of their indices.
    pub gpus: Vec<Gpu>,
    /// Answers that calls give in place of their own, by C name; `*`: every call.
    pub faults: BTreeMap<String, Code>,
    /// Milliseconds that each call takes.
    pub delay_ms: u64,
}

/// The driver's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Driver {
    /// Its version.
    pub version: String,
    /// How often it was loaded again.
    pub reloads: u32,
    /// When it was loaded, in nanoseconds of `CLOCK_BOOTTIME`; counters start there, or at the epoch if that is later.
    pub loaded_ns: u64,
    /// What becomes of what programs hold across a reload.
    pub after_reload: AfterReload,
}

impl Default for Driver {
    fn default() -> Self {
        Self { version: "550.54.15".into(), reloads: 0, loaded_ns: 0, after_reload: AfterReload::default() }
    }
}

/// What programs hold after the driver was loaded again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AfterReload {
    /// Handles go on; only the counters start at 0.
    Kept,
    /// Handles are INVALID_ARGUMENT; new ones can be had.
    #[default]
    Stale,
    /// Every call is UNINITIALIZED until `nvmlInit` is called again.
    Uninitialized,
}

impl Script {
    /// A machine that begins now.
    pub fn new(gpus: impl IntoIterator<Item = Gpu>) -> Self {
        Self { epoch_ns: boottime_ns(), wall_offset_us: wall_offset_us(), gpus: gpus.into_iter().collect(), ..Self::default() }
    }

    /// Reads a script.
    ///
    /// # Errors
    /// The file cannot be read, or is no script.
    pub fn load(path: &Path) -> Result<Self, FakeError> {
        let text = std::fs::read(path).map_err(|e| FakeError::file(path, e))?;
        serde_json::from_slice(&text).map_err(|source| FakeError::Script { path: path.into(), source })
    }

    /// Writes it in one step: a reader sees the old script or this one.
    ///
    /// # Errors
    /// The file or its directory cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FakeError> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let mut new = path.as_os_str().to_owned();
        new.push(format!(".{}.{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
        let text = serde_json::to_vec_pretty(self).map_err(|source| FakeError::Script { path: path.into(), source })?;
        std::fs::write(&new, text).map_err(|e| FakeError::file(&new, e))?;
        // The kernel's own stamp moves in ticks: two scripts of one tick would look alike.
        let written = std::fs::File::options().write(true).open(&new);
        written.and_then(|file| file.set_modified(std::time::SystemTime::now())).map_err(|e| FakeError::file(&new, e))?;
        std::fs::rename(&new, path).map_err(|e| FakeError::file(path, e))
    }

    /// The GPU of a UUID.
    pub fn gpu(&self, uuid: &str) -> Option<&Gpu> {
        self.gpus.iter().find(|gpu| gpu.uuid == uuid)
    }

    /// The GPU of a UUID, to be changed.
    pub fn gpu_mut(&mut self, uuid: &str) -> Option<&mut Gpu> {
        self.gpus.iter_mut().find(|gpu| gpu.uuid == uuid)
    }

    /// What time it is to this machine: of the script where it says so, else of `CLOCK_BOOTTIME`.
    pub fn clock_ns(&self) -> u64 {
        self.now_ns.unwrap_or_else(boottime_ns)
    }

    /// Seconds from the epoch to an instant of `CLOCK_BOOTTIME`.
    pub fn seconds(&self, at_ns: u64) -> f64 {
        (i128::from(at_ns) - i128::from(self.epoch_ns)) as f64 / 1e9
    }

    /// Changes a GPU's true power from an instant on; its past stays. Nothing happens without such a GPU.
    pub fn step(&mut self, uuid: &str, at_ns: u64, watts: f64) {
        let at_s = self.seconds(at_ns);
        if let Some(gpu) = self.gpu_mut(uuid) {
            gpu.watts = gpu.watts.stepped(at_s, watts);
        }
    }

    /// Loads the driver again at an instant: counters start at 0, and `after_reload` says what becomes of handles.
    pub fn reload(&mut self, at_ns: u64) {
        self.driver.reloads += 1;
        self.driver.loaded_ns = at_ns;
    }

    /// True energy of a GPU from the epoch to an instant, in millijoules; `None` without such a GPU.
    pub fn truth_mj(&self, uuid: &str, at_ns: u64) -> Option<f64> {
        Some(self.gpu(uuid)?.watts.joules(0.0, self.seconds(at_ns)) * 1e3)
    }

    /// What the energy counter of a GPU shows at an instant, in millijoules.
    pub(crate) fn counter_mj(&self, gpu: &Gpu, at_ns: u64) -> Result<u64, Code> {
        let counter = gpu.counter.ok_or(Code::NotSupported)?;
        let start_ns = self.driver.loaded_ns.max(self.epoch_ns);
        let start_mj = if self.driver.loaded_ns > self.epoch_ns { 0 } else { counter.start_mj };
        let passed_ns = at_ns.saturating_sub(start_ns);
        let shown_ns = start_ns + passed_ns - passed_ns.checked_rem(counter.update_ms * 1_000_000).unwrap_or(0);
        let joules = gpu.watts.joules(self.seconds(start_ns), self.seconds(shown_ns));
        Ok(start_mj + (joules * 1e3 * counter.scale).round() as u64)
    }

    /// Microseconds of the time of day at the epoch.
    pub(crate) fn epoch_us(&self) -> i64 {
        (self.epoch_ns / 1000) as i64 + self.wall_offset_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Counter;
    use crate::mig::{Mig, Partition};
    use crate::process::Process;
    use crate::watts::Watts;

    #[test]
    fn a_script_survives_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("script.json");
        let mut script = Script::new([Gpu {
            processes: vec![Process::new(1, 50)],
            mig: Some(Mig::of([Partition::new("MIG-1", 0, 3)])),
            ..Gpu::new("GPU-1", Watts::Steps(vec![(0.0, 10.0), (1.0, 20.0)]))
        }]);
        script.step("GPU-1", script.epoch_ns + 500_000_000, 5.0);
        script.save(&path).unwrap();
        assert_eq!(Script::load(&path).unwrap(), script);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn an_unknown_key_is_no_script() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("script.json");
        std::fs::write(&path, r#"{"gpus":[{"uuid":"GPU-1","wats":5}]}"#).unwrap();
        let error = Script::load(&path).unwrap_err().to_string();
        assert!(error.contains("wats") && error.contains("script.json"), "{error}");
    }

    #[test]
    fn a_counter_counts_in_steps_from_the_load_of_the_driver() {
        let gpu = Gpu { counter: Some(Counter { update_ms: 50, scale: 1.0, start_mj: 7 }), ..Gpu::new("GPU-1", 100.0) };
        let mut script = Script { epoch_ns: 1_000_000_000, gpus: vec![gpu.clone()], ..Script::default() };
        assert_eq!(script.counter_mj(&gpu, 1_049_000_000), Ok(7));
        assert_eq!(script.counter_mj(&gpu, 1_050_000_000), Ok(7 + 5000));
        script.reload(3_000_000_000);
        assert_eq!(script.counter_mj(&gpu, 3_060_000_000), Ok(5000));
        assert_eq!(script.counter_mj(&gpu.without_counter(), 3_060_000_000), Err(Code::NotSupported));
    }
}
