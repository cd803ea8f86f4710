//! The intensity object of `run`, `/v1/intensity` and whatever else shows one.

use carbon_api::grid::{Fallback, Intensity};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// An intensity with everything needed to defend it; the same object in every output.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct IntensityNow {
    pub(crate) zone: String,
    pub(crate) zone_asked: String,
    pub(crate) g_per_kwh: f64,
    pub(crate) kind: &'static str,
    pub(crate) factor_type: Option<&'static str>,
    pub(crate) provider: &'static str,
    pub(crate) method: &'static str,
    #[schemars(with = "String")]
    pub(crate) from: Timestamp,
    #[schemars(with = "String")]
    pub(crate) until: Timestamp,
    #[schemars(with = "String")]
    pub(crate) as_of: Timestamp,
    #[schemars(with = "String")]
    pub(crate) issued_at: Timestamp,
    pub(crate) age_s: f64,
    pub(crate) stale: bool,
    pub(crate) estimated: bool,
    pub(crate) uncertainty_g_per_kwh: f64,
    pub(crate) fallbacks: Vec<Fallback>,
    pub(crate) warnings: Vec<String>,
}

impl IntensityNow {
    pub(crate) fn of(i: Intensity, now: Timestamp) -> Self {
        Self {
            age_s: i.age_s(now),
            zone: i.zone.to_string(),
            zone_asked: i.zone_asked.to_string(),
            g_per_kwh: i.g_per_kwh.value(),
            kind: i.kind.name(),
            factor_type: i.factor_type,
            provider: i.provider,
            method: i.method,
            from: i.from,
            until: i.until,
            as_of: i.as_of,
            issued_at: i.issued_at,
            stale: i.stale,
            estimated: i.estimated,
            uncertainty_g_per_kwh: i.uncertainty_g_per_kwh,
            fallbacks: i.fallbacks,
            warnings: i.warnings,
        }
    }
}
