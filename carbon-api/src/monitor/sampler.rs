//! One tick: usage, meters, the interval that closes, and the snapshot that shows it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::domains::{DomainState, Tick, take};
use super::faults::Faults;
use super::own::OwnUse;
use super::platform::PlatformWatch;
use crate::attribution::IdlePolicy;
use crate::bank::Bank;
use crate::carbon::EmbodiedModel;
use crate::closed::Reading;
use crate::cover::{HostCover, host_cover, leaves};
use crate::domain::{DomainInfo, DomainKind, Provenance, Source};
use crate::family::{Booking, Family, FamilySettings};
use crate::grid::{Intensity, IntensityProvider};
use crate::intervals::Intervals;
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::stamp::{Clock, Stamp};
use crate::units::{GramsPerKwh, Microjoules};
use crate::usage::{Consumers, UsagePass, UsageSource};
use crate::users::Users;

#[cfg(feature = "ledger")]
use crate::ledger::{Batch, SlotKey, SlotValue, writer::Writer};

mod rewire;
mod show;

/// How to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time between two ticks.
    pub period: Duration,
    /// Which domains are the host.
    pub cover: HostCover,
    /// What is done with idle energy.
    pub idle_policy: IdlePolicy,
    /// Limits of the workload family.
    pub family: FamilySettings,
    /// Time between two commits of the ledger.
    pub commit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(1),
            cover: HostCover::Auto,
            idle_policy: IdlePolicy::Separate,
            family: FamilySettings::default(),
            commit: Duration::from_secs(10),
        }
    }
}

/// Takes utilisation, watts, seconds and the time.
pub type Learn = Box<dyn FnMut(f64, f64, f64, Timestamp) + Send>;

/// What is wired together from outside.
pub struct Parts {
    /// The clocks.
    pub clock: Box<dyn Clock + Send>,
    /// The meters.
    pub bank: Bank,
    /// Who used the processors; the machine first.
    pub usage: Vec<Box<dyn UsageSource>>,
    /// The grid.
    pub grid: Arc<dyn IntensityProvider>,
    /// The making of the machine, where it is counted.
    pub embodied: Option<EmbodiedModel>,
    /// Cumulative CPU time of this very program, in nanoseconds.
    pub own_cpu: Box<dyn FnMut() -> u64 + Send>,
    /// Hears after each closed interval how busy the machine was (0 to 1), the mean watts of its packages, the seconds, and the
    /// time.
    pub learn: Option<Learn>,
    /// The ledger, where there is one.
    #[cfg(feature = "ledger")]
    pub ledger: Option<Writer>,
}

/// The body of the measuring loop.
pub struct Sampler {
    parts: Parts,
    settings: Settings,
    intervals: Intervals,
    family: Family,
    users: Users,
    consumers: Consumers,
    pass: UsagePass,
    faults: Faults,
    platform: PlatformWatch,
    readings: Vec<Reading>,
    infos: Vec<Arc<DomainInfo>>,
    domains: Vec<DomainState>,
    leaves: Vec<usize>,
    cell: Arc<SnapshotCell>,
    spare: Option<Arc<Snapshot>>,
    since: (Stamp, Timestamp),
    /// UTC of the last tick; never goes back, whatever the wall clock does.
    utc: Timestamp,
    last_tick: Option<Stamp>,
    intensity: Option<Intensity>,
    before_intensity: Option<(GramsPerKwh, Timestamp)>,
    grid_changes: u64,
    intensity_changes: u64,
    /// The coarse host so far, by method and provenance.
    coarse: Vec<(Source, Provenance, u64)>,
    operational_g: f64,
    unpriced: u64,
    own: OwnUse,
    late: u64,
    ready: bool,
    until: (Stamp, Timestamp),
    interval_s: f64,
    sequence: u64,
    #[cfg(feature = "ledger")]
    batch: Batch,
    #[cfg(feature = "ledger")]
    committed: Stamp,
    /// Stands in the ledger for energy without an intensity.
    #[cfg(feature = "ledger")]
    no_zone: Arc<str>,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Sampler {
    /// Wires the parts; nothing is read yet.
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let domains = parts.bank.domain_list();
        let cover = host_cover(&domains, &settings.cover);
        let (stamp, utc) = (parts.clock.stamp(), parts.clock.utc());
        let period_ns = u64::try_from(settings.period.as_nanos()).unwrap_or(u64::MAX);
        Self {
            leaves: leaves(&domains, &cover),
            intervals: Intervals::new(&domains, cover, settings.idle_policy, period_ns),
            family: Family::new(settings.family, utc),
            users: Users::default(),
            consumers: Consumers::default(),
            pass: UsagePass::default(),
            faults: Faults::default(),
            platform: PlatformWatch::default(),
            readings: Vec::with_capacity(domains.len()),
            infos: parts.bank.domains().to_vec(),
            domains: vec![DomainState::default(); domains.len()],
            cell: Arc::new(SnapshotCell::new(Snapshot::empty(utc, settings.period.as_secs_f64()))),
            spare: None,
            since: (stamp, utc),
            utc,
            last_tick: None,
            intensity: None,
            before_intensity: None,
            grid_changes: 0,
            intensity_changes: 0,
            coarse: Vec::new(),
            operational_g: 0.0,
            unpriced: 0,
            own: OwnUse::default(),
            late: 0,
            ready: false,
            until: (stamp, utc),
            interval_s: 0.0,
            sequence: 0,
            #[cfg(feature = "ledger")]
            batch: Batch::new(utc),
            #[cfg(feature = "ledger")]
            committed: stamp,
            #[cfg(feature = "ledger")]
            no_zone: "none".into(),
            parts,
            settings,
        }
    }

