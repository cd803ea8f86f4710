//! Who used a GPU: samples of the driver where it keeps them, else who holds a context.
//!
//! Process numbers are of the host's namespace. What becomes of the GPU's energy is not decided here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

use super::library::is_unsupported;
use super::partitions::Partition;

/// Looks that nobody has taken yet; older ones are let go.
const KEPT: usize = 1024;

/// How the use of a GPU by processes is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Percent of the time that the process's kernels ran, sampled by the driver.
    SmUtilization,
    /// The process holds a context; what it does is not known.
    Resident,
}

impl Basis {
    /// The word in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SmUtilization => "sm_util",
            Self::Resident => "gpu_resident",
        }
    }
}

/// One process on a GPU, at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuProcess {
    /// Its number in the host's namespace.
    pub pid: u32,
    /// Microseconds of the time of day, from the driver; 0 of a resident.
    pub at_us: u64,
    /// Percent of the time that its kernels ran; 0 of a resident.
    pub sm_util: u32,
    /// UUID of the partition that it is on, where the GPU is partitioned.
    pub partition: Option<Arc<str>>,
}

/// What one look at one GPU found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuProcesses {
    /// UUID of the GPU.
    pub gpu: Arc<str>,
    /// How they are known.
    pub basis: Basis,
    /// The samples since the last look, or the residents now; empty: nothing ran.
    pub processes: Vec<GpuProcess>,
}

/// Reads the processes of one GPU, each sample once.
#[derive(Debug)]
pub(super) struct ProcessReader {
    gpu: Arc<str>,
    since_us: u64,
}

impl ProcessReader {
    /// A reader of the GPU of a UUID; its first look sees everything that the driver still keeps.
    pub(super) const fn new(gpu: Arc<str>) -> Self {
        Self { gpu, since_us: 0 }
    }

    /// The samples since the last look, else the residents: of each partition where the GPU is partitioned.
    pub(super) fn read(&mut self, device: &Device<'_>, partitions: &[Partition]) -> Result<GpuProcesses, NvmlError> {
        if partitions.is_empty() {
            match samples(device, self.since_us) {
                Ok(processes) => {
                    self.since_us = processes.iter().map(|p| p.at_us).max().unwrap_or(self.since_us);
                    return Ok(self.found(Basis::SmUtilization, processes));
                }
                Err(error) if is_unsupported(&error) || matches!(error, NvmlError::NoPermission) => {}
                Err(error) => return Err(error),
            }
            return Ok(self.found(Basis::Resident, residents(device, None)?));
        }
        let mut all = Vec::new();
        for partition in partitions {
            let device = device.mig_device_by_index(partition.place)?;
            all.extend(residents(&device, Some(&partition.uuid))?);
        }
        Ok(self.found(Basis::Resident, all))
    }

    fn found(&self, basis: Basis, processes: Vec<GpuProcess>) -> GpuProcesses {
        GpuProcesses { gpu: Arc::clone(&self.gpu), basis, processes }
    }
}

fn samples(device: &Device<'_>, since_us: u64) -> Result<Vec<GpuProcess>, NvmlError> {
    let ask = || device.process_utilization_stats(since_us);
    let found = match ask() {
        // somebody came between the question how many and the question who
        Err(NvmlError::InsufficientSize(_)) => ask(),
        answer => answer,
    };
    match found {
        Ok(found) => Ok(found
            .into_iter()
            // some drivers give samples that are older than asked for
            .filter(|s| s.timestamp > since_us)
            .map(|s| GpuProcess { pid: s.pid, at_us: s.timestamp, sm_util: s.sm_util, partition: None })
            .collect()),
        // nothing ran
        Err(NvmlError::NotFound) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn residents(device: &Device<'_>, partition: Option<&Arc<str>>) -> Result<Vec<GpuProcess>, NvmlError> {
    let found = device.running_compute_processes()?;
    Ok(found.into_iter().map(|p| GpuProcess { pid: p.pid, at_us: 0, sm_util: 0, partition: partition.cloned() }).collect())
}

/// What the meter's thread found, for whoever shares out the energy of GPUs.
#[derive(Clone, Debug, Default)]
pub struct ProcessFeed {
    shared: Arc<Feed>,
}

#[derive(Debug, Default)]
struct Feed {
    wanted: AtomicBool,
    looks: Mutex<VecDeque<GpuProcesses>>,
}

impl ProcessFeed {
    /// Moves everything found since the last call to the end of `into`; at the first call the looks begin.
    pub fn take(&self, into: &mut Vec<GpuProcesses>) {
        self.shared.wanted.store(true, Ordering::Relaxed);
        into.extend(self.looks().drain(..));
    }

    /// Somebody takes.
    pub(super) fn is_wanted(&self) -> bool {
        self.shared.wanted.load(Ordering::Relaxed)
    }

    /// Adds a look; lets the oldest go where nobody takes them.
    pub(super) fn put(&self, look: GpuProcesses) {
        let mut looks = self.looks();
        if looks.len() == KEPT {
            looks.pop_front();
        }
        looks.push_back(look);
    }

    fn looks(&self) -> std::sync::MutexGuard<'_, VecDeque<GpuProcesses>> {
        self.shared.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
