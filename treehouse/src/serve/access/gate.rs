//! Lets a new value through at most once an interval, however often is sampled and however often is asked.

use carbon_api::snapshot::Snapshot;

/// How much earlier than due a value may come where hardly more is sampled than is shown, as a part of the interval: a tick that
/// is late by a millisecond must not cost the next one. It is lent once: the value after is due as if this one had been in time.
const EARLY: u64 = 100;

/// The time of the next new value.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    interval_ns: u64,
    due_ns: Option<u64>,
}

impl Gate {
    /// Opens for the first value, and then once every `seconds`.
    pub(super) fn new(seconds: f64) -> Self {
        Self { interval_ns: (seconds * 1e9) as u64, due_ns: None }
    }

    /// Seconds between two new values.
    pub(super) fn interval_s(&self) -> f64 {
        self.interval_ns as f64 / 1e9
    }

    /// True where this snapshot may be shown in place of the one before. One without an energy always may.
    pub(super) fn opens(&mut self, latest: &Snapshot) -> bool {
        !latest.ready || self.opens_at(latest.until_ns, latest.period_s)
    }

    fn opens_at(&mut self, at_ns: u64, period_s: f64) -> bool {
        let due = self.due_ns.unwrap_or(at_ns);
        let early = if period_s * 2.0 > self.interval_s() { self.interval_ns / EARLY } else { 0 };
        let opens = at_ns.saturating_add(early) >= due;
        if opens {
            self.due_ns = Some(due.max(at_ns).saturating_add(self.interval_ns));
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn shown(gate: &mut Gate, period_s: f64, at_ms: impl IntoIterator<Item = u64>) -> Vec<u64> {
        at_ms.into_iter().filter(|&at| gate.opens_at(at * MS, period_s)).collect()
    }

    #[test]
    fn one_hertz_is_shown_as_it_is_and_a_hundred_are_not() {
        assert_eq!(shown(&mut Gate::new(1.0), 1.0, [5000, 6003, 6998, 8001, 9000]), [5000, 6003, 6998, 8001, 9000]);
        assert_eq!(shown(&mut Gate::new(1.0), 0.01, (0..500).map(|i| 5000 + 10 * i)), [5000, 6000, 7000, 8000, 9000]);
        assert_eq!(shown(&mut Gate::new(0.1), 0.01, (0..30).map(|i| 10 * i)), [0, 100, 200]);
    }

    #[test]
    fn two_values_that_lie_side_by_side_are_never_both_shown() {
        // a reader who waits must not get the end of one second and the beginning of the next
        assert_eq!(shown(&mut Gate::new(1.0), 0.01, [0, 1990, 2000, 2010, 2980, 2990, 3000]), [0, 1990, 2990]);
    }

    proptest! {
        /// Whatever the sample rate and whenever somebody asks: no more values than whole seconds and one, none close to another.
        #[test]
        fn raising_the_sample_rate_never_raises_what_the_unprivileged_see(
            period_us in 1_000_u64..2_000_000,
            jitter_us in prop::collection::vec(0_u64..5_000, 50..400),
            asks in prop::collection::vec(any::<bool>(), 50..400),
        ) {
            let mut gate = Gate::new(1.0);
            let mut at_ns = Vec::new();
            for (i, (jitter, ask)) in (0..).zip(jitter_us.iter().zip(&asks)) {
                let at = (i * period_us + jitter) * 1000;
                if *ask && gate.opens_at(at, period_us as f64 / 1e6) {
                    at_ns.push(at);
                }
            }
            for (i, from) in at_ns.iter().enumerate() {
                for (j, until) in at_ns.iter().enumerate().skip(i + 1) {
                    let seconds = (until.abs_diff(*from)) as f64 / 1e9;
                    prop_assert!((j - i) as f64 <= seconds + 0.01, "{} new values in {} s", j - i, seconds);
                }
            }
            // and the other way round: who asks at every sample waits no longer than a second and two samples
            let mut gate = Gate::new(1.0);
            let eager: Vec<u64> = (0..400).map(|i| i * period_us).filter(|&at| gate.opens_at(at * 1000, period_us as f64 / 1e6)).collect();
            prop_assert!(eager.windows(2).all(|pair| pair[1] - pair[0] <= 1_000_000 + period_us));
        }
    }
}
