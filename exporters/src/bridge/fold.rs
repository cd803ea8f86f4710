//! The largest workloads by name, the rest as `other`, without ever losing a joule or letting a series fall.
//!
//! The rules are those of the full family: a workload that gets a series starts it at 0 (what it used before stays in `other`);
//! one that loses its series leaves the series' total in `gone`, which jumps; `other` never jumps.

use std::collections::HashMap;
use std::sync::Arc;

use carbon_api::domain::Provenance;
use carbon_api::snapshot::{Snapshot, WorkloadRow};
use carbon_api::units::Microjoules;
use carbon_api::usage::WorkloadKind;
use jiff::Timestamp;

use crate::View;

const OTHER: &str = "other";
const GONE: &str = "gone";

/// One series of the folded family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) kind: WorkloadKind,
    pub(super) workload: Arc<str>,
    pub(super) provenance: Provenance,
    pub(super) energy: Microjoules,
}

/// Folds one snapshot after another.
#[derive(Debug)]
pub(super) struct Fold {
    top: usize,
    pass: u64,
    tracks: HashMap<Key, Track>,
    groups: HashMap<Group, Totals>,
}

type Group = (WorkloadKind, Provenance);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    group: Group,
    workload: Arc<str>,
    /// A workload that returns under its old name is another one.
    started_at: Timestamp,
}

/// What is remembered of one row.
#[derive(Clone, Copy, Debug)]
struct Track {
    pass: u64,
    energy: u64,
    /// Where it has a series: what it had used when it got it.
    own_from: Option<u64>,
}

/// What is remembered of one kind and provenance, in microjoules.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    /// Everything, in this pass.
    all: u64,
    /// What series of their own show, in this pass.
    own: u64,
    /// What grew without a series of its own, ever.
    other: u64,
}

impl Fold {
    pub(super) fn new(top: usize) -> Self {
        Self { top, pass: 0, tracks: HashMap::new(), groups: HashMap::new() }
    }

    /// The family of one snapshot; its sum is that of the snapshot's own family.
    pub(super) fn update(&mut self, snapshot: &Snapshot, view: View) -> Vec<Folded> {
        self.pass += 1;
        for totals in self.groups.values_mut() {
            (totals.all, totals.own) = (0, 0);
        }
        let mut folded = Vec::new();
        for row in &snapshot.workloads {
            let energy = view.energy(row.energy);
            if row.kind.consumer_index().is_some() {
                self.note(row, energy.0);
            } else {
                folded.push(Folded { kind: row.kind, workload: Arc::clone(&row.workload), provenance: row.provenance, energy });
            }
        }
        let pass = self.pass;
        self.tracks.retain(|_, track| track.pass == pass);
        self.choose();
        self.show(&mut folded);
        folded
    }

    /// Takes the growth of one consumer's row.
    fn note(&mut self, row: &WorkloadRow, energy: u64) {
        let group = (row.kind, row.provenance);
        let totals = self.groups.entry(group).or_default();
        totals.all += energy;
        if &*row.workload == GONE {
            return;
        }
        let key = Key { group, workload: Arc::clone(&row.workload), started_at: row.started_at };
        // in the first pass everyone may still get a series from its very beginning
        let fresh = Track { pass: 0, energy: 0, own_from: (self.pass == 1 && is_named(&row.workload)).then_some(0) };
        let track = self.tracks.entry(key).or_insert(fresh);
        if track.own_from.is_none() {
            totals.other += energy.saturating_sub(track.energy);
        }
        track.energy = energy.max(track.energy);
        track.pass = self.pass;
    }

