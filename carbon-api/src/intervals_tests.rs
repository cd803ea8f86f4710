//! The engine on scripted machines: alignment, late domains, births and deaths, conservation.

use proptest::prelude::*;

use super::*;
use crate::cover::{HostCover, host_cover};
use crate::domain::{DomainKind, test_domain as domain};
use crate::usage::owner::Owner;
use crate::usage::{Consumer, UsageRow, WorkloadKind};

const S: u64 = 1_000_000_000;

struct Bench {
    engine: Intervals,
    consumers: Consumers,
}

impl Bench {
    fn new(domains: &[DomainInfo]) -> Self {
        Self {
            engine: Intervals::new(domains, host_cover(domains, &HostCover::Auto), IdlePolicy::Separate, S),
            consumers: Consumers::default(),
        }
    }

    fn consumer(&mut self, started_ns: Option<u64>) -> Slot {
        let name = "x:1".into();
        self.consumers.insert(Consumer {
            kind: WorkloadKind::Process,
            name,
            cgroup: None,
            owner: Owner::Unknown,
            started_ns,
            quantum_ns: 1,
        })
    }

    fn usage(&mut self, at_ns: u64, busy_ns: u64, rows: &[(Slot, u64)], gone: &[Slot]) -> Option<Closed> {
        let pass = UsagePass {
            host: Some(HostRow { at_ns, busy_ns, steal_ns: 0, cpus: 2, quantum_ns: 1 }),
            rows: rows.iter().map(|&(slot, cpu_ns)| UsageRow { slot, at_ns, cpu_ns }).collect(),
            gone: gone.to_vec(),
            errors: Vec::new(),
        };
        self.engine.usage(&self.consumers, &pass).cloned()
    }

    fn energy(&mut self, at: u64, values: &[Reading]) {
        self.engine.meters(Stamp::at(at), values);
    }
}

fn share_of(closed: &Closed, slot: Slot) -> u64 {
    closed.shares.iter().filter(|s| s.slot == slot).map(|s| s.energy).sum()
}

fn everything(closed: &Closed) -> u64 {
    closed.shares.iter().map(|s| s.energy).sum::<u64>()
        + closed.leftovers.iter().map(|l| l.rest.idle + l.rest.unattributed).sum::<u64>()
}

fn packages() -> Vec<DomainInfo> {
    vec![domain(DomainKind::Package, "package-0", None), domain(DomainKind::Dram, "dram-0", None)]
}

#[test]
fn late_usage_is_interpolated() {
    assert_eq!(interpolate((10 * S, 100), (11 * S, 900), 10 * S + S / 50), 116);
    assert_eq!(interpolate((10, 100), (10, 900), 10), 900);
}

#[test]
fn an_interval_closes_with_the_usage_sample_after_it() {
    let mut b = Bench::new(&packages());
    let (p, q) = (b.consumer(None), b.consumer(None));
    assert!(b.usage(0, 0, &[(p, 7 * S), (q, S)], &[]).is_none());
    b.energy(0, &[Reading::Restart, Reading::Restart]);
    b.usage(10 * S, 8 * S, &[(p, 12 * S), (q, 4 * S)], &[]);
    b.energy(10 * S, &[Reading::Energy(400_000_000), Reading::Energy(0)]);
    let closed = b.usage(20 * S, 8 * S, &[(p, 12 * S), (q, 4 * S)], &[]).unwrap();
    assert_eq!((share_of(&closed, p), share_of(&closed, q)), (100_000_000, 60_000_000));
    assert_eq!(closed.leftovers[0].rest, Rest { idle: 240_000_000, unattributed: 0 });
}

#[test]
fn a_consumer_born_in_the_interval_starts_at_zero() {
    let mut b = Bench::new(&packages());
    b.usage(0, 0, &[], &[]);
    b.energy(0, &[Reading::Restart; 2]);
    b.usage(S, 0, &[], &[]);
    b.energy(S, &[Reading::Energy(0); 2]);
    let born = b.consumer(Some(S + S / 2));
    b.usage(2 * S, S / 2, &[(born, S / 2)], &[]);
    b.energy(2 * S, &[Reading::Energy(40_000_000), Reading::Energy(0)]);
    let closed = b.usage(3 * S, 3 * S / 2, &[(born, 3 * S / 2)], &[]).unwrap();
    assert_eq!(share_of(&closed, born), 10_000_000, "half a second of two processors' two");
}

#[test]
fn the_dead_keep_what_was_seen_and_the_rest_is_nobodys() {
    let mut b = Bench::new(&packages());
    let p = b.consumer(None);
    b.usage(0, 0, &[(p, 0)], &[]);
    b.energy(0, &[Reading::Restart; 2]);
    b.usage(S, S / 2, &[(p, S / 2)], &[]);
    b.energy(S, &[Reading::Energy(20_000_000), Reading::Energy(0)]);
    let closed = b.usage(2 * S, S, &[], &[p]).unwrap();
    assert_eq!((share_of(&closed, p), closed.leftovers[0].rest.unattributed), (5_000_000, 0));
    b.energy(2 * S, &[Reading::Energy(20_000_000), Reading::Energy(0)]);
    let closed = b.usage(3 * S, S, &[], &[]).unwrap();
    assert_eq!(closed.leftovers[0].rest.unattributed, 5_000_000, "half a second that nobody living used");
    assert_eq!(b.engine.take_finished().collect::<Vec<_>>(), [p]);
}

