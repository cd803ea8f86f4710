//! The step function of a series: means with fractional overlap, slots of any length, rolling windows, gaps.
//!
//! A value holds over the whole of its interval; values are never joined by lines. (Joining hourly values of 2022 by lines
//! chose another best start for about half of all jobs.) A part without a value makes the mean unknown: the divisor is never
//! made smaller and nothing is filled in. All functions take points in time order that do not overlap.

use jiff::civil::{Date, Time};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::Point;
use crate::units::GramsPerKwh;

/// The mean over `[from, until)`, each value weighted by its overlap; `None` over a gap or over no time at all.
pub fn mean(points: &[Point], from: Timestamp, until: Timestamp) -> Option<GramsPerKwh> {
    let whole = nanoseconds(from, until);
    if whole <= 0 {
        return None;
    }
    let (mut covered, mut sum) = (0, 0.0);
    for point in overlapping(points, from, until) {
        let part = nanoseconds(point.from.max(from), point.until.min(until));
        covered += part;
        // A share of the time, so that a value alone is returned to the bit.
        sum += point.g_per_kwh.value() * (part as f64 / whole as f64);
    }
    (covered == whole).then(|| GramsPerKwh::new(sum))
}

/// The means of `count` slots of length `step` from `from` on; `None` for each slot that touches a gap.
pub fn resample(points: &[Point], from: Timestamp, step: SignedDuration, count: usize) -> Vec<Option<GramsPerKwh>> {
    let mut start = Some(from);
    (0..count)
        .map(|_| {
            let slot = start?;
            let end = slot.checked_add(step).ok();
            start = end;
            mean(points, slot, end?)
        })
        .collect()
}

/// The means of all windows of length `width` in `[from, until)`, one `tick` apart, in time order. Windows that touch a gap
/// are left out; a `tick` or `width` that is not positive gives none.
pub fn rolling(points: &[Point], from: Timestamp, until: Timestamp, width: SignedDuration, tick: SignedDuration) -> Vec<Point> {
    let mut windows = Vec::new();
    let mut start = from;
    while width.is_positive() && tick.is_positive() {
        let Ok(end) = start.checked_add(width) else {
            break;
        };
        if end > until {
            break;
        }
        if let Some(g_per_kwh) = mean(points, start, end) {
            windows.push(Point { from: start, until: end, g_per_kwh });
        }
        match start.checked_add(tick) {
            Ok(next) => start = next,
            Err(_) => break,
        }
    }
    windows
}

/// The parts of `[from, until)` that no point covers.
pub fn gaps(points: &[Point], from: Timestamp, until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let mut missing = Vec::new();
    let mut at = from;
    for point in overlapping(points, from, until) {
        if at < point.from {
            missing.push((at, point.from));
        }
        at = at.max(point.until);
    }
    if at < until {
        missing.push((at, until));
    }
    missing
}

/// The shortest interval of a series; `None` for an empty one.
pub fn smallest_step(points: &[Point]) -> Option<SignedDuration> {
    points.iter().map(|p| p.until.duration_since(p.from)).filter(SignedDuration::is_positive).min()
}

/// A calendar year in UTC as a half-open interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtcYear {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant of the next year.
    pub until: Timestamp,
}

impl UtcYear {
    /// The year that holds `at`.
    pub fn of(at: Timestamp) -> Self {
        Self::number(Offset::UTC.to_datetime(at).year())
    }

    /// The year of that number; open towards the ends of time.
    pub fn number(year: i16) -> Self {
        let first = |year| {
            let date = Date::new(year, 1, 1).ok()?;
            Offset::UTC.to_timestamp(date.to_datetime(Time::midnight())).ok()
        };
        Self { from: first(year).unwrap_or(Timestamp::MIN), until: first(year.saturating_add(1)).unwrap_or(Timestamp::MAX) }
    }
}

/// The points that have a part in `[from, until)`.
pub fn overlapping(points: &[Point], from: Timestamp, until: Timestamp) -> impl Iterator<Item = &Point> {
    let first = points.partition_point(|p| p.until <= from);
    points[first..].iter().take_while(move |p| p.from < until)
}