    /// Where the snapshots are.
    pub fn cell(&self) -> Arc<SnapshotCell> {
        Arc::clone(&self.cell)
    }

    /// Time between two ticks: the configured one, or less where a counter's range asks for it.
    pub fn period(&self) -> Duration {
        let longest = self.parts.bank.longest_period_s().map_or(Duration::MAX, |s| Duration::from_secs_f64(s.max(0.001)));
        self.settings.period.min(longest)
    }

    /// Notes ticks that came late or not at all.
    pub fn count_late(&mut self, ticks: u64) {
        self.late += ticks;
    }

    /// Reads everything once: closes the interval before, opens the next one, shows a new snapshot.
    pub fn tick(&mut self) {
        self.read_usage();
        self.read_meters();
        self.publish();
        #[cfg(feature = "ledger")]
        self.commit_if_due();
    }

    /// Takes a last usage reading, closes the open interval, shows it, and waits until the ledger has it.
    pub fn finish(&mut self) {
        self.read_usage();
        self.own.settle((self.parts.own_cpu)());
        self.publish();
        #[cfg(feature = "ledger")]
        {
            let next = Batch::new(self.batch.until);
            let last = std::mem::replace(&mut self.batch, next);
            if let Some(mut writer) = self.parts.ledger.take() {
                writer.finish(last);
            }
        }
    }

