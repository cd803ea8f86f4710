//! Scripted meters, a clock that is moved by hand, and trees of files.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use crate::bank::Bank;
use crate::domain::{DomainInfo, DomainKind, test_domain};
use crate::error::ReadError;
use crate::grid::IntensityProvider;
use crate::grid::fixed::FixedGrid;
use crate::meter::{Meter, Value};
use crate::monitor::{Parts, Sampler, Settings};
use crate::snapshot::Snapshot;
use crate::stamp::{Clock, Stamp};
use crate::usage::{Consumers, HostRow, UsagePass, UsageSource};

pub(super) const S: u64 = 1_000_000_000;
/// `max_energy_range_uj` of most Intel processors, and its unit.
pub(super) const INTEL: u64 = 262_143_328_850;
pub(super) const UNIT_NJ: u64 = 61_035;
/// What one domain shows at one read.
pub(super) type Shown = Result<u64, ReadError>;

/// What a RAPL zone shows that has counted so many microjoules since it last stood at 0.
pub(super) fn rapl(uj: u64) -> u64 {
    let raw = (u128::from(uj) * 1000 / u128::from(UNIT_NJ)) as u32;
    (u128::from(raw) * u128::from(UNIT_NJ) / 1000) as u64
}

pub(super) fn eio() -> ReadError {
    ReadError::Io { path: "energy_uj".into(), errno: 5 }
}

pub(super) fn package(n: u32) -> DomainInfo {
    test_domain(DomainKind::Package, &format!("package-{n}"), None)
}

/// Microjoules of so many watts over so many nanoseconds.
pub(super) fn uj(watts: u64, ns: u64) -> u64 {
    (u128::from(watts) * u128::from(ns) / 1000) as u64
}

/// A meter that shows what its script says of an instant.
pub(super) struct Scripted<F> {
    domains: Vec<DomainInfo>,
    show: F,
}

impl<F: FnMut(u64) -> Vec<Shown> + Send> Meter for Scripted<F> {
    fn domains(&self) -> &[DomainInfo] {
        &self.domains
    }

    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        let at = clock.stamp();
        for (value, shown) in values.iter_mut().zip((self.show)(at.boottime_ns)) {
            *value = shown.map(|shown| Value::new(shown, at));
        }
    }
}

/// A bank of one scripted meter; the script is given boot time in nanoseconds.
pub(super) fn bank(domains: Vec<DomainInfo>, show: impl FnMut(u64) -> Vec<Shown> + Send + 'static) -> Bank {
    Bank::new(vec![Box::new(Scripted { domains, show })])
}

/// Boot time, time asleep, and how far the wall clock was set.
#[derive(Clone, Default)]
pub(super) struct Clockwork(Arc<[AtomicU64; 3]>);

impl Clockwork {
    pub(super) fn set(&self, boottime_ns: u64) {
        self.0[0].store(boottime_ns, Ordering::Relaxed);
    }
}

impl Clock for Clockwork {
    fn stamp(&self) -> Stamp {
        let [boottime_ns, asleep, _] = [0, 1, 2].map(|i| self.0[i].load(Ordering::Relaxed));
        Stamp { boottime_ns, monotonic_ns: boottime_ns - asleep }
    }

    fn utc(&self) -> Timestamp {
        let [at, _, set] = [0, 1, 2].map(|i| self.0[i].load(Ordering::Relaxed));
        Timestamp::from_nanosecond(1_700_000_000_000_000_000 + i128::from(at) + i128::from(set.cast_signed())).unwrap()
    }
}

/// Two processors of which one is busy.
struct HalfBusy;

impl UsageSource for HalfBusy {
    fn name(&self) -> &'static str {
        "host"
    }

    fn read(&mut self, clock: &dyn Clock, _: &mut Consumers, pass: &mut UsagePass) {
        let at_ns = clock.stamp().boottime_ns;
        let busy_ns = clock.stamp().monotonic_ns;
        pass.host = Some(HostRow { at_ns, busy_ns, steal_ns: 0, cpus: 2, quantum_ns: 1 });
    }
}

/// The measuring loop on a scripted meter, at 360 g/kWh: 100 microgram a joule.
pub(super) struct Bench {
    pub(super) sampler: Sampler,
    clock: Clockwork,
    at: u64,
}

impl Bench {
    /// The first tick is at 0.
    pub(super) fn new(domains: Vec<DomainInfo>, show: impl FnMut(u64) -> Vec<Shown> + Send + 'static) -> Self {
        let clock = Clockwork::default();
        let parts = Parts {
            clock: Box::new(clock.clone()),
            bank: bank(domains, show),
            usage: vec![Box::new(HalfBusy)],
            grid: Arc::new(FixedGrid::new(360.0, None).unwrap()) as Arc<dyn IntensityProvider>,
            embodied: None,
            own_cpu: Box::new(|| 0),
            ledger: None,
            learn: None,
        };
        let mut bench = Self { sampler: Sampler::new(parts, Settings::default()), clock, at: 0 };
        bench.tick_at(0);
        bench
    }

    pub(super) fn tick_at(&mut self, at: u64) {
        self.at = at;
        self.clock.set(at);
        self.sampler.tick();
    }

    /// One tick a second.
    pub(super) fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.tick_at(self.at + S);
        }
    }

    /// The machine sleeps; the next tick comes after it.
    pub(super) fn sleep(&mut self, ns: u64) {
        self.at += ns;
        self.clock.0[1].fetch_add(ns, Ordering::Relaxed);
    }

    /// Somebody sets the wall clock.
    pub(super) fn set_wall_clock(&self, by_ns: i64) {
        self.clock.0[2].store(by_ns.cast_unsigned(), Ordering::Relaxed);
    }

    /// What everybody sees: it stands at the last closed interval, which ended one tick ago.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.sampler.cell().load()
    }

    /// Energy of the host in microjoules.
    pub(super) fn host(&self) -> u64 {
        self.snapshot().host_energy().0
    }
}

/// Writes a powercap tree: directory, name and counter of each zone.
pub(super) fn powercap(sysfs: &Path, zones: &[(&str, &str, u64)]) {
    for (folder, name, uj) in zones {
        let zone = sysfs.join("class/powercap").join(folder);
        std::fs::create_dir_all(&zone).unwrap();
        for (file, text) in
            [("name", (*name).to_owned()), ("energy_uj", uj.to_string()), ("max_energy_range_uj", INTEL.to_string())]
        {
            std::fs::write(zone.join(file), text + "\n").unwrap();
        }
    }
}
