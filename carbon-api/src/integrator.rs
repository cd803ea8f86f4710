//! Energy of a sensor that shows power alone: the trapezoid over its samples, in integers, with gaps left open.

use crate::counter::{Epoch, GapReason, SUSPEND_NS, Value};
use crate::stamp::Stamp;

/// Microwatt-nanoseconds of one microjoule, twice: the sum of two samples is halved once, at the end.
const HALVES: u128 = 2_000_000_000;

/// Adds power up over time: 10, 20 and 30 W at 0, 1 and 2 s are 40 J.
///
/// Two samples further apart than the longest bridged gap (three periods of the sensor), or with a suspend between them, say
/// nothing about the time between them: a new epoch begins, which the counter books as a gap.
#[derive(Clone, Debug)]
pub struct PowerIntegrator {
    longest_ns: u64,
    last: Option<(u64, Stamp)>,
    energy_uj: u64,
    remainder: u128,
    epoch: Epoch,
}

impl PowerIntegrator {
    /// An integrator of a sensor that is sampled every `period_ns` nanoseconds.
    pub const fn new(period_ns: u64) -> Self {
        Self { longest_ns: period_ns.saturating_mul(3), last: None, energy_uj: 0, remainder: 0, epoch: Epoch::FIRST }
    }

    /// Takes one sample of `microwatts`; one that is not later than the last is left out.
    pub fn sample(&mut self, microwatts: u64, at: Stamp) {
        let Some((before, since)) = self.last else {
            self.last = Some((microwatts, at));
            return;
        };
        let elapsed = at.since(since);
        if elapsed == 0 {
            return;
        }
        self.last = Some((microwatts, at));
        if at.suspended_since(since) > SUSPEND_NS {
            self.interrupt(GapReason::Suspend);
        } else if elapsed > self.longest_ns {
            self.interrupt(GapReason::FailedRead);
        } else {
            let doubled = (u128::from(before) + u128::from(microwatts)).saturating_mul(elapsed.into());
            let sum = doubled.saturating_add(self.remainder);
            self.remainder = sum % HALVES;
            self.energy_uj = self.energy_uj.saturating_add(u64::try_from(sum / HALVES).unwrap_or(u64::MAX));
        }
    }

    /// Notes that what follows does not continue what was: the next value is of a new epoch.
    pub fn interrupt(&mut self, reason: GapReason) {
        self.remainder = 0;
        self.epoch.advance(reason);
    }

    /// The energy up to the last sample, stamped as that sample was; `None` before the first.
    pub fn value(&self) -> Option<Value> {
        self.last.map(|(_, at)| Value { shown: self.energy_uj, at, epoch: self.epoch })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::counter::{Counter, CounterSpec, Outcome, Wrap};

    const S: u64 = 1_000_000_000;

    #[test]
    fn ten_twenty_and_thirty_watts_are_forty_joules() {
        let mut sum = PowerIntegrator::new(S);
        for (second, watts) in [(0, 10), (1, 20), (2, 30)] {
            sum.sample(watts * 1_000_000, Stamp::at(second * S));
        }
        assert_eq!(sum.value().unwrap().shown, 40_000_000);
    }

    #[test]
    fn more_than_three_periods_are_not_bridged() {
        let mut sum = PowerIntegrator::new(S);
        let mut counter = Counter::new(CounterSpec::new(Wrap::Never));
        sum.sample(10_000_000, Stamp::at(0));
        counter.take(&sum.value().unwrap());
        sum.sample(10_000_000, Stamp::at(3 * S));
        assert_eq!(counter.take(&sum.value().unwrap()).step().unwrap().energy.0, 30_000_000);
        sum.sample(10_000_000, Stamp::at(6 * S + 1));
        assert_eq!(counter.take(&sum.value().unwrap()), Outcome::Gap(GapReason::FailedRead));
        sum.sample(10_000_000, Stamp::at(7 * S + 1));
        assert_eq!(counter.take(&sum.value().unwrap()).step().unwrap().energy.0, 10_000_000);
    }

    #[test]
    fn a_suspend_is_not_bridged() {
        let mut sum = PowerIntegrator::new(S);
        sum.sample(10_000_000, Stamp::at(0));
        sum.sample(10_000_000, Stamp { boottime_ns: 2 * S, monotonic_ns: S });
        assert_eq!(sum.value().unwrap().epoch.reason, GapReason::Suspend);
        assert_eq!(sum.value().unwrap().shown, 0);
    }

    proptest! {
        #[test]
        fn constant_power_is_power_times_time(microwatts in 0_u64..1_000_000_000, steps in prop::collection::vec(1_u64..3_000_000_000, 1..60)) {
            let mut sum = PowerIntegrator::new(S);
            let mut at = 5;
            sum.sample(microwatts, Stamp::at(at));
            for step in steps {
                at += step;
                sum.sample(microwatts, Stamp::at(at));
            }
            let exact = u128::from(microwatts) * u128::from(at - 5) / 1_000_000_000;
            prop_assert_eq!(u128::from(sum.value().unwrap().shown), exact, "nothing is lost to rounding");
        }

        #[test]
        fn any_samples_are_taken(samples in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..20)) {
            let mut sum = PowerIntegrator::new(S);
            for (microwatts, boottime_ns, monotonic_ns) in samples {
                sum.sample(microwatts, Stamp { boottime_ns, monotonic_ns });
            }
        }
    }
}
