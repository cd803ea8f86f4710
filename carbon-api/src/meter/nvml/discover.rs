//! Finds the GPUs: which has a counter, which only power, which partitions there are, and what to say of each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nvml_wrapper::Device;
use nvml_wrapper::enums::device::DeviceArchitecture;
use nvml_wrapper::error::NvmlError;

use super::NvmlOptions;
use super::board::{Board, Way};
use super::library::{DEFAULT, Library, is_unsupported, refusal};
use super::partitions::{Partition, Partitions, list};
use super::power::Sensor;
use super::processes::ProcessReader;
use crate::counter::{CounterSpec, Wrap};
use crate::domain::{DomainInfo, DomainKind, Source};
use crate::meter::{DomainReport, SourceReport, Status};

/// Magic number of sysfs in `statfs`.
const SYSFS_MAGIC: u64 = 0x6265_6572;
/// A counter is renewed every 20 to 100 ms.
const COUNTER_UPDATE_S: f64 = 0.1;
/// Partitions are looked at once a second.
const PARTITION_UPDATE_S: f64 = 1.0;
/// One count of a counter: a millijoule.
const COUNT_J: f64 = 1e-3;
/// Relative accuracy of counters; unsure beyond Kepler.
const COUNTER_ACCURACY: f64 = 0.05;
/// Relative accuracy of integrated power; unsure.
const POWER_ACCURACY: f64 = 0.10;
const LOOK: &str = "see whether nvidia-smi answers, and look for NVRM and Xid in `dmesg`";

/// What was found.
pub(super) struct Found {
    pub(super) library: Library,
    pub(super) boards: Vec<Board>,
    pub(super) domains: Vec<DomainInfo>,
    pub(super) report: SourceReport,
}

/// Loads the library and asks every GPU what it can do.
pub(super) fn find(sysfs: &Path, options: &NvmlOptions) -> Result<Found, Box<SourceReport>> {
    let file = options.library.as_deref();
    let path = file.unwrap_or(Path::new(DEFAULT));
    if file.is_none() && !rustix::fs::statfs(sysfs).is_ok_and(|s| s.f_type as u64 == SYSFS_MAGIC) {
        let detail = format!("off, since {} is not the kernel's own sysfs", sysfs.display());
        return Err(Box::new(report(
            Status::Absent,
            detail,
            path,
            Some("to load it all the same, name the library with --nvml FILE"),
        )));
    }
    let refused = |error: &NvmlError| {
        let (status, mend) = refusal(file, error);
        Box::new(report(status, format!("the library of the NVIDIA driver does not start: {error}"), path, Some(mend)))
    };
    let library = Library::load(file).map_err(|e| refused(&e))?;
    let count = library.nvml().device_count().map_err(|e| refused(&e))?;
    let mut found =
        Found { library, boards: Vec::new(), domains: Vec::new(), report: report(Status::Ok, String::new(), path, None) };
    let mut details = Vec::new();
    let mut failed = Vec::new();
    for index in 0..count {
        match found.inspect(index, options) {
            Ok(detail) => details.push(detail),
            Err(error) => {
                details.push(format!("gpu-{index}: {error}"));
                failed.push(error);
            }
        }
    }
    let version = found.library.nvml().sys_driver_version().unwrap_or_else(|_| "of unknown version".into());
    found.report.detail = format!("driver {version}; {}", details.join("; "));
    if found.boards.is_empty() {
        let Some(first) = failed.first() else {
            return Err(Box::new(report(Status::Absent, format!("the NVIDIA driver {version} knows no GPU"), path, None)));
        };
        let (status, mend) = if is_unsupported(first) { (Status::Absent, LOOK) } else { refusal(file, first) };
        return Err(Box::new(report(status, found.report.detail, path, Some(mend))));
    }
    found.report.mend = (!failed.is_empty()).then(|| LOOK.into());
    let cover = crate::cover::host_cover(&found.domains, &crate::cover::HostCover::Auto);
    found.report.domains = DomainReport::list(&found.domains, &cover);
    Ok(found)
}

