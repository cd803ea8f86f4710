//! A subject as a multiple of a floor.

use std::fmt;

use crate::measure::{median, quantile};

/// The ratio of the medians, and how far the ratios of single rounds lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    /// Median of the subject over median of the floor.
    pub(crate) of_medians: f64,
    low: f64,
    high: f64,
}

impl Ratio {
    /// Compares rounds of the subject with rounds of the floor that were taken beside them.
    pub(crate) fn of(subject: &[f64], floor: &[f64]) -> Self {
        let rounds: Vec<f64> = subject.iter().zip(floor).map(|(s, f)| s / f).collect();
        Self { of_medians: median(subject) / median(floor), low: quantile(&rounds, 0.1), high: quantile(&rounds, 0.9) }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.2} ({:.2}-{:.2})", self.of_medians, self.low, self.high))
    }
}
