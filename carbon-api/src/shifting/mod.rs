//! When to run: pure planners on a forecast, each in a file of its own.
//!
//! All of them take the step function of a zone from the release of a job to its deadline ([`Steps`]) and the length of the
//! job, and answer with a [`Plan`]: where in time it runs and at which mean intensity. They keep three promises:
//! nothing ends after the deadline; of equally good plans the earliest is taken; a part of the forecast without a value is
//! never part of a plan. Slots may have any length and may change it; hours are only the common case.
//!
//! | planner | for | source |
//! | --- | --- | --- |
//! | [`nearest`](nearest::nearest) | a fixed daily job that may move a little | Let's Wait Awhile (Middleware'21, arXiv 2110.13234) |
//! | [`window`](window::window) | one run of known length | the same |
//! | [`slots`](slots::slots) | a job that may pause for nothing | the same |
//! | [`slots_cost`](slots_cost::slots_cost) | a job whose pauses cost something | exact dynamic programme |
//! | [`threshold`](threshold::threshold) | no forecast that is trusted beyond a day | WaitAwhile as run by Ecovisor (ASPLOS'23) |
//! | [`saving_per_wait`](saving_per_wait::saving_per_wait), [`lowest_slot`](lowest_slot::lowest_slot) | length or patience unknown | GAIA (ASPLOS'24) |
//!
//! [`noise`] tells whether a gain is larger than the error of the forecast. All figures that are known for these rules rest
//! on perfect forecasts unless a noise is named: they are upper bounds.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::units::GramsPerKwh;

pub mod lowest_slot;
pub mod nearest;
pub mod noise;
pub mod saving_per_wait;
pub mod slots;
pub mod slots_cost;
mod steps;
pub mod threshold;
pub mod window;

pub use steps::Steps;

/// Differences below this share of a cost are rounding, not carbon: they break no tie.
pub(crate) const ROUNDING: f64 = 1e-9;

/// A stretch of time in which the job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// It starts or resumes …
    pub from: Timestamp,
    /// … and ends or pauses.
    pub until: Timestamp,
}

/// Where in time a job runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In time order, apart from each other.
    pub segments: Vec<Segment>,
    /// The mean intensity while it runs, by the step integral.
    pub g_per_kwh: GramsPerKwh,
}

impl Plan {
    /// A run without pause; `None` where it leaves the forecast or touches a gap.
    pub fn run(steps: &Steps, from: Timestamp, length: SignedDuration) -> Option<Self> {
        let until = from.checked_add(length).ok()?;
        let g_per_kwh = steps.mean(from, until)?;
        Some(Self { segments: vec![Segment { from, until }], g_per_kwh })
    }

    /// When it first runs.
    pub fn start(&self) -> Option<Timestamp> {
        self.segments.first().map(|segment| segment.from)
    }

    /// When it is done.
    pub fn end(&self) -> Option<Timestamp> {
        self.segments.last().map(|segment| segment.until)
    }

    /// How often it is stopped and resumed.
    pub fn pauses(&self) -> usize {
        self.segments.len().saturating_sub(1)
    }

    /// How much later it is done than a run of `length` that starts at `release`.
    pub fn wait(&self, release: Timestamp, length: SignedDuration) -> SignedDuration {
        let end = self.end().unwrap_or(release);
        end.duration_since(release).saturating_sub(length)
    }

    /// Joins pieces of running time (in time order) that touch, and prices them.
    fn of_pieces(steps: &Steps, pieces: impl Iterator<Item = (i64, i64)>) -> Option<Self> {
        let mut segments: Vec<(i64, i64)> = Vec::new();
        for (from, until) in pieces.filter(|(from, until)| from < until) {
            match segments.last_mut() {
                Some(last) if last.1 == from => last.1 = until,
                _ => segments.push((from, until)),
            }
        }
        let (mut cost, mut seconds) = (0.0, 0.0);
        for &(from, until) in &segments {
            cost += steps.cost(from, until)?;
            seconds += steps::seconds(until - from);
        }
        let segment = |(from, until)| Segment { from: steps.instant(from), until: steps.instant(until) };
        (seconds > 0.0)
            .then(|| Self { segments: segments.into_iter().map(segment).collect(), g_per_kwh: GramsPerKwh::new(cost / seconds) })
    }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
