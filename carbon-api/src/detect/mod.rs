//! Wires what this machine offers: meters or the model, CPU time of the machine, of groups and of processes.
//!
//! The choice is made once, at the start: any meter that covers the CPU, and no model at all; a meter that is denied leaves the
//! model, with the mend in the list of sources. On a fake tree everything that asks the kernel by number switches itself off.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;

use crate::bank::Bank;
use crate::cover::{Containment, HostCover, host_cover};
use crate::domain::DomainInfo;
use crate::error::ReadError;
use crate::meter::SourceReport;
use crate::meter::battery::BatteryOptions;
use crate::meter::hwmon::HwmonOptions;
use crate::meter::model::{Learner, MachineKey, memory_gb};
use crate::meter::nvml::NvmlOptions;
use crate::meter::odpm::OdpmOptions;
use crate::meter::rapl::RaplOptions;
use crate::meter::replay::{Playback, Recording};
use crate::probe::Probe;
use crate::stamp::Clock;
use crate::system::nanoseconds;
use crate::usage::host::HostUsage;
use crate::usage::{HostRow, UsageSource};
use crate::window::{Meters, Window};
use meters::Facts;
use usage::{open_host, open_usage};

mod meters;
mod profile;
mod replayed;
mod usage;

/// Where to look, and what may be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Root of sysfs.
    pub sysfs: PathBuf,
    /// Root of procfs.
    pub procfs: PathBuf,
    /// Root of the cgroup file systems.
    pub cgroupfs: PathBuf,
    /// Whether the model may stand in where no meter covers the CPU.
    pub model: bool,
    /// Whether groups are rows of their own, or every process is.
    pub group_rows: bool,
    /// Which domains are the host.
    pub cover: HostCover,
    /// What the configuration says that lies inside what.
    pub contains: Containment,
    /// Where device nodes lie.
    pub dev: PathBuf,
    /// RAPL.
    pub rapl: RaplOptions,
    /// NVIDIA GPUs; `None`: not tried.
    pub nvml: Option<NvmlOptions>,
    /// Sensors of boards; `None`: not tried.
    pub hwmon: Option<HwmonOptions>,
    /// Rails of phones; `None`: not tried.
    pub odpm: Option<OdpmOptions>,
    /// Batteries; `None`: not tried.
    pub battery: Option<BatteryOptions>,
    /// Thermal design power of all processors together, for the model, in watts.
    pub tdp_w: Option<f64>,
    /// A phone's `power_profile.xml`, for the model.
    pub power_profile: Option<PathBuf>,
    /// Where the model keeps what it learned beside a meter; `None`: nowhere.
    pub calibration: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sysfs: "/sys".into(),
            procfs: "/proc".into(),
            cgroupfs: "/sys/fs/cgroup".into(),
            model: true,
            group_rows: true,
            cover: HostCover::Auto,
            contains: Containment::new(),
            dev: "/dev".into(),
            rapl: RaplOptions::default(),
            nvml: Some(NvmlOptions::default()),
            hwmon: Some(HwmonOptions::default()),
            odpm: Some(OdpmOptions::default()),
            battery: Some(BatteryOptions::default()),
            tdp_w: None,
            power_profile: None,
            calibration: None,
        }
    }
}

/// Why there is nothing to measure with.
#[derive(Debug, Error)]
pub enum DetectError {
    /// No meter covers the CPU, and the model is not allowed or not possible.
    #[error("nothing covers the processors ({reason}); `treehouse sources` says what to do")]
    NoMeter {
        /// What the meters said.
        reason: String,
    },
    /// The system gives no thread.
    #[error("the system gives no thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// What was found.
pub struct Machine {
    /// The meters, or the model; empty where neither can be used.
    pub bank: Bank,
    /// CPU time: the machine first, then processes, then groups.
    pub usage: Vec<Box<dyn UsageSource>>,
    /// Every source that was tried.
    pub reports: Vec<SourceReport>,
    /// Names of the domains that are the host, as `source/domain`.
    pub host_cover: Vec<String>,
    /// Online processors.
    pub cpus: u32,
    /// Gigabytes of memory, where `meminfo` tells.
    pub memory_gb: Option<f64>,
    key: MachineKey,
    options: Options,
    /// What is played in place of this machine.
    replay: Option<Arc<Playback>>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("host_cover", &self.host_cover).field("reports", &self.reports).finish_non_exhaustive()
    }
}

