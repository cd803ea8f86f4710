//! Energy of each user since the start, for readers who may see no other's: kept beyond the end of a process and of its series.

use std::collections::BTreeMap;

use crate::closed::Closed;
use crate::domain::Provenance;
use crate::snapshot::{UserRow, WorkloadRow};
use crate::units::{GramsPerKwh, JOULES_PER_KWH, Microjoules};
use crate::usage::{Consumers, Slot};

/// Most users that are told apart; a user who can make processes of many others must not make the book grow without end.
const MOST: usize = 4096;
const PROVENANCES: [Provenance; 2] = [Provenance::Attributed, Provenance::Modelled];

/// What each user has used. Energy of a consumer of several users is in none of it.
#[derive(Clone, Debug, Default)]
pub struct Users {
    totals: BTreeMap<u32, Total>,
}

/// By provenance: attributed, modelled.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    energy: [u64; 2],
    grams: [f64; 2],
    interval: [u64; 2],
    priced: bool,
    cpu_ns: u64,
}

impl Users {
    /// Books one closed interval under the users whom consumers belong to now.
    pub fn close(&mut self, closed: &Closed, consumers: &Consumers, intensity: Option<GramsPerKwh>) {
        for total in self.totals.values_mut() {
            total.interval = [0; 2];
        }
        for share in &closed.shares {
            let Some(total) = self.total(share.slot, consumers) else { continue };
            let i = usize::from(share.provenance == Provenance::Modelled);
            total.energy[i] += share.energy;
            total.interval[i] += share.energy;
            if let Some(intensity) = intensity {
                total.grams[i] += share.energy as f64 / 1e6 / JOULES_PER_KWH * intensity.value();
                total.priced = true;
            }
        }
        for &(slot, used) in &closed.used {
            if let Some(total) = self.total(slot, consumers) {
                total.cpu_ns += used;
            }
        }
    }

    /// Writes a row for each user and provenance, by user id; `seconds` is the length of the last interval.
    pub fn write(&self, rows: &mut Vec<UserRow>, seconds: f64) {
        rows.clear();
        for (&uid, total) in &self.totals {
            for (i, provenance) in PROVENANCES.into_iter().enumerate().filter(|&(i, _)| total.energy[i] > 0) {
                rows.push(UserRow {
                    uid,
                    provenance,
                    energy: Microjoules(total.energy[i]),
                    carbon_g: total.priced.then_some(total.grams[i]),
                    power_w: if seconds > 0.0 { total.interval[i] as f64 / 1e6 / seconds } else { 0.0 },
                    cpu_s: total.cpu_ns as f64 / 1e9,
                });
            }
        }
    }

    fn total(&mut self, slot: Slot, consumers: &Consumers) -> Option<&mut Total> {
        let uid = consumers.get(slot)?.owner.uid()?;
        if self.totals.len() >= MOST && !self.totals.contains_key(&uid) {
            return None;
        }
        Some(self.totals.entry(uid).or_default())
    }
}

/// What each user has used beyond the series that are shown as theirs: small consumers, and series that are no more.
///
/// Neither this nor any series of a user ever falls but for a series that moves in here whole, so their sum never does.
pub fn unlisted(users: &[UserRow], workloads: &[WorkloadRow]) -> Vec<UserRow> {
    let mut rest = users.to_vec();
    for row in workloads {
        let Some(uid) = row.uid else { continue };
        let place = rest.binary_search_by_key(&(uid, row.provenance), |r| (r.uid, r.provenance));
        let Some(of) = place.ok().and_then(|i| rest.get_mut(i)) else { continue };
        of.energy = of.energy.saturating_sub(row.energy);
        of.carbon_g = of.carbon_g.map(|grams| (grams - row.carbon_g.unwrap_or(0.0)).max(0.0));
        of.power_w = (of.power_w - row.power_w).max(0.0);
        of.cpu_s = (of.cpu_s - row.cpu_s).max(0.0);
    }
    rest
}

#[cfg(test)]
#[path = "users_tests.rs"]
mod tests;
