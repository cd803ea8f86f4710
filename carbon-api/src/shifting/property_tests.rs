//! The planners against trying everything, and what every plan keeps.

use proptest::prelude::*;

use super::tests::{all, at, carbon_time, hourly, hours, points, used};
use super::*;
use crate::grid::Point;

fn sum(values: &[f64], slots: &[i64]) -> f64 {
    slots.iter().map(|slot| values[usize::try_from(*slot).unwrap()]).sum()
}

/// Every choice of `count` out of `n` slots.
fn choices(n: i64, count: usize) -> Vec<Vec<i64>> {
    let all = (0u32..1 << n).filter(|set| set.count_ones() as usize == count);
    all.map(|set| (0..n).filter(|slot| set >> slot & 1 == 1).collect()).collect()
}

fn stretches(slots: &[i64]) -> usize {
    1 + slots.windows(2).filter(|pair| pair[1] != pair[0] + 1).count()
}

fn small_job() -> impl Strategy<Value = (Vec<f64>, usize)> {
    prop::collection::vec((0u16..400).prop_map(f64::from), 1..=10)
        .prop_flat_map(|values| (1..=values.len(), Just(values)))
        .prop_map(|(length, values)| (values, length))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn window_is_the_best_of_all_starts((values, length) in small_job()) {
        let plan = window::window(&hourly(&values), hours(length)).unwrap();
        let costs: Vec<f64> = values.windows(length).map(|w| w.iter().sum()).collect();
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let first = costs.iter().position(|cost| *cost <= least).unwrap();
        prop_assert_eq!(used(&plan)[0], i64::try_from(first).unwrap());
        prop_assert!((plan.g_per_kwh.value() * length as f64 - least).abs() < 1e-6);
    }

    #[test]
    fn no_start_at_any_minute_is_better(
        values in prop::collection::vec(0.0..500.0, 2..8), release in 0i64..100, minutes in 1i64..150, slack in 0i64..300,
    ) {
        let series = points(60, &values);
        let length = SignedDuration::from_mins(minutes);
        let end = i64::try_from(values.len()).unwrap() * 60;
        let steps = Steps::new(&series, at(release), at((release + minutes + slack).min(end)));
        let plan = window::window(&steps, length);
        let mut fits = false;
        for start in release..=release + slack {
            if let Some(other) = Plan::run(&steps, at(start), length) {
                fits = true;
                let best = plan.as_ref().unwrap().g_per_kwh.value();
                prop_assert!(best <= other.g_per_kwh.value() + 1e-6);
            }
        }
        prop_assert_eq!(plan.is_some(), fits);
    }

    #[test]
    fn slots_is_the_best_of_all_choices((values, length) in small_job()) {
        let plan = slots::slots(&hourly(&values), hours(length)).unwrap();
        let n = i64::try_from(values.len()).unwrap();
        let best = choices(n, length).into_iter().min_by(|a, b| {
            sum(&values, a).total_cmp(&sum(&values, b)).then(a.cmp(b))
        });
        prop_assert_eq!(used(&plan), best.unwrap());
    }

    #[test]
    fn slots_cost_is_the_best_of_all_choices((values, length) in small_job(), beta in 0u16..200) {
        let beta = f64::from(beta);
        let plan = slots_cost::slots_cost(&hourly(&values), hours(length), GramsPerKwh::new(beta)).unwrap();
        let n = i64::try_from(values.len()).unwrap();
        let cost = |slots: &[i64]| sum(&values, slots) + 2.0 * beta * stretches(slots) as f64;
        let chosen = used(&plan);
        prop_assert_eq!(chosen.len(), length);
        let all = choices(n, length);
        let least = all.iter().map(|slots| cost(slots)).fold(f64::INFINITY, f64::min);
        prop_assert!((cost(&chosen) - least).abs() < 1e-6, "{} against {}", cost(&chosen), least);
        let ties = all.iter().filter(|slots| cost(slots) <= least + 1e-6);
        prop_assert_eq!(stretches(&chosen), ties.map(|slots| stretches(slots)).min().unwrap());
    }

    #[test]
    fn saving_per_wait_is_the_best_of_all_starts((values, length) in small_job()) {
        let found = carbon_time(&hourly(&values), hours(length)).unwrap();
        let costs: Vec<f64> = values.windows(length).map(|w| w.iter().sum()).collect();
        let scores: Vec<f64> = costs.iter().enumerate().map(|(i, c)| (costs[0] - c) / (i + length) as f64).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let first = scores.iter().position(|score| *score >= most - 1e-9).unwrap();
        prop_assert_eq!(used(&found.plan)[0], i64::try_from(first).unwrap());
        prop_assert!((found.score.value() - most).abs() < 1e-6);
    }

    #[test]
    fn no_plan_ends_after_its_deadline(
        values in prop::collection::vec(prop::option::weighted(0.9, 0.0..900.0), 1..60),
        release in -50i64..200, minutes in 1i64..300, slack in -20i64..900,
    ) {
        let all_points = points(20, &values.iter().map(|v| v.unwrap_or(0.0)).collect::<Vec<_>>());
        let known = all_points.into_iter().zip(&values).filter(|(_, v)| v.is_some());
        let series: Vec<Point> = known.map(|(point, _)| point).collect();
        let length = SignedDuration::from_mins(minutes);
        let deadline = at(release + minutes + slack);
        let steps = Steps::new(&series, at(release), deadline);
        for (name, plan) in all(&series, &steps, length) {
            prop_assert!(plan.start().unwrap() >= at(release), "{}", name);
            prop_assert!(plan.end().unwrap() <= deadline, "{}", name);
            let ran: SignedDuration = plan.segments.iter().map(|s| s.until.duration_since(s.from)).sum();
            // Slots that do not divide the job evenly are rounded to the nanosecond.
            prop_assert!((ran - length).abs() < SignedDuration::from_micros(1), "{} {}", name, ran);
            for pair in plan.segments.windows(2) {
                prop_assert!(pair[0].until < pair[1].from, "{}", name);
            }
            for segment in &plan.segments {
                prop_assert!(steps.mean(segment.from, segment.until).is_some(), "{} in a gap", name);
            }
        }
    }

    #[test]
    fn scaling_all_intensities_changes_no_choice(
        values in prop::collection::vec(0.0..900.0, 2..60), minutes in 1i64..300, power in -3i32..4,
    ) {
        let scaled: Vec<f64> = values.iter().map(|v| v * 2f64.powi(power)).collect();
        let end = at(i64::try_from(values.len()).unwrap() * 20);
        let (one, other) = (points(20, &values), points(20, &scaled));
        let length = SignedDuration::from_mins(minutes);
        let plans = |series: &[Point]| {
            let plans = all(series, &Steps::new(series, at(0), end), length);
            plans.into_iter().map(|(name, plan)| (name, plan.segments)).collect::<Vec<_>>()
        };
        prop_assert_eq!(plans(&one), plans(&other));
    }

    #[test]
    fn the_integral_is_the_mean_of_the_series(
        values in prop::collection::vec(0.0..900.0, 1..20), from in 0i64..300, minutes in 1i64..300,
    ) {
        let series = points(17, &values);
        let steps = Steps::new(&series, at(3), at(290));
        let (from, until) = (at(from), at(from + minutes));
        let inside = from >= at(3) && until <= at(290);
        let expected = crate::grid::forecast::mean(&series, from, until).filter(|_| inside);
        let found = steps.mean(from, until);
        prop_assert_eq!(found.is_some(), expected.is_some());
        if let (Some(found), Some(expected)) = (found, expected) {
            prop_assert!((found.value() - expected.value()).abs() < 1e-9);
        }
    }
}
