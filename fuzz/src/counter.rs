//! Any readings at any instants through the counter, with failed reads, suspends and new epochs between them.
//!
//! Input: the wrap rule, the highest power, then one reading after the other, each led by a byte that says how it is told.

use carbon_api::counter::{Counter, CounterSpec, Epoch, GapReason, Value, Wrap};
use carbon_api::stamp::Stamp;

use crate::account::{Account, Reading};
use crate::bytes::Bytes;

/// What `max_energy_range_uj` says on most Intel processors.
const INTEL: u64 = 262_143_328_850;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut spec = CounterSpec::new(wrap(&mut bytes));
    spec.max_power_w = power(&mut bytes);
    spec.survives_suspend = bytes.byte() & 1 == 1;
    let (mut counter, mut account) = (Counter::new(spec), Account::new(spec));
    let (mut shown, mut at, mut epoch) = (0, Stamp::at(0), Epoch::FIRST);
    while !bytes.is_empty() {
        let how = bytes.byte();
        shown = match how & 3 {
            0 => u64::wrapping_add(shown, bytes.number()),
            1 => u64::wrapping_sub(shown, bytes.number()),
            2 => bytes.number(),
            _ => shown,
        };
        at = bytes.stamp(at, how >> 2);
        let (failed, vanished, renewed) = (how & 0x10 != 0, how & 0x20 != 0, how & 0x40 != 0);
        if failed {
            counter.fail(vanished);
        }
        if renewed {
            epoch.advance(GapReason::Epoch);
        }
        let outcome = match how & 0x80 {
            0 => counter.take(&Value { shown, at, epoch }),
            _ => counter.advance(shown, at),
        };
        account.book(Reading { shown, at, failed }, &outcome);
        assert_eq!(counter.last_read(), Some(at));
    }
}

fn wrap(bytes: &mut Bytes<'_>) -> Wrap {
    match bytes.byte() % 6 {
        0 => Wrap::Never,
        1 => Wrap::from_range(INTEL),
        2 => Wrap::from_range(bytes.number()),
        3 => Wrap::Register { esu: bytes.byte() },
        4 => Wrap::Units { unit_nj: bytes.number() },
        _ => Wrap::Modulus { modulus: bytes.number() },
    }
}

fn power(bytes: &mut Bytes<'_>) -> f64 {
    match bytes.byte() % 3 {
        0 => CounterSpec::MAX_POWER_W,
        1 => bytes.number() as f64 / 1e3,
        _ => f64::from_bits(bytes.number()),
    }
}
