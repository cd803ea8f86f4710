//! Energy out of a gauge that counts what the battery holds: falls of its charge or energy, each booked once.

use crate::counter::{Epoch, GapReason, Value};
use crate::stamp::Stamp;

/// Seconds of an hour.
const HOUR: u128 = 3600;
/// Changes after which the step of the gauge is known.
const ENOUGH: u32 = 8;

/// What a gauge counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Charge in microampere-hours: `charge_now`, `charge_counter`.
    Charge,
    /// Energy in microwatt-hours: `energy_now`.
    Energy,
}

/// Turns the falling level of a battery into a cumulative energy that never falls.
///
/// A gauge counts in large steps and may take one back: a rise of up to two steps waits until the level has fallen below where it
/// was. A larger rise means that the battery was charged in between.
#[derive(Clone, Debug)]
pub struct Stored {
    held: Held,
    /// What two steps of the gauge are, in its own unit.
    tolerance: u64,
    /// The last level that was booked, with its voltage in microvolts.
    booked: Option<(i64, u64)>,
    energy_uj: u64,
    /// Half picojoules below one microjoule.
    remainder: u128,
    epoch: Epoch,
    charging: bool,
    step: u64,
    changes: u32,
}

impl Stored {
    /// A gauge of `step` microampere-hours or microwatt-hours that has not been read.
    pub const fn new(held: Held, step: u64) -> Self {
        Self {
            held,
            tolerance: step.saturating_mul(2),
            booked: None,
            energy_uj: 0,
            remainder: 0,
            epoch: Epoch::FIRST,
            charging: false,
            step: 0,
            changes: 0,
        }
    }

    /// Takes one reading: the level in the gauge's unit (a charge may be negative: it is relative), the voltage in microvolts
    /// (of no use to a gauge of energy), and whether the battery is anything else than drained.
    pub fn take(&mut self, level: i64, voltage_uv: u64, charging: bool, at: Stamp) -> Value {
        let (before, volts_before) = *self.booked.get_or_insert((level, voltage_uv));
        let was_charging = std::mem::replace(&mut self.charging, charging);
        if charging || was_charging || level > before.saturating_add_unsigned(self.tolerance) {
            self.epoch.advance(GapReason::Charging);
            self.remainder = 0;
            self.booked = Some((level, voltage_uv));
        } else if level < before {
            let fall = level.abs_diff(before);
            self.learn(fall);
            let doubled_uv = match self.held {
                Held::Charge => u128::from(volts_before) + u128::from(voltage_uv),
                Held::Energy => 2_000_000,
            };
            let total = (u128::from(fall) * HOUR).saturating_mul(doubled_uv).saturating_add(self.remainder);
            self.remainder = total % 2_000_000;
            self.energy_uj = self.energy_uj.saturating_add(u64::try_from(total / 2_000_000).unwrap_or(u64::MAX));
            self.booked = Some((level, voltage_uv));
        }
        Value { shown: self.energy_uj, at, epoch: self.epoch }
    }

    /// Notes that the next reading may be of another battery.
    pub fn forget(&mut self) {
        if self.booked.take().is_some() {
            self.epoch.advance(GapReason::Epoch);
            self.remainder = 0;
        }
    }

    /// The step in which the gauge has been seen to count, once it has moved often enough; in its own unit.
    pub fn learned_step(&self) -> Option<u64> {
        (self.changes >= ENOUGH).then_some(self.step)
    }

    fn learn(&mut self, fall: u64) {
        self.step = greatest_common_divisor(self.step, fall);
        self.changes = self.changes.saturating_add(1);
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
