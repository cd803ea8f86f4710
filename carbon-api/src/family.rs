//! The workload family: every microjoule of the host in exactly one series, however many consumers come and go.
//!
//! A consumer below a threshold flows live into `other` of its kind. It is promoted with value 0, so that nothing jumps; what
//! it used before stays in `other`. A series that ended (or lost its place to a larger one) stands still for a while, and at
//! its removal its total moves into `gone`. So the family's sum is the host's energy at every instant, and no series falls.

use std::sync::Arc;

use jiff::Timestamp;

use crate::closed::Closed;
use crate::domain::{DomainClass, Provenance};
use crate::snapshot::WorkloadRow;
use crate::units::{GramsPerKwh, JOULES_PER_KWH, Microjoules};
use crate::usage::owner::Owner;
use crate::usage::{Consumer, Consumers, Slot, WorkloadKind};

/// Limits of the family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FamilySettings {
    /// Most consumers with a series of their own.
    pub max_workloads: usize,
    /// Energy below which a consumer has no series.
    pub min_energy: Microjoules,
    /// Seconds that an ended series stays.
    pub keep_gone_s: f64,
}

impl Default for FamilySettings {
    fn default() -> Self {
        Self { max_workloads: 1000, min_energy: Microjoules(1_000_000), keep_gone_s: 300.0 }
    }
}

/// Energy, grams and CPU time of one series, by provenance (attributed, modelled).
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    energy: [u64; 2],
    grams: [f64; 2],
    priced: bool,
    cpu_ns: u64,
    interval: u64,
}

impl Tally {
    fn add(&mut self, provenance: Provenance, energy: u64, grams: Option<f64>) {
        let i = index(provenance);
        self.energy[i] += energy;
        self.interval += energy;
        if let Some(grams) = grams {
            self.grams[i] += grams;
            self.priced = true;
        }
    }

    fn absorb(&mut self, other: &Self) {
        for i in 0..2 {
            self.energy[i] += other.energy[i];
            self.grams[i] += other.grams[i];
        }
        self.priced |= other.priced;
        self.cpu_ns += other.cpu_ns;
    }
}

const PROVENANCES: [Provenance; 2] = [Provenance::Attributed, Provenance::Modelled];

fn index(provenance: Provenance) -> usize {
    usize::from(provenance == Provenance::Modelled)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Folded,
    Exported,
    Demoted(Timestamp),
}

#[derive(Clone, Debug)]
struct Account {
    kind: usize,
    name: Arc<str>,
    cgroup: Option<Arc<str>>,
    quantum_ns: u64,
    state: State,
    tally: Tally,
    /// Energy before the promotion: it stays in `other`.
    before: u64,
    /// Whose the energy of its series is; `None` before the first, mixed where it was not always the same user's.
    owner: Option<Owner>,
    /// Which provenance its energy had last, so that a series that begins at zero does not claim another one.
    provenance: usize,
    /// Energy of the last minute, in six parts.
    recent: [u64; 6],
    /// Ticks in a row in which it exceeded the smallest series by a fifth.
    lead: u8,
    started_at: Timestamp,
    gone_at: Option<Timestamp>,
}

impl Account {
    fn new(consumer: &Consumer, kind: usize, now: Timestamp) -> Self {
        Self {
            kind,
            name: Arc::clone(&consumer.name),
            cgroup: consumer.cgroup.clone(),
            quantum_ns: consumer.quantum_ns,
            state: State::Folded,
            tally: Tally::default(),
            before: 0,
            owner: None,
            provenance: 0,
            recent: [0; 6],
            lead: 0,
            started_at: now,
            gone_at: None,
        }
    }

    /// Energy of an owner came to it.
    fn own(&mut self, owner: Owner) {
        self.owner = Some(self.owner.map_or(owner, |before| if before == owner { owner } else { Owner::Mixed }));
    }

    fn minute(&self) -> u64 {
        self.recent.iter().sum()
    }
}

/// One share as the ledger keeps it: under the name of its series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Booking<'a> {
    /// Kind of the series.
    pub kind: WorkloadKind,
    /// Name of the series.
    pub workload: &'a Arc<str>,
    /// Class of the energy.
    pub class: DomainClass,
    /// Attributed or modelled.
    pub provenance: Provenance,
    /// Energy in microjoules.
    pub energy: u64,
    /// Grams, where the interval has an intensity.
    pub grams: Option<f64>,
}

/// The family since the start of the process.
#[derive(Debug)]
pub struct Family {
    settings: FamilySettings,
    accounts: Vec<Option<Account>>,
    ended: Vec<Account>,
    other: [Tally; 4],
    gone: [Tally; 4],
    idle: Tally,
    unattributed: [Tally; DomainClass::ALL.len()],
    exported: usize,
    part: usize,
    part_s: f64,
    since: Timestamp,
    names: (Arc<str>, Arc<str>, Arc<str>),
    classes: [Arc<str>; DomainClass::ALL.len()],
}

