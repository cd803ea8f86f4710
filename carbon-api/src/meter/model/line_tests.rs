use proptest::prelude::*;

use super::*;

fn points(figures: &[(f64, f64)]) -> Vec<Point> {
    figures.iter().map(|&pair| pair.into()).collect()
}

/// Minutes spread over the range, on a line.
fn on_a_line(idle: f64, max: f64, count: usize) -> Vec<Point> {
    let u = |i: usize| i as f64 / (count - 1) as f64;
    (0..count).map(|i| Point { utilisation: u(i), watts: idle + (max - idle) * u(i) }).collect()
}

#[test]
fn one_wrong_minute_does_not_bend_the_line() {
    let mut minutes = on_a_line(20.0, 80.0, 60);
    minutes[30].watts = 900.0;
    minutes[3].watts = 0.4;
    let line = Line::fit(&minutes).unwrap();
    assert!((line.idle_w - 20.0).abs() < 0.01 && (line.max_w - 80.0).abs() < 0.01, "{line:?}");
    assert!(line.residual_w > 100.0, "outliers are not hidden: {line:?}");
}

#[test]
fn too_few_minutes_or_too_small_a_range_make_no_line() {
    assert_eq!(Line::fit(&on_a_line(10.0, 20.0, 7)), None);
    assert!(Line::fit(&on_a_line(10.0, 20.0, 8)).is_some());
    let idle_night: Vec<Point> = (0..200).map(|i| Point { utilisation: f64::from(i) / 1000.0, watts: 11.0 }).collect();
    assert_eq!(Line::fit(&idle_night), None);
    assert_eq!(Line::fit(&[]), None);
}

#[test]
fn the_part_of_the_range_that_was_not_seen_widens_the_band() {
    let seen: Vec<Point> = on_a_line(10.0, 50.0, 41).into_iter().filter(|p| p.utilisation <= 0.5).collect();
    assert!((Line::fit(&seen).unwrap().band - 0.20).abs() < 1e-9);
}

#[test]
fn a_line_that_says_nothing_is_none() {
    // idle reads a fiftieth of what the rest of the line points at
    let minutes: Vec<Point> =
        (0..20).map(|i| Point { utilisation: f64::from(i) / 20.0, watts: [1.0, 90.0][i as usize % 2] }).collect();
    assert_eq!(Line::fit(&minutes), None);
}

#[test]
fn a_line_below_zero_is_bent_to_the_origin() {
    let falling =
        points(&[(0.2, 1.0), (0.3, 10.0), (0.4, 20.0), (0.5, 30.0), (0.6, 40.0), (0.7, 50.0), (0.8, 60.0), (0.9, 70.0)]);
    if let Some(line) = Line::fit(&falling) {
        assert!(line.idle_w.abs() < 1e-9 && line.watts(0.0) >= 0.0, "{line:?}");
    }
    let squares = Squares::of(&falling);
    let (idle, slope) = squares.line();
    let by_hand =
        falling.iter().map(|p| p.utilisation * p.watts).sum::<f64>() / falling.iter().map(|p| p.utilisation.powi(2)).sum::<f64>();
    assert!(idle.abs() < 1e-12 && (slope - by_hand).abs() < 1e-9, "{slope} {by_hand}");
}

/// Figures of a normal distribution, always the same ones (splitmix64; a sum of twelve uniform figures).
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

#[test]
fn noise_gives_the_right_band() {
    let mut random = Noise(7);
    for (idle, rise, noise) in [(20.0, 0.0, 0.08), (40.0, 60.0, 0.08), (5.0, 200.0, 0.12), (60.0, 20.0, 0.20)] {
        let mut shares = 0.0;
        let mut bands = 0.0;
        for _ in 0..80 {
            let mut minute = || {
                let utilisation = random.uniform();
                let watts = (idle + rise * utilisation) * (1.0 + noise * random.normal()).max(0.05);
                Point { utilisation, watts }
            };
            let seen: Vec<Point> = (0..120).map(|_| minute()).collect();
            let new: Vec<Point> = (0..120).map(|_| minute()).collect();
            let line = Line::fit(&seen).unwrap();
            let holds = |p: &&Point| (p.watts - line.watts(p.utilisation)).abs() <= line.band * line.watts(p.utilisation);
            shares += new.iter().filter(holds).count() as f64 / 120.0 / 80.0;
            bands += line.band / 80.0;
        }
        assert!((0.94..0.98).contains(&shares), "{shares} of new minutes lie inside at {noise}");
        // 1.96 standard deviations would do if the line were known
        assert!((1.9 * noise..2.4 * noise).contains(&bands), "{bands} at {noise}");
    }
}

proptest! {
    #[test]
    fn a_perfect_line_is_found_again(idle in 0.5_f64..200.0, rise in 0.0_f64..400.0, count in 8_usize..240) {
        let line = Line::fit(&on_a_line(idle, idle + rise, count)).unwrap();
        prop_assert!((line.idle_w - idle).abs() < 1e-6 * (idle + rise), "{line:?}");
        prop_assert!((line.max_w - idle - rise).abs() < 1e-6 * (idle + rise), "{line:?}");
        prop_assert!((line.band - 0.10).abs() < 1e-6, "a meter and a workload are never better than 10 %: {line:?}");
        prop_assert!(line.residual_w < 1e-6 * (idle + rise));
    }

    #[test]
    fn no_minutes_make_a_negative_or_absurd_power(
        figures in prop::collection::vec((any::<f64>(), any::<f64>()), 0..40),
        ordinary in prop::collection::vec((0.0..1.0, 0.0..1000.0), 0..40),
        u in any::<f64>(),
    ) {
        let mixed: Vec<Point> = figures.into_iter().chain(ordinary).map(Point::from).collect();
        if let Some(line) = Line::fit(&mixed) {
            let watts = line.watts(u);
            prop_assert!(watts.is_finite() && watts >= 0.0, "{line:?} at {u}: {watts}");
            prop_assert!(line.idle_w >= 0.0 && line.max_w >= line.idle_w && line.residual_w.is_finite());
            prop_assert!((0.10..=1.0).contains(&line.band));
        }
    }
}
