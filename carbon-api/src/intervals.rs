//! Closes intervals: aligns usage with the meters, shares each domain's energy out, and keeps what a failing meter leaves open.
//!
//! A tick reads usage first and the meters right after. The CPU time of a consumer at the meters' instant lies between two
//! usage samples, so interval *k* closes when sample *k + 1* is there: one tick of delay, and never an extrapolation.

use crate::attribution::{HostTime, IdlePolicy, Rest, Splitter};
use crate::closed::{Closed, Leftover, Reading, Share};
use crate::cover::leaves;
use crate::domain::{DomainClass, DomainInfo, Provenance, contains};
use crate::stamp::Stamp;
use crate::usage::{Consumers, HostRow, Slot, UsagePass};

/// How many ticks the usage of a failing domain is kept; beyond it the energy is unattributed.
pub const MAX_OPEN_TICKS: u32 = 60;

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The last usage sample: when, and how much.
    sample: Option<(u64, u64)>,
    /// CPU time at the last meter instant.
    edge: u64,
    /// CPU time over all closed intervals; goes on where the slot's clock is read anew.
    total: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct HostState {
    sample: Option<HostRow>,
    busy_edge: u64,
    steal_edge: u64,
    busy: u64,
    capacity: u64,
}

/// The meters' last instant, and the one before where an interval lies between them; boot time, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Edge {
    at_ns: u64,
    before_ns: Option<u64>,
}

/// Usage at the last good reading of a domain that fails.
#[derive(Clone, Debug)]
struct Base {
    totals: Vec<u64>,
    busy: u64,
    capacity: u64,
    ticks: u32,
}

#[derive(Debug)]
struct Pending {
    class: DomainClass,
    provenance: Provenance,
    energy: u64,
    base: Option<Base>,
}

/// The engine: one for a machine.
#[derive(Debug)]
pub struct Intervals {
    policy: IdlePolicy,
    period_ns: u64,
    domains: Vec<(DomainClass, Provenance)>,
    cover: Vec<usize>,
    /// Members of the cover that are a supply side, each with the consuming domains that it holds.
    supplies: Vec<(usize, Vec<usize>)>,
    states: Vec<State>,
    host: HostState,
    bases: Vec<Option<Base>>,
    pending: Vec<Pending>,
    open: Option<(Stamp, Stamp)>,
    last_at: Option<Stamp>,
    closed: Closed,
    members: Vec<u64>,
    gone: Vec<Slot>,
    finished: Vec<Slot>,
    splitter: Splitter,
    weights: Vec<u64>,
    late: Vec<u64>,
    shares: Vec<u64>,
}

impl Intervals {
    /// An engine for these domains, of which `cover` makes the host; it never changes while the engine runs.
    pub fn new(domains: &[DomainInfo], cover: Vec<usize>, policy: IdlePolicy, period_ns: u64) -> Self {
        let leaves = leaves(domains, &cover);
        let is_supply = |i: &usize| domains[*i].kind.class() == DomainClass::Platform;
        let held = |p: usize| (p, leaves.iter().copied().filter(|&i| contains(domains, p, i)).collect());
        let supplies = cover.iter().copied().filter(is_supply).map(held).collect();
        Self {
            policy,
            period_ns,
            domains: domains.iter().map(|d| (d.kind.class(), d.provenance().of_share())).collect(),
            cover,
            supplies,
            states: Vec::new(),
            host: HostState::default(),
            bases: vec![None; domains.len()],
            pending: Vec::new(),
            open: None,
            last_at: None,
            closed: Closed::default(),
            members: Vec::new(),
            gone: Vec::new(),
            finished: Vec::new(),
            splitter: Splitter::default(),
            weights: Vec::new(),
            late: Vec::new(),
            shares: Vec::new(),
        }
    }

    /// Takes other meters from here on; the open interval has to be closed before, or its energy would be nobody's. Consumers
    /// and their CPU time go on.
    pub fn rewire(&mut self, domains: &[DomainInfo], cover: Vec<usize>) {
        let fresh = Self::new(domains, cover, self.policy, self.period_ns);
        (self.domains, self.cover, self.supplies, self.bases) = (fresh.domains, fresh.cover, fresh.supplies, fresh.bases);
        self.pending.clear();
    }

    /// Indices of the domains whose sum is the host.
    pub fn cover(&self) -> &[usize] {
        &self.cover
    }

