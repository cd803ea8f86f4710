//! A wrap between the first and the last reading (tdurieux/EnergiBridge#17: the total of one file is -250769.468 J, and a subtraction
//! of two instants panics).

use super::bench::{INTEL, S, UNIT_NJ};
use crate::counter::{Counter, CounterSpec, Outcome, Wrap};
use crate::stamp::Stamp;

/// One second before the wrap, and how far the counter fell.
const BEFORE: u64 = 262_000_000_000;
const FELL: u64 = 250_769_468_000;

#[test]
fn a_wrap_is_neither_negative_nor_a_panic() {
    let mut c = Counter::new(CounterSpec::new(Wrap::from_range(INTEL)));
    c.advance(BEFORE, Stamp::at(0));
    let range = ((u128::from(UNIT_NJ) << 32) / 1000) as u64;
    let outcome = c.advance(BEFORE - FELL, Stamp::at(60 * S));
    assert!(matches!(outcome, Outcome::Wrapped(_)), "{outcome:?}");
    let energy = outcome.step().unwrap().energy.0;
    assert!(energy.abs_diff(range - FELL) <= 62, "11373.861 J in a minute, 190 W: {energy}");
}

#[test]
fn time_that_goes_back_is_no_time_and_no_panic() {
    let mut c = Counter::new(CounterSpec::new(Wrap::from_range(INTEL)));
    c.advance(1_000_000, Stamp { boottime_ns: 10 * S, monotonic_ns: 9 * S });
    let step = *c.advance(2_000_000, Stamp { boottime_ns: 9 * S, monotonic_ns: 10 * S }).step().unwrap();
    assert_eq!(step.until.since(step.from), 0);
    assert_eq!(step.until.suspended_since(step.from), 0);
}
