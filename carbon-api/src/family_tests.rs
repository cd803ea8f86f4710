//! The partition law, whatever comes and goes.

use proptest::prelude::*;

use super::*;
use crate::attribution::Rest;
use crate::closed::{Leftover, Share};
use crate::stamp::Stamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn interval(second: u64, shares: &[(Slot, u64)], idle: u64) -> Closed {
    let (class, provenance) = (DomainClass::Cpu, Provenance::Attributed);
    Closed {
        from: Stamp::at(second * 1_000_000_000),
        until: Stamp::at((second + 1) * 1_000_000_000),
        shares: shares.iter().map(|&(slot, energy)| Share { slot, class, provenance, energy }).collect(),
        leftovers: vec![Leftover { class, provenance, rest: Rest { idle, unattributed: idle / 3 } }],
        used: shares.iter().map(|&(slot, _)| (slot, 1000)).collect(),
        ..Closed::default()
    }
}

fn process(consumers: &mut Consumers, name: &str) -> Slot {
    consumers.insert(Consumer {
        kind: WorkloadKind::Process,
        name: name.into(),
        cgroup: None,
        owner: Owner::Unknown,
        started_ns: None,
        quantum_ns: 1,
    })
}

fn rows(family: &Family) -> Vec<WorkloadRow> {
    let mut rows = Vec::new();
    family.write(&mut rows, 0.05, 1.0);
    rows
}

fn value(rows: &[WorkloadRow], name: &str) -> Option<u64> {
    rows.iter().find(|r| &*r.workload == name).map(|r| r.energy.0)
}

#[test]
fn a_consumer_is_promoted_at_zero_and_what_it_used_stays_in_other() {
    let (mut consumers, mut family) = (Consumers::default(), Family::new(FamilySettings::default(), at(0)));
    let p = process(&mut consumers, "make:7");
    family.close(&interval(0, &[(p, 1_500_000)], 0), &consumers, None, at(1), |_| {});
    assert_eq!((value(&rows(&family), "make:7"), value(&rows(&family), "other")), (Some(0), Some(1_500_000)));
    family.close(&interval(1, &[(p, 400_000)], 0), &consumers, None, at(2), |_| {});
    assert_eq!((value(&rows(&family), "make:7"), value(&rows(&family), "other")), (Some(400_000), Some(1_500_000)));
}

#[test]
fn a_series_that_begins_at_zero_bears_the_provenance_of_its_energy() {
    let (mut consumers, mut family) = (Consumers::default(), Family::new(FamilySettings::default(), at(0)));
    let p = process(&mut consumers, "make:7");
    let mut closed = interval(0, &[(p, 1_500_000)], 0);
    closed.shares[0].provenance = Provenance::Modelled;
    family.close(&closed, &consumers, None, at(1), |_| {});
    let rows = rows(&family);
    let row = rows.iter().find(|r| &*r.workload == "make:7").unwrap();
    assert_eq!((row.energy.0, row.provenance), (0, Provenance::Modelled));
}

#[test]
fn the_family_sums_to_the_host_after_drops() {
    let settings = FamilySettings { keep_gone_s: 5.0, ..FamilySettings::default() };
    let (mut consumers, mut family) = (Consumers::default(), Family::new(settings, at(0)));
    let p = process(&mut consumers, "make:7");
    for t in 0..2 {
        family.close(&interval(t, &[(p, 2_000_000)], 0), &consumers, None, at(t as i64 + 1), |_| {});
    }
    family.retire(p, at(2));
    consumers.release(p);
    family.close(&interval(2, &[], 0), &consumers, None, at(3), |_| {});
    assert_eq!(value(&rows(&family), "make:7"), Some(2_000_000), "it stands still for a while");
    family.close(&interval(3, &[], 0), &consumers, None, at(8), |_| {});
    let rows = rows(&family);
    assert_eq!((value(&rows, "make:7"), value(&rows, "gone"), value(&rows, "other")), (None, Some(2_000_000), Some(2_000_000)));
}