impl Found {
    /// Takes one GPU in; says what it can do.
    fn inspect(&mut self, index: u32, options: &NvmlOptions) -> Result<String, NvmlError> {
        let device = self.library.nvml().device_by_index(index)?;
        let uuid: Arc<str> = device.uuid()?.into();
        let architecture = device.architecture().ok();
        let own_power = Sensor::first(&device, &Sensor::OF_GPU);
        let module_power = Sensor::first(&device, &Sensor::OF_MODULE);
        let (way, what) = match (device.total_energy_consumption(), own_power, module_power) {
            (Err(error), Some(sensor), _) if has_no_counter(&error) => {
                (Way::Power(sensor), "this GPU has no energy counter, power is integrated")
            }
            (Err(error), None, Some(sensor)) if has_no_counter(&error) => {
                (Way::Power(sensor), "this GPU has no energy counter, power of its module is integrated, processors included")
            }
            (Err(error), None, None) if has_no_counter(&error) => return Err(error),
            // a counter that fails today is a counter
            _ => (Way::Counter, "energy counter"),
        };
        let is_module = own_power.is_none() && matches!(way, Way::Power(_));
        let name: Arc<str> = if is_module { format!("module-{index}") } else { format!("gpu-{index}") }.into();
        let limit_w = device.enforced_power_limit().map_or(0.0, |mw| f64::from(mw) / 1e3);
        let board = DomainInfo {
            source: Source::Nvml,
            name: Arc::clone(&name),
            device: Arc::clone(&uuid),
            kind: if is_module { DomainKind::Module } else { DomainKind::Gpu },
            contained_in: None,
            duplicate_of: None,
            counter: CounterSpec {
                resolution_j: if way == Way::Counter { COUNT_J } else { 1e-6 },
                max_power_w: options.max_power_w.unwrap_or((2.0 * limit_w).max(CounterSpec::MAX_POWER_W)),
                ..CounterSpec::new(Wrap::Never)
            },
            update_s: update_s(way, architecture.as_ref()),
            integrated: way != Way::Counter,
            on_module: !is_module && module_power.is_some(),
            accuracy: options.accuracy.unwrap_or(if way == Way::Counter { COUNTER_ACCURACY } else { POWER_ACCURACY }),
        };
        // a module's energy is not its GPU's to share
        let can_be_partitioned = !is_module && device.mig_mode().is_ok();
        let (partitions, of_partitions) = match can_be_partitioned.then(|| list(&device)) {
            None => (None, String::new()),
            Some(Ok(found)) if found.is_empty() => (Some(found), String::new()),
            Some(Ok(found)) => {
                let text = format!(", {} partitions with shares by compute slices", found.len());
                (Some(found), text)
            }
            Some(Err(error)) => (None, format!(", partitions not known ({error})")),
        };
        let seen = partitions.as_deref().unwrap_or_default();
        let who = match ProcessReader::new(Arc::clone(&uuid)).read(&device, seen) {
            Ok(found) => format!("processes by {}", found.basis.name()),
            Err(error) => format!("processes not known ({error})"),
        };
        let model = device.name().unwrap_or_else(|_| "of unknown name".into());
        let detail = format!("{name} {model} ({uuid}): {what}, {who}{of_partitions}");
        self.take(board, way, device, partitions, own_power, options);
        Ok(detail)
    }

    fn take(
        &mut self,
        board: DomainInfo,
        way: Way,
        device: Device<'static>,
        partitions: Option<Vec<Partition>>,
        power: Option<Sensor>,
        options: &NvmlOptions,
    ) {
        let parent = self.domains.len();
        let child = |p: &Partition| DomainInfo {
            name: format!("{}-mig-{}", board.name, p.place).into(),
            device: Arc::clone(&p.uuid),
            kind: DomainKind::GpuInstance,
            contained_in: Some(parent),
            update_s: PARTITION_UPDATE_S,
            ..board.clone()
        };
        let children: Vec<DomainInfo> = partitions.iter().flatten().map(child).collect();
        let partitions = partitions.map(|now| Partitions::new(now, board.counter));
        let comparison = power.filter(|_| way == Way::Counter).map(|sensor| (sensor, options.comparison));
        let (name, uuid) = (Arc::clone(&board.name), Arc::clone(&board.device));
        self.boards.push(Board::new(name, uuid, way, device, partitions, options.period, comparison));
        self.domains.push(board);
        self.domains.extend(children);
    }
}

fn has_no_counter(error: &NvmlError) -> bool {
    is_unsupported(error) || matches!(error, NvmlError::NoPermission)
}

fn update_s(way: Way, architecture: Option<&DeviceArchitecture>) -> f64 {
    match way {
        Way::Counter => COUNTER_UPDATE_S,
        Way::Power(sensor) => sensor.update_s(architecture),
    }
}

fn report(status: Status, detail: String, path: &Path, mend: Option<&str>) -> SourceReport {
    SourceReport {
        source: Source::Nvml.name().into(),
        status,
        detail,
        path: Some(PathBuf::from(path)),
        errno: None,
        mend: mend.map(str::to_owned),
        model: None,
        domains: Vec::new(),
    }
}