#[test]
fn a_domain_that_fails_for_five_ticks_is_shared_over_the_longer_interval() {
    let mut b = Bench::new(&packages());
    let (early, late) = (b.consumer(None), b.consumer(None));
    let rows = |t: u64| [(early, t.min(3) * S), (late, t.saturating_sub(3) * S)];
    b.usage(0, 0, &rows(0), &[]);
    b.energy(0, &[Reading::Restart; 2]);
    let mut total = 0;
    for t in 1..=6 {
        if let Some(closed) = b.usage(t * S, t * S, &rows(t), &[]) {
            total += everything(&closed);
            assert_eq!(everything(&closed), closed.energy());
        }
        let package = if t < 6 { Reading::Missing } else { Reading::Energy(240_000_000) };
        b.energy(t * S, &[package, Reading::Energy(1_000_000)]);
    }
    let closed = b.usage(7 * S, 6 * S, &rows(6), &[]).unwrap();
    total += everything(&closed);
    assert_eq!(total, 246_000_000, "nothing is missing");
    let package: Vec<u64> = [early, late]
        .iter()
        .map(|&s| closed.shares.iter().filter(|x| x.slot == s && x.class == DomainClass::Cpu).map(|x| x.energy).sum())
        .collect();
    assert_eq!(package, [60_000_000, 60_000_000], "both used three of the six seconds, half of the capacity");
}

#[test]
fn beyond_a_minute_of_failures_the_energy_is_unattributed() {
    let mut b = Bench::new(&packages());
    let p = b.consumer(None);
    b.usage(0, 0, &[(p, 0)], &[]);
    b.energy(0, &[Reading::Restart; 2]);
    for t in 1..=70 {
        b.usage(t * S, t * S, &[(p, t * S)], &[]);
        b.energy(t * S, &[Reading::Missing, Reading::Energy(0)]);
    }
    b.usage(71 * S, 71 * S, &[(p, 71 * S)], &[]);
    b.energy(71 * S, &[Reading::Energy(5_000_000), Reading::Energy(0)]);
    let closed = b.usage(72 * S, 72 * S, &[(p, 72 * S)], &[]).unwrap();
    assert_eq!((share_of(&closed, p), closed.leftovers[0].rest.unattributed), (0, 5_000_000));
}

#[test]
fn psys_beyond_its_packages_is_platform_energy_of_nobody() {
    let mut domains = packages();
    domains.push(domain(DomainKind::Psys, "psys", None));
    let mut b = Bench::new(&domains);
    let p = b.consumer(None);
    b.usage(0, 0, &[(p, 0)], &[]);
    b.energy(0, &[Reading::Restart; 3]);
    b.usage(S, 2 * S, &[(p, 2 * S)], &[]);
    b.energy(S, &[Reading::Energy(30_000_000), Reading::Energy(5_000_000), Reading::Energy(50_000_000)]);
    let closed = b.usage(2 * S, 2 * S, &[(p, 2 * S)], &[]).unwrap();
    assert_eq!((closed.energy(), share_of(&closed, p)), (50_000_000, 35_000_000));
    let platform = closed.leftovers.iter().find(|l| l.class == DomainClass::Platform).unwrap();
    assert_eq!(platform.rest.unattributed, 15_000_000);
    assert_eq!(everything(&closed), 50_000_000);
}

#[test]
fn samples_too_far_apart_attribute_nothing() {
    let mut b = Bench::new(&packages());
    let p = b.consumer(None);
    b.usage(0, 0, &[(p, 0)], &[]);
    b.energy(0, &[Reading::Restart; 2]);
    // the meters were read long after the usage sample, and the next sample came much later still
    b.energy(10 * S, &[Reading::Energy(7), Reading::Energy(0)]);
    let closed = b.usage(20 * S, 20 * S, &[(p, 20 * S)], &[]).unwrap();
    assert_eq!((share_of(&closed, p), closed.leftovers[0].rest.unattributed), (0, 7));
}

proptest! {
    #[test]
    fn every_interval_conserves(
        ticks in prop::collection::vec((0_u64..90_000_000, 0_u8..8, prop::collection::vec(0_u64..S, 0..6), 0_u8..10), 2..40),
        with_psys in any::<bool>(),
    ) {
        let mut domains = packages();
        if with_psys { domains.push(domain(DomainKind::Psys, "psys", None)); }
        let mut b = Bench::new(&domains);
        let mut alive: Vec<(Slot, u64)> = Vec::new();
        let (mut metered, mut booked, mut busy) = (0_u64, 0_u64, 0_u64);
        for (t, (energy, fault, used, churn)) in ticks.iter().enumerate() {
            let now = t as u64 * S;
            for (i, u) in used.iter().enumerate() {
                busy += u;
                if i >= alive.len() { let s = b.consumer(if t == 0 { None } else { Some(now - S / 2) }); alive.push((s, 0)); }
                alive[i].1 += u;
            }
            let gone: Vec<Slot> = if *churn == 0 && !alive.is_empty() { vec![alive.remove(0).0] } else { Vec::new() };
            if let Some(closed) = b.usage(now, busy, &alive.clone(), &gone) {
                prop_assert_eq!(everything(&closed), closed.energy());
                booked += closed.energy();
            }
            let finished: Vec<Slot> = b.engine.take_finished().collect();
            for slot in finished { b.consumers.release(slot); }
            let package = match fault { 0 => Reading::Missing, 1 => Reading::Restart, _ => Reading::Energy(*energy) };
            let mut readings = vec![package, Reading::Energy(energy / 7)];
            if with_psys { readings.push(Reading::Energy(energy + energy / 9)); }
            b.energy(now, &readings);
            if t > 0 {
                metered += b.engine.cover().iter().map(|&i| if let Reading::Energy(e) = readings[i] { e } else { 0 }).sum::<u64>();
            }
        }
        if let Some(closed) = b.usage(ticks.len() as u64 * S, busy, &alive, &[]) {
            prop_assert_eq!(everything(&closed), closed.energy());
            booked += closed.energy();
        }
        prop_assert_eq!(booked, metered);
    }
}
