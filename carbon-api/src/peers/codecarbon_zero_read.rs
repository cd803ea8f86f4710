//! A read that fails once (codecarbon takes it for a reading of 0: a fall, so a wrap; and the next reading for all energy since boot).

use super::bench::{Bench, S, eio, package, rapl, uj};

const BOOT: u64 = 100_000_000_000;

#[test]
fn a_read_that_fails_is_no_reading_of_zero() {
    let mut b = Bench::new(vec![package(0)], |t| vec![if t == 5 * S { Err(eio()) } else { Ok(rapl(BOOT + uj(40, t))) }]);
    b.run(11);
    assert!(b.host().abs_diff(uj(40, 10 * S)) <= 62, "nothing is lost and nothing is added: {}", b.host());
    let s = b.snapshot();
    assert_eq!((s.errors[0].amount, s.resets.len(), s.coverage), (1, 0, 1.0));
}

#[test]
fn a_zero_that_is_really_shown_is_no_energy_either() {
    let mut b = Bench::new(vec![package(0)], |t| vec![Ok(if t == 5 * S { 0 } else { rapl(BOOT + uj(40, t)) })]);
    b.run(11);
    assert!(b.host().abs_diff(uj(40, 8 * S)) <= 124, "two seconds are lost: {}", b.host());
    let reasons: Vec<(&str, f64)> = b.snapshot().gap_seconds.iter().map(|g| (g.reason, g.amount)).collect();
    assert_eq!(reasons, [("reset", 1.0), ("implausible", 1.0)]);
}
