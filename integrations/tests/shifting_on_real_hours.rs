//! The planners on a year of hourly intensities of real grids (EIA 2022), against figures that an independent program gave.
//!
//! The data is not part of the repository: `TREEHOUSE_DATA` names its folder (default: `shared/data` beside the workspace).
//! Without it these tests say so and pass; where `TREEHOUSE_SKIP_LOG` names a file, a line is added to it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

use std::io::Write;
use std::path::PathBuf;

use carbon_api::grid::Point;
use carbon_api::shifting::noise::{self, ForecastError, Side};
use carbon_api::shifting::{Plan, Steps, lowest_slot, saving_per_wait, slots, threshold, window};
use carbon_api::units::GramsPerKwh;
use jiff::{SignedDuration, Timestamp};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: usize = 24;

/// Saving in per cent and mean wait in hours of one rule.
#[derive(Default)]
struct Tally {
    planned: f64,
    now: f64,
    wait: f64,
    pauses: usize,
    jobs: usize,
}

impl Tally {
    fn add(&mut self, plan: &Plan, now: &Plan, release: Timestamp, length: SignedDuration) {
        self.planned += plan.g_per_kwh.value();
        self.now += now.g_per_kwh.value();
        self.wait += plan.wait(release, length).as_secs_f64() / 3600.0;
        self.pauses += plan.pauses();
        self.jobs += 1;
    }

    fn figures(&self) -> (f64, f64) {
        (100.0 * (1.0 - self.planned / self.now), self.wait / self.jobs as f64)
    }
}

/// One zone of the file, gaps filled with the value before.
fn year(zone: &str) -> Option<Vec<Point>> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("TREEHOUSE_DATA").map_or(beside, PathBuf::from);
    let file = folder.join("eia2022_intensity.csv");
    let Ok(text) = std::fs::read_to_string(&file) else {
        skip(&format!("{} is absent: the planners were not run on real hours (TREEHOUSE_DATA names the folder)", file.display()));
        return None;
    };
    let mut lines = text.lines();
    let column = lines.next()?.split(',').position(|name| name == zone)?;
    let mut last = None;
    let points = lines.map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        last = cells[column].parse().ok().or(last);
        let from: Timestamp = cells[0].replace('Z', ":00Z").parse().unwrap();
        let until = from + HOUR;
        let g_per_kwh = GramsPerKwh::new(last.expect("the first hour of every zone is known"));
        Point { from, until, g_per_kwh }
    });
    Some(points.collect())
}

fn skip(what: &str) {
    eprintln!("skipped: {what}");
    if let Some(log) = std::env::var_os("TREEHOUSE_SKIP_LOG") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
        // One write, so that lines of tests that run at once do not mix.
        file.unwrap().write_all(format!("optional: {what}\n").as_bytes()).unwrap();
    }
}

fn starts(length: usize, slack: usize) -> impl Iterator<Item = usize> {
    (0..8760 - length - slack - DAY).step_by(7)
}

/// The rules in the order of the table below.
fn rules(points: &[Point], length: usize, slack: usize) -> [Tally; 5] {
    let mut tallies: [Tally; 5] = Default::default();
    let duration = HOUR * i32::try_from(length).unwrap();
    for start in starts(length, slack) {
        let ahead = &points[start..start + (length + slack).max(DAY)];
        let release = ahead[0].from;
        let steps = Steps::new(ahead, release, points[start + length + slack].from);
        let now = Plan::run(&steps, release, duration).unwrap();
        let limit = threshold::limit(ahead, release).unwrap().g_per_kwh;
        let plans = [
            window::window(&steps, duration),
            lowest_slot::lowest_slot(&steps, duration),
            saving_per_wait::saving_per_wait(&steps, duration, now.g_per_kwh).map(|s| s.plan),
            slots::slots(&steps, duration),
            threshold::threshold(&steps, duration, limit, SignedDuration::ZERO),
        ];
        for (tally, plan) in tallies.iter_mut().zip(plans) {
            tally.add(&plan.unwrap(), &now, release, duration);
        }
    }
    tallies
}

