//! A window that opens next to a wrap (Zeus counts wraps in a process of its own: between the wrap and that process's next look a
//! window runs backwards by the whole range, 262 kJ).

use proptest::prelude::*;

use super::bench::{Clockwork, INTEL, S, bank, package, rapl, uj};
use crate::bank::Observed;

proptest! {
    #[test]
    fn reads_at_any_instants_around_a_wrap_go_forward(steps in prop::collection::vec(1_u64..200_000_000, 1..60), before in 0_u64..2 * S) {
        // the wrap is at `before`
        let mut bank = bank(vec![package(0)], move |t| vec![Ok(rapl(INTEL + 62 - uj(40, before) + uj(40, t)))]);
        let clock = Clockwork::default();
        bank.read(&clock);
        let (mut at, mut sum) = (0, 0_u64);
        for step in steps {
            at += step;
            clock.set(at);
            // a window that opened at any of the reads before is a difference of two sums
            match &bank.read(&clock).1[0] {
                Observed::Read(outcome) => {
                    let energy = outcome.step().map(|s| s.energy.0);
                    prop_assert!(energy.is_some_and(|e| e <= uj(40, step) + 62), "{:?}", outcome);
                    sum += energy.unwrap_or(0);
                }
                Observed::Failed(error) => prop_assert!(false, "{}", error),
            }
            prop_assert!(sum.abs_diff(uj(40, at)) <= 124, "{} after {} ns", sum, at);
        }
    }
}
