//! Ticks that come late (SmartWatts divides by the interval that was configured, PowerJoular by its sleep: a late tick shows more
//! watts than there are).

use super::bench::{Bench, S, package, rapl, uj};

#[test]
fn a_late_tick_does_not_change_watts() {
    let mut b = Bench::new(vec![package(0)], |t| vec![Ok(rapl(uj(40, t)))]);
    let mut at = 0;
    for late_ms in [0, 0, 700, 5, 2700, 0, 59_000, 1] {
        at += S + late_ms * 1_000_000;
        b.tick_at(at);
        if let Some(watts) = b.snapshot().host_power_w() {
            assert!((watts - 40.0).abs() < 0.001, "{watts} W where the tick came {late_ms} ms late");
        }
    }
    let watts = b.snapshot().host_power_w();
    assert!(watts.is_some(), "there was a figure at all");
}

#[test]
fn setting_the_wall_clock_changes_no_watts() {
    let mut b = Bench::new(vec![package(0)], |t| vec![Ok(rapl(uj(40, t)))]);
    b.run(3);
    for by_s in [3600_i64, -86_400, 5] {
        b.set_wall_clock(by_s * 1_000_000_000);
        b.run(2);
        let s = b.snapshot();
        assert!(s.host_power_w().is_some_and(|w| (w - 40.0).abs() < 0.001), "{by_s} s: {:?}", s.host_power_w());
        assert!((s.interval_s - 1.0).abs() < 1e-9);
    }
    assert!(b.host().abs_diff(uj(40, 8 * S)) <= 62, "{}", b.host());
}
