//! One instant of everything that is shown: immutable, shared by exporters, pages and policies.
//!
//! All energies count from the start of the process and stand at the last *closed* interval, the host's too, so that the
//! workload family sums to the host to the microjoule. Each energy has a coarse twin (whole millijoules, remainder carried)
//! for readers without a privilege; the coarse host is the sum of the coarse family.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::counter::{GapReason, ResetReason};
use crate::domain::{DomainInfo, Provenance, Source};
use crate::grid::Intensity;
use crate::units::Microjoules;
use crate::usage::WorkloadKind;

/// One series of the host: energy of one method and provenance.
#[derive(Clone, Debug, PartialEq)]
pub struct HostRow {
    /// The kind of meter.
    pub method: Source,
    /// Measured or modelled.
    pub provenance: Provenance,
    /// Energy since the start.
    pub energy: Microjoules,
    /// The same as unprivileged readers see it.
    pub coarse: Microjoules,
}

/// One domain.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainRow {
    /// Who it is.
    pub info: Arc<DomainInfo>,
    /// Energy since the start, up to the last closed interval.
    pub energy: Microjoules,
    /// Half width of the 95 % interval, in joules.
    pub uncertainty_j: f64,
    /// Mean power of the last closed interval, in watts; `None` while it fails.
    pub power_w: Option<f64>,
    /// It is a member of the cover.
    pub in_host: bool,
    /// It is a consuming component that no other one of the list contains, and it has been read at least once.
    pub leaf: bool,
    /// More than one wrap may lie between two of its readings: the energy is a lower bound.
    pub lower_bound: bool,
}

/// One series of the workload family; each microjoule is in exactly one.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadRow {
    /// What it is.
    pub kind: WorkloadKind,
    /// `name:pid`, path, id; `other` and `gone` for what has no series of its own.
    pub workload: Arc<str>,
    /// The cgroup that it sits in, where known.
    pub cgroup: Option<Arc<str>>,
    /// The user whose all of it is; `None` where it is several users' or nobody's.
    pub uid: Option<u32>,
    /// Attributed or modelled.
    pub provenance: Provenance,
    /// Energy of the series since its birth.
    pub energy: Microjoules,
    /// Grams of that energy, each interval at its own intensity; `None` where no interval had one.
    pub carbon_g: Option<f64>,
    /// Mean power of the last closed interval, in watts.
    pub power_w: f64,
    /// CPU time since the series began, in seconds.
    pub cpu_s: f64,
    /// Half width of the 95 % interval, in joules.
    pub uncertainty_j: f64,
    /// When the series began.
    pub started_at: Timestamp,
    /// When the consumer ended, where it did.
    pub gone_at: Option<Timestamp>,
}

/// What one user's processes used since the start, those that ended included; energy of groups of several users is in no row.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRow {
    /// The user id.
    pub uid: u32,
    /// Attributed or modelled.
    pub provenance: Provenance,
    /// Energy since the start.
    pub energy: Microjoules,
    /// Grams of that energy; `None` where no interval had an intensity.
    pub carbon_g: Option<f64>,
    /// Mean power of the last closed interval, in watts.
    pub power_w: f64,
    /// CPU time since the start, in seconds.
    pub cpu_s: f64,
}

/// Grams since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CarbonRow {
    /// The zone that the machine stands in.
    pub zone: Arc<str>,
    /// `average` or `marginal`.
    pub kind: &'static str,
    /// Energy times intensity.
    pub operational_g: f64,
    /// The machine's share of its making over the time counted; `None` where nothing is known of it.
    pub embodied_g: Option<f64>,
    /// Energy that had no intensity.
    pub unpriced: Microjoules,
}

/// A count of failed reads, lost seconds or resets of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRow<N> {
    /// The source, as in the list of sources.
    pub source: &'static str,
    /// The domain or file at fault.
    pub domain: Arc<str>,
    /// Why.
    pub reason: &'static str,
    /// How many, or how long.
    pub amount: N,
}

/// A stretch of time for which a domain has no reading.
#[derive(Clone, Debug, PartialEq)]
pub struct GapRow {
    /// The kind of meter.
    pub source: Source,
    /// Which domain.
    pub domain: Arc<str>,
    /// Why.
    pub reason: GapReason,
    /// For a reset: how it was known.
    pub reset: Option<ResetReason>,
    /// When it began.
    pub from: Timestamp,
    /// When it ended; `None` while it lasts.
    pub until: Option<Timestamp>,
}

/// What the ledger holds over all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recorded {
    /// The first instant recorded.
    pub since: Option<Timestamp>,
    /// The watermark: everything before it is on disk.
    pub durable_until: Option<Timestamp>,
    /// Energy of the host over all runs.
    pub host_energy: Microjoules,
}

