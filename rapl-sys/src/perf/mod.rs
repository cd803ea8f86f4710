//! The perf PMUs `power` (packages and their parts) and `power_core` (single cores, AMD and Hygon).
//!
//! Below `bus/event_source/devices/power`: `type`, `cpumask`, `format/event`, `events/energy-*` with `.scale` and `.unit`.
//! One CPU of `cpumask` stands for one package on AMD and Hygon and for one die on Intel: which one, `topology` tells, never
//! the order of the list. An event that has no file is a domain that is not there.
//!
//! An event is opened once a CPU and domain, for counting alone, and held open: the kernel folds the 32-bit register into
//! its 64-bit count on a timer that is sized for 200 W, so read at least once a minute. The count starts at 0 when it is
//! opened. Opening takes `CAP_PERFMON` (`CAP_SYS_ADMIN` before Linux 5.8) or `perf_event_paranoid` below 1; Debian's default
//! level of 3 refuses the capability as well, and some kernels differ, so it is tried. Source: Linux `arch/x86/events/rapl.c`.
//!
//! A tree that is no real sysfs is refused ([`Error::Skipped`]): the kernel would be asked for a number that a file invented.

use std::path::{Path, PathBuf};

use crate::domain::{Counter, Counting, Domain, mark_second_views, name_apart, package_of};
use crate::{Epoch, Error, Identity, Processor, Scale, Topology, quirks};

mod event;
mod files;

pub use files::{Bits, parse_event, parse_format, parse_unit};

use event::Open;
use files::{Event, Pmu};

/// The PMU of packages and their parts.
const POWER: &str = "power";
/// The PMU of single cores (Linux 6.15, AMD and Hygon).
const POWER_CORE: &str = "power_core";
/// `SYSFS_MAGIC` of `linux/magic.h`.
const SYSFS_MAGIC: u64 = 0x6265_6572;

/// One energy event, open on one CPU.
#[derive(Debug)]
pub struct PerfZone {
    open: Open,
    scale: Scale,
    epoch: Epoch,
    path: PathBuf,
    origin: Origin,
}

/// What finds the event again after CPUs came and went.
#[derive(Clone, Debug)]
struct Origin {
    sysfs: PathBuf,
    pmu: &'static str,
    event: String,
    stands_for: StandsFor,
}

/// What one CPU of a mask stands for; what is `None` does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StandsFor {
    package: u32,
    die: Option<u32>,
    core: Option<u32>,
}

impl StandsFor {
    fn new(topology: &Topology, processor: &Processor, pmu: &str, cpu: u32) -> Self {
        let place = topology.place(cpu);
        let by_die = !processor.vendor.counts_by_package() && topology.has_dies();
        match pmu {
            POWER_CORE => Self { package: place.package, die: place.die, core: place.core.or(Some(cpu)) },
            _ => Self { package: place.package, die: place.die.filter(|_| by_die), core: None },
        }
    }

    fn is_at(self, topology: &Topology, cpu: u32) -> bool {
        let place = topology.place(cpu);
        let die = self.die.is_none() || self.die == place.die;
        let core = self.core.is_none() || self.core == place.core.or(Some(cpu));
        self.package == place.package && die && core
    }
}

impl PerfZone {
    /// The count since it was opened, in units of [`PerfZone::scale`].
    ///
    /// # Errors
    /// ENODEV or an empty read once its CPU or driver is gone ([`Error::is_gone`]): [`PerfZone::reopen`].
    pub fn read_count(&mut self) -> Result<u64, Error> {
        self.open.read().map_err(|source| Error::io(&self.path, source))
    }

    /// Microjoules since it was opened, rounded down; differences lose nothing over time.
    ///
    /// # Errors
    /// As [`PerfZone::read_count`].
    pub fn read_uj(&mut self) -> Result<u64, Error> {
        Ok(self.scale.microjoules(self.read_count()?))
    }

    /// Joules of one count.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// The CPU that it is open on.
    pub fn cpu(&self) -> u32 {
        self.open.cpu()
    }

    /// Reads the mask again and opens the event on the CPU that stands for this domain now: a new [`Epoch`], from 0.
    ///
    /// To be called when a read says [`Error::is_gone`], or when the count stands still for three periods while that of
    /// another package moves.
    ///
    /// # Errors
    /// What the kernel says; ENODEV where no CPU of the mask stands for the domain any more. The old event stays.
    pub fn reopen(&mut self) -> Result<(), Error> {
        let Origin { sysfs, pmu: name, event, stands_for } = &self.origin;
        let pmu = Pmu::read(sysfs, name)?;
        let topology = Topology::read(sysfs);
        let cpu = pmu.cpus.iter().copied().find(|&cpu| stands_for.is_at(&topology, cpu));
        let cpu = cpu.ok_or_else(|| gone(pmu.folder.join("cpumask")))?;
        let found = pmu.events.into_iter().find(|e| e.name == *event).ok_or_else(|| gone(&self.path))?;
        let (config, scale) = found.spec?;
        self.open = Open::new(pmu.kind, config, cpu).map_err(|source| Error::io(&self.path, source))?;
        self.scale = scale;
        self.epoch = Epoch::new();
        Ok(())
    }
}

