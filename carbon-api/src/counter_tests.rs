//! The counter against the kernel's formulas, and its laws.

use proptest::prelude::*;

use super::*;

const S: u64 = 1_000_000_000;
const INTEL: u64 = 262_143_328_850;

fn counter(range: u64) -> Counter {
    Counter::new(CounterSpec::new(Wrap::from_range(range)))
}

fn energy(outcome: Outcome) -> u64 {
    outcome.step().map_or_else(|| panic!("no energy: {outcome:?}"), |s| s.energy.0)
}

#[test]
fn the_unit_is_recovered_from_every_known_range() {
    assert_eq!(Wrap::from_range(INTEL), Wrap::Units { unit_nj: 61_035 });
    assert_eq!(Wrap::from_range(65_532_610_987), Wrap::Units { unit_nj: 15_258 });
    assert_eq!(Wrap::from_range(65_712_999_613), Wrap::Units { unit_nj: 15_300 });
    assert_eq!(Wrap::from_range((1 << 37) - 1), Wrap::Modulus { modulus: 1 << 37 });
    assert_eq!(Wrap::from_range(0), Wrap::Never);
}

#[test]
fn a_wrap_is_exact_for_every_known_range() {
    let mut c = counter(INTEL);
    c.advance(INTEL, Stamp::at(0));
    let wrapped = c.advance(61_035, Stamp::at(S));
    assert!(matches!(wrapped, Outcome::Wrapped(_)));
    assert_eq!(energy(wrapped), 61_096, "raw 2^32-1 to 1000 is 1001 units of 61.035 uJ");
    for (range, unit) in [(65_532_610_987_u64, 15_258_u64), (65_712_999_613, 15_300)] {
        let mut c = counter(range);
        c.advance(range, Stamp::at(0));
        assert_eq!(energy(c.advance(999 * unit / 1000, Stamp::at(S))), 1000 * unit / 1000);
    }
    let mut atom = counter((1 << 37) - 1);
    atom.advance((1 << 37) - 1, Stamp::at(0));
    assert_eq!(energy(atom.advance(99, Stamp::at(S))), 100);
}

#[test]
fn the_first_reading_is_not_energy() {
    assert_eq!(counter(INTEL).advance(200_000_000_000, Stamp::at(S)), Outcome::First);
}

#[test]
fn a_reset_yields_a_gap_rather_than_a_huge_number() {
    let mut c = counter(INTEL);
    c.advance(100_000_000_000, Stamp::at(0));
    assert_eq!(c.advance(5_000_000, Stamp::at(S)), Outcome::Reset(ResetReason::Fall));
    assert!(
        energy(c.advance(45_000_000, Stamp::at(2 * S))).abs_diff(40_000_000) <= 62,
        "the next interval counts from the new level"
    );
    let mut never = Counter::new(CounterSpec::new(Wrap::Never));
    never.advance(1000, Stamp::at(0));
    assert_eq!(never.advance(999, Stamp::at(S)), Outcome::Reset(ResetReason::Fall));
}

#[test]
fn suspend_is_a_gap_not_kilowatts() {
    let mut c = counter(INTEL);
    c.advance(1_000_000, Stamp::at(0));
    let woken = Stamp { boottime_ns: 3600 * S, monotonic_ns: S };
    assert_eq!(c.advance(41_000_000, woken), Outcome::Gap(GapReason::Suspend));
}

#[test]
fn a_driver_reload_is_a_reset() {
    let mut c = counter(INTEL);
    c.advance(INTEL - 1_000_000, Stamp::at(0));
    c.fail(true);
    assert_eq!(c.advance(1_000_000, Stamp::at(S)), Outcome::Reset(ResetReason::Reload));
}

#[test]
fn a_failed_read_is_not_a_wrap() {
    let mut c = counter(INTEL);
    c.advance(1_000_000, Stamp::at(0));
    c.fail(false);
    c.fail(false);
    let step = *c.advance(241_000_000, Stamp::at(6 * S)).step().unwrap();
    assert!(step.energy.0.abs_diff(240_000_000) <= 62, "{step:?}");
    assert_eq!((step.from, step.until), (Stamp::at(0), Stamp::at(6 * S)));
    c.fail(false);
    assert_eq!(c.advance(1_000, Stamp::at(7 * S)), Outcome::Gap(GapReason::FailedRead), "a fall across a failed read is a gap");
}

