use proptest::prelude::*;

use super::*;

fn key() -> MachineKey {
    MachineKey::new("model name\t: AMD EPYC 8024P 8-Core Processor\n", 16)
}

fn learned() -> Calibration {
    let mut calibration = Calibration::new(key(), "rapl_powercap");
    for i in 0..=20 {
        let u = f64::from(i) / 20.0;
        assert!(calibration.observe(u, 18.0 + 30.0 * u, 60.0));
    }
    calibration
}

fn day(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn seconds_become_minutes() {
    let mut calibration = Calibration::new(key(), "rapl_perf");
    let minutes = (0..120).filter(|i| calibration.observe(f64::from(i % 2), 10.0 + f64::from(i % 2) * 20.0, 1.0)).count();
    assert_eq!((minutes, calibration.minutes()), (2, 2));
    let first = calibration.points()[0];
    assert!((first.utilisation - 0.5).abs() < 1e-9 && (first.watts - 20.0).abs() < 1e-9, "{first:?}");
}

#[test]
fn what_cannot_be_is_left_out() {
    let mut calibration = Calibration::new(key(), "rapl_perf");
    let nan = f64::NAN;
    for (u, w, s) in [(nan, 1.0, 60.0), (0.5, nan, 60.0), (0.5, 1.0, nan), (-0.1, 1.0, 60.0), (1.1, 1.0, 60.0), (0.5, -1.0, 60.0)]
    {
        assert!(!calibration.observe(u, w, s), "{u} {w} {s}");
    }
    // a meter that stands still, no time, a night's gap, a power that no machine draws
    for (u, w, s) in [(0.5, 0.0, 60.0), (0.5, 1.0, 0.0), (0.5, 1.0, 30_000.0), (0.5, 1e9, 60.0), (0.5, f64::INFINITY, 60.0)] {
        assert!(!calibration.observe(u, w, s), "{u} {w} {s}");
    }
    assert_eq!(calibration.minutes(), 0);
    assert!(!calibration.observe(0.5, 10.0, 59.0), "none of it counted towards a minute");
}

#[test]
fn idle_nights_do_not_drown_the_busy_hours() {
    let mut calibration = learned();
    for _ in 0..10_000 {
        calibration.observe(0.01, 18.3, 60.0);
    }
    assert!(calibration.minutes() <= BINS * PER_BIN);
    let line = calibration.line().unwrap();
    assert!((line.idle_w - 18.0).abs() < 0.01 && (line.max_w - 48.0).abs() < 0.01, "{line:?}");
}

#[test]
fn a_machine_that_changed_is_learned_anew() {
    let mut calibration = learned();
    for _ in 0..PER_BIN {
        for i in 0..=20 {
            let u = f64::from(i) / 20.0;
            calibration.observe(u, 9.0 + 15.0 * u, 60.0);
        }
    }
    assert!((calibration.line().unwrap().max_w - 24.0).abs() < 0.01);
}

#[test]
fn what_was_learned_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calibration.json");
    assert!(Calibration::load(&path, &key()).unwrap().is_none());
    let mut calibration = learned();
    assert!(calibration.save(&path, day("2026-03-01T10:00:00Z")).unwrap());
    assert!(!calibration.save(&path, day("2026-03-02T10:00:00Z")).unwrap(), "nothing new, and the date stays");
    let back = Calibration::load(&path, &key()).unwrap().unwrap();
    assert_eq!(back.learned(), Some(day("2026-03-01T10:00:00Z")));
    assert_eq!((back.minutes(), back.meter()), (21, "rapl_powercap"));
    let (line, own) = (back.line().unwrap(), calibration.line().unwrap());
    assert!((line.max_w - own.max_w).abs() < 1e-9 && (line.band - own.band).abs() < 1e-9);
    assert!(std::fs::metadata(&path).unwrap().len() < 10_000);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no file is left beside it");
}

#[test]
fn another_machine_does_not_take_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calibration.json");
    learned().save(&path, day("2026-03-01T10:00:00Z")).unwrap();
    let fewer = MachineKey { cpus: 8, ..key() };
    assert!(Calibration::load(&path, &fewer).unwrap().is_none());
    let other = MachineKey::new("model name: AMD EPYC 7763 64-Core Processor\n", 16);
    assert!(Calibration::load(&path, &other).unwrap().is_none());
}

#[test]
fn a_broken_file_says_so_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calibration.json");
    for (text, why) in [
        ("", "EOF"),
        ("{}", "version"),
        (r#"{"version":9,"machine":{"cpu":"x","cpus":1},"meter":"m","learned":null,"minutes":[]}"#, "version 9"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Calibration::load(&path, &key()).unwrap_err().to_string();
        assert!(error.contains("calibration.json") && error.contains(why) && error.contains("remove it"), "{error}");
        assert!(!error.contains('\n'));
    }
    let refused = learned().save(&dir.path().join("absent/calibration.json"), Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(refused.to_string().contains("state folder"), "{refused}");
}

proptest! {
    #[test]
    fn any_bytes_parse_or_say_why(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Calibration::parse(&bytes);
    }

    #[test]
    fn any_minutes_in_a_file_stay_possible(minutes in prop::collection::vec((-2.0..2.0, -10.0..1e6), 0..500)) {
        let text = serde_json::json!({
            "version": 1, "machine": {"cpu": "x", "cpus": 2}, "meter": "m", "learned": null, "minutes": minutes,
        });
        let calibration = Calibration::parse(text.to_string().as_bytes()).unwrap();
        prop_assert!(calibration.minutes() <= BINS * PER_BIN);
        prop_assert!(calibration.points().iter().all(Point::is_possible));
    }

    #[test]
    fn any_observation_is_harmless(seen in prop::collection::vec((any::<f64>(), any::<f64>(), any::<f64>()), 0..50)) {
        let mut calibration = Calibration::new(key(), "m");
        for (u, w, s) in seen {
            calibration.observe(u, w, s);
        }
        prop_assert!(calibration.points().iter().all(Point::is_possible));
    }
}
