//! The planners against published small cases.

use super::noise::{ForecastError, Side};
use super::window::Phase;
use super::*;
use crate::grid::Point;
use crate::units::Watts;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const SMALL: [f64; 8] = [300.0, 200.0, 100.0, 150.0, 400.0, 50.0, 250.0, 350.0];

pub(super) fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 / 3600 * 3600 + minutes * 60).unwrap()
}

pub(super) fn hours(count: usize) -> SignedDuration {
    HOUR * i32::try_from(count).unwrap()
}

/// Steps of `minutes` from the release on.
pub(super) fn points(minutes: i64, values: &[f64]) -> Vec<Point> {
    let slots = values.iter().zip(0..);
    let point = |(value, slot): (&f64, i64)| Point {
        from: at(slot * minutes),
        until: at((slot + 1) * minutes),
        g_per_kwh: GramsPerKwh::new(*value),
    };
    slots.map(point).collect()
}

pub(super) fn hourly(values: &[f64]) -> Steps {
    let end = i64::try_from(values.len()).unwrap() * 60;
    Steps::new(&points(60, values), at(0), at(end))
}

/// The hours in which a plan of whole hours runs.
pub(super) fn used(plan: &Plan) -> Vec<i64> {
    let hour = |t: Timestamp| t.duration_since(at(0)).as_hours();
    let segments = plan.segments.iter();
    segments.flat_map(|s| hour(s.from)..hour(s.until)).collect()
}

pub(super) fn carbon_time(steps: &Steps, length: SignedDuration) -> Option<saving_per_wait::Scored> {
    let now = Plan::run(steps, steps.release(), length)?;
    saving_per_wait::saving_per_wait(steps, length, now.g_per_kwh)
}

fn waitawhile(values: &[f64], length: SignedDuration) -> Option<Plan> {
    let limit = threshold::limit(&points(60, values), at(0))?;
    threshold::threshold(&hourly(values), length, limit.g_per_kwh, SignedDuration::ZERO)
}

/// Every planner on one forecast.
pub(super) fn all(points: &[Point], steps: &Steps, length: SignedDuration) -> Vec<(&'static str, Plan)> {
    let limit = threshold::limit(points, steps.release()).map(|l| l.g_per_kwh);
    let dwell = SignedDuration::from_mins(7);
    let beta = steps.mean_of_known().map(|mean| mean * 0.1);
    let plans = [
        ("window", window::window(steps, length)),
        ("lowest_slot", lowest_slot::lowest_slot(steps, length)),
        ("saving_per_wait", carbon_time(steps, length).map(|s| s.plan)),
        ("slots", slots::slots(steps, length)),
        ("slots_cost", beta.and_then(|beta| slots_cost::slots_cost(steps, length, beta))),
        ("threshold", limit.and_then(|limit| threshold::threshold(steps, length, limit, dwell))),
        ("nearest", nearest::nearest(steps, at(90), HOUR, length)),
    ];
    plans.into_iter().filter_map(|(name, plan)| Some((name, plan?))).collect()
}

#[test]
fn the_small_case_has_its_published_plans() {
    let steps = hourly(&SMALL);
    let two = hours(2);
    let found = |plan: Option<Plan>| {
        let plan = plan.unwrap();
        (used(&plan), plan.g_per_kwh.value() * 2.0)
    };
    assert_eq!(found(window::window(&steps, two)), (vec![2, 3], 250.0));
    assert_eq!(found(lowest_slot::lowest_slot(&steps, two)), (vec![5, 6], 300.0));
    assert_eq!(found(slots::slots(&steps, two)), (vec![2, 5], 150.0));
    assert_eq!(slots::slots(&steps, two).unwrap().pauses(), 1);
    let scored = carbon_time(&steps, two).unwrap();
    assert_eq!(used(&scored.plan), [1, 2]);
    assert!((scored.score.value() - 66.7).abs() < 0.05);
    let limit = threshold::limit(&points(60, &SMALL), at(0)).unwrap();
    assert_eq!((limit.g_per_kwh, limit.hours), (GramsPerKwh::new(150.0), 8));
    assert_eq!(used(&waitawhile(&SMALL, two).unwrap()), [2, 5]);
}

#[test]
fn a_dearer_pause_joins_the_slots() {
    let steps = hourly(&SMALL);
    for (beta, slots, total) in [
        (40.0, [2, 5], 310.0),
        (60.0, [2, 3], 370.0),
        // A tie at 350: the plan without a pause.
        (50.0, [2, 3], 350.0),
    ] {
        let plan = slots_cost::slots_cost(&steps, hours(2), GramsPerKwh::new(beta)).unwrap();
        assert_eq!(used(&plan), slots, "{beta}");
        let transitions = 2.0 * (1.0 + plan.pauses() as f64);
        assert!((plan.g_per_kwh.value() * 2.0 + transitions * beta - total).abs() < 1e-9);
    }
}

