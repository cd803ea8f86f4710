//! Medians, and goals that decide the exit status.

use std::process::ExitCode;

/// The middle one of some figures; 0 where there is none.
pub(crate) fn median(figures: &[f64]) -> f64 {
    quantile(figures, 0.5)
}

/// The figure below which a part (0 to 1) of all figures lies; 0 where there is none.
pub(crate) fn quantile(figures: &[f64], part: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(place).copied().unwrap_or(0.0)
}

/// Goals met and missed.
#[derive(Debug, Default)]
pub(crate) struct Goals {
    missed: u32,
}

impl Goals {
    /// Compares a figure with its goal, and returns what to print of it.
    pub(crate) fn at_most(&mut self, figure: f64, goal: f64) -> String {
        let met = figure <= goal;
        self.missed += u32::from(!met);
        format!("goal <= {goal}: {}", if met { "met" } else { "MISSED" })
    }

    /// Failure where a goal was missed.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
