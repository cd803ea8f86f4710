//! `lowest_slot`: start in the cleanest slot, whatever follows (GAIA, "lowest carbon slot").
//!
//! For jobs of unknown length; good for short ones, poor for long ones, since it looks at the first slot alone.

use jiff::SignedDuration;

use super::steps::nanoseconds;
use super::{Plan, Steps};

/// The run of `length` that starts at the beginning of the slot with the lowest value; `None` where none fits.
pub fn lowest_slot(steps: &Steps, length: SignedDuration) -> Option<Plan> {
    let last = steps.length() - nanoseconds(length);
    let mut best: Option<(f64, Plan)> = None;
    for piece in steps.pieces().iter().filter(|piece| piece.from <= last) {
        let Some(value) = piece.value else { continue };
        if best.as_ref().is_some_and(|(lowest, _)| value >= *lowest) {
            continue;
        }
        if let Some(plan) = Plan::run(steps, steps.instant(piece.from), length) {
            best = Some((value, plan));
        }
    }
    best.map(|(_, plan)| plan)
}