#[test]
fn a_single_read_of_zero_is_two_gaps_and_no_energy() {
    let mut c = counter(INTEL);
    c.advance(100_000_000_000, Stamp::at(0));
    assert_eq!(c.advance(0, Stamp::at(S)), Outcome::Reset(ResetReason::Fall));
    assert_eq!(c.advance(100_040_000_000, Stamp::at(2 * S)), Outcome::Gap(GapReason::Implausible));
    assert!(c.advance(100_080_000_000, Stamp::at(3 * S)).step().is_some());
}

#[test]
fn a_stalled_counter_keeps_its_energy() {
    let mut c = counter(INTEL);
    c.advance(1_000_000, Stamp::at(0));
    for t in 1..=600 {
        assert_eq!(energy(c.advance(1_000_000, Stamp::at(t * S))), 0);
    }
    assert_eq!(c.unchanged_for(), 600 * S);
    // 600 s at 100 W: far more than one second allows, plausible over the time that the counter stood
    assert!(energy(c.advance(60_001_000_000, Stamp::at(601 * S))).abs_diff(60_000_000_000) <= 62);
}

#[test]
fn two_wraps_between_reads_are_flagged() {
    let mut c = counter(INTEL);
    c.advance(1_000_000, Stamp::at(0));
    let step = *c.advance(2_000_000, Stamp::at(1000 * S)).step().unwrap();
    assert_eq!(step.ambiguous_uj, Some(3 * Wrap::from_range(INTEL).range_uj().unwrap()), "1000 s at 1000 W hold three ranges");
}

#[test]
fn a_value_above_the_range_is_a_reset_and_never_a_panic() {
    let mut c = counter(INTEL);
    c.advance(1_000_000, Stamp::at(0));
    assert_eq!(c.advance(u64::MAX, Stamp::at(S)), Outcome::Reset(ResetReason::Fall));
}

