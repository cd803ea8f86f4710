//! `threshold`: run while the grid is cleaner than a low value of the day, and pause otherwise (WaitAwhile, as run by Ecovisor).
//!
//! It looks one day ahead for the threshold and then only at the present, so that it needs no forecast that is trusted beyond
//! a day. When the slack is used up it runs, whatever the grid does.

use jiff::{SignedDuration, Timestamp};

use super::steps::nanoseconds;
use super::{Plan, Steps};
use crate::grid::{Point, forecast};
use crate::units::GramsPerKwh;

/// The threshold and how much of the day it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// It runs below this value, not at it.
    pub g_per_kwh: GramsPerKwh,
    /// Known hours of the 24 that follow the release.
    pub hours: usize,
}

/// The element of rank `floor(0.3 (n - 1))` of the hourly means of the day after the release (n = 24; fewer where the forecast
/// is shorter or has gaps); `None` where no hour is known.
pub fn limit(points: &[Point], release: Timestamp) -> Option<Limit> {
    const DAY: usize = 24;
    let hours = forecast::resample(points, release, SignedDuration::from_hours(1), DAY);
    let mut hours: Vec<GramsPerKwh> = hours.into_iter().flatten().collect();
    hours.sort_by(|a, b| a.value().total_cmp(&b.value()));
    let rank = 3 * hours.len().checked_sub(1)? / 10;
    Some(Limit { g_per_kwh: hours[rank], hours: hours.len() })
}

/// Runs while the value is below `limit` or no slack is left. It starts and stops at most once in `dwell`, except when the
/// slack is used up or the forecast has a gap; no dwell is the published rule. `None` where the job does not fit or would have
/// to run in a gap.
pub fn threshold(steps: &Steps, length: SignedDuration, limit: GramsPerKwh, dwell: SignedDuration) -> Option<Plan> {
    let mut left = Some(nanoseconds(length)).filter(|left| *left > 0)?;
    let mut slack = steps.length().checked_sub(left).filter(|s| *s >= 0)?;
    let dwell = nanoseconds(dwell).max(0);
    let (mut at, mut running, mut held_until) = (0, false, 0);
    let mut pieces = Vec::new();
    while left > 0 {
        let piece = steps.piece_at(at)?;
        let forced = slack == 0;
        let wish = match piece.value {
            Some(value) => forced || value < limit.value(),
            None if forced => return None,
            None => false,
        };
        if wish != running && (forced || piece.value.is_none() || at >= held_until) {
            running = wish;
            held_until = at.saturating_add(dwell);
        }
        let rest = if running { &mut left } else { &mut slack };
        let mut until = piece.until.min(at.saturating_add(*rest));
        if at < held_until {
            until = until.min(held_until);
        }
        *rest -= until - at;
        if running {
            pieces.push((at, until));
        }
        at = until;
    }
    Plan::of_pieces(steps, pieces.into_iter())
}
