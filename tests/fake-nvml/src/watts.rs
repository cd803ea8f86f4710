//! A power over time.

use serde::{Deserialize, Serialize};

/// Before every script, in seconds after its epoch.
pub(crate) const LONG_AGO_S: f64 = -1e12;

/// True power in watts: constant, or a list of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Watts {
    /// Always the same.
    Constant(f64),
    /// Pairs of seconds since the script's epoch, rising, and the watts from then on; the first also holds before its time.
    Steps(Vec<(f64, f64)>),
}

impl Watts {
    /// Watts at `at_s` seconds after the epoch.
    pub fn at(&self, at_s: f64) -> f64 {
        match self {
            Self::Constant(watts) => *watts,
            Self::Steps(steps) => {
                let before = steps.iter().take_while(|(from, _)| *from <= at_s).last();
                before.or(steps.first()).map_or(0.0, |(_, watts)| *watts)
            }
        }
    }

    /// Joules between two instants in seconds after the epoch; 0 where the second is not later.
    pub fn joules(&self, from_s: f64, to_s: f64) -> f64 {
        let mut edge = from_s;
        let mut joules = 0.0;
        if let Self::Steps(steps) = self {
            for (start, _) in steps.iter().filter(|(start, _)| *start > from_s && *start < to_s) {
                joules += self.at(edge) * (start - edge);
                edge = *start;
            }
        }
        joules + self.at(edge) * (to_s - edge).max(0.0)
    }

    /// The same past, and `watts` from `at_s` on.
    #[must_use]
    pub fn stepped(&self, at_s: f64, watts: f64) -> Self {
        let mut steps = match self {
            Self::Constant(before) => vec![(LONG_AGO_S, *before)],
            Self::Steps(steps) => steps.iter().copied().filter(|(from, _)| *from < at_s).collect(),
        };
        steps.push((at_s, watts));
        Self::Steps(steps)
    }
}

impl From<f64> for Watts {
    fn from(watts: f64) -> Self {
        Self::Constant(watts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_step_leaves_the_past_alone() {
        let power = Watts::from(100.0).stepped(10.0, 300.0).stepped(20.0, 50.0);
        assert!((power.joules(0.0, 10.0) - 1000.0).abs() < 1e-9);
        assert!((power.joules(0.0, 30.0) - (1000.0 + 3000.0 + 500.0)).abs() < 1e-9);
        assert_eq!([9.9, 10.0, 19.9, 20.0].map(|s| power.at(s).round() as i64), [100, 300, 300, 50]);
    }

    proptest! {
        #[test]
        fn energies_of_parts_add_up(steps in prop::collection::vec((0.0..100.0f64, 0.0..700.0f64), 0..8), mut at in [0.0..100.0f64, 0.0..100.0, 0.0..100.0]) {
            let mut steps = steps;
            steps.sort_by(|a, b| a.0.total_cmp(&b.0));
            at.sort_by(f64::total_cmp);
            let power = Watts::Steps(steps);
            let whole = power.joules(at[0], at[2]);
            prop_assert!((power.joules(at[0], at[1]) + power.joules(at[1], at[2]) - whole).abs() < 1e-6);
        }
    }
}
