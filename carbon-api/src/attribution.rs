//! One interval, one domain: energy into the shares of consumers, idle and unattributed, exactly.
//!
//! All in integers: products of 128 bits divided once, and largest-remainder rounding. `shares + idle + unattributed`
//! equals the reading to the microjoule, under every policy.

use serde::{Deserialize, Serialize};

/// What is done with the energy of a machine that is not busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdlePolicy {
    /// Kept apart, under the kind `idle`.
    #[default]
    Separate,
    /// Equally among the consumers that are alive.
    Equal,
    /// By what each consumer has reserved; kept apart where nobody reserved anything.
    ByReservation,
    /// By CPU time; kept apart where nobody used any.
    ByActivity,
}

impl IdlePolicy {
    /// The word in configuration and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Separate => "separate",
            Self::Equal => "equal",
            Self::ByReservation => "by_reservation",
            Self::ByActivity => "by_activity",
        }
    }
}

/// CPU time of the machine over one interval, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostTime {
    /// Used by everything, seen or not.
    pub busy_ns: u64,
    /// Online processors times elapsed time, less what the hypervisor took.
    pub capacity_ns: u64,
}

/// The parts of one reading beside the consumers' shares, in microjoules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Energy of processors that did nothing.
    pub idle: u64,
    /// Energy of CPU time that no consumer explains.
    pub unattributed: u64,
}

/// Splits readings; keeps its working memory, so that a steady state allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    remainders: Vec<(u128, usize)>,
    weights: Vec<u64>,
    extra: Vec<u64>,
}

impl Splitter {
    /// Shares `energy` µJ among consumers by CPU time `used` (ns); `shares` receives one value a consumer.
    ///
    /// `reserved` gives the weights of [`IdlePolicy::ByReservation`], one a consumer; empty: nobody reserved anything.
    pub fn attribute(
        &mut self,
        energy: u64,
        used: &[u64],
        host: HostTime,
        policy: IdlePolicy,
        reserved: &[u64],
        shares: &mut Vec<u64>,
    ) -> Rest {
        let seen: u128 = used.iter().map(|&c| u128::from(c)).sum();
        let capacity = u128::from(host.capacity_ns);
        // readings are a little apart in time: more CPU time than there was is clamped, never extrapolated
        let busy = seen.max(u128::from(host.busy_ns)).min(capacity);
        let active = (u128::from(energy) * busy).checked_div(capacity).map_or(0, |e| e as u64);
        let unseen = u64::try_from(busy.saturating_sub(seen)).unwrap_or(u64::MAX);

        self.weights.clear();
        self.weights.extend_from_slice(used);
        self.weights.push(unseen);
        let mut weights = std::mem::take(&mut self.weights);
        let shared = self.share(active, &weights, shares);
        let unattributed = if shared { shares.pop().unwrap_or(0) } else { 0 };
        weights.pop();
        shares.truncate(used.len());
        let idle = if shared { energy - active } else { energy };

        let kept = match policy {
            IdlePolicy::Separate => false,
            IdlePolicy::Equal => {
                weights.fill(1);
                self.add(idle, &weights, shares)
            }
            IdlePolicy::ByReservation => reserved.len() == used.len() && self.add(idle, reserved, shares),
            IdlePolicy::ByActivity => self.add(idle, used, shares),
        };
        self.weights = weights;
        Rest { idle: if kept { 0 } else { idle }, unattributed }
    }

    /// Shares `total` by `weights` with largest-remainder rounding, ties in the order given; false (and all zero) where every weight is 0.
    pub fn share(&mut self, total: u64, weights: &[u64], shares: &mut Vec<u64>) -> bool {
        shares.clear();
        let sum: u128 = weights.iter().map(|&w| u128::from(w)).sum();
        if sum == 0 {
            shares.resize(weights.len(), 0);
            return false;
        }
        self.remainders.clear();
        let mut given = 0_u64;
        for (i, &weight) in weights.iter().enumerate() {
            // sum can pass 2^64 only with weights that no clock gives; total * weight stays within 128 bits
            let product = u128::from(total) * u128::from(weight);
            let whole = (product / sum) as u64;
            given += whole;
            shares.push(whole);
            if weight > 0 {
                self.remainders.push((product % sum, i));
            }
        }
        let missing = (total - given) as usize;
        if missing > 0 {
            let order = |a: &(u128, usize), b: &(u128, usize)| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
            if missing < self.remainders.len() {
                self.remainders.select_nth_unstable_by(missing, order);
            }
            for &(_, i) in self.remainders.iter().take(missing) {
                shares[i] += 1;
            }
        }
        true
    }