    /// Takes one usage sample; closes the open interval and returns it.
    pub fn usage(&mut self, consumers: &Consumers, pass: &UsagePass) -> Option<&Closed> {
        if self.states.len() < consumers.capacity() {
            self.states.resize(consumers.capacity(), State::default());
        }
        let open = self.open.take();
        // the meters' last instant: usage up to it belongs to the open interval, usage after it to the next one
        let edge = self.last_at.map(|at| Edge { at_ns: at.boottime_ns, before_ns: open.map(|(from, _)| from.boottime_ns) });
        self.closed.used.clear();
        for row in &pass.rows {
            self.take_row(consumers, row.slot, row.at_ns, row.cpu_ns, edge);
        }
        for &slot in &pass.gone {
            // it ended between two samples: what it used after the last one is nobody's
            if let Some(state) = self.states.get_mut(slot.index())
                && let Some((_, last)) = state.sample.take()
            {
                let used = last.saturating_sub(state.edge);
                state.edge = last;
                if open.is_some() && used > 0 {
                    state.total += used;
                    self.closed.used.push((slot, used));
                }
            }
            self.gone.push(slot);
        }
        let (host, aligned) = self.take_host(pass.host, edge, open);
        let closed = open.map(|(from, until)| self.close(from, until, host, aligned)).is_some();
        // a slot is given away only when no failing domain may still charge it
        if self.bases.iter().flatten().all(|b| b.ticks > MAX_OPEN_TICKS) {
            for slot in self.gone.drain(..) {
                if let Some(state) = self.states.get_mut(slot.index()) {
                    *state = State::default();
                }
                self.finished.push(slot);
            }
        }
        closed.then_some(&self.closed)
    }