proptest! {
    #[test]
    fn advance_never_panics(range in any::<u64>(), shown in prop::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 0..20)) {
        let mut c = counter(range);
        for (value, ns, fail) in shown {
            if fail { c.fail(value % 2 == 0); }
            c.advance(value, Stamp::at(ns));
        }
    }

    #[test]
    fn wraps_conserve_over_any_walk(unit in 1_u64..2_000_000, start in any::<u32>(), steps in prop::collection::vec(0_u32..16_000_000, 1..60)) {
        // every step is below 16 J at the unit's size or is skipped; truth is counted in units
        let mut c = Counter::new(CounterSpec::new(Wrap::Units { unit_nj: unit }));
        let show = |raw: u32| (u128::from(raw) * u128::from(unit) / 1000) as u64;
        let recoverable = unit >= 1000; // below 1 uJ a count the shown value cannot tell neighbours apart
        prop_assume!(recoverable);
        let (mut raw, mut truth, mut got) = (start, 0_u128, 0_u128);
        c.advance(show(raw), Stamp::at(0));
        for (i, step) in steps.iter().enumerate() {
            let step = step % (16_000_000_000 / unit).max(1) as u32;
            raw = raw.wrapping_add(step);
            truth += u128::from(step) * u128::from(unit);
            got += u128::from(energy(c.advance(show(raw), Stamp::at((i as u64 + 1) * S))));
        }
        prop_assert_eq!(got, truth / 1000, "nothing is lost to rounding, at any number of steps");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn metered_energy_and_gaps_make_the_truth(
        trace in prop::collection::vec((1_u64..400, 0_u8..20, any::<u32>()), 1..80),
        start in prop_oneof![0..INTEL, INTEL - 20_000_000_000..INTEL],
    ) {
        // one second a step: watts, and now and then a failed read, a reset, a suspend; half of the traces begin near a wrap
        let mut c = counter(INTEL);
        let range = u128::from(61_035_u64) << 32;
        let mut truth_nj = u128::from(start) * 1000;
        let mut offset_nj = 0_u128;
        let shown = |nj: u128, offset: u128| (((nj + offset) % range) / 61_035 * 61_035 / 1000) as u64;
        let (mut boot, mut mono) = (0, 0);
        let mut last = shown(truth_nj, offset_nj);
        c.advance(last, Stamp::at(0));
        let (mut metered, mut spent, mut open, mut unread) = (0_u128, 0_u128, 0_u128, 0_u128);
        let mut slept = false;
        let mut lost = 0_u128;
        for (watts, event, to) in trace {
            truth_nj += u128::from(watts) * 1_000_000_000;
            spent += u128::from(watts) * 1_000_000_000;
            open += u128::from(watts) * 1_000_000_000;
            boot += S; mono += S;
            unread += 1;
            // a fall that a wrap would explain cannot be told from one, and a rise is none
            let as_if_wrapped = u128::from(to) + range - u128::from(last) * 1000;
            let falls = u128::from(last) * 1000 > u128::from(to) + 61_035;
            let is_reset = event == 1 && falls && as_if_wrapped > (16 + 1500 * unread + 1) * 1_000_000_000;
            match event {
                0 => { c.fail(false); continue; }
                1 if is_reset => offset_nj = range - truth_nj % range + u128::from(to),
                2 => {
                    boot += 60 * S;
                    slept = true;
                }
                _ => {}
            }
            let failed = unread > 1;
            last = shown(truth_nj, offset_nj);
            unread = 0;
            match c.advance(last, Stamp { boottime_ns: boot, monotonic_ns: mono }) {
                Outcome::Delta(s) | Outcome::Wrapped(s) => {
                    prop_assert!(!is_reset, "a reset is no energy: {s:?}");
                    metered += u128::from(s.energy.0) * 1000;
                }
                Outcome::First => {}
                Outcome::Reset(_) | Outcome::Gap(_) => {
                    prop_assert!(is_reset || slept || failed, "nothing is lost without a cause");
                    lost += open;
                }
            }
            open = 0;
            slept = false;
        }
        let explained = metered + lost + open;
        prop_assert!(explained.abs_diff(spent) <= 61_035 * 80 + 1000 * 80, "{explained} against {spent}");
    }
}

#[test]
fn a_register_wraps_in_its_own_units() {
    let mut c = Counter::new(CounterSpec::new(Wrap::Register { esu: 14 }));
    c.advance(u64::from(u32::MAX), Stamp::at(0));
    let wrapped = c.advance(16_383, Stamp::at(S));
    assert!(matches!(wrapped, Outcome::Wrapped(_)));
    assert_eq!(energy(wrapped), 1_000_000, "16384 counts of 2^-14 J are one joule");
    assert_eq!(c.spec().wrap.range_uj(), Some(262_144_000_000));
    let mut total = 0;
    for second in 2..1_026_u64 {
        total += energy(c.advance(16_383 + second - 1, Stamp::at(second * S)));
    }
    assert_eq!(total, 1024 * 1_000_000 / 16_384, "61.035 uJ a count, the remainder carried");
}

#[test]
fn switching_back_ends_starts_an_epoch() {
    let mut c = counter(0);
    let mut epoch = Epoch::FIRST;
    assert_eq!(c.take(&Value { shown: 7_000_000, at: Stamp::at(0), epoch }), Outcome::First);
    assert_eq!(energy(c.take(&Value { shown: 9_000_000, at: Stamp::at(S), epoch })), 2_000_000);
    epoch.advance(GapReason::Epoch);
    let switched = c.take(&Value { shown: 9_500_000, at: Stamp::at(2 * S), epoch });
    assert_eq!(switched, Outcome::Gap(GapReason::Epoch), "neither the rise nor a fall between two counters is energy");
    assert_eq!(energy(c.take(&Value { shown: 9_600_000, at: Stamp::at(3 * S), epoch })), 100_000);
}