impl Counter for PerfZone {
    fn read(&mut self) -> Result<u64, Error> {
        self.read_uj()
    }

    fn reopen(&mut self) -> Result<(), Error> {
        PerfZone::reopen(self)
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// Finds and opens every energy event below `sysfs`; one that cannot be opened does not hide the others.
///
/// `cores` adds the events of `power_core`, one for each physical core, named `core-<package>-cpu-<cpu>` after the CPU
/// that stands for the core.
///
/// # Errors
/// The PMU is absent, its own files are malformed, or the tree is no real sysfs.
pub fn discover(sysfs: &Path, processor: &Processor, cores: bool) -> Result<Vec<Domain>, Error> {
    let power = Pmu::read(sysfs, POWER)?;
    if !is_real_sysfs(&power.folder) {
        let reason = "this is no real sysfs, and the kernel knows nothing of the PMUs that its files name";
        return Err(Error::Skipped { path: power.folder, reason });
    }
    Ok(open_all(sysfs, processor, &power, cores))
}

fn open_all(sysfs: &Path, processor: &Processor, power: &Pmu, cores: bool) -> Vec<Domain> {
    let topology = Topology::read(sysfs);
    let mut listed = list(POWER, power, &topology, processor);
    if cores && let Ok(pmu) = Pmu::read(sysfs, POWER_CORE) {
        listed.extend(list(POWER_CORE, &pmu, &topology, processor));
    }
    let epoch = Epoch::new();
    let mut domains: Vec<Domain> = listed.into_iter().map(|l| l.open(sysfs, processor, epoch)).collect();
    mark_second_views(&mut domains);
    for i in 0..domains.len() {
        domains[i].parent = package_of(&domains, i);
    }
    name_apart(&mut domains);
    domains
}

/// An event on a CPU, before it is opened.
#[derive(Debug)]
struct Listed {
    identity: Identity,
    pmu: &'static str,
    kind: u32,
    cpu: u32,
    stands_for: StandsFor,
    event: String,
    path: PathBuf,
    spec: Result<(u64, Scale), Error>,
}

fn list(name: &'static str, pmu: &Pmu, topology: &Topology, processor: &Processor) -> Vec<Listed> {
    let on = |cpu: u32, event: &Event| {
        let stands_for = StandsFor::new(topology, processor, name, cpu);
        Listed {
            identity: identify(&event.name, stands_for, cpu),
            pmu: name,
            kind: pmu.kind,
            cpu,
            stands_for,
            event: event.name.clone(),
            path: event.path.clone(),
            spec: event.spec.clone(),
        }
    };
    let mut listed: Vec<Listed> = pmu.cpus.iter().flat_map(|&cpu| pmu.events.iter().map(move |e| on(cpu, e))).collect();
    // packages first: the others hang below them
    listed.sort_by_key(|l| l.identity.kind != crate::Kind::Package);
    listed
}

fn identify(event: &str, at: StandsFor, cpu: u32) -> Identity {
    match (event, at.core) {
        ("pkg", _) => Identity::package(at.package, at.die),
        ("psys", _) => Identity::platform(at.package),
        ("core", Some(_)) => Identity::one_core(at.package, cpu),
        ("cores", _) => Identity::part("core", at.package, at.die),
        ("gpu", _) => Identity::part("uncore", at.package, at.die),
        ("ram", _) => Identity::part("dram", at.package, at.die),
        (other, _) => Identity { kind: crate::Kind::Other, ..Identity::part(other, at.package, at.die) },
    }
}

impl Listed {
    fn open(self, sysfs: &Path, processor: &Processor, epoch: Epoch) -> Domain {
        let Self { identity, pmu, kind, cpu, stands_for, event, path, spec } = self;
        let origin = Origin { sysfs: sysfs.into(), pmu, event, stands_for };
        let counter = spec.and_then(|(config, scale)| {
            let open = Open::new(kind, config, cpu).map_err(|source| Error::io(&path, source))?;
            let mut zone = PerfZone { open, scale, epoch, path: path.clone(), origin };
            // an event that can be opened and not read is no counter yet
            zone.read_count()?;
            Ok(Box::new(zone) as Box<dyn Counter>)
        });
        let resolution_j = Scale::from_esu(quirks::usual_esu(processor, identity.kind)).joules();
        let name = identity.to_string();
        let counting = Counting::SinceOpened;
        Domain { identity, name, path, parent: None, duplicate_of: None, counting, resolution_j, max_power_w: None, counter }
    }
}

/// ENODEV, as the kernel says it of an event whose CPU is gone.
fn gone(path: impl Into<PathBuf>) -> Error {
    Error::io(path, std::io::Error::from_raw_os_error(19))
}

/// True where a folder lies on the kernel's own sysfs.
pub fn is_real_sysfs(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|s| s.f_type as u64 & 0xffff_ffff == SYSFS_MAGIC)
}

#[cfg(test)]
mod tests;
