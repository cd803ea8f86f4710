//! `saving_per_wait`: the start that saves most carbon for each hour until the job is done (GAIA, "carbon-time").
//!
//! The default without a known duration; `length` is then the mean of the job's queue. Running at once has score 0, so that
//! it never waits for nothing.

use jiff::SignedDuration;

use super::steps::{nanoseconds, seconds};
use super::{Plan, ROUNDING, Steps};
use crate::units::GramsPerKwh;

/// A plan with what it saves for the time until it is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The plan.
    pub plan: Plan,
    /// `(B - S) / (i + J)` of GAIA, with the costs B and S as `mean x length` and waiting i and length J in the same unit of time.
    pub score: GramsPerKwh,
}

/// The best run of `length` against running at once at a mean of `baseline`; `None` where none fits or all touch a gap.
pub fn saving_per_wait(steps: &Steps, length: SignedDuration, baseline: GramsPerKwh) -> Option<Scored> {
    let length = nanoseconds(length);
    let last = steps.length() - length;
    let mut best: Option<(f64, i64)> = None;
    for start in steps.starts(&[length], 0, last) {
        let Some(cost) = steps.cost(start, start + length) else {
            continue;
        };
        let now = baseline.value() * seconds(length);
        let saving = if (now - cost).abs() <= now * ROUNDING { 0.0 } else { now - cost };
        let score = saving / seconds(start + length);
        if best.is_none_or(|(highest, _)| score > highest + highest.abs() * ROUNDING) {
            best = Some((score, start));
        }
    }
    let (score, start) = best?;
    let pieces = std::iter::once((start, start + length));
    Plan::of_pieces(steps, pieces).map(|plan| Scored { plan, score: GramsPerKwh::new(score) })
}
