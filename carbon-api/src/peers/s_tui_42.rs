//! A laptop that slept (amanusk/s-tui#42: after a resume the power is shown in thousands of watts).

use super::bench::{Bench, S, package, uj};
use crate::counter::{CounterSpec, Wrap};
use crate::domain::DomainInfo;

/// An Atom: its counter runs to 2^37 - 1 and is written anew by its firmware during sleep.
fn atom() -> DomainInfo {
    DomainInfo { counter: CounterSpec::new(Wrap::from_range((1 << 37) - 1)), ..package(0) }
}

fn after_resume(resumes_at_uj: u64) -> Bench {
    let mut b = Bench::new(vec![atom()], move |t| {
        vec![Ok(if t < 60 * S { 70_000_000_000 + uj(4, t) } else { resumes_at_uj + uj(4, t - 3600 * S) })]
    });
    b.run(10);
    b.sleep(3600 * S);
    b
}

#[test]
fn no_watts_are_told_of_the_second_in_which_it_slept() {
    // risen by any amount, fallen by any amount, and left alone
    for resumes_at_uj in [70_001_000_000, 75_000_000_000, 130_000_000_000, 0, 69_000_000_000] {
        let mut b = after_resume(resumes_at_uj);
        for second in 1..=6 {
            b.run(1);
            let watts = b.snapshot().host_power_w();
            assert!(watts.is_none_or(|w| (w - 4.0).abs() < 0.01), "{watts:?} in second {second}, from {resumes_at_uj} uJ");
        }
        let s = b.snapshot();
        assert!(s.host_power_w().is_some(), "and it goes on");
        assert!(s.host_energy().0.abs_diff(uj(4, 14 * S)) <= 4, "{}", s.host_energy().0);
        let slept: f64 = s.gap_seconds.iter().filter(|g| g.reason == "suspend").map(|g| g.amount).sum();
        assert!((slept - 3601.0).abs() < 0.01 && s.resets.is_empty(), "{:?}", s.gap_seconds);
    }
}