    fn add(&mut self, total: u64, weights: &[u64], shares: &mut [u64]) -> bool {
        let mut extra = std::mem::take(&mut self.extra);
        let shared = self.share(total, weights, &mut extra);
        for (share, more) in shares.iter_mut().zip(&extra) {
            *share += more;
        }
        self.extra = extra;
        shared
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000_000;

    fn share(total: u64, weights: &[u64]) -> Vec<u64> {
        let mut shares = Vec::new();
        Splitter::default().share(total, weights, &mut shares);
        shares
    }

    fn attribute(energy: u64, used: &[u64], host: HostTime, policy: IdlePolicy) -> (Vec<u64>, Rest) {
        let mut shares = Vec::new();
        let rest = Splitter::default().attribute(energy, used, host, policy, &[], &mut shares);
        (shares, rest)
    }

    #[test]
    fn the_largest_remainders_get_the_missing_microjoules() {
        assert_eq!(share(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(share(1_000_003, &[7, 11, 13]), [225_807, 354_840, 419_356]);
        assert_eq!(share(5, &[1; 8]), [1, 1, 1, 1, 1, 0, 0, 0]);
        assert_eq!(share(999_999, &[1, 2, 4]), [142_857, 285_714, 571_428]);
        assert_eq!(share(10, &[0, 0, 1]), [0, 0, 10]);
    }

    #[test]
    fn an_idle_interval_is_idle_not_nan() {
        let host = HostTime { busy_ns: 0, capacity_ns: 20 * S };
        let (shares, rest) = attribute(400, &[0, 0], host, IdlePolicy::ByActivity);
        assert_eq!((shares, rest), (vec![0, 0], Rest { idle: 400, unattributed: 0 }));
        let nothing = HostTime { busy_ns: 0, capacity_ns: 0 };
        assert_eq!(attribute(400, &[], nothing, IdlePolicy::Equal).1, Rest { idle: 400, unattributed: 0 });
    }

    #[test]
    fn two_processors_and_ten_seconds_as_in_the_worked_example() {
        let host = HostTime { busy_ns: 8 * S, capacity_ns: 20 * S };
        let used = [5 * S, 3 * S];
        let joules = |policy| {
            let (shares, rest) = attribute(400_000_000, &used, host, policy);
            (shares[0] / 1_000_000, shares[1] / 1_000_000, rest.idle / 1_000_000)
        };
        assert_eq!(joules(IdlePolicy::Separate), (100, 60, 240));
        assert_eq!(joules(IdlePolicy::ByActivity), (250, 150, 0));
        assert_eq!(joules(IdlePolicy::Equal), (220, 180, 0));
        assert_eq!(joules(IdlePolicy::ByReservation), (100, 60, 240), "nobody reserved anything");
    }

    #[test]
    fn cpu_time_of_nobody_is_unattributed_never_given_to_the_survivors() {
        let host = HostTime { busy_ns: 10 * S, capacity_ns: 20 * S };
        let (shares, rest) = attribute(400, &[5 * S], host, IdlePolicy::Separate);
        assert_eq!((shares[0], rest.unattributed, rest.idle), (100, 100, 200));
    }

    prop_compose! {
        fn interval()(used in prop::collection::vec(0_u64..50 * S, 0..40), busy in 0_u64..2000 * S, capacity in 0_u64..2000 * S,
            energy in any::<u64>(), policy in prop::sample::select(vec![IdlePolicy::Separate, IdlePolicy::Equal, IdlePolicy::ByReservation, IdlePolicy::ByActivity]))
            -> (u64, Vec<u64>, HostTime, IdlePolicy) {
            (energy, used, HostTime { busy_ns: busy, capacity_ns: capacity }, policy)
        }
    }

    proptest! {
        #[test]
        fn shares_idle_and_unattributed_equal_the_meter((energy, used, host, policy) in interval(), reserve in any::<bool>()) {
            let reserved: Vec<u64> = used.iter().map(|c| c % 7).collect();
            let mut shares = Vec::new();
            let rest = Splitter::default().attribute(energy, &used, host, policy, if reserve { &reserved } else { &[] }, &mut shares);
            let sum = shares.iter().map(|&s| u128::from(s)).sum::<u128>() + u128::from(rest.idle) + u128::from(rest.unattributed);
            prop_assert_eq!(sum, u128::from(energy));
            prop_assert_eq!(shares.len(), used.len());
        }

        #[test]
        fn order_of_consumers_changes_no_share_by_more_than_one((energy, used, host, _) in interval()) {
            let (shares, rest) = attribute(energy, &used, host, IdlePolicy::Separate);
            let reversed: Vec<u64> = used.iter().rev().copied().collect();
            let (mut back, rest_back) = attribute(energy, &reversed, host, IdlePolicy::Separate);
            back.reverse();
            prop_assert_eq!(rest.idle, rest_back.idle);
            for (a, b) in shares.iter().zip(&back) {
                prop_assert!(a.abs_diff(*b) <= 1);
            }
        }

        #[test]
        fn splitting_a_process_in_two_keeps_the_sum((energy, mut used, host, _) in interval(), part in 0_u64..S) {
            prop_assume!(!used.is_empty() && used[0] >= part);
            let (whole, _) = attribute(energy, &used, host, IdlePolicy::Separate);
            used[0] -= part;
            used.push(part);
            let (split, _) = attribute(energy, &used, host, IdlePolicy::Separate);
            prop_assert!(whole[0].abs_diff(split[0] + split[split.len() - 1]) <= 1);
        }

        #[test]
        fn ten_thousand_intervals_do_not_drift(energy in 1_u64..100_000_000, used in prop::collection::vec(0_u64..S, 1..6)) {
            let (mut splitter, mut shares, mut total) = (Splitter::default(), Vec::new(), 0_u64);
            let host = HostTime { busy_ns: 4 * S, capacity_ns: 8 * S };
            for _ in 0..10_000 {
                let rest = splitter.attribute(energy, &used, host, IdlePolicy::Separate, &[], &mut shares);
                total += shares.iter().sum::<u64>() + rest.idle + rest.unattributed;
            }
            prop_assert_eq!(total, energy * 10_000);
        }
    }
}
