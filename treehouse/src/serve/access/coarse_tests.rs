//! Nothing finer than a millijoule, or than a second, is left in what strangers see; nothing of it falls or gets lost.

use carbon_api::domain::Source;
use carbon_api::snapshot::HostRow;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

/// A sampler of consumers with these users, each with a series from the start, at this period.
struct Sampler {
    users: Vec<Option<u32>>,
    energy: Vec<u64>,
    /// Users' energy that has no series.
    small: u64,
    coarse: u64,
    period_s: f64,
    snapshot: Snapshot,
}

impl Sampler {
    fn new(users: &[Option<u32>], period_s: f64) -> Self {
        Self {
            users: users.into(),
            energy: vec![0; users.len()],
            small: 0,
            coarse: 0,
            period_s,
            snapshot: Snapshot::empty(Timestamp::UNIX_EPOCH, period_s),
        }
    }

    /// Goes on for one period in which each consumer, and user 7's small ones, use so much.
    fn tick(&mut self, used: &[u64], small: u64) -> &Snapshot {
        let s = &mut self.snapshot;
        s.until_ns += (self.period_s * 1e9) as u64;
        s.until += SignedDuration::from_nanos((self.period_s * 1e9) as i64);
        (s.ready, s.interval_s, s.period_s) = (true, self.period_s, self.period_s);
        self.small += small;
        let row = |name: String, uid, energy: u64, used: u64| WorkloadRow {
            kind: WorkloadKind::Process,
            workload: name.into(),
            cgroup: None,
            uid,
            provenance: Provenance::Attributed,
            energy: Microjoules(energy),
            carbon_g: Some(energy as f64 / 7e9),
            power_w: used as f64 / 1e6 / self.period_s,
            cpu_s: 0.0,
            uncertainty_j: energy as f64 / 3e7,
            started_at: s.since,
            gone_at: None,
        };
        s.workloads.clear();
        for (i, (uid, used)) in self.users.iter().zip(used).enumerate() {
            self.energy[i] += used;
            s.workloads.push(row(format!("p:{i}"), *uid, self.energy[i], *used));
        }
        s.workloads.push(row("other".into(), None, self.small, small));
        let of =
            |uid: u32| self.users.iter().zip(&self.energy).filter(move |(u, _)| **u == Some(uid)).map(|(_, e)| e).sum::<u64>();
        let user = |(uid, energy): (u32, u64)| UserRow {
            uid,
            provenance: Provenance::Attributed,
            energy: Microjoules(energy),
            carbon_g: Some(energy as f64 / 7e9),
            power_w: 0.0,
            cpu_s: 0.0,
        };
        s.users = [(7, of(7) + self.small), (8, of(8))].into_iter().map(user).filter(|u| u.energy.0 > 0).collect();
        let total: u64 = self.energy.iter().sum::<u64>() + self.small;
        self.coarse = s.workloads.iter().map(|r| r.energy.coarse().0).sum();
        s.host = vec![HostRow {
            method: Source::RaplPowercap,
            provenance: Provenance::Measured,
            energy: Microjoules(total),
            coarse: Microjoules(self.coarse),
        }];
        s.uncertainty_j = total as f64 / 3e7;
        s.self_energy = Microjoules(total / 3);
        &self.snapshot
    }
}

fn total(s: &Snapshot) -> u64 {
    s.workloads.iter().map(|r| r.energy.0).sum()
}

fn power_mw(s: &Snapshot) -> Vec<u64> {
    s.workloads.iter().map(|r| (r.power_w * 1e3).round() as u64).collect()
}

#[test]
fn power_is_a_mean_over_the_time_between_two_copies_however_fast_is_sampled() {
    let mut fast = Sampler::new(&[Some(7)], 0.01);
    let first = Coarse::of(fast.tick(&[400_000], 0), None, 1.0);
    for _ in 0..99 {
        fast.tick(&[400_000], 0);
    }
    // a short peak right before the copy is part of the mean, and no more
    let second = Coarse::of(fast.tick(&[9_400_000], 100_000), Some(&first), 1.0);
    assert_eq!(power_mw(&second.whole()), [49_000, 100]);
    assert_eq!(power_mw(&second.of_user(7)), [49_000, 100]);
    // where a sample is a second long its own mean is no finer
    let mut slow = Sampler::new(&[Some(7)], 1.0);
    let first = Coarse::of(slow.tick(&[5_000_000], 0), None, 1.0);
    let second = Coarse::of(slow.tick(&[40_000_123], 0), Some(&first), 1.0);
    assert_eq!(power_mw(&second.whole()), [40_000, 0]);
}

#[test]
fn one_user_sees_the_own_rows_and_nothing_of_the_host() {
    let mut sampler = Sampler::new(&[Some(7), Some(8), None], 1.0);
    let coarse = Coarse::of(sampler.tick(&[5_000_400, 6_000_000, 7_000_000], 1_999), None, 1.0);
    let own = coarse.of_user(7);
    let rows: Vec<_> = own.workloads.iter().map(|r| (&*r.workload, r.energy.0)).collect();
    assert_eq!(rows, [("p:0", 5_000_000), ("other", 1_000)]);
    assert!(own.host.is_empty() && own.domains.is_empty() && own.users.is_empty() && own.recorded.is_none() && !own.ready);
    assert_eq!(own.self_energy, Microjoules::ZERO);
    assert_eq!(coarse.of_user(8).workloads.iter().map(|r| r.energy.0).sum::<u64>(), 6_000_000);
    assert!(coarse.of_user(9).workloads.is_empty());
    assert!(coarse.whole().users.is_empty(), "a caller without a user has no business with users");
}

proptest! {
    #[test]
    fn a_coarse_copy_is_whole_millijoules_monotone_and_sums(
        steps in prop::collection::vec((prop::collection::vec(0_u64..3_000_000, 4), 0_u64..5_000), 1..40),
    ) {
        let mut sampler = Sampler::new(&[Some(7), Some(7), Some(8), None], 0.25);
        let mut before: Option<(Coarse, [u64; 2])> = None;
        for (used, small) in &steps {
            let latest = sampler.tick(used, *small).clone();
            let coarse = Coarse::of(&latest, before.as_ref().map(|(c, _)| c), 1.0);
            let s = coarse.whole();
            prop_assert_eq!(total(&s), s.host_energy().0);
            prop_assert_eq!(s.host_energy(), s.host_coarse());
            prop_assert!(latest.host_energy().0 - s.host_energy().0 < 1000 * s.workloads.len() as u64, "a remainder is lost");
            let (one, two) = (coarse.of_user(7), coarse.of_user(8));
            for view in [&*s, &one, &two] {
                for row in &view.workloads {
                    prop_assert_eq!(row.energy.0 % 1000, 0);
                    let milli = row.power_w * 1e3;
                    prop_assert!((milli - milli.round()).abs() < 1e-6, "{}", row.power_w);
                    prop_assert!((VIEW.joules(row.uncertainty_j) - row.uncertainty_j).abs() < 1e-3);
                }
                prop_assert_eq!(view.self_energy.0 % 1000, 0);
            }
            let now = [total(&one), total(&two)];
            if let Some((earlier, own)) = &before {
                for (row, was) in s.workloads.iter().zip(&earlier.whole().workloads) {
                    prop_assert!(row.energy >= was.energy && row.carbon_g >= was.carbon_g);
                }
                prop_assert!(now[0] >= own[0] && now[1] >= own[1]);
            }
            before = Some((coarse, now));
        }
    }
}
