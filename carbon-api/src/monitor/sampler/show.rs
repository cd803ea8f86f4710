//! The snapshot that shows what the sampler knows; written into one that nobody reads any more, where there is one.

use std::sync::Arc;

use super::Sampler;
use crate::bank::uncertainty_j;
use crate::counter::GapReason;
use crate::domain::{Provenance, Source};
use crate::snapshot::{DomainRow, HostRow, Snapshot};
use crate::units::Microjoules;

/// What unprivileged readers see at the finest.
const MILLIJOULE: u64 = 1000;

impl Sampler {
    pub(super) fn publish(&mut self) {
        let empty = || Arc::new(Snapshot::empty(self.since.1, self.settings.period.as_secs_f64()));
        let mut next = self.spare.take().unwrap_or_else(empty);
        if Arc::get_mut(&mut next).is_none() {
            next = empty();
        }
        if let Some(snapshot) = Arc::get_mut(&mut next) {
            self.sequence += 1;
            self.fill(snapshot);
        }
        self.spare = Some(self.cell.swap(next));
    }

    fn fill(&mut self, s: &mut Snapshot) {
        s.sequence = self.sequence;
        s.since = self.since.1;
        (s.until_ns, s.until) = (self.until.0.boottime_ns, self.until.1);
        s.ready = self.ready;
        s.interval_s = self.interval_s;
        s.late_ticks = self.late;
        s.idle_policy = self.settings.idle_policy.name();
        s.self_energy = Microjoules((self.own.joules * 1e6) as u64);
        self.fill_domains(s);
        let host_j = s.host_energy().joules().value();
        let relative = if host_j > 0.0 { s.uncertainty_j / host_j } else { 0.0 };
        s.workloads.clear();
        self.family.write(&mut s.workloads, relative, self.interval_s);
        self.users.write(&mut s.users, self.interval_s);
        s.series = self.family.series();
        self.fill_coarse(s);
        self.fill_carbon(s);
        // code that runs once a second is never in a cache: what has not changed is not looked at
        if s.revisions.0 != self.faults.revision {
            s.revisions.0 = self.faults.revision;
            s.errors.clone_from(&self.faults.errors);
            s.gap_seconds.clone_from(&self.faults.gap_seconds);
            s.resets.clone_from(&self.faults.resets);
            s.gaps.clone_from(&self.faults.gaps);
        }
        #[cfg(feature = "ledger")]
        {
            s.recorded = self.parts.ledger.as_ref().map(|w| w.state(|state| state.recorded));
        }
        self.fill_warnings(s);
    }

    fn fill_domains(&self, s: &mut Snapshot) {
        let cover = self.intervals.cover();
        s.host.clear();
        s.domains.truncate(self.infos.len());
        let (mut uncertainty, mut metered, mut seconds) = (0.0, 0.0, 0.0);
        for (i, (info, state)) in self.infos.iter().zip(&self.domains).enumerate() {
            let energy_j = state.closed as f64 / 1e6;
            let window_s = state.since.map_or(0.0, |since| self.until.0.seconds_since(since));
            let mean_w = if window_s > 0.0 { energy_j / window_s } else { 0.0 };
            let uncertainty_j = uncertainty_j(info, energy_j, mean_w) + state.ambiguous as f64 / 1e6;
            let in_host = cover.contains(&i);
            let consumes = self.leaves.contains(&i) || (state.since.is_none() && state.host > 0 && info.kind.consumes());
            // what was never read has no energy, not even 0
            let leaf = consumes && state.last_good.is_some();
            let (energy, power_w, lower_bound) = (Microjoules(state.closed), state.power_w, state.ambiguous > 0);
            // written over where it is the same domain: the count of its owners stays a cache line that is not touched
            if let Some(row) = s.domains.get_mut(i).filter(|row| Arc::ptr_eq(&row.info, info)) {
                (row.energy, row.power_w, row.uncertainty_j) = (energy, power_w, uncertainty_j);
                (row.in_host, row.leaf, row.lower_bound) = (in_host, leaf, lower_bound);
            } else {
                s.domains.truncate(i);
                s.domains.push(DomainRow { info: Arc::clone(info), energy, uncertainty_j, power_w, in_host, leaf, lower_bound });
            }
            if in_host {
                metered += state.metered_s.min(window_s);
                seconds += window_s;
            }
            if in_host || state.host > 0 {
                uncertainty += uncertainty_j;
                let (method, provenance) = (info.source, info.provenance());
                match s.host.iter_mut().find(|r| r.method == method && r.provenance == provenance) {
                    Some(row) => row.energy += Microjoules(state.host),
                    None => {
                        s.host.push(HostRow { method, provenance, energy: Microjoules(state.host), coarse: Microjoules::ZERO });
                    }
                }
            }
        }
        s.uncertainty_j = uncertainty;
        s.coverage = if seconds > 0.0 { (metered / seconds).min(1.0) } else { 1.0 };
    }