    /// Slots of which nothing is open any more; the caller frees them.
    pub fn take_finished(&mut self) -> std::vec::Drain<'_, Slot> {
        self.finished.drain(..)
    }

    /// Takes one reading of every domain, right after a usage sample.
    pub fn meters(&mut self, at: Stamp, readings: &[Reading]) {
        self.members.clear();
        let from = self.last_at.replace(at);
        for (i, reading) in readings.iter().enumerate().take(self.bases.len()) {
            match reading {
                Reading::Missing => self.keep_base(i),
                Reading::Restart => self.bases[i] = None,
                Reading::Energy(_) => {}
            }
        }
        let energy = |i: usize| match readings.get(i) {
            Some(Reading::Energy(e)) => *e,
            _ => 0,
        };
        for place in 0..self.cover.len() {
            let i = self.cover[place];
            self.members.push(energy(i));
            if self.supplies.iter().all(|(supply, _)| *supply != i) {
                self.add_pending(i, energy(i));
            }
        }
        let supplies = std::mem::take(&mut self.supplies);
        for (supply, inner) in &supplies {
            // CPU time explains what the packages and memory inside drew; the rest of the platform is nobody's
            let mut left = energy(*supply);
            for &i in inner {
                let part = energy(i).min(left);
                left -= part;
                self.add_pending(i, part);
            }
            self.bases[*supply] = None;
            self.add_pending(*supply, left);
        }
        self.supplies = supplies;
        match from {
            Some(from) => self.open = Some((from, at)),
            // before the first instant there is no interval that an energy could belong to
            None => self.pending.clear(),
        }
    }

    fn keep_base(&mut self, domain: usize) {
        match &mut self.bases[domain] {
            Some(base) => {
                base.ticks += 1;
                if base.ticks > MAX_OPEN_TICKS {
                    base.totals = Vec::new();
                }
            }
            none => {
                let totals = self.states.iter().map(|s| s.total).collect();
                *none = Some(Base { totals, busy: self.host.busy, capacity: self.host.capacity, ticks: 1 });
            }
        }
    }

    fn add_pending(&mut self, domain: usize, energy: u64) {
        let base = if energy > 0 { self.bases[domain].take() } else { None };
        if energy == 0 {
            return;
        }
        let (class, provenance) = self.domains[domain];
        // domains of one class over the same interval are one pool: their weights are the same
        let pool = |p: &&mut Pending| p.base.is_none() && p.class == class && p.provenance == provenance;
        match self.pending.iter_mut().find(pool) {
            Some(pool) if base.is_none() => pool.energy += energy,
            _ => self.pending.push(Pending { class, provenance, energy, base }),
        }
    }

    fn take_row(&mut self, consumers: &Consumers, slot: Slot, at: u64, cpu: u64, edge: Option<Edge>) {
        let Some(state) = self.states.get_mut(slot.index()) else { return };
        let before = match (state.sample, consumers.get(slot).and_then(|c| c.started_ns)) {
            (Some(sample), _) => Some(sample),
            (None, Some(start)) => {
                // found late: what it used before the open interval belongs to intervals that are closed
                let born = (start.min(at), 0);
                state.edge = edge.and_then(|e| e.before_ns).map_or(0, |ns| interpolate(born, (at, cpu), ns));
                Some(born)
            }
            (None, None) => None,
        };
        state.sample = Some((at, cpu));
        let (Some(before), Some(edge)) = (before, edge) else {
            state.edge = cpu;
            return;
        };
        let reached = interpolate(before, (at, cpu), edge.at_ns).max(state.edge);
        let used = reached - state.edge;
        state.edge = reached;
        if edge.before_ns.is_some() && used > 0 {
            state.total += used;
            self.closed.used.push((slot, used));
        }
    }

    /// Host time of the open interval, and whether the samples around its end are near enough to be used.
    fn take_host(&mut self, row: Option<HostRow>, edge: Option<Edge>, open: Option<(Stamp, Stamp)>) -> (HostTime, bool) {
        let Some(row) = row else {
            return (HostTime::default(), false);
        };
        let (Some(before), Some(Edge { at_ns: at, .. })) = (self.host.sample.replace(row), edge) else {
            (self.host.busy_edge, self.host.steal_edge) = (row.busy_ns, row.steal_ns);
            return (HostTime::default(), false);
        };
        let busy = interpolate((before.at_ns, before.busy_ns), (row.at_ns, row.busy_ns), at).max(self.host.busy_edge);
        let steal = interpolate((before.at_ns, before.steal_ns), (row.at_ns, row.steal_ns), at).max(self.host.steal_edge);
        let (busy_ns, stolen) = (busy - self.host.busy_edge, steal - self.host.steal_edge);
        (self.host.busy_edge, self.host.steal_edge) = (busy, steal);
        let Some((from, until)) = open else {
            return (HostTime::default(), false);
        };
        let capacity_ns = (u64::from(row.cpus) * until.since(from)).saturating_sub(stolen);
        self.host.busy += busy_ns;
        self.host.capacity += capacity_ns;
        // samples far apart say nothing about an instant that is near neither of them
        let apart = row.at_ns.saturating_sub(before.at_ns);
        let nearest = at.abs_diff(before.at_ns).min(at.abs_diff(row.at_ns));
        (HostTime { busy_ns, capacity_ns }, apart <= 2 * self.period_ns || nearest <= self.period_ns / 2)
    }

    fn close(&mut self, from: Stamp, until: Stamp, host: HostTime, aligned: bool) {
        let closed = &mut self.closed;
        (closed.from, closed.until, closed.host) = (from, until, host);
        closed.shares.clear();
        closed.leftovers.clear();
        std::mem::swap(&mut closed.members, &mut self.members);
        self.weights.clear();
        self.weights.extend(closed.used.iter().map(|(_, used)| *used));
        for pending in self.pending.drain(..) {
            let Pending { class, provenance, energy, base } = pending;
            let expired = base.as_ref().is_some_and(|b| b.ticks > MAX_OPEN_TICKS);
            let rest = if !class.by_cpu_time() || expired || !aligned {
                Rest { idle: 0, unattributed: energy }
            } else if let Some(base) = base {
                self.late.clear();
                let since = |(i, s): (usize, &State)| s.total - base.totals.get(i).copied().unwrap_or(0).min(s.total);
                self.late.extend(self.states.iter().enumerate().map(since));
                let host = HostTime { busy_ns: self.host.busy - base.busy, capacity_ns: self.host.capacity - base.capacity };
                let rest = self.splitter.attribute(energy, &self.late, host, self.policy, &[], &mut self.shares);
                let slots = (0..self.late.len()).map(|i| Slot(i as u32));
                push_shares(&mut closed.shares, slots, &self.shares, class, provenance);
                rest
            } else {
                let rest = self.splitter.attribute(energy, &self.weights, host, self.policy, &[], &mut self.shares);
                push_shares(&mut closed.shares, closed.used.iter().map(|(slot, _)| *slot), &self.shares, class, provenance);
                rest
            };
            closed.leftovers.push(Leftover { class, provenance, rest });
        }
    }
}

fn push_shares(
    out: &mut Vec<Share>,
    slots: impl Iterator<Item = Slot>,
    energies: &[u64],
    class: DomainClass,
    provenance: Provenance,
) {
    for (slot, &energy) in slots.zip(energies) {
        if energy > 0 {
            out.push(Share { slot, class, provenance, energy });
        }
    }
}

/// CPU time at `at` between two samples, rounded down; the nearer sample outside of them.
fn interpolate((t0, c0): (u64, u64), (t1, c1): (u64, u64), at: u64) -> u64 {
    if at <= t0 || t1 <= t0 {
        return if at >= t1 { c1 } else { c0 };
    }
    if at >= t1 {
        return c1;
    }
    let rise = c1.saturating_sub(c0);
    c0 + (u128::from(rise) * u128::from(at - t0) / u128::from(t1 - t0)) as u64
}

#[cfg(test)]
#[path = "intervals_tests.rs"]
mod tests;
