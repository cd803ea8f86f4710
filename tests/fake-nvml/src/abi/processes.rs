//! What a device answers about the processes on it.

use super::loaded::Target;
use super::types::ProcessInfo;
use crate::code::Code;
use crate::process::UtilizationSample;

/// `nvmlDeviceGetProcessUtilization`: not for a GPU in MIG mode; NOT_FOUND where nothing ran.
pub(super) fn utilization(target: &Target<'_>, since_us: u64) -> Result<Vec<UtilizationSample>, Code> {
    let gpu = target.board()?;
    if gpu.mig.as_ref().is_some_and(|mig| mig.enabled) {
        return Err(Code::NotSupported);
    }
    let samples = gpu.sampling.samples(&gpu.processes, target.moment.at_s(), target.moment.script.epoch_us(), since_us);
    if samples.is_empty() { Err(Code::NotFound) } else { Ok(samples) }
}

/// `nvmlDeviceGetComputeRunningProcesses` and its twin for graphics: who holds a context now, idle or not.
pub(super) fn residents(target: &Target<'_>, graphics: bool) -> Vec<ProcessInfo> {
    let now = target.moment.at_s();
    let mut list: Vec<ProcessInfo> = Vec::new();
    for process in target.gpu.processes.iter().filter(|p| p.resident(now) && p.graphics == graphics) {
        let place = process.partition.as_ref().and_then(|uuid| super::partition(target.gpu, uuid));
        let here = target.partition.is_none_or(|t| process.partition.as_ref() == Some(&t.uuid));
        if here && !list.iter().any(|p| p.pid == process.pid) {
            list.push(ProcessInfo {
                pid: process.pid,
                used_bytes: process.used_bytes,
                gpu_instance: place.map_or(u32::MAX, |p| p.gpu_instance),
                compute_instance: place.map_or(u32::MAX, |p| p.compute_instance),
            });
        }
    }
    list
}
