//! `window`: one run of known length, at the start where it is cleanest.
//!
//! The default wherever a duration is known. Exact for any step and any release: no start between two candidates is better.

use jiff::SignedDuration;

use super::steps::{nanoseconds, seconds};
use super::{Plan, ROUNDING, Segment, Steps};
use crate::units::{GramsPerKwh, Watts};

/// A part of a run at one power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// How long it lasts.
    pub length: SignedDuration,
    /// What it draws.
    pub power: Watts,
}

/// The run of `length` with the lowest mean of all that end in time; `None` where none fits or a gap is in every one.
pub fn window(steps: &Steps, length: SignedDuration) -> Option<Plan> {
    let power = Watts::new(1.0);
    window_of_phases(steps, &[Phase { length, power }])
}

/// The same for a run whose power changes in a known way: each phase weighs by its power. The mean of the plan is per joule.
/// `None` also where no phase draws anything.
pub fn window_of_phases(steps: &Steps, phases: &[Phase]) -> Option<Plan> {
    let last = steps.length();
    best_start(steps, phases, 0, last)
}

/// The best start within `[first, last]` (nanoseconds from the release).
pub(super) fn best_start(steps: &Steps, phases: &[Phase], first: i64, last: i64) -> Option<Plan> {
    let mut ends = Vec::with_capacity(phases.len());
    let (mut length, mut weight) = (0i64, 0.0);
    for phase in phases {
        let own = nanoseconds(phase.length);
        if own <= 0 || !phase.power.is_plausible() {
            return None;
        }
        length = length.checked_add(own)?;
        weight += phase.power.value() * seconds(own);
        ends.push(length);
    }
    let last = last.min(steps.length() - length);
    let mut best: Option<(f64, i64)> = None;
    for start in steps.starts(&ends, first, last) {
        let Some(cost) = cost_of(steps, phases, &ends, start) else {
            continue;
        };
        if best.is_none_or(|(lowest, _)| cost < lowest * (1.0 - ROUNDING)) {
            best = Some((cost, start));
        }
    }
    let (cost, start) = best.filter(|_| weight > 0.0)?;
    Some(Plan {
        segments: vec![Segment { from: steps.instant(start), until: steps.instant(start + length) }],
        g_per_kwh: GramsPerKwh::new(cost / weight),
    })
}

fn cost_of(steps: &Steps, phases: &[Phase], ends: &[i64], start: i64) -> Option<f64> {
    let mut from = start;
    let mut cost = 0.0;
    for (phase, end) in phases.iter().zip(ends) {
        let until = start + end;
        cost += phase.power.value() * steps.cost(from, until)?;
        from = until;
    }
    Some(cost)
}