#[test]
fn a_job_that_may_move_a_little_stays_within_its_reach() {
    let steps = hourly(&SMALL);
    let start = |hour: i64, side: usize| {
        let plan = nearest::nearest(&steps, at(hour * 60), hours(side), HOUR);
        used(&plan.unwrap())[0]
    };
    assert_eq!((start(3, 0), start(3, 1), start(3, 2)), (3, 2, 5));
    assert_eq!((start(0, 3), start(7, 1)), (2, 6));
}

#[test]
fn a_flat_forecast_runs_at_once() {
    for value in [0.0, 0.1, 333.3] {
        let series = points(20, &[value; 72]);
        let steps = Steps::new(&series, at(1), at(24 * 60));
        assert!(steps.is_flat());
        for (name, plan) in all(&series, &steps, SignedDuration::from_mins(95)) {
            // Nearest starts where its hour begins; the rule of the threshold waits for what never comes.
            if !["nearest", "threshold"].contains(&name) {
                assert_eq!(plan.start(), Some(at(1)), "{name}");
            }
            assert_eq!(plan.pauses(), 0, "{name}");
        }
    }
    assert!(!hourly(&SMALL).is_flat() && !hourly(&[]).is_flat());
}

#[test]
fn a_missing_hour_is_never_the_best_window() {
    let mut series = points(60, &SMALL);
    // Hour 2, the cleanest pair with hour 3.
    series.remove(2);
    let steps = Steps::new(&series, at(0), at(480));
    assert_eq!(steps.gaps().collect::<Vec<_>>(), [(at(120), at(180))]);
    for (name, plan) in all(&series, &steps, hours(2)) {
        assert!(!used(&plan).contains(&2), "{name} runs in the gap");
    }
    assert_eq!(used(&window::window(&steps, hours(2)).unwrap()), [5, 6]);
    // The slots of hours 3 and 5 are still there.
    assert_eq!(used(&slots::slots(&steps, hours(2)).unwrap()), [3, 5]);
    let series = points(60, &SMALL[2..]);
    let late = Steps::new(&series, at(-60), at(480));
    assert!(Plan::run(&late, at(-60), HOUR).is_none());
}

#[test]
fn a_plan_survives_a_change_of_step() {
    let quarters: Vec<f64> = (0..96i32).map(|i| f64::from((i * 37) % 23) * 10.0 + 90.0).collect();
    let fine = points(15, &quarters);
    // Half hours first, of the mean of two quarters; quarters from the middle of the day on.
    let half = |pair: &[f64]| f64::midpoint(pair[0], pair[1]);
    let halves: Vec<f64> = quarters.chunks(2).map(half).collect();
    let mixed: Vec<Point> = points(30, &halves[..24]).into_iter().chain(fine[48..].iter().copied()).collect();
    let even = |i: usize| if i < 48 { halves[i / 2] } else { quarters[i] };
    let even: Vec<f64> = (0..96).map(even).collect();
    let even = points(15, &even);
    let (mixed_steps, even_steps) = (Steps::new(&mixed, at(0), at(1440)), Steps::new(&even, at(0), at(1440)));
    for minutes in [15, 45, 60, 240] {
        let length = SignedDuration::from_mins(minutes);
        for ((name, one), (_, other)) in all(&mixed, &mixed_steps, length).iter().zip(all(&even, &even_steps, length)) {
            assert_eq!(one.segments, other.segments, "{name} {minutes}");
        }
    }
}

#[test]
fn an_oscillating_grid_switches_once() {
    let waves: Vec<f64> = (0..288).map(|i| if i % 2 == 0 { 90.0 } else { 110.0 }).collect();
    let steps = Steps::new(&points(5, &waves), at(0), at(1440));
    let plan = |dwell| {
        let dwell = SignedDuration::from_mins(dwell);
        threshold::threshold(&steps, hours(6), GramsPerKwh::new(100.0), dwell).unwrap()
    };
    assert_eq!(plan(0).pauses(), 71);
    for dwell in [10, 30, 60] {
        let plan = plan(dwell);
        let mut switches: Vec<Timestamp> = plan.segments.iter().flat_map(|s| [s.from, s.until]).collect();
        // The end of the work is no switch.
        switches.pop();
        for pair in switches.windows(2) {
            let apart = pair[1].duration_since(pair[0]);
            assert!(apart >= SignedDuration::from_mins(dwell), "{apart:#}");
        }
        assert!(plan.pauses() > 0);
    }
}

