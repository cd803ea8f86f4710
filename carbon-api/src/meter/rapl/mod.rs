//! RAPL: one back end of perf events, powercap tree and registers, each counter kept open and opened anew after its driver
//! went away. The choice is made once; `rapl_sys::choose` says how.

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use rapl_sys::Backend;
use rapl_sys::powercap::Zone;
use rapl_sys::{Counter, Counting, Domain, Error, Kind};

use super::{Meter, SourceReport, Value};
use crate::counter::{CounterSpec, Epoch, GapReason, Wrap};
use crate::domain::{DomainInfo, DomainKind, Source};
use crate::error::ReadError;
use crate::stamp::Clock;

mod report;

/// RAPL renews its registers about every millisecond.
pub const UPDATE_S: f64 = 0.001;
/// The longest time between two reads of a perf event: above 200 W the kernel's own folding can lose a turn of the register.
const PERF_PERIOD_S: f64 = 60.0;
/// Reads without a count, while another package counts, after which an event is taken for one whose CPU went away.
const STILL_READS: u32 = 3;

/// What the configuration may say about RAPL.
#[derive(Clone, Debug, PartialEq)]
pub struct RaplOptions {
    /// Relative accuracy; 0.05 by default (no vendor gives a figure).
    pub accuracy: f64,
    /// The most one domain can draw, in watts; else twice its largest limit, at least 1000 W.
    pub max_power_w: Option<f64>,
    /// Back ends in order of preference; one that is not named is not tried.
    pub order: Vec<Backend>,
    /// Use the registers where nothing better opens.
    pub msr: bool,
    /// Believe the registers of a virtual machine.
    pub msr_in_guest: bool,
    /// Read single cores where the processor has a counter for each (AMD); every read wakes all of them.
    pub cores: bool,
}

impl Default for RaplOptions {
    fn default() -> Self {
        Self { accuracy: 0.05, max_power_w: None, order: Backend::ALL.to_vec(), msr: false, msr_in_guest: false, cores: false }
    }
}

/// All domains of the chosen back end.
#[derive(Debug)]
pub struct RaplMeter {
    backend: Backend,
    domains: Vec<DomainInfo>,
    counters: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    path: PathBuf,
    counter: Result<Box<dyn Counter>, Error>,
    gone: bool,
    seen: Option<(rapl_sys::Epoch, u64)>,
    still: u32,
    epoch: Epoch,
}

impl RaplMeter {
    /// Tries the back ends below `sysfs` and `dev`; `cpuinfo` is the text of `/proc/cpuinfo`. One report for each that was tried.
    pub fn discover(sysfs: &Path, dev: &Path, cpuinfo: &[u8], options: &RaplOptions) -> (Option<Self>, Vec<SourceReport>) {
        let chosen = rapl_sys::Options {
            msr: options.msr,
            msr_in_guest: options.msr_in_guest,
            cores: options.cores,
            order: options.order.clone(),
            ..rapl_sys::Options::new(sysfs, dev, cpuinfo)
        };
        let choice = rapl_sys::open(&chosen);
        let infos = choice.backend.map(|backend| choice.domains.iter().map(|d| info(backend, d, options)).collect::<Vec<_>>());
        let infos = infos.map(|infos| name_twins(infos, &choice.domains));
        let reports =
            choice.tried.iter().map(|tried| report::of(tried, infos.as_deref().unwrap_or_default(), sysfs, dev)).collect();
        let meter = choice.backend.zip(infos).map(|(backend, domains)| Self {
            backend,
            domains,
            counters: choice.domains.into_iter().map(Held::new).collect(),
        });
        (meter, reports)
    }

    /// The powercap tree below `sysfs` alone, with default options.
    pub fn powercap(sysfs: &Path) -> (Option<Self>, SourceReport) {
        let options = RaplOptions { order: vec![Backend::Powercap], ..RaplOptions::default() };
        let (meter, mut reports) = Self::discover(sysfs, Path::new("/dev"), b"", &options);
        (meter, reports.remove(0))
    }
}