impl Machine {
    /// Tries every source.
    pub fn detect(options: &Options) -> Self {
        let facts = Facts {
            cpuinfo: std::fs::read_to_string(options.procfs.join("cpuinfo")).unwrap_or_default(),
            memory_gb: std::fs::read_to_string(options.procfs.join("meminfo")).ok().as_deref().and_then(memory_gb),
        };
        let mut usage_reports = Vec::new();
        let (host, cpus) = open_host(options, &mut usage_reports);
        let mut reports = Vec::new();
        let bank = meters::open(options, &facts, (host.as_ref(), cpus), &mut reports);
        let usage = open_usage(options, host, &mut usage_reports);
        reports.append(&mut usage_reports);
        let domains = bank.domain_list();
        let host_cover = host_cover(&domains, &options.cover).iter().map(|&i| domains[i].full_name()).collect();
        let key = MachineKey::new(&facts.cpuinfo, cpus);
        Self { bank, usage, reports, host_cover, cpus, memory_gb: facts.memory_gb, key, options: options.clone(), replay: None }
    }

    /// True where something covers the host.
    pub fn can_measure(&self) -> bool {
        !self.host_cover.is_empty()
    }

    /// What a cover that was named by hand asks for and this machine does not have, in one sentence.
    pub fn cover_problem(&self) -> Option<String> {
        let HostCover::Domains(names) = &self.options.cover else { return None };
        let domains = self.bank.domain_list();
        let missing = names.iter().find(|name| domains.iter().all(|d| *d.full_name() != ***name))?;
        let there: Vec<String> = domains.iter().filter(|d| d.duplicate_of.is_none()).map(DomainInfo::full_name).collect();
        Some(format!("meter.host_cover: {missing:?} is no domain of this machine; it has {}", there.join(", ")))
    }

    /// The error that says why nothing can be measured.
    pub fn no_meter(&self) -> DetectError {
        let of = |source: &str| self.reports.iter().find(|r| r.source == source).map(|r| format!("{source}: {}", r.detail));
        let reason = [of("rapl_powercap"), of("model")].into_iter().flatten().collect::<Vec<_>>().join("; ");
        DetectError::NoMeter { reason }
    }

    /// Plain words on what is missing from the host.
    pub fn warnings(&self) -> Vec<String> {
        let metered = self.host_cover.iter().any(|d| d.starts_with("rapl"));
        let memory = self.host_cover.iter().any(|d| d.contains("/dram") || d.contains("/psys"));
        let mut warnings: Vec<String> = self.recording().map(Recording::notice).into_iter().collect();
        if metered && !memory {
            warnings.push("memory has no meter here: it is not in the host".to_owned());
        }
        warnings
    }

    /// What lets the model learn this machine's power beside its meter of packages; `None` where there is none, or no place for
    /// what is learned.
    pub fn learner(&self) -> Option<Learner> {
        // a recording teaches nothing of this machine
        if self.replay.is_some() {
            return None;
        }
        let meter = self.host_cover.iter().find(|d| d.starts_with("rapl_"))?;
        Some(Learner::start(self.options.calibration.clone()?, self.key.clone(), meter.split('/').next().unwrap_or(meter)))
    }

    /// Everything needed to measure windows.
    ///
    /// # Errors
    /// Nothing covers the host.
    pub fn into_probe(self) -> Result<Probe, DetectError> {
        if !self.can_measure() {
            return Err(self.no_meter());
        }
        let reader = self.replay.as_deref().map_or_else(|| host_reader(&self.options), replayed::host_reader);
        let clock = self.clock();
        Ok(Probe::new(self.bank, reader, clock, &self.options.cover))
    }
}

