//! What the grid says, as a policy hears it: now, ahead, and in other zones.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PolicyError;
use crate::grid::fixed::HIGHEST_G_PER_KWH;
use crate::grid::{IntensityKind, IntensityProvider, Point};
use crate::units::GramsPerKwh;

/// The intensity of a zone, with its forecast and its neighbours where there are any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CarbonSignal {
    /// The zone; may be left out below `zones`, where the key names it.
    #[serde(default)]
    pub zone: String,
    /// Average (the default) or marginal; one kind in a signal.
    #[serde(default)]
    pub kind: IntensityKind,
    /// The value now.
    pub now_g_per_kwh: GramsPerKwh,
    /// The instant that it speaks of.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub as_of: Option<Timestamp>,
    /// It is too old to decide on.
    #[serde(default)]
    pub stale: bool,
    /// What is to come, in time order and without overlap; leave out an unknown stretch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forecast: Vec<Point>,
    /// The same of other zones, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub zones: BTreeMap<String, CarbonSignal>,
    /// Half width of the 95 % interval as a share of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty_rel: Option<f64>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// How the values were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// What a reader of the decision must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl CarbonSignal {
    /// What a provider tells of its zone, with its forecast from `now` until `until`; `None` where it has no value.
    pub fn from_provider(provider: &dyn IntensityProvider, now: Timestamp, until: Timestamp) -> Option<Self> {
        let told = provider.at(now)?;
        let value = told.g_per_kwh.value();
        let uncertainty_rel = Some(told.uncertainty_g_per_kwh / value).filter(|rel| rel.is_finite());
        Some(Self {
            // As it was asked for, so that the asker finds it; a warning tells whose value it is.
            zone: told.zone_asked.to_string(),
            kind: told.kind,
            now_g_per_kwh: told.g_per_kwh,
            as_of: Some(told.as_of),
            stale: told.stale,
            forecast: provider.forecast(now, until),
            zones: BTreeMap::new(),
            uncertainty_rel,
            provider: Some(told.provider.to_owned()),
            method: Some(told.method.to_owned()),
            warnings: told.warnings,
        })
    }

    /// The same signal with that of another zone beside it.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.zones.insert(other.zone.clone(), other);
        self
    }

    /// What it says of a zone; names are compared without regard to case.
    pub fn of_zone(&self, name: &str) -> Option<&Self> {
        if self.zone.eq_ignore_ascii_case(name) {
            return Some(self);
        }
        let mut zones = self.zones.iter();
        zones.find(|(zone, _)| zone.eq_ignore_ascii_case(name)).map(|(_, signal)| signal)
    }

    /// The instant that it is about: that of the value, or the start of the forecast where that is later.
    pub fn moment(&self) -> Option<Timestamp> {
        self.as_of.max(self.forecast.first().map(|point| point.from))
    }

    /// Checks every number and interval.
    ///
    /// # Errors
    /// The first key whose value cannot be: an intensity that is negative, not finite or above 5000; intervals that are empty,
    /// unordered or overlap; an uncertainty outside 0 to 1; zones of another kind or with zones of their own.
    pub fn validate(&self) -> Result<(), PolicyError> {
        if self.zone.trim().is_empty() {
            return Err(PolicyError::malformed("signal.zone", "it is missing", "name the zone of the intensity, such as \"GB\""));
        }
        self.validate_at("signal")?;
        for (name, signal) in &self.zones {
            let key = format!("signal.zones.{name}");
            let named = signal.zone.is_empty() || signal.zone.eq_ignore_ascii_case(name);
            if !named {
                let problem = format!("it is the signal of {}", signal.zone);
                return Err(PolicyError::refused(key, problem, "put it under its own name"));
            }
            if signal.kind != self.kind {
                let (own, other) = (self.kind.name(), signal.kind.name());
                let problem = format!("it is {other}, the signal is {own}: the two do not compare");
                return Err(PolicyError::refused(key, problem, "give zones of one kind"));
            }
            if !signal.zones.is_empty() {
                let mend = "put all zones side by side under signal.zones";
                return Err(PolicyError::refused(key, "it has zones of its own", mend));
            }
            signal.validate_at(&key)?;
        }
        Ok(())
    }

    /// The same signal with every intensity replaced by one constant, their mean; values that are all equal stay untouched. A
    /// rule that gets this decides on energy alone.
    #[must_use]
    pub fn energy_only(&self) -> Self {
        let values = self.values();
        let first = values.first().copied().unwrap_or(0.0);
        if values.iter().all(|value| value.to_bits() == first.to_bits()) {
            return self.clone();
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        self.replaced(&|_| mean)
    }

    /// The same signal for a carbon weight between 0 and 1: each intensity is moved towards the mean of all forecasts (of the
    /// present values where there is none), to `(1 - weight) mean + weight value`.
    #[must_use]
    pub fn blended(&self, weight: f64) -> Self {
        if weight.to_bits() == 1.0f64.to_bits() {
            return self.clone();
        }
        let mut values: Vec<f64> = self.each().flat_map(|s| &s.forecast).map(value_of).collect();
        if values.is_empty() {
            values = self.each().map(|signal| signal.now_g_per_kwh.value()).collect();
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        self.replaced(&|value| (1.0 - weight) * mean + weight * value)
    }

    /// Itself and its zones.
    fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.zones.values())
    }

    /// Every intensity in it.
    fn values(&self) -> Vec<f64> {
        let now = self.each().map(|signal| signal.now_g_per_kwh.value());
        let ahead = self.each().flat_map(|signal| &signal.forecast);
        now.chain(ahead.map(value_of)).collect()
    }

    fn replaced(&self, value: &impl Fn(f64) -> f64) -> Self {
        let mut signal = self.clone();
        signal.now_g_per_kwh = GramsPerKwh::new(value(self.now_g_per_kwh.value()));
        for point in &mut signal.forecast {
            point.g_per_kwh = GramsPerKwh::new(value(point.g_per_kwh.value()));
        }
        for zone in signal.zones.values_mut() {
            *zone = zone.replaced(value);
        }
        signal
    }

    fn validate_at(&self, key: &str) -> Result<(), PolicyError> {
        check_intensity(&format!("{key}.now_g_per_kwh"), self.now_g_per_kwh)?;
        if let Some(share) = self.uncertainty_rel.filter(|share| !(0.0..=1.0).contains(share)) {
            return Err(PolicyError::refused(
                format!("{key}.uncertainty_rel"),
                format!("{share} is no share"),
                "give the half width of the 95 % interval over the value, from 0 to 1",
            ));
        }
        let mut covered = Timestamp::MIN;
        for (index, point) in self.forecast.iter().enumerate() {
            let key = format!("{key}.forecast[{index}]");
            check_intensity(&format!("{key}.g_per_kwh"), point.g_per_kwh)?;
            if point.until <= point.from {
                let problem = format!("it ends at {}, not after its start {}", point.until, point.from);
                return Err(PolicyError::refused(format!("{key}.until"), problem, "give `until` after `from`"));
            }
            if point.from < covered {
                let problem = format!("it starts at {}, before the end {covered} of the one before", point.from);
                let mend = "give intervals in time order that do not overlap";
                return Err(PolicyError::refused(format!("{key}.from"), problem, mend));
            }
            covered = point.until;
        }
        Ok(())
    }
}

fn value_of(point: &Point) -> f64 {
    point.g_per_kwh.value()
}

fn check_intensity(key: &str, value: GramsPerKwh) -> Result<(), PolicyError> {
    if value.is_plausible() && value.value() <= HIGHEST_G_PER_KWH {
        return Ok(());
    }
    let problem = format!("{} cannot be an intensity", value.value());
    Err(PolicyError::refused(key, problem, "give gCO2e per kWh, from 0 to 5000"))
}

#[cfg(test)]
mod tests;
