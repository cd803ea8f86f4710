//! What the built-in table promises.

use super::*;
use crate::grid::IntensityKind;
use crate::units::GramsPerKwh;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn asked(zone: &str, when: &str) -> Intensity {
    StaticGrid::new(Some(zone)).unwrap().at(at(when)).unwrap()
}

fn steps(intensity: &Intensity) -> Vec<&str> {
    intensity.fallbacks.iter().map(|f| f.step.as_str()).collect()
}

#[test]
fn every_row_of_the_files_is_read() {
    let rows = include_str!("../../../data/static_intensity.csv").lines().count() - 1;
    assert_eq!((zones().len(), rows), (154 + 2 + 8, 154 + 2 + 8));
    assert_eq!(zones().iter().filter(|row| row.diurnal).count(), 8);
    let of = |year| zones().iter().filter(|row| row.year == year && row.iso3.len() == 3).count();
    assert_eq!((of(2024), of(2023), of(2022)), (89, 54, 11));
    for pair in zones().windows(2) {
        assert!(pair[0].zone < pair[1].zone, "{} stands twice", pair[1].zone);
    }
    for row in zones() {
        assert!((20.0..1400.0).contains(&row.g_per_kwh.value()), "{}", row.zone);
        assert_eq!((row.kind, row.factor_type), (IntensityKind::Average, "lifecycle"));
        assert!(!row.source.is_empty() && !row.licence.is_empty());
        if let Some(hours) = hours(row.zone) {
            assert!(hours.months.iter().flatten().all(|v| (20.0..800.0).contains(v)), "{}", row.zone);
        }
    }
}

#[test]
fn single_figures_stand_as_published() {
    for (zone, value) in [("GB", 216.0), ("XK", 959.0), ("WORLD", 473.0), ("EU", 213.0), ("TM", 1306.0), ("NP", 23.0)] {
        assert_eq!(asked(zone, "2025-01-01T00:00:00Z").g_per_kwh, GramsPerKwh::new(value), "{zone}");
    }
    assert_eq!(row("US-CISO").unwrap().g_per_kwh, GramsPerKwh::new(256.0));
    // The first and the last cell of the hourly file.
    assert_eq!(asked("US-AZPS", "2024-01-31T00:59:59Z").g_per_kwh, GramsPerKwh::new(604.0));
    assert_eq!(asked("US-AZPS", "2024-01-01T23:00:00Z").g_per_kwh, GramsPerKwh::new(580.1));
}

#[test]
fn a_us_area_is_told_by_the_hour() {
    let told = asked("us-ciso", "2024-06-15T20:30:00Z");
    assert_eq!((told.method, told.provider, &*told.zone), ("diurnal", "static", "US-CISO"));
    assert_eq!((told.from, told.until), (at("2024-06-15T20:00:00Z"), at("2024-06-15T21:00:00Z")));
    assert_eq!(told.issued_at, at("2023-01-01T00:00:00Z"));
    assert!((told.uncertainty_g_per_kwh - 0.30 * told.g_per_kwh.value()).abs() < 1e-12);
    assert!(told.estimated && !told.stale && told.fallbacks.is_empty() && told.warnings.is_empty());
}

