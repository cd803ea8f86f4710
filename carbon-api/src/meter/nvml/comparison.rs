//! Counter and integrated power side by side for the first seconds: some boards disagree with themselves.

use crate::integrator::PowerIntegrator;
use crate::stamp::Stamp;

/// Further apart than this, of the larger: doubtful.
const TOLERANCE: f64 = 0.2;

/// Joules of the counter and of integrated power over one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) counter_j: f64,
    pub(super) power_j: f64,
    pub(super) seconds: f64,
}

impl Verdict {
    /// True where they are more than a fifth of the larger apart.
    pub(super) fn disagrees(&self) -> bool {
        (self.counter_j - self.power_j).abs() > TOLERANCE * self.counter_j.max(self.power_j)
    }
}

/// A comparison that runs.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    power: PowerIntegrator,
    period_ns: u64,
    span_ns: u64,
    began: Option<(u64, Stamp)>,
    epoch: u32,
}

impl Comparison {
    /// One over `span_ns` of samples every `period_ns`.
    pub(super) const fn new(period_ns: u64, span_ns: u64) -> Self {
        Self { power: PowerIntegrator::new(period_ns), period_ns, span_ns, began: None, epoch: 0 }
    }

    /// Takes one pair; at the end of the span, says what came out. A gap in either begins anew.
    pub(super) fn take(&mut self, counter_uj: u64, microwatts: u64, at: Stamp) -> Option<Verdict> {
        self.power.sample(microwatts, at);
        let power = self.power.value()?;
        let (first_uj, since) = match self.began {
            Some(began) if power.epoch.number == self.epoch && counter_uj >= began.0 => began,
            _ => {
                *self = Self { began: Some((counter_uj, at)), ..Self::new(self.period_ns, self.span_ns) };
                self.power.sample(microwatts, at);
                return None;
            }
        };
        (at.since(since) >= self.span_ns).then(|| Verdict {
            counter_j: (counter_uj - first_uj) as f64 / 1e6,
            power_j: power.shown as f64 / 1e6,
            seconds: at.seconds_since(since),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: u64 = 100_000_000;

    fn run(counter_w: u64, power_w: u64, gap_at: Option<u64>) -> (u64, Verdict) {
        let mut comparison = Comparison::new(TENTH, 50 * TENTH);
        for tick in 0..200 {
            let late = if gap_at.is_some_and(|gap| tick >= gap) { 10 * TENTH } else { 0 };
            let at = Stamp::at(7 + tick * TENTH + late);
            if let Some(verdict) = comparison.take(counter_w * (at.boottime_ns / 1000), power_w * 1_000_000, at) {
                return (tick, verdict);
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn a_fifth_is_tolerated_and_more_is_not() {
        let (tick, verdict) = run(187, 327, None);
        assert_eq!((tick, verdict.disagrees()), (50, true));
        assert!((verdict.counter_j - 187.0 * 5.0).abs() < 0.01 && (verdict.power_j - 327.0 * 5.0).abs() < 0.01, "{verdict:?}");
        assert!(!run(81, 100, None).1.disagrees());
        assert!(run(79, 100, None).1.disagrees());
        assert!(run(100, 79, None).1.disagrees());
        assert!(!run(0, 0, None).1.disagrees());
    }

    #[test]
    fn a_gap_begins_anew() {
        let (tick, verdict) = run(100, 100, Some(30));
        assert_eq!(tick, 80);
        assert!(!verdict.disagrees() && (verdict.seconds - 5.0).abs() < 1e-9, "{verdict:?}");
    }
}
