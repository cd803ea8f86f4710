//! What strangers see: a copy of a snapshot in whole millijoules, in which nothing finer is left.
//!
//! Remainders are carried, never lost: the next copy is floored from the exact figure again. Powers are means over the time
//! since the copy before wherever an interval is shorter than that, or a power would tell the energy of a few milliseconds.

use std::collections::HashMap;
use std::sync::Arc;

use carbon_api::domain::Provenance;
use carbon_api::snapshot::{Snapshot, UserRow, WorkloadRow};
use carbon_api::units::Microjoules;
use carbon_api::usage::WorkloadKind;
use carbon_api::users::unlisted;
use exporters::View;

use super::own;

const VIEW: View = View::Coarse;

/// The copy.
#[derive(Debug)]
pub(super) struct Coarse {
    whole: Arc<Snapshot>,
    /// What each user used beyond the series shown as theirs.
    rests: Vec<UserRow>,
}

impl Coarse {
    /// Copies a snapshot; `interval_s` is the least time since the copy before.
    pub(super) fn of(latest: &Snapshot, before: Option<&Self>, interval_s: f64) -> Self {
        let mut s = latest.clone();
        let mut rests = unlisted(&s.users, &s.workloads);
        s.users = Vec::new();
        for row in &mut s.host {
            row.energy = row.coarse;
        }
        for row in &mut s.domains {
            row.energy = VIEW.energy(row.energy);
            row.uncertainty_j = VIEW.joules(row.uncertainty_j);
        }
        for row in &mut s.workloads {
            row.energy = VIEW.energy(row.energy);
            row.uncertainty_j = VIEW.joules(row.uncertainty_j);
            row.carbon_g = row.carbon_g.map(|g| VIEW.grams(g));
        }
        for row in &mut rests {
            row.energy = VIEW.energy(row.energy);
            row.carbon_g = row.carbon_g.map(|g| VIEW.grams(g));
        }
        s.uncertainty_j = VIEW.joules(s.uncertainty_j);
        s.self_energy = VIEW.energy(s.self_energy);
        s.carbon.operational_g = VIEW.grams(s.carbon.operational_g);
        s.carbon.unpriced = VIEW.energy(s.carbon.unpriced);
        if let Some(recorded) = &mut s.recorded {
            recorded.host_energy = VIEW.energy(recorded.host_energy);
        }
        set_powers(&mut s, &mut rests, before, interval_s);
        Self { whole: Arc::new(s), rests }
    }

    /// The whole host.
    pub(super) fn whole(&self) -> Arc<Snapshot> {
        Arc::clone(&self.whole)
    }

    /// What is one user's.
    pub(super) fn of_user(&self, uid: u32) -> Snapshot {
        own::of(&self.whole, &self.rests, uid)
    }
}

fn set_powers(s: &mut Snapshot, rests: &mut [UserRow], before: Option<&Coarse>, interval_s: f64) {
    let Some(before) = before.filter(|_| s.interval_s < 0.99 * interval_s) else {
        let powers = s.workloads.iter_mut().map(|r| &mut r.power_w).chain(rests.iter_mut().map(|r| &mut r.power_w));
        for power in powers.chain(s.domains.iter_mut().filter_map(|d| d.power_w.as_mut())) {
            *power = milliwatts(*power);
        }
        return;
    };
    let seconds = match before.whole.until_ns {
        0 => s.until.duration_since(s.since).as_secs_f64(),
        earlier => s.until_ns.saturating_sub(earlier) as f64 / 1e9,
    };
    let power = |now: Microjoules, earlier: Option<Microjoules>| {
        // a series that began anew has what it has since
        let risen = now.0.checked_sub(earlier.map_or(0, |e| e.0)).unwrap_or(now.0);
        if seconds > 0.0 { milliwatts(risen as f64 / 1e6 / seconds) } else { 0.0 }
    };
    for (i, row) in s.domains.iter_mut().enumerate() {
        let earlier = before.whole.domains.get(i).map(|d| d.energy);
        row.power_w = row.power_w.map(|_| power(row.energy, earlier));
    }
    let earlier: HashMap<_, _> = before.whole.workloads.iter().map(|r| (series(r), r.energy)).collect();
    for row in &mut s.workloads {
        row.power_w = power(row.energy, earlier.get(&series(row)).copied());
    }
    for row in rests {
        let same = before.rests.iter().find(|r| (r.uid, r.provenance) == (row.uid, row.provenance));
        row.power_w = power(row.energy, same.map(|r| r.energy));
    }
}

fn series(row: &WorkloadRow) -> (WorkloadKind, Arc<str>, Provenance) {
    (row.kind, Arc::clone(&row.workload), row.provenance)
}

/// Milliwatts are as fine as millijoules at one value a second.
fn milliwatts(watts: f64) -> f64 {
    (watts * 1e3).round() / 1e3
}

#[cfg(test)]
#[path = "coarse_tests.rs"]
mod tests;