impl Meter for RaplMeter {
    fn domains(&self) -> &[DomainInfo] {
        &self.domains
    }

    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        let mut package_moved = false;
        for (held, (value, info)) in self.counters.iter_mut().zip(values.iter_mut().zip(&self.domains)) {
            *value = held.read(self.backend, clock);
            package_moved |= info.kind == DomainKind::Package && value.is_ok() && held.still == 0;
        }
        if self.backend != Backend::Perf || !package_moved {
            return;
        }
        // a CPU that was unplugged leaves its event open and still, while the other packages go on
        for (held, value) in self.counters.iter_mut().zip(values).filter(|(held, _)| held.still >= STILL_READS) {
            held.gone = true;
            *value = held.read(self.backend, clock);
        }
    }

    fn longest_period_s(&self) -> Option<f64> {
        let by_event = (self.backend == Backend::Perf).then_some(PERF_PERIOD_S);
        let wraps = self.domains.iter().filter_map(|d| d.counter.wrap_seconds()).map(|s| 0.4 * s);
        wraps.chain(by_event).min_by(f64::total_cmp)
    }
}

impl Held {
    fn new(domain: Domain) -> Self {
        Self { path: domain.path, counter: domain.counter, gone: false, seen: None, still: 0, epoch: Epoch::FIRST }
    }

    fn read(&mut self, backend: Backend, clock: &dyn Clock) -> Result<Value, ReadError> {
        let shown = self.shown(backend).map_err(|error| {
            // opened anew before the next read, so that a counter that comes back gives its value at once
            self.gone |= error.is_gone() || error.is_denied();
            sort(&error)
        })?;
        let at = clock.stamp();
        let epoch = self.counter.as_ref().map(|c| c.epoch()).ok();
        if let (Some((before, last)), Some(epoch)) = (self.seen, epoch) {
            if before != epoch {
                self.epoch.advance(GapReason::Epoch);
            }
            self.still = if before == epoch && last == shown { self.still.saturating_add(1) } else { 0 };
        }
        self.seen = epoch.map(|epoch| (epoch, shown));
        Ok(Value { shown, at, epoch: self.epoch })
    }

    fn shown(&mut self, backend: Backend) -> Result<u64, Error> {
        match &mut self.counter {
            Ok(counter) => {
                if self.gone {
                    counter.reopen()?;
                    self.gone = false;
                }
                counter.read()
            }
            // a zone that could not be opened at the start may become readable
            Err(_) if backend == Backend::Powercap => Zone::open(&self.path)?.read_uj(),
            Err(error) => Err(error.clone()),
        }
    }
}

/// Sorts an error by what can be done about it.
fn sort(error: &Error) -> ReadError {
    match error {
        Error::Io { path, source } => ReadError::from_io(path, source),
        Error::Malformed { path, found, expected } => ReadError::Malformed { path: path.clone(), found: found.clone(), expected },
        Error::Skipped { path, .. } => ReadError::Absent { path: path.clone(), errno: None },
    }
}

fn info(backend: Backend, domain: &Domain, options: &RaplOptions) -> DomainInfo {
    let wrap = match domain.counting {
        Counting::Microjoules { range_uj } => Wrap::from_range(range_uj),
        Counting::SinceOpened => Wrap::Never,
        Counting::Counts { esu } => Wrap::Register { esu },
    };
    let by_limit = domain.max_power_w.map_or(0.0, |w| 2.0 * w).max(CounterSpec::MAX_POWER_W);
    DomainInfo {
        source: match backend {
            Backend::Perf => Source::RaplPerf,
            Backend::Powercap => Source::RaplPowercap,
            Backend::Msr => Source::RaplMsr,
        },
        name: domain.name.as_str().into(),
        device: domain.identity.device().into(),
        kind: kind(domain.identity.kind),
        contained_in: domain.contained_in(),
        duplicate_of: None,
        counter: CounterSpec {
            max_power_w: options.max_power_w.unwrap_or(by_limit),
            resolution_j: domain.resolution_j,
            ..CounterSpec::new(wrap)
        },
        update_s: UPDATE_S,
        integrated: false,
        on_module: false,
        accuracy: options.accuracy,
    }
}

const fn kind(kind: Kind) -> DomainKind {
    match kind {
        Kind::Package => DomainKind::Package,
        Kind::Core => DomainKind::Core,
        Kind::Uncore => DomainKind::Uncore,
        Kind::Dram => DomainKind::Dram,
        Kind::Psys => DomainKind::Psys,
        Kind::Other => DomainKind::Other,
    }
}

fn name_twins(mut infos: Vec<DomainInfo>, domains: &[Domain]) -> Vec<DomainInfo> {
    for (i, domain) in domains.iter().enumerate() {
        infos[i].duplicate_of = domain.duplicate_of.map(|twin| Arc::clone(&infos[twin].name));
    }
    infos
}

#[cfg(test)]
mod tests;
