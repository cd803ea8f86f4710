//! An intensity that the user states (`--intensity`): taken as told, everywhere and always, and never replaced.

use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use super::forecast::UtcYear;
use super::zone::{Naming, UnknownZone};
use super::{Intensity, IntensityKind, IntensityProvider, Point};
use crate::units::GramsPerKwh;

/// The highest intensity that is believed, in g/kWh; the dirtiest yearly figure of a country is near 1300.
pub const HIGHEST_G_PER_KWH: f64 = 5000.0;

/// One stated value. Its forecast is flat, so that no decision that rests on differences in time gains anything from it.
#[derive(Clone, Debug)]
pub struct FixedGrid {
    zone: Arc<str>,
    asked: Arc<str>,
    value: GramsPerKwh,
    notes: Vec<String>,
}

/// Why a stated intensity is refused.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum FixedError {
    /// The number cannot be an intensity.
    #[error("--intensity {value} is {problem}: give a number from 0 to 5000, in gCO2e per kWh")]
    Value {
        /// The number.
        value: f64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The zone that it should be shown under is unknown.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
}

impl FixedGrid {
    /// States `g_per_kwh`; `zone` is the label that it is shown under, the whole world (`WORLD`) without one.
    ///
    /// # Errors
    /// A number that is negative, not finite or above 5000; an unknown zone.
    pub fn new(g_per_kwh: f64, zone: Option<&str>) -> Result<Self, FixedError> {
        let problem = if !g_per_kwh.is_finite() {
            Some("not a finite number")
        } else if g_per_kwh < 0.0 {
            Some("negative")
        } else if g_per_kwh > HIGHEST_G_PER_KWH {
            Some("more than any grid emits")
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(FixedError::Value { value: g_per_kwh, problem });
        }
        let named = zone.map_or_else(|| Ok(Naming::world()), Naming::of)?;
        // Adding 0 turns -0 into 0.
        let value = GramsPerKwh::new(g_per_kwh + 0.0);
        Ok(Self { zone: named.zone.shared(), asked: named.asked.shared(), value, notes: named.notes })
    }
}

impl IntensityProvider for FixedGrid {
    fn at(&self, at: Timestamp) -> Option<Intensity> {
        let year = UtcYear::of(at);
        Some(Intensity {
            zone: Arc::clone(&self.zone),
            zone_asked: Arc::clone(&self.asked),
            g_per_kwh: self.value,
            kind: IntensityKind::Average,
            factor_type: None,
            provider: "fixed",
            method: "fixed",
            from: year.from,
            until: year.until,
            as_of: at,
            issued_at: at,
            stale: false,
            estimated: false,
            uncertainty_g_per_kwh: 0.0,
            fallbacks: Vec::new(),
            warnings: self.notes.clone(),
        })
    }

    fn forecast(&self, from: Timestamp, until: Timestamp) -> Vec<Point> {
        let point = Point { from, until, g_per_kwh: self.value };
        if from < until { vec![point] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_intensity_is_the_same_at_every_instant() {
        let grid = FixedGrid::new(250.0, Some("uk")).unwrap();
        for at in ["1970-01-01T00:00:00Z", "2026-07-01T12:34:56.789Z"] {
            let at: Timestamp = at.parse().unwrap();
            let told = grid.at(at).unwrap();
            assert_eq!(told.g_per_kwh.value().to_bits(), 250.0f64.to_bits());
            assert_eq!((&*told.zone, told.provider, told.method), ("GB", "fixed", "fixed"));
            assert!(told.from <= at && at < told.until);
            assert_eq!(told.age_s(at).to_bits(), 0.0f64.to_bits());
        }
        assert!(grid.at(Timestamp::MAX).is_some() && grid.at(Timestamp::MIN).is_some());
    }

    #[test]
    fn its_forecast_is_one_flat_step() {
        let grid = FixedGrid::new(250.0, None).unwrap();
        let (from, until) = (Timestamp::UNIX_EPOCH, "1970-01-03T00:00:00Z".parse().unwrap());
        assert_eq!(grid.forecast(from, until).len(), 1);
        assert!(grid.forecast(until, from).is_empty());
        assert!(grid.forecast(from, from).is_empty());
    }

    #[test]
    fn a_number_that_cannot_be_is_refused_by_the_name_of_the_option() {
        for value in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5000.1] {
            let text = FixedGrid::new(value, None).unwrap_err().to_string();
            assert!(text.contains("--intensity") && text.contains("0 to 5000"), "{text}");
        }
        for value in [0.0, -0.0, 5000.0] {
            let told = FixedGrid::new(value, None).unwrap().at(Timestamp::UNIX_EPOCH);
            assert!(told.unwrap().g_per_kwh.value().is_sign_positive());
        }
        assert!(matches!(FixedGrid::new(1.0, Some("NOWHERE")), Err(FixedError::Zone(_))));
    }
}
