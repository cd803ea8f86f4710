//! `slots_cost`: the best slots for a job whose pauses cost something, by an exact dynamic programme.
//!
//! The time from the release is cut into equal slots of which a whole number makes up the job, no longer than the shortest
//! step of the forecast. Each stretch of running pays two transitions (a start and a stop). Over (slots done, running or not):
//! `off[j] = min(off[j], on[j] + b)`, `on'[j] = c + min(on[j-1], off[j-1] + b)`, and the answer is `min(off[L], on[L] + b)`.

use jiff::SignedDuration;

use super::steps::{nanoseconds, seconds};
use super::window::window;
use super::{Plan, ROUNDING, Steps};
use crate::units::GramsPerKwh;

/// More slots than this are made longer instead, so that no forecast makes the programme slow.
const MOST_SLOTS: i64 = 2048;

/// The length of the slots that [`slots_cost`] uses for a job of `length`; `None` for a job of no length.
pub fn slot_length(steps: &Steps, length: SignedDuration) -> Option<SignedDuration> {
    let (count, length) = (slots_in_job(steps, length)?, nanoseconds(length));
    Some(SignedDuration::from_nanos(length / count))
}

/// The plan of the lowest cost, where one transition costs as much as `transition` for one slot (that is joules of a stop or
/// a start, over the joules of a slot, times the intensity that they are priced at). Of equally cheap plans the one with the
/// fewest pauses, then the one that is done first. `None` where the job does not fit or every plan touches a gap.
pub fn slots_cost(steps: &Steps, length: SignedDuration, transition: GramsPerKwh) -> Option<Plan> {
    let count = slots_in_job(steps, length)?;
    if count == 1 {
        return window(steps, length);
    }
    let length = nanoseconds(length);
    // Edges from the whole length, so that `count` slots in a row are exactly the job.
    let edge = |slot: i64| {
        let edge = i128::from(slot) * i128::from(length) / i128::from(count);
        i64::try_from(edge).unwrap_or(i64::MAX)
    };
    let span = |slot: i64| (edge(slot), edge(slot + 1));
    // A slot of several in the job is longer than half of the shortest step, so that there are fewer than this.
    let spans: Vec<(i64, i64)> = (0..=2 * MOST_SLOTS + 2).map(span).take_while(|(_, end)| *end <= steps.length()).collect();
    let mean = |&(from, until): &(i64, i64)| Some(steps.cost(from, until)? / seconds(until - from));
    let costs: Vec<Option<f64>> = spans.iter().map(mean).collect();
    let chosen = cheapest(&costs, usize::try_from(count).ok()?, transition.value())?;
    Plan::of_pieces(steps, chosen.into_iter().map(|slot| spans[slot]))
}

/// Whole slots in the job, none longer than the shortest step.
fn slots_in_job(steps: &Steps, length: SignedDuration) -> Option<i64> {
    let length = Some(nanoseconds(length)).filter(|length| *length > 0)?;
    if length > steps.length() {
        return None;
    }
    let pieces = steps.pieces().iter();
    let shortest = pieces.map(|piece| piece.until - piece.from).min()?;
    let shortest = shortest.max(steps.length() / MOST_SLOTS).max(1);
    Some(length / shortest + i64::from(length % shortest != 0))
}

/// The cost so far and the stretches begun; of equal costs the fewer stretches win.
#[derive(Clone, Copy, Debug)]
struct State {
    cost: f64,
    stretches: u32,
}

impl State {
    const START: Self = Self { cost: 0.0, stretches: 0 };
    const NONE: Self = Self { cost: f64::INFINITY, stretches: 0 };

    fn plus(self, cost: f64) -> Self {
        Self { cost: self.cost + cost, ..self }
    }

    fn begun(self, transition: f64) -> Self {
        Self { cost: self.cost + transition, stretches: self.stretches + 1 }
    }

    fn beats(self, other: Self) -> bool {
        if other.cost.is_infinite() {
            return self.cost.is_finite();
        }
        let rounding = ROUNDING * other.cost.abs();
        self.cost < other.cost - rounding || (self.cost <= other.cost + rounding && self.stretches < other.stretches)
    }
}

/// How a state of the programme was reached; one byte for each slot and number of slots done.
#[derive(Clone, Copy, Default)]
struct Origin {
    /// Running in this slot: it ran in the one before.
    went_on: bool,
    /// Not running in this slot: it ran in the one before.
    stopped: bool,
}

/// The indices of the `count` slots of the cheapest plan, in order.
fn cheapest(costs: &[Option<f64>], count: usize, transition: f64) -> Option<Vec<usize>> {
    let width = count + 1;
    let mut off = vec![State::NONE; width];
    let mut on = vec![State::NONE; width];
    off[0] = State::START;
    let mut origins = vec![Origin::default(); width * costs.len()];
    let mut best = (State::NONE, 0);
    for (slot, cost) in costs.iter().enumerate() {
        // Downwards, so that the entries at `j` and `j - 1` are still those of the slot before.
        for j in (0..width.min(slot + 2)).rev() {
            let origin = &mut origins[slot * width + j];
            let (was_on, was_off) = (on[j], off[j]);
            on[j] = State::NONE;
            if let Some(cost) = cost.filter(|_| j > 0) {
                let start = off[j - 1].begun(transition);
                origin.went_on = !start.beats(on[j - 1]);
                let before = if origin.went_on { on[j - 1] } else { start };
                on[j] = before.plus(cost);
            }
            let stop = was_on.plus(transition);
            origin.stopped = stop.beats(was_off);
            off[j] = if origin.stopped { stop } else { was_off };
        }
        let end = on[count].plus(transition);
        if end.beats(best.0) {
            best = (end, slot);
        }
    }
    best.0.cost.is_finite().then(|| trace(&origins, width, best.1))
}

/// Walks back from the last slot that runs.
fn trace(origins: &[Origin], width: usize, last: usize) -> Vec<usize> {
    let mut chosen = Vec::with_capacity(width - 1);
    let (mut done, mut running) = (width - 1, true);
    for slot in (0..=last).rev() {
        if done == 0 {
            break;
        }
        let origin = origins[slot * width + done];
        if running {
            chosen.push(slot);
            done -= 1;
            running = origin.went_on;
        } else {
            running = origin.stopped;
        }
    }
    chosen.reverse();
    chosen
}