    /// Decides who has a series: who had one, then the largest; a newcomer must exceed the smallest holder by a fifth.
    fn choose(&mut self) {
        let mut holders: Vec<(u64, Key)> = Vec::new();
        let mut others: Vec<(u64, Key)> = Vec::new();
        for (key, track) in self.tracks.iter().filter(|(key, _)| is_named(&key.workload)) {
            let place = if track.own_from.is_some() { &mut holders } else { &mut others };
            place.push((track.energy, key.clone()));
        }
        let by_size = |a: &(u64, Key), b: &(u64, Key)| b.0.cmp(&a.0).then_with(|| a.1.workload.cmp(&b.1.workload));
        holders.sort_by(by_size);
        others.sort_by(by_size);
        for (energy, key) in holders.split_off(holders.len().min(self.top)) {
            self.withdraw(&key, energy);
        }
        for (energy, key) in others {
            if holders.len() >= self.top {
                match holders.last() {
                    Some(smallest) if energy / 6 > smallest.0 / 5 => {
                        let (energy, key) = smallest.clone();
                        holders.pop();
                        self.withdraw(&key, energy);
                    }
                    _ => break,
                }
            }
            if let Some(track) = self.tracks.get_mut(&key) {
                track.own_from = Some(energy);
            }
            let at = holders.partition_point(|h| h.0 >= energy);
            holders.insert(at, (energy, key));
        }
    }

    /// Ends a series. In the first pass nobody has seen it yet, so its energy is `other`, not `gone`.
    fn withdraw(&mut self, key: &Key, energy: u64) {
        if let Some(track) = self.tracks.get_mut(key) {
            track.own_from = None;
        }
        if self.pass == 1
            && let Some(totals) = self.groups.get_mut(&key.group)
        {
            totals.other += energy;
        }
    }

    fn show(&mut self, folded: &mut Vec<Folded>) {
        let row = |(kind, provenance): Group, workload: Arc<str>, energy| Folded {
            kind,
            workload,
            provenance,
            energy: Microjoules(energy),
        };
        for (key, track) in &self.tracks {
            if let Some(from) = track.own_from {
                let energy = track.energy - from;
                if let Some(totals) = self.groups.get_mut(&key.group) {
                    totals.own += energy;
                }
                folded.push(row(key.group, Arc::clone(&key.workload), energy));
            }
        }
        for (&group, totals) in &self.groups {
            let gone = totals.all.saturating_sub(totals.own + totals.other);
            folded.push(row(group, OTHER.into(), totals.other));
            folded.push(row(group, GONE.into(), gone));
        }
    }
}

