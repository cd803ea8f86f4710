//! A straight line through what a meter showed: power when idle, power when busy, and how far off it is.
//!
//! Minutes that lie far from the rest (Theil-Sen line, median absolute deviation) do not bend the line: least squares runs
//! over the others. They do count in the band, the 95th percentile of relative residuals, each taken from a line that was
//! fitted without its own minute.

use serde::{Deserialize, Serialize};

/// Fewest minutes that make a line.
const LEAST_POINTS: usize = 8;
/// Least range of utilisation that makes a line.
const LEAST_RANGE: f64 = 0.3;
/// A minute further away than this many standard deviations is an outlier.
const FAR: f64 = 4.0;
/// From a median absolute deviation to a standard deviation.
const MAD: f64 = 1.4826;
/// Half width that no line goes below: what a meter of this kind may be off by itself, and what differs between workloads.
const LEAST_BAND: f64 = 0.10;
/// A line with a wider band says no more than having none.
const WIDEST_BAND: f64 = 1.0;
/// Watts that a machine cannot draw.
const MOST_W: f64 = 100_000.0;

/// Means of one minute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, f64)", into = "(f64, f64)")]
pub struct Point {
    /// Busy share of the processors' time, 0 to 1.
    pub utilisation: f64,
    /// Watts of the processors.
    pub watts: f64,
}

impl Point {
    /// Both figures are possible.
    pub fn is_possible(&self) -> bool {
        (0.0..=1.0).contains(&self.utilisation) && self.watts > 0.0 && self.watts <= MOST_W
    }
}

impl From<(f64, f64)> for Point {
    fn from((utilisation, watts): (f64, f64)) -> Self {
        Self { utilisation, watts }
    }
}

impl From<Point> for (f64, f64) {
    fn from(point: Point) -> Self {
        (point.utilisation, point.watts)
    }
}

/// Power between idle and busy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Watts when idle, not negative.
    pub idle_w: f64,
    /// Watts when busy, not below `idle_w`.
    pub max_w: f64,
    /// Root mean square of the residuals, outliers included, in watts.
    pub residual_w: f64,
    /// Relative half width of the 95 % interval: 95th percentile of the residuals, at least 10 %, wider where a part of the
    /// range was never seen.
    pub band: f64,
    /// How many minutes it rests on.
    pub minutes: usize,
    /// Lowest utilisation seen.
    pub from: f64,
    /// Highest utilisation seen.
    pub until: f64,
}

impl Line {
    /// Fits a line; `None` with fewer than 8 minutes, over less than 0.3 of the range, or where the band would exceed 100 %.
    pub fn fit(points: &[Point]) -> Option<Self> {
        let all: Vec<Point> = points.iter().copied().filter(Point::is_possible).collect();
        let kept = without_outliers(&all);
        let (from, until) = range(&kept)?;
        if kept.len() < LEAST_POINTS || until - from < LEAST_RANGE {
            return None;
        }
        let squares = Squares::of(&kept);
        let (idle_w, slope) = squares.line();
        let max_w = idle_w + slope;
        let watts = |u: f64| idle_w + slope * u;
        let residual_w = (all.iter().map(|p| (p.watts - watts(p.utilisation)).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
        let relative = all.iter().map(|p| {
            let own = watts(p.utilisation);
            // what this minute would be off by, had the line been fitted without it
            let left_out = (p.watts - own).abs() / (1.0 - squares.leverage(p.utilisation)).max(0.1);
            left_out / own.max(0.01 * max_w)
        });
        // the band holds over the whole range, of which a part was not seen
        let band = upper_quantile(relative.collect(), 0.95).max(LEAST_BAND) / (until - from).min(1.0);
        let line = Self { idle_w, max_w, residual_w, band, minutes: all.len(), from, until };
        (max_w > 0.0 && band <= WIDEST_BAND).then_some(line)
    }

    /// Watts at a utilisation; beyond 0 to 1 the ends hold, and what is no number counts as idle.
    pub fn watts(&self, utilisation: f64) -> f64 {
        let u = if utilisation.is_nan() { 0.0 } else { utilisation.clamp(0.0, 1.0) };
        self.idle_w + (self.max_w - self.idle_w) * u
    }
}

fn range(points: &[Point]) -> Option<(f64, f64)> {
    let each = || points.iter().map(|p| p.utilisation);
    Some((each().min_by(f64::total_cmp)?, each().max_by(f64::total_cmp)?))
}

fn without_outliers(points: &[Point]) -> Vec<Point> {
    let pairs = points.iter().enumerate().flat_map(|(i, a)| points[i + 1..].iter().map(move |b| (a, b)));
    let slope_of = |(a, b): (&Point, &Point)| {
        let across = b.utilisation - a.utilisation;
        (across.abs() > 1e-3).then(|| (b.watts - a.watts) / across)
    };
    let Some(slope) = median(pairs.filter_map(slope_of).collect()) else {
        return points.to_vec();
    };
    let idle = median(points.iter().map(|p| p.watts - slope * p.utilisation).collect()).unwrap_or(0.0);
    let off = |p: &Point| (p.watts - idle - slope * p.utilisation).abs();
    let deviation = MAD * median(points.iter().map(off).collect()).unwrap_or(0.0);
    let largest = points.iter().map(|p| p.watts).fold(0.0, f64::max);
    // a deviation of 0 must not turn rounding into outliers
    let limit = FAR * deviation + 1e-6 * largest;
    points.iter().copied().filter(|p| off(p) <= limit).collect()
}

/// Sums of least squares over points.
struct Squares {
    count: f64,
    mean_u: f64,
    mean_w: f64,
    uu: f64,
    uw: f64,
}

impl Squares {
    fn of(points: &[Point]) -> Self {
        let count = points.len() as f64;
        let mean_u = points.iter().map(|p| p.utilisation).sum::<f64>() / count;
        let mean_w = points.iter().map(|p| p.watts).sum::<f64>() / count;
        let uu = points.iter().map(|p| (p.utilisation - mean_u).powi(2)).sum();
        let uw = points.iter().map(|p| (p.utilisation - mean_u) * (p.watts - mean_w)).sum();
        Self { count, mean_u, mean_w, uu, uw }
    }

    /// Watts at 0 and their rise to 1; neither is negative.
    fn line(&self) -> (f64, f64) {
        let slope = (self.uw / self.uu).max(0.0);
        let idle = self.mean_w - slope * self.mean_u;
        if idle >= 0.0 {
            return (idle, slope);
        }
        // through the origin: more use never costs less, and no use costs nothing at least
        let about_zero = |product: f64, of_means: f64| product + self.count * of_means;
        (0.0, about_zero(self.uw, self.mean_u * self.mean_w) / about_zero(self.uu, self.mean_u * self.mean_u))
    }

    /// How much a point at `u` pulls the line to itself, 0 to 1.
    fn leverage(&self, u: f64) -> f64 {
        1.0 / self.count + (u - self.mean_u).powi(2) / self.uu
    }
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// The figure below which a new one of the same kind lies with probability `q` (the largest one where there are too few).
fn upper_quantile(mut figures: Vec<f64>, q: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let rank = (q * (figures.len() + 1) as f64).ceil() as usize;
    figures.get(rank.min(figures.len()).saturating_sub(1)).copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
