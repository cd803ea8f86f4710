//! The two embedded tables: yearly figures, and month x UTC hour. Read once, at first use.

use std::sync::OnceLock;

use jiff::civil::DateTime;
use serde::Serialize;

use crate::grid::IntensityKind;
use crate::units::GramsPerKwh;

/// One row of the yearly table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ZoneRow {
    /// Its name: two letters, `US-…`, `EU` or `WORLD`.
    pub zone: &'static str,
    /// The three letters of the country; empty for areas and groups.
    pub iso3: &'static str,
    /// The year that the figure speaks of.
    pub year: i16,
    /// The yearly mean.
    pub g_per_kwh: GramsPerKwh,
    /// Average, in every row.
    pub kind: IntensityKind,
    /// `lifecycle`, in every row.
    pub factor_type: &'static str,
    /// Who published it.
    pub source: &'static str,
    /// Under which licence.
    pub licence: &'static str,
    /// There is a table of month x UTC hour as well.
    pub diurnal: bool,
}

/// Every zone that has a figure, in the order of their names.
pub fn zones() -> &'static [ZoneRow] {
    static ROWS: OnceLock<Vec<ZoneRow>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let text = include_str!("../../../data/static_intensity.csv");
        let mut rows: Vec<_> = text.lines().filter_map(parse_row).collect();
        rows.sort_by_key(|row| row.zone);
        rows
    })
}

/// Means by month and UTC hour of one zone.
#[derive(Debug)]
pub(crate) struct Hours {
    zone: &'static str,
    pub(crate) months: [[f64; 24]; 12],
}

impl Hours {
    /// The mean of the month and hour (UTC) that `at` lies in.
    pub(crate) fn at(&self, at: DateTime) -> GramsPerKwh {
        let month = usize::from(at.month().unsigned_abs()).saturating_sub(1) % 12;
        let hour = usize::from(at.hour().unsigned_abs()) % 24;
        GramsPerKwh::new(self.months[month][hour])
    }
}

/// The row of that name.
pub(crate) fn row(zone: &str) -> Option<&'static ZoneRow> {
    let rows = zones();
    rows.binary_search_by(|row| row.zone.cmp(zone)).ok().map(|at| &rows[at])
}

/// The hourly means of that name.
pub(crate) fn hours(zone: &str) -> Option<&'static Hours> {
    static TABLE: OnceLock<Vec<Hours>> = OnceLock::new();
    let table = TABLE.get_or_init(|| parse_hours(include_str!("../../../data/diurnal_intensity.csv")));
    table.iter().find(|hours| hours.zone == zone)
}

fn parse_row(line: &'static str) -> Option<ZoneRow> {
    let mut cells = line.split(',');
    let mut cell = || cells.next();
    let (zone, iso3, year, value) = (cell()?, cell()?, cell()?.parse().ok()?, cell()?);
    let kind = match cell()? {
        "average" => IntensityKind::Average,
        "marginal" => IntensityKind::Marginal,
        _ => return None,
    };
    Some(ZoneRow {
        zone,
        iso3,
        year,
        g_per_kwh: GramsPerKwh::new(value.parse().ok()?),
        kind,
        factor_type: cell()?,
        source: cell()?,
        licence: cell()?,
        diurnal: hours(zone).is_some(),
    })
}

fn parse_hours(text: &'static str) -> Vec<Hours> {
    let mut table: Vec<Hours> = Vec::new();
    for line in text.lines() {
        let mut cells = line.split(',');
        let (Some(zone), Some(Ok(month))) = (cells.next(), cells.next().map(str::parse::<usize>)) else {
            continue;
        };
        if table.last().is_none_or(|last| last.zone != zone) {
            table.push(Hours { zone, months: [[f64::NAN; 24]; 12] });
        }
        let Some(values) = table.last_mut().and_then(|last| last.months.get_mut(month.wrapping_sub(1))) else {
            continue;
        };
        for (value, cell) in values.iter_mut().zip(cells) {
            *value = cell.parse().unwrap_or(f64::NAN);
        }
    }
    table
}
