//! Names of zones as people type them, a stated intensity, and what the built-in table says at any instant.

use carbon_api::grid::IntensityProvider;
use carbon_api::grid::fixed::FixedGrid;
use carbon_api::grid::table::StaticGrid;
use carbon_api::grid::zone::{Naming, ZoneId, nearest};
use jiff::{SignedDuration, Timestamp};

use crate::bytes::Bytes;

/// Plays one input: an instant and an intensity in eight bytes each, then the zone.
pub fn run(data: &[u8]) {
    let (numbers, text) = data.split_at(data.len().min(18));
    let mut numbers = Bytes::new(numbers);
    let at = Timestamp::from_second(numbers.number().cast_signed()).unwrap_or_default();
    let grams = f64::from_bits(numbers.number());
    let text = String::from_utf8_lossy(text);
    let zone = ZoneId::new(&text);
    assert!(zone.country().is_none_or(|country| country.len() == 2));
    assert_eq!(nearest(&text, ["GB", "US-CISO"], 2).len(), 2);
    match Naming::of(&text) {
        Ok(naming) => assert!(Naming::of(naming.zone.as_str()).is_ok_and(|again| again.zone == naming.zone)),
        Err(error) => assert!(error.nearest.len() == 3 && !error.to_string().contains('\n')),
    }
    if let Ok(grid) = StaticGrid::new(Some(&text)) {
        check(&grid, at);
    }
    match FixedGrid::new(grams, Some(&text)) {
        Ok(grid) => check(&grid, at),
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
}

fn check(grid: &dyn IntensityProvider, at: Timestamp) {
    let told = grid.at(at).expect("a table knows every instant");
    let grams = told.g_per_kwh.value();
    assert!(grams.is_finite() && grams >= 0.0 && told.from <= at, "{told:?}");
    assert!(at < told.until || told.until == Timestamp::MAX, "{told:?}");
    let until = at.checked_add(SignedDuration::from_hours(100)).unwrap_or(Timestamp::MAX);
    let steps = grid.forecast(at, until);
    assert!(steps.iter().all(|step| step.from < step.until));
    assert!(steps.windows(2).all(|pair| pair[0].until == pair[1].from), "steps follow each other");
}