#[test]
fn a_newcomer_needs_a_fifth_more_for_three_periods() {
    let settings = FamilySettings { max_workloads: 1, ..FamilySettings::default() };
    let (mut consumers, mut family) = (Consumers::default(), Family::new(settings, at(0)));
    let (a, b) = (process(&mut consumers, "a:1"), process(&mut consumers, "b:2"));
    family.close(&interval(0, &[(a, 2_000_000)], 0), &consumers, None, at(1), |_| {});
    for t in 1..4 {
        assert_eq!(value(&rows(&family), "b:2"), None);
        family.close(&interval(t, &[(a, 1), (b, 9_000_000)], 0), &consumers, None, at(t as i64 + 1), |_| {});
    }
    assert_eq!(value(&rows(&family), "b:2"), Some(0));
    assert_eq!(family.series(), (1, 0), "the demoted series stands still and is no longer counted");
}

#[test]
fn grams_follow_each_interval_at_its_own_intensity() {
    let (mut consumers, mut family) =
        (Consumers::default(), Family::new(FamilySettings { min_energy: Microjoules(0), ..FamilySettings::default() }, at(0)));
    let p = process(&mut consumers, "x:1");
    family.close(&interval(0, &[(p, 0)], 0), &consumers, None, at(1), |_| {});
    let kwh = 3_600_000_000_000;
    family.close(&interval(1, &[(p, kwh)], 0), &consumers, Some(GramsPerKwh::new(100.0)), at(2), |_| {});
    family.close(&interval(2, &[(p, kwh)], 0), &consumers, Some(GramsPerKwh::new(300.0)), at(3), |_| {});
    let grams = rows(&family).iter().find(|r| &*r.workload == "x:1").unwrap().carbon_g.unwrap();
    assert!((grams - 400.0).abs() < 1e-9, "{grams}");
}

proptest! {
    #[test]
    fn the_sum_never_falls_when_workloads_churn(
        steps in prop::collection::vec((prop::collection::vec(0_u64..5_000_000, 0..12), 0_u64..9_000_000, 0_u8..6), 1..60),
        cap in 1_usize..6, keep in 0_u32..8,
    ) {
        let settings = FamilySettings { max_workloads: cap, min_energy: Microjoules(1_000_000), keep_gone_s: f64::from(keep) };
        let (mut consumers, mut family) = (Consumers::default(), Family::new(settings, at(0)));
        let mut alive: Vec<(Slot, u32)> = Vec::new();
        let (mut host, mut born, mut booked) = (0_u64, 0_u32, 0_u64);
        let mut last: std::collections::HashMap<(WorkloadKind, String), u64> = std::collections::HashMap::new();
        for (t, (energies, idle, churn)) in steps.into_iter().enumerate() {
            if churn == 0 && !alive.is_empty() {
                let (slot, _) = alive.remove(0);
                family.retire(slot, at(t as i64));
                consumers.release(slot);
            }
            while alive.len() < energies.len() { born += 1; alive.push((process(&mut consumers, &format!("p:{born}")), born)); }
            let shares: Vec<(Slot, u64)> = alive.iter().map(|a| a.0).zip(energies).collect();
            host += shares.iter().map(|s| s.1).sum::<u64>() + idle + idle / 3;
            family.close(&interval(t as u64, &shares, idle), &consumers, None, at(t as i64 + 1), |b| booked += b.energy);
            let rows = rows(&family);
            prop_assert_eq!(rows.iter().map(|r| r.energy.0).sum::<u64>(), host);
            prop_assert_eq!(booked, host);
            prop_assert!(family.series().0 <= cap);
            let mut now = std::collections::HashMap::new();
            for r in &rows { *now.entry((r.kind, r.workload.to_string())).or_insert(0) += r.energy.0; }
            for (key, value) in &last {
                if let Some(next) = now.get(key) { prop_assert!(next >= value || *next == 0, "{key:?} fell from {value} to {next}"); }
            }
            last = now;
        }
    }
}
