//! Counters that fall for another reason than a wrap (Alumet takes every fall for one: a driver that was loaded anew, or a resume,
//! becomes up to 2^64 units of energy).

use super::bench::{Bench, S, package, rapl, uj};
use crate::bank::Observed;
use crate::counter::{CounterSpec, Outcome, ResetReason, Wrap};
use crate::domain::{DomainInfo, DomainKind, Source};

/// The counter of a GPU: millijoules in 64 bits since its driver was loaded.
fn gpu() -> DomainInfo {
    let counter = CounterSpec { resolution_j: 0.001, ..CounterSpec::new(Wrap::Never) };
    DomainInfo { source: Source::Nvml, name: "gpu-0".into(), kind: DomainKind::Gpu, counter, ..package(0) }
}

#[test]
fn a_gpu_driver_that_is_loaded_anew_is_no_wrap_of_64_bits() {
    let mut b = Bench::new(vec![gpu()], |t| vec![Ok(if t < 5 * S { 90_000_000_000 + uj(300, t) } else { uj(300, t - 5 * S) })]);
    b.run(11);
    assert!(b.host().abs_diff(uj(300, 9 * S)) <= 1, "one of ten seconds is lost, nothing is added: {}", b.host());
    let s = b.snapshot();
    assert_eq!(s.resets.iter().map(|r| (r.reason, r.amount)).collect::<Vec<_>>(), [("fall", 1)]);
}

#[test]
fn no_fall_whatsoever_is_more_than_the_machine_can_draw() {
    for (from, to) in [(u64::MAX, 0), (u64::MAX, u64::MAX - 1), (5, 4), (1 << 40, 1)] {
        for spec in [Wrap::Never, Wrap::from_range(262_143_328_850), Wrap::Modulus { modulus: 1 << 37 }] {
            let domain = DomainInfo { counter: CounterSpec::new(spec), ..package(0) };
            let mut bank = super::bench::bank(vec![domain], move |t| vec![Ok(if t < S { from } else { to })]);
            let clock = super::bench::Clockwork::default();
            bank.read(&clock);
            clock.set(S);
            match &bank.read(&clock).1[0] {
                Observed::Read(outcome) => {
                    assert!(outcome.step().is_none_or(|s| s.energy.0 <= 1_516_000_000), "{from} {to} {outcome:?}");
                }
                Observed::Failed(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_resume_is_a_gap() {
    let mut b = Bench::new(vec![package(0)], |t| {
        vec![Ok(rapl(if t < 60 * S { 200_000_000_000 + uj(40, t) } else { uj(40, t - 60 * S) }))]
    });
    b.run(5);
    b.sleep(600 * S);
    b.run(6);
    assert!(b.host().abs_diff(uj(40, 9 * S)) <= 124, "{}", b.host());
    let s = b.snapshot();
    assert_eq!((s.resets.len(), s.gap_seconds[0].reason), (0, "suspend"));
}

#[test]
fn a_fall_that_a_wrap_explains_is_one_all_the_same() {
    let domain = package(0);
    let mut c = crate::counter::Counter::new(domain.counter);
    c.advance(262_143_000_000, crate::stamp::Stamp::at(0));
    assert!(matches!(c.advance(1_000_000, crate::stamp::Stamp::at(S)), Outcome::Wrapped(_)));
    assert_eq!(c.advance(0, crate::stamp::Stamp::at(2 * S)), Outcome::Reset(ResetReason::Fall));
}