#[test]
fn the_rules_save_what_they_are_known_to_save() {
    let names = ["window", "lowest_slot", "saving_per_wait", "slots", "threshold"];
    let table = [
        ("CISO", 1, 6, [(15.01, 2.95), (15.01, 2.95), (13.50, 2.26), (15.01, 2.95), (9.04, 3.75)]),
        ("CISO", 4, 12, [(25.14, 5.93), (20.92, 5.79), (23.91, 5.05), (25.98, 6.83), (21.92, 7.86)]),
        ("CISO", 12, 24, [(20.44, 12.08), (3.69, 12.35), (19.92, 10.83), (27.55, 19.47), (19.40, 23.20)]),
        ("CISO", 24, 24, [(4.40, 11.93), (0.67, 12.35), (4.31, 10.96), (20.26, 21.05), (10.14, 23.98)]),
        ("ERCO", 4, 12, [(10.69, 5.90), (8.36, 6.01), (10.04, 4.97), (11.19, 7.14), (9.39, 7.79)]),
        ("ERCO", 12, 24, [(10.60, 12.11), (4.66, 11.93), (10.03, 10.39), (13.09, 18.09), (7.45, 22.58)]),
        ("PJM", 4, 12, [(3.64, 5.78), (2.86, 5.79), (3.46, 5.02), (3.89, 7.15), (3.17, 7.86)]),
        ("PJM", 12, 24, [(3.06, 11.79), (1.28, 12.11), (2.95, 10.40), (4.13, 19.13), (2.66, 22.67)]),
    ];
    for (zone, length, slack, expected) in table {
        let Some(points) = year(zone) else { return };
        let tallies = rules(&points, length, slack);
        for ((tally, name), (saving, wait)) in tallies.iter().zip(names).zip(expected) {
            let (found_saving, found_wait) = tally.figures();
            assert!(
                (found_saving - saving).abs() <= 0.05 && (found_wait - wait).abs() <= 0.05,
                "{zone} {length}/{slack} {name}: {found_saving:.2} % ({found_wait:.2} h), known {saving} % ({wait} h)"
            );
        }
        if zone == "CISO" && length >= 12 {
            let pauses = tallies[3].pauses as f64 / tallies[3].jobs as f64;
            let known = if length == 12 { 1.23 } else { 2.16 };
            assert!((pauses - known).abs() <= 0.05, "{length}/{slack}: {pauses} pauses");
        }
    }
}

#[test]
fn the_window_saves_what_it_is_known_to_save_elsewhere() {
    let known = [("AZPS", 8.93), ("BPAT", 8.58), ("MISO", 5.16), ("NYIS", 5.28), ("SOCO", 4.02)];
    for (zone, saving) in known {
        let Some(points) = year(zone) else { return };
        let (found, _) = rules(&points, 4, 12)[0].figures();
        assert!((found - saving).abs() <= 0.05, "{zone}: {found:.2} %, known {saving} %");
    }
}

/// Forecasts with normal errors of a tenth of the mean: the rule of noise costs little saving, and far fewer jobs that wait end
/// worse than at once.
#[test]
fn the_noise_rule_buys_certainty_for_a_little_saving() {
    for (zone, always, with_rule) in
        [("CISO", (24.2, 0.09), (24.0, 0.01)), ("ERCO", (9.0, 0.19), (8.3, 0.03)), ("PJM", (1.9, 0.36), (1.5, 0.16))]
    {
        let Some(points) = year(zone) else { return };
        let mean = points.iter().map(|p| p.g_per_kwh.value()).sum::<f64>() / points.len() as f64;
        for (heeds_noise, (saving, worse)) in [(false, always), (true, with_rule)] {
            let (found_saving, found_worse) = with_noise(&points, 0.10 * mean, heeds_noise);
            assert!(
                (found_saving - saving).abs() <= 0.5 && (found_worse - worse).abs() <= 0.04,
                "{zone} {heeds_noise}: {found_saving:.1} %, {found_worse:.2} worse"
            );
        }
    }
}

/// Saving in per cent, and the share of shifted jobs that end worse than at once.
fn with_noise(points: &[Point], sigma: f64, heeds_noise: bool) -> (f64, f64) {
    let (length, slack) = (4, 12);
    let duration = HOUR * 4;
    let mut random = Random(7);
    let (mut planned, mut at_once, mut shifted, mut worse) = (0.0, 0.0, 0, 0);
    for start in starts(length, slack) {
        let truth = &points[start..start + length + slack];
        let mut told = truth.to_vec();
        for point in &mut told {
            point.g_per_kwh += GramsPerKwh::new(sigma * random.normal());
        }
        let (release, deadline) = (truth[0].from, points[start + length + slack].from);
        let (steps, truth) = (Steps::new(&told, release, deadline), Steps::new(truth, release, deadline));
        let now = Plan::run(&steps, release, duration).unwrap();
        let mut plan = window::window(&steps, duration).unwrap();
        let error = ForecastError::Constant(GramsPerKwh::new(sigma));
        let side = |plan| Side { steps: &steps, plan, error, issued: release };
        let noise = noise::of_difference(side(&now), side(&plan));
        if heeds_noise && noise::hides(now.g_per_kwh - plan.g_per_kwh, noise) {
            plan = now;
        }
        let settled = |from: Timestamp| truth.mean(from, from + duration).unwrap().value();
        let (cost, now) = (settled(plan.start().unwrap()), settled(release));
        planned += cost;
        at_once += now;
        if plan.start() != Some(release) {
            shifted += 1;
            worse += u32::from(cost > now);
        }
    }
    (100.0 * (1.0 - planned / at_once), f64::from(worse) / f64::from(shifted))
}

/// A small generator with a fixed seed (splitmix64), so that the run is the same everywhere.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        let (one, other) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
    }
}
