//! What a policy answers: the action, what it is expected to cost against the baseline, and why.

use std::fmt::{Debug, Write};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::CarbonSignal;
use crate::grid::IntensityKind;
use crate::units::GramsPerKwh;

/// One decision with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Decision<A, O> {
    /// A fingerprint of everything that was decided on: the same input has the same id. The outcome is reported under it.
    pub decision_id: String,
    /// Who decided.
    pub policy: &'static str,
    /// What to do.
    pub action: A,
    /// What that is expected to cost.
    pub predicted: O,
    /// What the system's own rule would cost.
    pub baseline: O,
    /// The difference, in grams.
    pub saved_g: Saved,
    /// The reasons, in words.
    pub why: Vec<String>,
    /// The intensity that it rests on; `null` without a signal.
    pub intensity: Option<Basis>,
    /// Ask again after this instant.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub expires_at: Timestamp,
    /// What was done instead of the carbon-aware rule: `no-signal`, `no-forecast`, `stale-signal`, `gap`.
    pub fallback: Option<&'static str>,
}

/// Saved grams with a 95 % interval, as predicted; all `null` where the energy is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Saved {
    /// The lower end; negative where the action may turn out dirtier.
    pub low: Option<f64>,
    /// The expected value.
    pub mid: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

impl Saved {
    /// From an expected value and the half width of its interval.
    pub fn within(mid: f64, half_width: f64) -> Self {
        Self { low: Some(mid - half_width), mid: Some(mid), high: Some(mid + half_width) }
    }
}

/// The intensity that a decision rests on.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Basis {
    /// Of which zone.
    pub zone: String,
    /// The value at the time of the decision.
    pub g_per_kwh: GramsPerKwh,
    /// Average or marginal.
    pub kind: IntensityKind,
    /// Who says so, where the signal tells.
    pub provider: Option<String>,
    /// How it was made (`diurnal`, `fixed` …), where the signal tells.
    pub method: Option<String>,
    /// The instant that it speaks of.
    #[schemars(with = "Option<String>")]
    pub as_of: Option<Timestamp>,
    /// Too old to decide on.
    pub stale: bool,
    /// Half width of the 95 % interval as a share of the value, where known.
    pub uncertainty_rel: Option<f64>,
}

impl From<&CarbonSignal> for Basis {
    fn from(signal: &CarbonSignal) -> Self {
        Self {
            zone: signal.zone.clone(),
            g_per_kwh: signal.now_g_per_kwh,
            kind: signal.kind,
            provider: signal.provider.clone(),
            method: signal.method.clone(),
            as_of: signal.as_of,
            stale: signal.stale,
            uncertainty_rel: signal.uncertainty_rel,
        }
    }
}

/// The fingerprint of a decision's whole input, 32 hexadecimal digits (FNV-1a over the values' text).
pub fn decision_id(
    policy: &str,
    view: &impl Debug,
    signal: Option<&CarbonSignal>,
    settings: &impl Debug,
    now: Timestamp,
) -> String {
    let mut fingerprint = Fingerprint(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    // Writing into a fingerprint never fails.
    let _ = write!(fingerprint, "{policy}|{view:?}|{signal:?}|{settings:?}|{now}");
    format!("{:032x}", fingerprint.0)
}

struct Fingerprint(u128);

impl Write for Fingerprint {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        for byte in text.bytes() {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(PRIME);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_fnv_1a_of_128_bits() {
        let of = |text: &str| {
            let mut fingerprint = Fingerprint(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
            fingerprint.write_str(text).unwrap();
            format!("{:032x}", fingerprint.0)
        };
        assert_eq!(of(""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(of("a"), "d228cb696f1a8caf78912b704e4a8964");
        assert_eq!(of("foobar"), "343e1662793c64bf6f0d3597ba446f18");
    }

    #[test]
    fn the_same_input_has_the_same_id_and_another_has_another() {
        let now = Timestamp::UNIX_EPOCH;
        let id = |view: f64, settings: u8, now| decision_id("shift", &view, None, &settings, now);
        assert_eq!(id(1.0, 1, now), id(1.0, 1, now));
        assert_ne!(id(1.0, 1, now), id(1.5, 1, now));
        assert_ne!(id(1.0, 1, now), id(1.0, 2, now));
        assert_ne!(id(1.0, 1, now), id(1.0, 1, Timestamp::MAX));
    }
}
