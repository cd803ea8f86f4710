//! The built-in intensities: what there is to say about a zone without asking anybody.
//!
//! Yearly figures of 154 countries, the European Union and the world (Ember, yearly electricity data, CC BY 4.0) and of
//! eight balancing areas of the United States, which also have a table of month x UTC hour (EIA hourly generation 2022, own
//! computation). All are averages with life-cycle factors. The chain is `diurnal`, `yearly_zone`, `yearly_country`, `world`;
//! what was passed over is in `fallbacks`.

use std::sync::Arc;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

pub use super::zone::rows::{ZoneRow, zones};

use super::forecast::UtcYear;
use super::zone::rows::{Hours, hours, row};
use super::zone::{Naming, UnknownZone, unknown};
use super::{Fallback, Intensity, IntensityProvider, Point};

/// The name of this provider in every output.
pub const PROVIDER: &str = "static";

const WORLD: &str = "WORLD";
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The built-in figures of one zone.
#[derive(Clone, Debug)]
pub struct StaticGrid {
    asked: Arc<str>,
    zone: Arc<str>,
    row: &'static ZoneRow,
    hours: Option<&'static Hours>,
    rung: Rung,
    fallbacks: Vec<Fallback>,
    notes: Vec<String>,
}

impl StaticGrid {
    /// Finds the best figures for a zone: its own hours, its own year, its country's year, the world's. Without a zone it is
    /// the world's figure, with a warning.
    ///
    /// # Errors
    /// [`UnknownZone`] for a name that is neither in the table nor a part of a country that ISO 3166 knows.
    pub fn new(zone: Option<&str>) -> Result<Self, UnknownZone> {
        let named = zone.map_or_else(|| Ok(Naming::world()), Naming::of)?;
        let (name, mut notes) = (named.zone.as_str(), named.notes);
        let own = row(name).filter(|row| row.zone != WORLD);
        let country = named.zone.country().and_then(row);
        let (rung, row) = match (own, country) {
            (Some(own), _) if own.diurnal => (Rung::Diurnal, own),
            (Some(own), _) => (Rung::YearlyZone, own),
            (None, Some(country)) => (Rung::YearlyCountry, country),
            (None, None) => (Rung::World, row(WORLD).ok_or_else(|| unknown(name))?),
        };
        let subject = if zone.is_none() { "no zone is set" } else { name };
        match rung {
            Rung::YearlyCountry => notes.push(format!("no figure for {name}: that of {} is used", row.zone)),
            Rung::World if zone.is_none() => {
                notes.push("no zone is set: the world's yearly figure is used; name your zone with --zone".to_owned());
            }
            Rung::World if name != WORLD => {
                notes
                    .push(format!("no figure for {name}: the world's yearly figure is used; state your grid's with --intensity"));
            }
            _ => {}
        }
        let passed = |step: &Rung| Fallback {
            step: step.name().to_owned(),
            provider: PROVIDER.to_owned(),
            reason: format!("{subject}: {}", step.lack()),
        };
        let fallbacks = Rung::ALL.iter().take_while(|step| **step != rung).map(passed).collect();
        let (zone, hours) = (row.zone.into(), hours(row.zone).filter(|_| rung == Rung::Diurnal));
        Ok(Self { asked: named.asked.shared(), zone, row, hours, rung, fallbacks, notes })
    }

    /// Half width of the 95 % interval as a share of the value; a convention by the rung of the chain.
    pub fn uncertainty_rel(&self) -> f64 {
        self.rung.uncertainty_rel()
    }
}

impl IntensityProvider for StaticGrid {
    fn at(&self, at: Timestamp) -> Option<Intensity> {
        let now = Offset::UTC.to_datetime(at);
        let (method, value, from, until) = if let Some(hours) = self.hours {
            let from = hour_of(at);
            let until = from.checked_add(HOUR).unwrap_or(Timestamp::MAX);
            ("diurnal", hours.at(now), from, until)
        } else {
            let year = UtcYear::of(at);
            ("yearly", self.row.g_per_kwh, year.from, year.until)
        };
        let issued_at = UtcYear::number(self.row.year).until;
        let mut warnings = self.notes.clone();
        if now.year() > self.row.year + 3 {
            warnings.push(format!("the built-in figure of {} is of {}, more than 3 years old", self.zone, self.row.year));
        }
        Some(Intensity {
            zone: Arc::clone(&self.zone),
            zone_asked: Arc::clone(&self.asked),
            g_per_kwh: value,
            kind: self.row.kind,
            factor_type: Some(self.row.factor_type),
            provider: PROVIDER,
            method,
            from,
            until,
            as_of: issued_at,
            issued_at,
            // A typical hour or year does not go stale as an observation does: its age is shown and warned of instead.
            stale: false,
            estimated: true,
            uncertainty_g_per_kwh: value.value() * self.rung.uncertainty_rel(),
            fallbacks: self.fallbacks.clone(),
            warnings,
        })
    }

    /// Hourly steps where there is a table of hours, for a year at most; otherwise nothing, since a flat yearly figure is no
    /// forecast.
    fn forecast(&self, from: Timestamp, until: Timestamp) -> Vec<Point> {
        const LONGEST: usize = 366 * 24;
        let Some(hours) = self.hours else {
            return Vec::new();
        };
        let mut points = Vec::new();
        let mut start = from;
        while start < until && points.len() < LONGEST {
            let g_per_kwh = hours.at(Offset::UTC.to_datetime(start));
            let next = hour_of(start).checked_add(HOUR).unwrap_or(Timestamp::MAX);
            let end = next.min(until);
            points.push(Point { from: start, until: end, g_per_kwh });
            start = end;
        }
        points
    }
}

/// A step of the chain, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    Diurnal,
    YearlyZone,
    YearlyCountry,
    World,
}

impl Rung {
    const ALL: [Self; 4] = [Self::Diurnal, Self::YearlyZone, Self::YearlyCountry, Self::World];

    const fn name(self) -> &'static str {
        match self {
            Self::Diurnal => "diurnal",
            Self::YearlyZone => "yearly_zone",
            Self::YearlyCountry => "yearly_country",
            Self::World => "world",
        }
    }

    const fn lack(self) -> &'static str {
        match self {
            Self::Diurnal => "no table of month x hour",
            Self::YearlyZone => "no yearly figure",
            Self::YearlyCountry => "no yearly figure of its country",
            Self::World => "no figure of the world",
        }
    }

    const fn uncertainty_rel(self) -> f64 {
        match self {
            Self::Diurnal => 0.30,
            Self::YearlyZone => 0.50,
            Self::YearlyCountry => 0.60,
            Self::World => 1.0,
        }
    }
}

/// The start of the UTC hour that holds `at`.
fn hour_of(at: Timestamp) -> Timestamp {
    let hours = at.as_nanosecond().div_euclid(HOUR.as_nanos());
    Timestamp::from_nanosecond(hours * HOUR.as_nanos()).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