    /// The coarse host is the sum of the coarse family; what it rose by goes to the rows that lag most behind their own energy.
    fn fill_coarse(&mut self, s: &mut Snapshot) {
        for row in &s.host {
            if self.coarse.iter().all(|(method, provenance, _)| (*method, *provenance) != (row.method, row.provenance)) {
                self.coarse.push((row.method, row.provenance, 0));
            }
        }
        let family: u64 = s.workloads.iter().map(|r| r.energy.coarse().0).sum();
        let mut rise = family.saturating_sub(self.coarse.iter().map(|(.., so_far)| so_far).sum());
        for (method, provenance, so_far) in &mut self.coarse {
            let Some(row) = s.host.iter_mut().find(|r| (r.method, r.provenance) == (*method, *provenance)) else { continue };
            // whole millijoules only: what is left of one row's energy would tell the rest of it
            let part = rise.min(row.energy.0.saturating_sub(*so_far)) / MILLIJOULE * MILLIJOULE;
            *so_far += part;
            rise -= part;
            row.coarse = Microjoules(*so_far);
        }
        // rows that lag by parts of a millijoule can lag by a whole one together
        while rise >= MILLIJOULE {
            let lag = |r: &&mut HostRow| i128::from(r.energy.0) - i128::from(r.coarse.0);
            let Some(row) = s.host.iter_mut().max_by_key(lag) else { break };
            let of_row =
                |(method, provenance, _): &&mut (Source, Provenance, u64)| (*method, *provenance) == (row.method, row.provenance);
            let Some((.., so_far)) = self.coarse.iter_mut().find(of_row) else { break };
            *so_far += MILLIJOULE;
            row.coarse = Microjoules(*so_far);
            rise -= MILLIJOULE;
        }
    }

    fn fill_carbon(&self, s: &mut Snapshot) {
        let seconds = self.until.0.seconds_since(self.since.0);
        if s.revisions.1 != self.intensity_changes {
            s.revisions.1 = self.intensity_changes;
            s.intensity.clone_from(&self.intensity);
            if let Some(intensity) = &self.intensity {
                (s.carbon.zone, s.carbon.kind) = (Arc::clone(&intensity.zone), intensity.kind.name());
            }
        }
        s.carbon.operational_g = self.operational_g;
        s.carbon.embodied_g = self.parts.embodied.map(|m| m.share(seconds, 1.0).value());
        s.carbon.unpriced = Microjoules(self.unpriced);
    }

    fn fill_warnings(&self, s: &mut Snapshot) {
        s.warnings.clear();
        let period_ns = u64::try_from(self.settings.period.as_nanos()).unwrap_or(u64::MAX);
        for (i, (info, state)) in self.infos.iter().zip(&self.domains).enumerate() {
            if let Some(since) = state.failing {
                let seconds = self.last_tick.map_or(0.0, |at| at.seconds_since(since));
                s.warnings
                    .push(format!("{} of {} has not been readable for {seconds:.0} s", info.name, info.source.name()).into());
            } else if state.since.is_some()
                && self.parts.bank.counter(i).unchanged_for() > period_ns.max((info.update_s * 1e9) as u64).saturating_mul(3)
            {
                let seconds = self.parts.bank.counter(i).unchanged_for() as f64 / 1e9;
                s.warnings.push(format!("{} of {} has not moved for {seconds:.0} s", info.name, info.source.name()).into());
            }
        }
        for (info, _) in self.infos.iter().zip(&self.domains).filter(|(_, state)| state.ambiguous > 0) {
            let name = &info.name;
            s.warnings.push(
                format!("ambiguous_wrap: more than one wrap may lie between two readings of {name}: its energy is a lower bound")
                    .into(),
            );
        }
        for row in self.faults.gap_seconds.iter().filter(|r| r.reason == GapReason::Implausible.name()) {
            let (domain, seconds) = (&row.domain, row.amount);
            s.warnings
                .push(format!("implausible_power: {domain} rose by more than it can draw; {seconds:.0} s are missing").into());
        }
        if self.platform.implausible {
            let mend = "set host_cover = \"packages\" in [meter]";
            s.warnings.push(format!("psys_implausible: psys read less than its packages over the last minute; {mend}").into());
        }
        self.parts.bank.warnings(&mut s.warnings);
        #[cfg(feature = "ledger")]
        if let Some(error) = self.parts.ledger.as_ref().and_then(|w| w.state(|state| state.last_error.clone())) {
            s.warnings.push(error);
        }
    }
}
