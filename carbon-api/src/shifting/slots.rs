//! `slots`: the cleanest slots, in time order, for a job that may pause for nothing.

use jiff::SignedDuration;

use super::steps::nanoseconds;
use super::{Plan, Steps};

/// Fills `length` with the slots of the lowest values, of equal ones the earliest; of the last one only as much as is
/// needed, its beginning. `None` where the known time is shorter than the job.
pub fn slots(steps: &Steps, length: SignedDuration) -> Option<Plan> {
    let known = steps.pieces().iter();
    let mut known: Vec<_> = known.filter_map(|p| p.value.map(|v| (v, p.from, p.until))).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut left = nanoseconds(length);
    let mut taken = Vec::new();
    for (_, from, until) in known {
        if left <= 0 {
            break;
        }
        let until = until.min(from.saturating_add(left));
        left -= until - from;
        taken.push((from, until));
    }
    if left > 0 {
        return None;
    }
    taken.sort_unstable();
    Plan::of_pieces(steps, taken.into_iter())
}