fn is_named(workload: &str) -> bool {
    workload != OTHER && workload != GONE
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(workload: &str, energy: u64, born: i64) -> WorkloadRow {
        WorkloadRow {
            kind: WorkloadKind::Process,
            workload: workload.into(),
            cgroup: None,
            uid: None,
            provenance: Provenance::Attributed,
            energy: Microjoules(energy),
            carbon_g: None,
            power_w: 0.0,
            cpu_s: 0.0,
            uncertainty_j: 0.0,
            started_at: Timestamp::from_second(born).unwrap(),
            gone_at: None,
        }
    }

    fn snapshot(workloads: Vec<WorkloadRow>) -> Snapshot {
        Snapshot { workloads, ..Snapshot::empty(Timestamp::UNIX_EPOCH, 1.0) }
    }

    fn shown(fold: &mut Fold, workloads: Vec<WorkloadRow>) -> BTreeMap<String, u64> {
        let rows = fold.update(&snapshot(workloads), View::Fine);
        rows.into_iter().map(|r| (r.workload.to_string(), r.energy.0)).collect()
    }

    #[test]
    fn the_largest_have_a_name_and_the_rest_is_other() {
        let mut fold = Fold::new(2);
        let seen = shown(&mut fold, vec![row("a", 5, 0), row("b", 50, 0), row("c", 500, 0), row("other", 7, 0)]);
        assert_eq!(seen["c"], 500);
        assert_eq!(seen["b"], 50);
        assert_eq!(seen["other"], 12);
        assert_eq!(seen["gone"], 0);
        assert!(!seen.contains_key("a"));
    }

    #[test]
    fn a_promoted_workload_starts_at_zero_and_what_it_used_stays_in_other() {
        let mut fold = Fold::new(1);
        shown(&mut fold, vec![row("a", 100, 0), row("b", 10, 0)]);
        let seen = shown(&mut fold, vec![row("a", 110, 0), row("b", 1_000, 0)]);
        assert_eq!(seen["b"], 0);
        assert_eq!(seen["other"], 1_000);
        assert_eq!(seen["gone"], 110, "the series of a ended");
        let seen = shown(&mut fold, vec![row("a", 111, 0), row("b", 1_500, 0)]);
        assert_eq!((seen["b"], seen["other"], seen["gone"]), (500, 1_001, 110));
    }

    #[test]
    fn near_equals_do_not_take_turns() {
        let mut fold = Fold::new(1);
        shown(&mut fold, vec![row("a", 100, 0), row("b", 99, 0)]);
        let seen = shown(&mut fold, vec![row("a", 101, 0), row("b", 115, 0)]);
        assert!(seen.contains_key("a") && !seen.contains_key("b"));
    }

    #[test]
    fn a_returning_workload_starts_at_zero() {
        let mut fold = Fold::new(1);
        shown(&mut fold, vec![row("a", 100, 0)]);
        let seen = shown(&mut fold, vec![row("gone", 100, 0), row("a", 30, 9)]);
        assert_eq!((seen["a"], seen["other"], seen["gone"]), (0, 30, 100));
    }

    /// Workloads that grow, end and return, at random.
    #[derive(Clone, Debug)]
    enum Event {
        Grow(usize, u64),
        End(usize),
    }

    fn events() -> impl Strategy<Value = Vec<Vec<Event>>> {
        let event = prop_oneof![
            4 => (0..6_usize, 0..10_000_u64).prop_map(|(who, energy)| Event::Grow(who, energy)),
            1 => (0..6_usize).prop_map(Event::End),
        ];
        prop::collection::vec(prop::collection::vec(event, 0..8), 1..40)
    }

    proptest! {
        #[test]
        fn the_sum_is_kept_and_no_series_falls(ticks in events(), top in 0..4_usize, coarse in any::<bool>()) {
            let view = if coarse { View::Coarse } else { View::Fine };
            let mut fold = Fold::new(top);
            let mut live: BTreeMap<usize, (u64, i64)> = BTreeMap::new();
            let mut gone = 0;
            let mut before: BTreeMap<String, u64> = BTreeMap::new();
            for (tick, events) in ticks.into_iter().enumerate() {
                for event in events {
                    match event {
                        Event::Grow(who, energy) => live.entry(who).or_insert((0, i64::try_from(tick).unwrap())).0 += energy,
                        Event::End(who) => gone += live.remove(&who).map_or(0, |(energy, _)| energy),
                    }
                }
                let mut rows: Vec<WorkloadRow> =
                    live.iter().map(|(who, &(energy, born))| row(&format!("w{who}"), energy, born)).collect();
                rows.push(row("gone", gone, 0));
                let sum: u64 = rows.iter().map(|r| view.energy(r.energy).0).sum();
                let folded = fold.update(&snapshot(rows), view);
                prop_assert_eq!(folded.iter().map(|r| r.energy.0).sum::<u64>(), sum);
                prop_assert!(folded.iter().filter(|r| is_named(&r.workload)).count() <= top);
                let now: BTreeMap<String, u64> = folded
                    .iter()
                    .map(|r| {
                        let born = r.workload.strip_prefix('w').map(|who| live[&who.parse().unwrap()].1);
                        (format!("{} {born:?}", r.workload), r.energy.0)
                    })
                    .collect();
                for (series, energy) in &now {
                    prop_assert!(before.get(series).is_none_or(|old| old <= energy), "{series} fell");
                }
                before = now;
            }
        }
    }
}