impl Family {
    /// An empty family.
    pub fn new(settings: FamilySettings, since: Timestamp) -> Self {
        Self {
            settings,
            accounts: Vec::new(),
            ended: Vec::new(),
            other: [Tally::default(); 4],
            gone: [Tally::default(); 4],
            idle: Tally::default(),
            unattributed: [Tally::default(); DomainClass::ALL.len()],
            exported: 0,
            part: 0,
            part_s: 0.0,
            since,
            names: ("other".into(), "gone".into(), "idle".into()),
            classes: DomainClass::ALL.map(|c| c.name().into()),
        }
    }

    /// Books one closed interval that ended at `now`; `book` hears of every share under the name of its series.
    pub fn close(
        &mut self,
        closed: &Closed,
        consumers: &Consumers,
        intensity: Option<GramsPerKwh>,
        now: Timestamp,
        mut book: impl FnMut(Booking<'_>),
    ) {
        let price = |energy: u64| intensity.map(|i| energy as f64 / 1e6 / JOULES_PER_KWH * i.value());
        self.start_interval(closed.until.seconds_since(closed.from));
        self.accounts.resize_with(self.accounts.len().max(consumers.capacity()), || None);
        for &(slot, used) in &closed.used {
            if let Some(account) = self.account(slot, consumers, now) {
                let (kind, state) = (account.kind, account.state);
                let tally = if state == State::Exported { &mut account.tally } else { &mut self.other[kind] };
                tally.cpu_ns += used;
            }
        }
        for share in &closed.shares {
            let grams = price(share.energy);
            let part = self.part;
            let Some(account) = self.account(share.slot, consumers, now) else {
                // a share of a slot that nobody knows would be lost: it is nobody's
                self.unattributed[0].add(share.provenance, share.energy, grams);
                continue;
            };
            account.recent[part] += share.energy;
            account.provenance = index(share.provenance);
            let (kind, exported) = (account.kind, account.state == State::Exported);
            if exported {
                account.own(consumers.get(share.slot).map_or(Owner::Unknown, |c| c.owner));
                account.tally.add(share.provenance, share.energy, grams);
            } else {
                account.before += share.energy;
                self.other[kind].add(share.provenance, share.energy, grams);
            }
            let workload = if exported {
                self.accounts[share.slot.index()].as_ref().map_or(&self.names.0, |a| &a.name)
            } else {
                &self.names.0
            };
            let kind = WorkloadKind::CONSUMERS[kind];
            book(Booking { kind, workload, class: share.class, provenance: share.provenance, energy: share.energy, grams });
        }
        for left in &closed.leftovers {
            let (class, provenance) = (left.class, left.provenance);
            if left.rest.idle > 0 {
                let grams = price(left.rest.idle);
                self.idle.add(provenance, left.rest.idle, grams);
                book(Booking {
                    kind: WorkloadKind::Idle,
                    workload: &self.names.2,
                    class,
                    provenance,
                    energy: left.rest.idle,
                    grams,
                });
            }
            if left.rest.unattributed > 0 {
                let grams = price(left.rest.unattributed);
                let place = if class.by_cpu_time() { DomainClass::Cpu } else { class };
                self.unattributed[place.index()].add(provenance, left.rest.unattributed, grams);
                let (kind, workload) = (WorkloadKind::Unattributed, &self.classes[place.index()]);
                book(Booking { kind, workload, class, provenance, energy: left.rest.unattributed, grams });
            }
        }
        self.promote(now);
        self.remove_old(now);
    }

    /// A consumer ended and nothing of it is open: its series stands still from here on.
    pub fn retire(&mut self, slot: Slot, now: Timestamp) {
        let Some(mut account) = self.accounts.get_mut(slot.index()).and_then(Option::take) else { return };
        if account.state == State::Exported {
            self.exported -= 1;
        }
        // a series that never had anything (it was promoted as it ended) is not worth keeping
        if account.state != State::Folded && account.tally.energy != [0; 2] {
            account.gone_at = Some(now);
            self.ended.push(account);
        }
    }

    /// Consumers with a series, and those folded into `other`.
    pub fn series(&self) -> (usize, usize) {
        (self.exported, self.accounts.iter().flatten().filter(|a| a.state == State::Folded).count())
    }

    /// Writes every series; `relative` is the host's relative half width, `seconds` the length of the last interval.
    pub fn write(&self, rows: &mut Vec<WorkloadRow>, relative: f64, seconds: f64) {
        let mut push = |kind, name: &Arc<str>, account: Option<&Account>, tally: &Tally| {
            for (i, provenance) in PROVENANCES.into_iter().enumerate() {
                let begins = account.is_some_and(|a| a.provenance == i && tally.energy == [0; 2]);
                if tally.energy[i] == 0 && !begins {
                    continue;
                }
                let energy = Microjoules(tally.energy[i]);
                let cpu_s = tally.cpu_ns as f64 / 1e9;
                // one step of the clock at each end of a life, at the mean joules of a CPU second
                let ends = account.map_or(0.0, |a| 2.0 * a.quantum_ns as f64 / 1e9).min(cpu_s);
                let step = if cpu_s > 0.0 { energy.joules().value() * ends / cpu_s } else { 0.0 };
                rows.push(WorkloadRow {
                    kind,
                    workload: Arc::clone(name),
                    cgroup: account.and_then(|a| a.cgroup.clone()),
                    uid: account.and_then(|a| a.owner?.uid()),
                    provenance,
                    energy,
                    carbon_g: tally.priced.then_some(tally.grams[i]),
                    power_w: if seconds > 0.0 { tally.interval as f64 / 1e6 / seconds } else { 0.0 },
                    cpu_s,
                    uncertainty_j: relative * energy.joules().value() + step,
                    started_at: account.map_or(self.since, |a| a.started_at),
                    gone_at: account.and_then(|a| a.gone_at),
                });
            }
        };
        for account in self.accounts.iter().flatten().filter(|a| a.state != State::Folded).chain(&self.ended) {
            push(WorkloadKind::CONSUMERS[account.kind], &account.name, Some(account), &account.tally);
        }
        for (i, kind) in WorkloadKind::CONSUMERS.into_iter().enumerate() {
            push(kind, &self.names.0, None, &self.other[i]);
            push(kind, &self.names.1, None, &self.gone[i]);
        }
        push(WorkloadKind::Idle, &self.names.2, None, &self.idle);
        for (class, tally) in self.classes.iter().zip(&self.unattributed) {
            push(WorkloadKind::Unattributed, class, None, tally);
        }
    }

    fn account(&mut self, slot: Slot, consumers: &Consumers, now: Timestamp) -> Option<&mut Account> {
        let place = self.accounts.get_mut(slot.index())?;
        if place.is_none() {
            let consumer = consumers.get(slot)?;
            *place = Some(Account::new(consumer, consumer.kind.consumer_index()?, now));
        }
        place.as_mut()
    }

    fn start_interval(&mut self, seconds: f64) {
        self.part_s += seconds;
        let next_part = self.part_s >= 10.0;
        if next_part {
            self.part_s = 0.0;
            self.part = (self.part + 1) % 6;
        }
        for account in self.accounts.iter_mut().flatten() {
            account.tally.interval = 0;
            if next_part {
                account.recent[self.part] = 0;
            }
        }
        let folds = self.other.iter_mut().chain(&mut self.gone).chain(&mut self.unattributed);
        for tally in folds.chain([&mut self.idle]).chain(self.ended.iter_mut().map(|a| &mut a.tally)) {
            tally.interval = 0;
        }
    }

    fn promote(&mut self, now: Timestamp) {
        for i in 0..self.accounts.len() {
            let wants = |a: &Account| a.state == State::Folded && a.before >= self.settings.min_energy.0;
            let Some(minute) = self.accounts[i].as_ref().filter(|a| wants(a)).map(Account::minute) else { continue };
            if self.exported >= self.settings.max_workloads {
                let Some((smallest, least)) = self.smallest() else { continue };
                let Some(account) = &mut self.accounts[i] else { continue };
                let ahead = u128::from(minute) * 5 > u128::from(least) * 6;
                account.lead = if ahead { account.lead.saturating_add(1) } else { 0 };
                if account.lead < 3 {
                    continue;
                }
                if let Some(demoted) = &mut self.accounts[smallest] {
                    demoted.state = State::Demoted(now);
                    self.exported -= 1;
                }
            }
            if let Some(account) = &mut self.accounts[i] {
                (account.state, account.lead, account.owner) = (State::Exported, 0, None);
                account.started_at = now;
                self.exported += 1;
            }
        }
    }

    fn smallest(&self) -> Option<(usize, u64)> {
        let exported = self.accounts.iter().enumerate().filter_map(|(i, a)| Some((i, a.as_ref()?)));
        exported.filter(|(_, a)| a.state == State::Exported).map(|(i, a)| (i, a.minute())).min_by_key(|&(_, e)| e)
    }

    fn remove_old(&mut self, now: Timestamp) {
        let (keep, gone) = (self.settings.keep_gone_s, &mut self.gone);
        let is_old = |since: Timestamp| now.duration_since(since).as_secs_f64() >= keep;
        self.ended.retain(|account| {
            let old = account.gone_at.is_some_and(is_old);
            if old {
                gone[account.kind].absorb(&account.tally);
            }
            !old
        });
        for account in self.accounts.iter_mut().flatten() {
            if let State::Demoted(since) = account.state
                && is_old(since)
            {
                gone[account.kind].absorb(&account.tally);
                // if it comes back it starts at zero again
                (account.tally, account.before, account.state) = (Tally::default(), 0, State::Folded);
            }
        }
    }
}

#[cfg(test)]
#[path = "family_tests.rs"]
mod tests;
