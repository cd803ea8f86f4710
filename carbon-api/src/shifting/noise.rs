//! Is a gain larger than the error of the forecast?
//!
//! The error of one slot has a standard deviation that grows with its lead. For two plans of the same length the error of the
//! difference of their means follows from how much of each slot either of them uses: a slot that both use cancels. For
//! windows of L slots with an overlap of o this is `sqrt(2 (L - o)) sigma / L`. Errors of different slots are taken as
//! independent, which understates the noise of long windows.
//!
//! The rule costs a little saving and buys time and certainty: it is for people who wait, not for the most grams.

use jiff::{SignedDuration, Timestamp};

use super::steps::seconds;
use super::{Plan, Steps};
use crate::units::GramsPerKwh;

/// A gain must exceed this many standard deviations (95 %, one-sided).
pub const Z: f64 = 1.645;

/// The standard deviation of a forecast, by lead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ForecastError {
    /// From what forecasts of Great Britain missed by (National Energy System Operator, issues of March 2023), scaled by the
    /// mean of the zone.
    Typical {
        /// The mean of the zone.
        mean: GramsPerKwh,
    },
    /// The same at every lead.
    Constant(GramsPerKwh),
}

impl ForecastError {
    /// From the half width of a 95 % interval, as a share of the mean.
    pub fn from_uncertainty(uncertainty_rel: f64, mean: GramsPerKwh) -> Self {
        Self::Constant(mean * (uncertainty_rel / 1.96))
    }

    /// The standard deviation at a lead.
    pub fn at(self, lead: SignedDuration) -> GramsPerKwh {
        /// Mean absolute error in g/kWh, by 6 hours of lead, at a mean of [`MEAN`].
        const MISSED: [f64; 8] = [15.0, 17.0, 17.0, 22.0, 24.0, 25.0, 27.0, 30.0];
        const MEAN: f64 = 150.0;
        /// Standard deviation over mean absolute error, for a normal error.
        const SPREAD: f64 = 1.25;
        match self {
            Self::Constant(sigma) => sigma,
            Self::Typical { mean } => {
                let class = usize::try_from(lead.as_hours() / 6).unwrap_or(0);
                mean * (SPREAD * MISSED[class.min(MISSED.len() - 1)] / MEAN)
            }
        }
    }
}

/// A plan with the forecast that it rests on.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The forecast.
    pub steps: &'a Steps,
    /// The plan.
    pub plan: &'a Plan,
    /// How far the forecast may be off.
    pub error: ForecastError,
    /// When the forecast was issued: the lead counts from here.
    pub issued: Timestamp,
}

/// The standard deviation of the difference between the means of two plans. Errors of two forecasts are independent; what two
/// plans on one forecast share cancels.
pub fn of_difference(one: Side<'_>, other: Side<'_>) -> GramsPerKwh {
    let variance = if std::ptr::eq(one.steps, other.steps) {
        let shares = shares(other);
        one.variance(|slot, share| share - shares[slot])
    } else {
        one.variance(|_, share| share) + other.variance(|_, share| share)
    };
    GramsPerKwh::new(variance.sqrt())
}

/// True where a gain may well be nothing but error.
pub fn hides(gain: GramsPerKwh, noise: GramsPerKwh) -> bool {
    gain.value() <= Z * noise.value()
}

impl Side<'_> {
    /// Sum over slots of (weight x sigma)^2; the weight is made from the share of the plan that lies in the slot.
    fn variance(self, weight: impl Fn(usize, f64) -> f64) -> f64 {
        let pieces = self.steps.pieces().iter().zip(shares(self)).enumerate();
        let terms = pieces.map(|(slot, (piece, share))| {
            let start = self.steps.instant(piece.from);
            let sigma = self.error.at(start.duration_since(self.issued)).value();
            (weight(slot, share) * sigma).powi(2)
        });
        terms.sum()
    }
}

/// For each slot the share of the plan's running time that lies in it.
fn shares(side: Side<'_>) -> Vec<f64> {
    let steps = side.steps;
    let segments = side.plan.segments.iter();
    let segments: Vec<(i64, i64)> = segments.map(|s| (steps.offset(s.from), steps.offset(s.until))).collect();
    let whole: i64 = segments.iter().map(|(from, until)| until - from).sum();
    let share = |piece: &super::steps::Piece| {
        let first = segments.partition_point(|(_, until)| *until <= piece.from);
        let inside = segments[first..].iter().take_while(|(from, _)| *from < piece.until);
        let own: i64 = inside.map(|(from, until)| piece.until.min(*until) - piece.from.max(*from)).sum();
        seconds(own) / seconds(whole)
    };
    steps.pieces().iter().map(share).collect()
}
