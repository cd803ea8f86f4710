//! Grid intensity: a step function on half-open UTC intervals, each value with its provenance.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::units::GramsPerKwh;

pub mod fixed;
pub mod forecast;
pub mod table;
pub mod zone;

/// Which question an intensity answers; the two never mix silently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IntensityKind {
    /// What the grid emitted per kilowatt-hour: for accounting.
    #[default]
    Average,
    /// What one more kilowatt-hour causes: for decisions.
    Marginal,
}

impl IntensityKind {
    /// The word in JSON and in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::Marginal => "marginal",
        }
    }
}

/// A step of the fallback chain that was passed over, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Fallback {
    /// The step or provider that had no answer.
    pub step: String,
    /// Which provider.
    pub provider: String,
    /// Why it had none.
    pub reason: String,
}

/// One value of the step function, with everything needed to defend it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Intensity {
    /// The zone that the value is for.
    pub zone: Arc<str>,
    /// The zone that was asked for.
    pub zone_asked: Arc<str>,
    /// The value.
    pub g_per_kwh: GramsPerKwh,
    /// Average or marginal.
    pub kind: IntensityKind,
    /// `lifecycle` or `direct`; `null` where the teller did not say.
    pub factor_type: Option<&'static str>,
    /// Who says so.
    pub provider: &'static str,
    /// `yearly`, `diurnal` or `fixed`: how a built-in value was made.
    pub method: &'static str,
    /// Valid from here …
    pub from: Timestamp,
    /// … until here, exclusive.
    pub until: Timestamp,
    /// The instant that the value speaks of, or its publication.
    pub as_of: Timestamp,
    /// When the provider issued it.
    pub issued_at: Timestamp,
    /// Older than its use allows.
    pub stale: bool,
    /// Not an observed value.
    pub estimated: bool,
    /// Half width of the 95 % interval (a convention, by the kind of source).
    pub uncertainty_g_per_kwh: f64,
    /// What was passed over before this value.
    pub fallbacks: Vec<Fallback>,
    /// What a reader must know: a world figure, an old row.
    pub warnings: Vec<String>,
}

impl Intensity {
    /// Seconds since the value was issued.
    pub fn age_s(&self, now: Timestamp) -> f64 {
        now.duration_since(self.issued_at).as_secs_f64().max(0.0)
    }
}

/// One interval of a forecast or of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Point {
    /// Valid from here …
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// … until here, exclusive.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// The value.
    pub g_per_kwh: GramsPerKwh,
}

/// Who can tell an intensity. Implementors keep what they need in memory: an answer never waits for a network.
pub trait IntensityProvider: Send + Sync {
    /// The value in force at `at`; `None` where this provider has none.
    fn at(&self, at: Timestamp) -> Option<Intensity>;

    /// The values from `from` until `until`, in order and without overlap; empty where it has no forecast.
    fn forecast(&self, from: Timestamp, until: Timestamp) -> Vec<Point>;

    /// Counts changes of what it says of a time that was asked before: a reader that keeps a value asks anew when this moved.
    fn changes(&self) -> u64 {
        0
    }
}