/// The meters of this machine, for developers who instrument a program.
///
/// ```no_run
/// let treehouse = carbon_api::Treehouse::detect()?;
/// let window = treehouse.begin();
/// let sum: u64 = (0..50_000_000).sum();
/// println!("{sum}: {}", window.end());
/// # Ok::<(), carbon_api::detect::DetectError>(())
/// ```
#[derive(Clone)]
pub struct Treehouse {
    meters: Meters,
}

impl std::fmt::Debug for Treehouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Treehouse")
    }
}

impl Treehouse {
    /// Finds the meters of this machine, or its model.
    ///
    /// # Errors
    /// Neither can be used, or the system gives no thread.
    pub fn detect() -> Result<Self, DetectError> {
        Self::with(&Options::default())
    }

    /// The same below other roots.
    ///
    /// # Errors
    /// As [`Treehouse::detect`].
    pub fn with(options: &Options) -> Result<Self, DetectError> {
        let probe = Machine::detect(options).into_probe()?;
        Ok(Self { meters: Meters::new(probe, Box::new(own_cpu_ns))? })
    }

    /// Starts a window; [`Window::end`] tells what it used.
    pub fn begin(&self) -> Window {
        self.meters.begin()
    }
}

/// CPU time of this process so far, in nanoseconds.
pub fn own_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime))
}

/// A reader of the machine's CPU time of its own; it opens its files at the first call.
pub fn host_reader(options: &Options) -> crate::probe::HostReader {
    let (procfs, cgroupfs) = (options.procfs.clone(), options.cgroupfs.clone());
    let mut open: Option<HostUsage> = None;
    Box::new(move |clock: &dyn Clock| -> Result<HostRow, ReadError> {
        let host = match &mut open {
            Some(host) => host,
            none => none.insert(HostUsage::open(&procfs, &cgroupfs)?),
        };
        host.row(clock)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_measures_or_models_a_window() {
        let treehouse = Treehouse::detect().unwrap();
        let window = treehouse.begin();
        // CPU time, however long it takes to get it beside others
        let until = own_cpu_ns() + 60_000_000;
        while own_cpu_ns() < until {
            std::hint::black_box(0);
        }
        let energy = window.end();
        let (own, host) = (energy.used.own.unwrap(), energy.used.host.unwrap());
        assert!(own.0 > 0 && own <= host, "{energy}");
        assert!(energy.used.uncertainty_j > 0.0 && energy.used.cpu_s > 0.03);
    }

    #[test]
    fn without_model_and_meter_the_reason_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { sysfs: dir.path().into(), model: false, ..Options::default() };
        let machine = Machine::detect(&options);
        assert!(!machine.can_measure());
        assert!(machine.no_meter().to_string().contains("powercap"), "{}", machine.no_meter());
    }

    #[test]
    fn a_cover_that_names_what_is_not_there_is_told_what_is() {
        let named = |name: &str| Options { cover: HostCover::Domains(vec![name.into()]), ..Options::default() };
        let problem = Machine::detect(&named("hwmon/VDD_INN")).cover_problem().unwrap();
        assert!(problem.contains("\"hwmon/VDD_INN\"") && problem.contains("it has "), "{problem}");
        assert_eq!(Machine::detect(&Options::default()).cover_problem(), None);
    }

    #[test]
    fn a_fake_tree_switches_the_process_clock_off_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("stat"), "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n").unwrap();
        let options = Options { procfs: dir.path().into(), cgroupfs: dir.path().into(), ..Options::default() };
        let machine = Machine::detect(&options);
        let process = machine.reports.iter().find(|r| r.source == "usage/process").unwrap();
        assert!(process.detail.contains("CPU clock is off"));
        assert_eq!(machine.cpus, 1);
    }
}