    fn read_usage(&mut self) {
        self.pass.clear();
        for source in &mut self.parts.usage {
            source.read(&*self.parts.clock, &mut self.consumers, &mut self.pass);
        }
        for (source, error) in &self.pass.errors {
            self.faults.error(source, &Arc::from(""), error.reason());
        }
        if let Some(closed) = self.intervals.usage(&self.consumers, &self.pass) {
            // a wall clock that was set forward must not stretch a second over hours of slots
            let length = SignedDuration::from_nanos(i64::try_from(closed.until.since(closed.from)).unwrap_or(i64::MAX));
            let interval = (self.until.1.max(self.utc.saturating_sub(length).unwrap_or(self.utc)), self.utc);
            let intensity = mean_intensity(self.intensity.as_ref(), self.before_intensity, interval);
            #[cfg(feature = "ledger")]
            let (zone, provider) = self.intensity.as_ref().map_or((&self.no_zone, "none"), |i| (&i.zone, i.provider));
            #[cfg(feature = "ledger")]
            let (batch, kept) = (&mut self.batch, self.parts.ledger.is_some());
            self.family.close(closed, &self.consumers, intensity, self.utc, |booking: Booking<'_>| {
                #[cfg(feature = "ledger")]
                if kept {
                    batch.book(slot_key(&booking, zone, provider), slot_value(&booking), interval.0, interval.1);
                }
                #[cfg(not(feature = "ledger"))]
                let _ = booking;
            });
            self.users.close(closed, &self.consumers, intensity);
            let energy = closed.energy();
            match intensity {
                Some(i) => self.operational_g += i.price::<()>(Microjoules(energy).joules()).value(),
                None => self.unpriced += energy,
            }
            self.own.add(closed);
            self.interval_s = closed.until.seconds_since(closed.from);
            self.until = (closed.until, self.utc);
            self.ready = true;
            #[cfg(feature = "ledger")]
            {
                self.batch.until = self.utc;
            }
            let used = f64::min(closed.host.busy_ns as f64 / (closed.host.capacity_ns as f64).max(1.0), 1.0);
            self.learn(used);
            if self.own.is_due() {
                self.own.settle((self.parts.own_cpu)());
            }
            self.close_domains();
            self.platform.look(&self.infos, &self.domains, self.intervals.cover(), self.until.0);
        } else if !self.ready {
            self.own.begin((self.parts.own_cpu)());
        }
        for slot in self.intervals.take_finished() {
            self.family.retire(slot, self.utc);
            self.consumers.release(slot);
        }
    }

    /// Tells the model what the packages drew over the interval that closes; only where every package was read.
    fn learn(&mut self, utilisation: f64) {
        let Some(learn) = &mut self.parts.learn else { return };
        let is_package =
            |info: &DomainInfo| info.kind == DomainKind::Package && info.duplicate_of.is_none() && info.source.is_rapl();
        let packages = || self.infos.iter().zip(&self.domains).filter(|(info, _)| is_package(info)).map(|(_, state)| state);
        let whole = packages().all(|p| p.since.is_some() && (p.open_s - self.interval_s).abs() < 0.01 * self.interval_s);
        if whole && self.interval_s > 0.0 && packages().next().is_some() {
            let energy: u64 = packages().map(|p| p.open).sum();
            learn(utilisation, energy as f64 / 1e6 / self.interval_s, self.interval_s, self.utc);
        }
    }

    fn close_domains(&mut self) {
        for (i, state) in self.domains.iter_mut().enumerate() {
            let energy = std::mem::take(&mut state.open);
            state.closed += energy;
            if self.intervals.cover().contains(&i) {
                state.host += energy;
            }
            let fails = state.failing.is_some();
            let seconds = std::mem::take(&mut state.open_s);
            state.metered_s += seconds;
            // over the time that the meter itself says has passed; a device that shows the same reading twice draws on
            if seconds > 0.0 {
                state.power_w = Some(energy as f64 / 1e6 / seconds);
            } else if fails || !state.repeats {
                state.power_w = None;
            }
        }
    }

    fn read_meters(&mut self) {
        let (at, observed) = self.parts.bank.read(&*self.parts.clock);
        let utc = self.parts.clock.utc().max(self.utc);
        if self.last_tick.is_none() {
            self.until = (at, utc);
            self.since = (at, utc);
            #[cfg(feature = "ledger")]
            {
                self.batch = Batch::new(utc);
                self.committed = at;
            }
        }
        let tick_s = self.last_tick.map_or(0.0, |last| at.seconds_since(last));
        self.readings.clear();
        for (i, observed) in observed.iter().enumerate() {
            let now = Tick { at, utc, seconds: tick_s };
            self.readings.push(take(observed, now, &self.infos[i], &mut self.domains[i], &mut self.faults));
        }
        self.intervals.meters(at, &self.readings);
        self.last_tick = Some(at);
        self.utc = utc;
        self.refresh_intensity();
    }

    fn refresh_intensity(&mut self) {
        let changes = self.parts.grid.changes();
        let holds = |i: &Intensity| i.from <= self.utc && self.utc < i.until;
        if self.intensity.as_ref().is_some_and(holds) && changes == self.grid_changes {
            return;
        }
        self.grid_changes = changes;
        self.before_intensity = self.intensity.as_ref().map(|i| (i.g_per_kwh, i.until));
        self.intensity = self.parts.grid.at(self.utc);
        self.intensity_changes += 1;
    }

    #[cfg(feature = "ledger")]
    fn commit_if_due(&mut self) {
        let Some(writer) = &self.parts.ledger else {
            return;
        };
        let at = self.until.0;
        if at.seconds_since(self.committed) < self.settings.commit.as_secs_f64() {
            return;
        }
        let next = Batch::new(self.batch.until);
        match writer.offer(std::mem::replace(&mut self.batch, next)) {
            Ok(()) => self.committed = at,
            Err(batch) => self.batch = batch,
        }
    }
}

/// The intensity of an interval that may reach over the end of one value: each weighs by its time.
fn mean_intensity(
    now: Option<&Intensity>,
    before: Option<(GramsPerKwh, Timestamp)>,
    (from, until): (Timestamp, Timestamp),
) -> Option<GramsPerKwh> {
    let now = now?;
    let Some((earlier, end)) = before.filter(|(_, end)| from < *end && *end < until) else {
        return Some(now.g_per_kwh);
    };
    let part = end.duration_since(from).as_secs_f64() / until.duration_since(from).as_secs_f64();
    Some(earlier * part + now.g_per_kwh * (1.0 - part))
}

#[cfg(feature = "ledger")]
fn slot_key(booking: &Booking<'_>, zone: &Arc<str>, provider: &'static str) -> SlotKey {
    SlotKey {
        minute_s: 0,
        kind: booking.kind,
        workload: Arc::clone(booking.workload),
        class: booking.class,
        provenance: booking.provenance,
        zone: Arc::clone(zone),
        provider,
    }
}

#[cfg(feature = "ledger")]
fn slot_value(booking: &Booking<'_>) -> SlotValue {
    let unpriced = if booking.grams.is_none() { booking.energy } else { 0 };
    SlotValue { energy: booking.energy, grams: booking.grams.unwrap_or(0.0), unpriced }
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