fn nanoseconds(from: Timestamp, until: Timestamp) -> i128 {
    until.as_nanosecond() - from.as_nanosecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: SignedDuration = SignedDuration::from_mins(1);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    /// Steps of `step` minutes from minute `start` on.
    fn series(start: i64, step: i64, values: &[f64]) -> Vec<Point> {
        let point = |(i, v): (usize, &f64)| {
            let from = start + step * i64::try_from(i).unwrap();
            Point { from: at(from), until: at(from + step), g_per_kwh: GramsPerKwh::new(*v) }
        };
        values.iter().enumerate().map(point).collect()
    }

    #[test]
    fn the_mean_of_half_overlapping_hours_is_weighted() {
        let hours = series(60, 60, &[30.0, 100.0, 50.0]);
        assert_eq!(mean(&hours, at(90), at(210)), Some(GramsPerKwh::new(70.0)));
    }

    #[test]
    fn a_gap_has_no_mean() {
        let mut hours = series(0, 60, &[30.0, 100.0, 50.0]);
        hours.remove(1);
        assert_eq!(mean(&hours, at(0), at(180)), None);
        assert_eq!(mean(&hours, at(0), at(61)), None);
        assert_eq!(mean(&hours, at(0), at(60)), Some(GramsPerKwh::new(30.0)));
        assert_eq!(mean(&hours, at(-1), at(60)), None);
        assert_eq!(mean(&hours, at(120), at(181)), None);
        assert_eq!(mean(&hours, at(0), at(0)), None);
        assert_eq!(mean(&[], at(0), at(1)), None);
        assert_eq!(gaps(&hours, at(-10), at(200)), [(at(-10), at(0)), (at(60), at(120)), (at(180), at(200))]);
    }

    #[test]
    fn a_constant_has_its_own_mean_to_the_bit() {
        let hours = series(0, 60, &[0.1; 24]);
        let part = mean(&hours, at(7), at(23)).unwrap();
        assert_eq!(part.value().to_bits(), 0.1f64.to_bits());
    }

    #[test]
    fn rolling_windows_advance_by_the_step_and_end_inside_the_data() {
        for (values, means) in [
            ([10.0, 20.0, 30.0, 40.0, 5.0].as_slice(), [15.0, 25.0, 35.0, 22.5].as_slice()),
            (&[5.0, 55.0, 10.0, 10.0, 10.0], &[30.0, 32.5, 10.0, 10.0]),
            (&[12.0, 11.0, 10.0, 12.0, 13.0], &[11.5, 10.5, 11.0, 12.5]),
        ] {
            let points = series(0, 5, values);
            let windows = rolling(&points, at(0), at(25), MINUTE * 10, MINUTE * 5);
            let found: Vec<f64> = windows.iter().map(|w| w.g_per_kwh.value()).collect();
            assert_eq!(found, means);
        }
        let points = series(0, 5, &[1.0]);
        assert!(rolling(&points, at(0), at(5), MINUTE, SignedDuration::ZERO).is_empty());
        assert!(rolling(&points, at(0), at(5), SignedDuration::ZERO, MINUTE).is_empty());
    }

    #[test]
    fn a_series_may_change_its_step() {
        let mut points = series(0, 30, &[100.0, 200.0]);
        points.extend(series(60, 15, &[300.0, 400.0]));
        assert_eq!(smallest_step(&points), Some(MINUTE * 15));
        let slots = resample(&points, at(0), MINUTE * 30, 4);
        assert_eq!(slots, [Some(100.0), Some(200.0), Some(350.0), None].map(|v| v.map(GramsPerKwh::new)));
    }

    #[test]
    fn a_single_point_is_a_series() {
        let points = series(0, 5, &[42.0]);
        assert_eq!(mean(&points, at(1), at(4)), Some(GramsPerKwh::new(42.0)));
        assert!(gaps(&points, at(0), at(5)).is_empty());
    }
}