#[test]
fn a_gain_inside_the_noise_is_told_from_one_outside() {
    let steps = hourly(&SMALL);
    let now = Plan::run(&steps, at(0), hours(2)).unwrap();
    let noise = |plan: &Plan, error| {
        let side = |plan| Side { steps: &steps, plan, error, issued: at(0) };
        noise::of_difference(side(&now), side(plan)).value()
    };
    let ten = ForecastError::Constant(GramsPerKwh::new(10.0));
    let later = Plan::run(&steps, at(120), hours(2)).unwrap();
    // sqrt(2 (L - o)) sigma / L
    assert!((noise(&later, ten) - 10.0).abs() < 1e-12);
    let half = Plan::run(&steps, at(60), hours(2)).unwrap();
    assert!((noise(&half, ten) - 2f64.sqrt() * 5.0).abs() < 1e-12);
    assert!(noise(&now, ten).abs() < 1e-12);
    assert!(noise::hides(GramsPerKwh::new(16.4), GramsPerKwh::new(10.0)));
    assert!(!noise::hides(GramsPerKwh::new(16.5), GramsPerKwh::new(10.0)));
}

#[test]
fn the_error_grows_with_the_lead_and_with_the_zone() {
    let typical = ForecastError::Typical { mean: GramsPerKwh::new(150.0) };
    for (lead, sigma) in [(-1, 18.75), (0, 18.75), (6, 21.25), (47, 37.5), (500, 37.5)] {
        let found = typical.at(HOUR * lead).value();
        assert!((found - sigma).abs() < 1e-12, "{lead}: {found}");
    }
    let dirty = ForecastError::Typical { mean: GramsPerKwh::new(300.0) };
    assert!((dirty.at(HOUR).value() - 37.5).abs() < 1e-12);
    let told = ForecastError::from_uncertainty(0.30, GramsPerKwh::new(196.0));
    assert!((told.at(HOUR * 30).value() - 30.0).abs() < 1e-12);
}

#[test]
fn two_forecasts_err_independently() {
    let (one, other) = (hourly(&SMALL), hourly(&SMALL));
    let plan = Plan::run(&one, at(0), HOUR).unwrap();
    let error = ForecastError::Constant(GramsPerKwh::new(3.0));
    let side = |steps| Side { steps, plan: &plan, error, issued: at(0) };
    let apart = noise::of_difference(side(&one), side(&other));
    assert!((apart.value() - 18f64.sqrt()).abs() < 1e-12);
}

#[test]
fn a_heavy_phase_is_put_where_it_is_clean() {
    let steps = hourly(&[100.0, 100.0, 300.0, 50.0, 100.0]);
    let phase = |hours, watts| Phase { length: HOUR * hours, power: Watts::new(watts) };
    let plan = window::window_of_phases(&steps, &[phase(1, 10.0), phase(1, 1000.0)]).unwrap();
    assert_eq!(used(&plan), [2, 3]);
    let plan = window::window_of_phases(&steps, &[phase(1, 1000.0), phase(1, 10.0)]).unwrap();
    assert_eq!(used(&plan), [3, 4]);
    assert!((plan.g_per_kwh.value() - (50.0 * 1000.0 + 100.0 * 10.0) / 1010.0).abs() < 1e-9);
    for phases in [vec![], vec![phase(0, 1.0)], vec![phase(1, 0.0)], vec![phase(1, f64::NAN)], vec![phase(6, 1.0)]] {
        assert!(window::window_of_phases(&steps, &phases).is_none());
    }
}

#[test]
fn what_does_not_fit_has_no_plan() {
    let steps = hourly(&SMALL);
    for length in [HOUR * 9, SignedDuration::ZERO, -HOUR, SignedDuration::MAX, SignedDuration::MIN] {
        assert_eq!(all(&points(60, &SMALL), &steps, length), []);
    }
    let nothing = hourly(&[]);
    assert_eq!(all(&[], &nothing, HOUR), []);
    assert!(nothing.is_empty() && nothing.mean_of_known().is_none());
    // A job of a nanosecond, in a forecast of a week: no programme of 10^15 slots.
    let week = hourly(&[100.0; 168]);
    assert!(slots_cost::slots_cost(&week, SignedDuration::from_nanos(1), GramsPerKwh::new(1.0)).is_some());
}
