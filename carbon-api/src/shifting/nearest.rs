//! `nearest`: a job with a fixed hour that may move a little to either side.

use jiff::{SignedDuration, Timestamp};

use super::steps::nanoseconds;
use super::window::{Phase, best_start};
use super::{Plan, Steps};
use crate::units::Watts;

/// The cleanest run of `length` that starts within `either_side` of `at`; `None` where none fits or all touch a gap.
pub fn nearest(steps: &Steps, at: Timestamp, either_side: SignedDuration, length: SignedDuration) -> Option<Plan> {
    let (at, side) = (steps.offset(at), nanoseconds(either_side).max(0));
    let power = Watts::new(1.0);
    let first = at.saturating_sub(side).max(0);
    let last = at.saturating_add(side);
    best_start(steps, &[Phase { length, power }], first, last)
}