#[test]
fn a_country_is_told_by_the_year() {
    let told = asked("GB", "2025-06-15T20:30:00Z");
    assert_eq!((told.method, steps(&told).as_slice()), ("yearly", ["diurnal"].as_slice()));
    assert_eq!((told.from, told.until), (at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")));
    assert!((told.uncertainty_g_per_kwh - 108.0).abs() < 1e-9);
}

#[test]
fn an_area_without_a_figure_takes_its_country_and_says_so() {
    for (zone, used) in [("US-TEX", "US"), ("GB-13", "GB"), ("AUS-NSW", "AU")] {
        let told = asked(zone, "2025-06-15T20:30:00Z");
        assert_eq!((&*told.zone, &*told.zone_asked), (used, zone));
        assert_eq!(steps(&told), ["diurnal", "yearly_zone"]);
        assert!((told.uncertainty_g_per_kwh - 0.6 * told.g_per_kwh.value()).abs() < 1e-9);
        assert!(told.warnings.iter().any(|w| w.contains(used)), "{:?}", told.warnings);
    }
}

#[test]
fn no_zone_is_the_world_with_the_mend() {
    let told = StaticGrid::new(None).unwrap().at(at("2025-01-01T00:00:00Z")).unwrap();
    assert_eq!((&*told.zone, told.g_per_kwh), ("WORLD", GramsPerKwh::new(473.0)));
    assert_eq!(steps(&told), ["diurnal", "yearly_zone", "yearly_country"]);
    assert!(told.warnings.iter().any(|w| w.contains("--zone")), "{:?}", told.warnings);
    assert!((told.uncertainty_g_per_kwh - 473.0).abs() < 1e-9);
    // Ukraine is a country, but there is no figure for it.
    assert_eq!(&*asked("UA", "2025-01-01T00:00:00Z").zone, "WORLD");
}

#[test]
fn an_unknown_zone_is_an_error_with_three_names() {
    for zone in ["", "  ", "NOWHERE", "XX", "XX-1", "Germany", "US_CISO", "\u{1F30D}"] {
        let error = StaticGrid::new(Some(zone)).unwrap_err();
        assert_eq!(error.nearest.len(), 3, "{zone}");
    }
    assert_eq!(StaticGrid::new(Some("US_CISO")).unwrap_err().nearest[0], "US-CISO");
}

#[test]
fn an_alias_is_used_with_a_note() {
    for (theirs, ours) in [("UK", "GB"), ("DE-LU", "DE"), ("deu", "DE"), ("CISO", "US-CISO"), ("US-TEX-ERCO", "US-ERCO")] {
        let told = asked(theirs, "2024-06-15T20:30:00Z");
        assert_eq!(&*told.zone, ours);
        assert!(told.warnings.iter().any(|w| w.contains(ours)), "{:?}", told.warnings);
    }
}

#[test]
fn a_figure_of_more_than_three_years_warns() {
    let warned = |when| asked("US-CISO", when).warnings.iter().any(|w| w.contains("3 years"));
    assert!(!warned("2025-12-31T23:59:59Z"));
    assert!(warned("2026-01-01T00:00:00Z"));
}

#[test]
fn the_forecast_of_an_area_is_hourly_and_clipped() {
    let grid = StaticGrid::new(Some("US-PJM")).unwrap();
    let (from, until) = (at("2024-03-31T22:20:00Z"), at("2024-04-01T01:05:00.5Z"));
    let points = grid.forecast(from, until);
    assert_eq!(points.len(), 4);
    assert_eq!((points[0].from, points[3].until), (from, until));
    for pair in points.windows(2) {
        assert_eq!(pair[0].until, pair[1].from);
    }
    for point in &points {
        assert_eq!(grid.at(point.from).unwrap().g_per_kwh, point.g_per_kwh);
    }
    assert!(grid.forecast(until, from).is_empty());
    assert_eq!(grid.forecast(Timestamp::UNIX_EPOCH, Timestamp::MAX).len(), 366 * 24);
}

#[test]
fn a_yearly_figure_is_no_forecast() {
    for zone in [None, Some("GB"), Some("US-TEX")] {
        let grid = StaticGrid::new(zone).unwrap();
        assert!(grid.forecast(at("2024-01-01T00:00:00Z"), at("2024-01-02T00:00:00Z")).is_empty());
    }
}

#[test]
fn an_instant_lies_within_the_interval_it_is_told_for() {
    let ends = [Timestamp::MIN, Timestamp::MAX, at("1969-12-31T23:59:59.5Z"), at("1969-12-31T22:59:59.999Z")];
    for when in ends.into_iter().chain([at("1970-01-01T00:00:00Z"), at("2024-02-29T23:59:59.999Z")]) {
        for zone in ["US-CISO", "GB"] {
            let told = StaticGrid::new(Some(zone)).unwrap().at(when).unwrap();
            assert!(told.from <= when && (when < told.until || when == Timestamp::MAX), "{zone} {when}");
        }
    }
}