/// Everything, at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts snapshots; 0 before the first.
    pub sequence: u64,
    /// Counts changes of what went wrong and of the intensity: two snapshots of one run with equal numbers agree in them.
    pub revisions: (u64, u64),
    /// When counting began.
    pub since: Timestamp,
    /// The end of the last closed interval.
    pub until: Timestamp,
    /// The same instant on the boot-time clock, in nanoseconds: it goes on where the wall clock is set.
    pub until_ns: u64,
    /// True from the first closed interval.
    pub ready: bool,
    /// The sampling period, in seconds.
    pub period_s: f64,
    /// Length of the last closed interval, in seconds.
    pub interval_s: f64,
    /// The host, one row for each method and provenance; their sum is the host.
    pub host: Vec<HostRow>,
    /// Half width of the 95 % interval of the host's energy, in joules.
    pub uncertainty_j: f64,
    /// Metered seconds over all seconds, 0 to 1.
    pub coverage: f64,
    /// Every domain, in the order of discovery.
    pub domains: Vec<DomainRow>,
    /// The workload family.
    pub workloads: Vec<WorkloadRow>,
    /// What each user used, by user id: a cut of the family, without what is not surely one user's.
    pub users: Vec<UserRow>,
    /// Consumers with a series, and those folded into `other`.
    pub series: (usize, usize),
    /// The word for the idle policy.
    pub idle_policy: &'static str,
    /// Grams.
    pub carbon: CarbonRow,
    /// The intensity in force, where there is one.
    pub intensity: Option<Intensity>,
    /// Failed reads.
    pub errors: Vec<FaultRow<u64>>,
    /// Seconds without a reading.
    pub gap_seconds: Vec<FaultRow<f64>>,
    /// Counters that started anew.
    pub resets: Vec<FaultRow<u64>>,
    /// The latest gaps, open ones included.
    pub gaps: Vec<GapRow>,
    /// What this program itself used.
    pub self_energy: Microjoules,
    /// Ticks that came later than one period.
    pub late_ticks: u64,
    /// What the ledger holds; `None` without one.
    pub recorded: Option<Recorded>,
    /// Plain words for people: stalled counters, a missing zone, a denied file.
    pub warnings: Vec<Arc<str>>,
}

impl Snapshot {
    /// A snapshot of nothing, at the start.
    pub fn empty(since: Timestamp, period_s: f64) -> Self {
        Self {
            sequence: 0,
            revisions: (0, 0),
            since,
            until: since,
            until_ns: 0,
            ready: false,
            period_s,
            interval_s: 0.0,
            host: Vec::new(),
            uncertainty_j: 0.0,
            coverage: 1.0,
            domains: Vec::new(),
            workloads: Vec::new(),
            users: Vec::new(),
            series: (0, 0),
            idle_policy: "separate",
            carbon: CarbonRow::default(),
            intensity: None,
            errors: Vec::new(),
            gap_seconds: Vec::new(),
            resets: Vec::new(),
            gaps: Vec::new(),
            self_energy: Microjoules::ZERO,
            late_ticks: 0,
            recorded: None,
            warnings: Vec::new(),
        }
    }

    /// Energy of the host since the start: exactly the sum of the workload family.
    pub fn host_energy(&self) -> Microjoules {
        self.host.iter().map(|r| r.energy).sum()
    }

    /// Energy of the host as unprivileged readers see it: exactly the sum of the coarse family.
    pub fn host_coarse(&self) -> Microjoules {
        self.host.iter().map(|r| r.coarse).sum()
    }

    /// Mean power of the host over the last closed interval; `None` before it, or where a member of the cover fails.
    pub fn host_power_w(&self) -> Option<f64> {
        let members = self.domains.iter().filter(|d| d.in_host);
        if !self.ready || self.host.is_empty() {
            return None;
        }
        members.map(|d| d.power_w).sum()
    }

    /// Measured, or modelled where any member of the cover is; `None` where nothing covers the host.
    pub fn host_provenance(&self) -> Option<Provenance> {
        self.host.iter().map(|r| r.provenance).max()
    }
}

/// Where the latest snapshot lies: the monitor puts, everybody else takes; neither waits for the other.
#[derive(Debug)]
pub struct SnapshotCell(Mutex<Arc<Snapshot>>);

impl SnapshotCell {
    /// A cell with its first snapshot.
    pub fn new(first: Snapshot) -> Self {
        Self(Mutex::new(Arc::new(first)))
    }

    /// The latest snapshot; the lock is held only to count one more reader.
    pub fn load(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a new snapshot and hands the old one back, to be used again where nobody reads it.
    pub fn swap(&self, next: Arc<Snapshot>) -> Arc<Snapshot> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), next)
    }
}
