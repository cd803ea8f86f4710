//! One counter for every back end: raw readings in, energy over a known interval out, or a reason why there is none.
//!
//! A reading is not an energy. A fall is a wrap only where elapsed time and maximum power allow it; a suspend is a gap;
//! an impossible rise is a gap. Sources: Linux powercap (`max_energy_range_uj`, 32-bit registers in integer nanojoule units).

use serde::{Deserialize, Serialize};

use crate::stamp::Stamp;
use crate::units::Microjoules;

/// Slack of the plausibility bound, in microjoules: 16 J.
const SLACK_UJ: u128 = 16_000_000;
/// A suspend shorter than this is not told from clock noise.
pub(crate) const SUSPEND_NS: u64 = 100_000_000;
/// Energy inside a counter is kept in 2^-32 nJ: every register unit from 1 J to 2^-31 J is a whole number of them.
const FRACTIONS: u32 = 32;
/// One microjoule in them.
const MICROJOULE: u128 = 1000 << FRACTIONS;

/// How a counter of microjoules comes back to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wrap {
    /// Never: a fall is a reset.
    Never,
    /// A 32-bit register of units of `unit_nj` nanojoules, shown by the kernel as microjoules rounded down.
    Units {
        /// Nanojoules of one count.
        unit_nj: u64,
    },
    /// The shown value runs from 0 to `modulus - 1` microjoules.
    Modulus {
        /// One more than the largest value shown.
        modulus: u64,
    },
    /// The raw 32-bit register of a processor: shown are counts of `2^-esu` joules, not microjoules.
    Register {
        /// Energy status unit: a count is `2^-esu` J; 0 to 31.
        esu: u8,
    },
}

impl Wrap {
    /// Reads the wrap rule off `max_energy_range_uj`: the kernel computes it as `unit_nj * (2^32 - 1) / 1000`.
    ///
    /// 0 (or an absent file) means that the range is not known: a fall is then a reset.
    pub fn from_range(max_uj: u64) -> Self {
        const COUNTS: u128 = u32::MAX as u128;
        if max_uj == 0 {
            return Self::Never;
        }
        let unit_nj = (u128::from(max_uj) * 1000 + COUNTS / 2) / COUNTS;
        // 2^37 - 1 (Atom) is no product of a unit in whole nanojoules
        if unit_nj > 0 && unit_nj * COUNTS / 1000 == u128::from(max_uj) {
            Self::Units { unit_nj: unit_nj as u64 }
        } else {
            Self::Modulus { modulus: max_uj.saturating_add(1) }
        }
    }

    /// Energy from one zero to the next, in microjoules.
    pub fn range_uj(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::Units { unit_nj } => Some(saturated((u128::from(unit_nj.max(1)) << 32) / 1000)),
            Self::Modulus { modulus } => Some(modulus),
            Self::Register { esu } => Some((1_000_000_u64 << 32) >> esu.min(31)),
        }
    }

    /// One count, in joules: what a single step of the shown value may hide.
    fn count_j(self) -> f64 {
        match self {
            Self::Units { unit_nj } => unit_nj as f64 / 1e9,
            Self::Register { esu } => f64::from(esu.min(31)).exp2().recip(),
            Self::Never | Self::Modulus { .. } => 1e-6,
        }
    }
}

/// What is known of a counter before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CounterSpec {
    /// How it comes back to zero.
    pub wrap: Wrap,
    /// One step of the counter, in joules; coarser than what is shown where the hardware counts in larger steps.
    pub resolution_j: f64,
    /// The most the domain can draw, in watts.
    pub max_power_w: f64,
    /// Whether the counter goes on counting during suspend.
    pub survives_suspend: bool,
}

impl CounterSpec {
    /// Default bound of a domain's power: no socket of today draws a kilowatt for long.
    pub const MAX_POWER_W: f64 = 1000.0;

    /// A counter with the default bound of 1000 W that does not survive a suspend (RAPL); its resolution is one count.
    pub fn new(wrap: Wrap) -> Self {
        Self { wrap, resolution_j: wrap.count_j(), max_power_w: Self::MAX_POWER_W, survives_suspend: false }
    }

    /// Seconds from one zero to the next at the highest power, where it wraps at all.
    pub fn wrap_seconds(&self) -> Option<f64> {
        self.wrap.range_uj().map(|r| r as f64 / 1e6 / self.max_power_w)
    }

    /// The largest rise that `ns` nanoseconds allow, in microjoules: `1.5 * P_max * dt + 16 J`.
    fn bound_uj(&self, ns: u64) -> u128 {
        SLACK_UJ.saturating_add((1.5 * self.max_power_w * ns as f64 / 1e3) as u128)
    }
}

/// The value of one counter at one instant, stamped next to its read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Cumulative microjoules as the source shows them; counts of the register for [`Wrap::Register`].
    pub shown: u64,
    /// When: the device's own clock where it has one.
    pub at: Stamp,
    /// Which run of the counter it belongs to.
    pub epoch: Epoch,
}

impl Value {
    /// A value of the first epoch.
    pub const fn new(shown: u64, at: Stamp) -> Self {
        Self { shown, at, epoch: Epoch::FIRST }
    }
}

/// A run of a counter between two discontinuities that its source knows of: an event opened anew, a rail swapped, a charger
/// plugged in. What lies between two epochs is a gap, whatever the counter shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Rises by one at each discontinuity.
    pub number: u32,
    /// What the gap before this epoch is called.
    pub reason: GapReason,
}

impl Epoch {
    /// The epoch of a source that has not seen any discontinuity.
    pub const FIRST: Self = Self { number: 0, reason: GapReason::Epoch };

    /// Begins the next epoch.
    pub const fn advance(&mut self, reason: GapReason) {
        *self = Self { number: self.number.wrapping_add(1), reason };
    }
}

/// Energy over a known interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The energy, in microjoules.
    pub energy: Microjoules,
    /// The reading that opened the interval.
    pub from: Stamp,
    /// The reading that closed it.
    pub until: Stamp,
    /// Where more than one wrap fits into the interval: what may be missing on top, in microjoules.
    pub ambiguous_uj: Option<u64>,
}

/// Why an interval carries no energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The counter fell and cannot have wrapped.
    Reset,
    /// The machine slept.
    Suspend,
    /// A read failed, and the counter cannot be followed across it.
    FailedRead,
    /// The counter rose by more than the domain can draw.
    Implausible,
    /// A battery is being charged: its current is not the load.
    Charging,
    /// The source was opened anew or measures something else from here on.
    Epoch,
}

impl GapReason {
    /// The label of `treehouse_meter_gap_seconds_total`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Suspend => "suspend",
            Self::FailedRead => "failed_read",
            Self::Implausible => "implausible",
            Self::Charging => "charging",
            Self::Epoch => "epoch",
        }
    }
}

/// Why a counter started anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// It fell further than a wrap allows.
    Fall,
    /// Its driver went away and came back.
    Reload,
}

impl ResetReason {
    /// The label of `treehouse_meter_resets_total`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fall => "fall",
            Self::Reload => "reload",
        }
    }
}

/// What one more reading says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first reading of an epoch: it holds energy since boot, so it is never energy.
    First,
    /// The counter rose.
    Delta(Step),
    /// The counter fell, and a wrap explains it.
    Wrapped(Step),
    /// The counter fell, and no wrap explains it: the interval is lost.
    Reset(ResetReason),
    /// The interval is lost for another reason.
    Gap(GapReason),
}

impl Outcome {
    /// The energy, where there is some.
    pub fn step(&self) -> Option<&Step> {
        match self {
            Self::Delta(step) | Self::Wrapped(step) => Some(step),
            Self::First | Self::Reset(_) | Self::Gap(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Last {
    shown: u64,
    at: Stamp,
    /// The last reading that differed from the one before: a stalled counter keeps its energy.
    changed: Stamp,
}

/// Follows one counter through wraps, resets, suspends and failed reads.
#[derive(Clone, Debug)]
pub struct Counter {
    spec: CounterSpec,
    last: Option<Last>,
    epoch: u32,
    failed: bool,
    reloaded: bool,
    /// Energy below one microjoule, carried so that nothing is lost to rounding; in [`FRACTIONS`] of a nanojoule.
    remainder: u64,
}

impl Counter {
    /// A counter that has not been read.
    pub const fn new(spec: CounterSpec) -> Self {
        Self { spec, last: None, epoch: 0, failed: false, reloaded: false, remainder: 0 }
    }

    /// What is known of it.
    pub const fn spec(&self) -> &CounterSpec {
        &self.spec
    }

    /// The stamp of the last good reading.
    pub fn last_read(&self) -> Option<Stamp> {
        self.last.map(|l| l.at)
    }

    /// Nanoseconds since the shown value last changed.
    pub fn unchanged_for(&self) -> u64 {
        self.last.map_or(0, |l| l.at.since(l.changed))
    }

    /// Notes a read that failed; the next good reading closes the interval if the counter can be followed across it.
    /// `vanished` says that the file or device was gone: from then on a fall is a reset, never a wrap.
    pub fn fail(&mut self, vanished: bool) {
        self.failed = true;
        self.reloaded |= vanished;
    }

    /// Takes one value; a new epoch is a gap.
    pub fn take(&mut self, value: &Value) -> Outcome {
        if std::mem::replace(&mut self.epoch, value.epoch.number) == value.epoch.number || self.last.is_none() {
            return self.advance(value.shown, value.at);
        }
        (self.failed, self.reloaded) = (false, false);
        let outcome = match value.epoch.reason {
            // the source saw its counter start anew, even if it has overtaken its old value since
            GapReason::Reset => Outcome::Reset(ResetReason::Reload),
            reason => Outcome::Gap(reason),
        };
        self.restart(value.shown, value.at, outcome)
    }

    /// Takes one reading of the epoch that runs: `shown` microjoules, or counts of a register.
    pub fn advance(&mut self, shown: u64, at: Stamp) -> Outcome {
        let (failed, reloaded) = (std::mem::take(&mut self.failed), std::mem::take(&mut self.reloaded));
        let Some(last) = self.last else {
            return self.restart(shown, at, Outcome::First);
        };
        if !self.spec.survives_suspend && at.suspended_since(last.at) > SUSPEND_NS {
            return self.restart(shown, at, Outcome::Gap(GapReason::Suspend));
        }
        let fell = shown < last.shown;
        if fell && reloaded {
            return self.restart(shown, at, Outcome::Reset(ResetReason::Reload));
        }
        let Some(rise) = self.rise(last.shown, shown) else {
            return self.restart(shown, at, Outcome::Reset(ResetReason::Fall));
        };
        let possible = rise / MICROJOULE <= self.spec.bound_uj(at.since(last.changed));
        match (fell, possible) {
            (true, _) if failed => return self.restart(shown, at, Outcome::Gap(GapReason::FailedRead)),
            (true, false) => return self.restart(shown, at, Outcome::Reset(ResetReason::Fall)),
            (false, false) => return self.restart(shown, at, Outcome::Gap(GapReason::Implausible)),
            (_, true) => {}
        }
        let ambiguous_uj = self.ambiguity(at.since(last.at));
        if failed && ambiguous_uj.is_some() {
            return self.restart(shown, at, Outcome::Gap(GapReason::FailedRead));
        }
        let total = rise + u128::from(self.remainder);
        self.remainder = (total % MICROJOULE) as u64;
        let step = Step { energy: Microjoules(saturated(total / MICROJOULE)), from: last.at, until: at, ambiguous_uj };
        let changed = if shown == last.shown { last.changed } else { at };
        self.last = Some(Last { shown, at, changed });
        if fell { Outcome::Wrapped(step) } else { Outcome::Delta(step) }
    }

    fn restart(&mut self, shown: u64, at: Stamp, outcome: Outcome) -> Outcome {
        self.last = Some(Last { shown, at, changed: at });
        self.remainder = 0;
        outcome
    }

    /// Energy from one shown value to the next, through zero where it fell; `None` where it cannot have wrapped.
    fn rise(&self, old: u64, new: u64) -> Option<u128> {
        let nanojoules = |nj: u128| nj.saturating_mul(1 << FRACTIONS);
        match self.spec.wrap {
            Wrap::Units { unit_nj } => {
                let unit_nj = unit_nj.max(1);
                // the kernel rounds down: rounding up gives its count back for every unit of at least a microjoule
                let raw = |shown: u64| (u128::from(shown) * 1000).div_ceil(u128::from(unit_nj));
                let (old, new) = (u32::try_from(raw(old)).ok()?, u32::try_from(raw(new)).ok()?);
                Some(nanojoules(u128::from(new.wrapping_sub(old)) * u128::from(unit_nj)))
            }
            Wrap::Register { esu } => {
                let (old, new) = (u32::try_from(old).ok()?, u32::try_from(new).ok()?);
                Some((u128::from(new.wrapping_sub(old)) * 1_000_000_000) << (FRACTIONS - u32::from(esu.min(31))))
            }
            Wrap::Modulus { modulus } if old >= modulus || new >= modulus => None,
            Wrap::Modulus { modulus } if new < old => Some(nanojoules(u128::from(new + (modulus - old)) * 1000)),
            Wrap::Modulus { .. } => Some(nanojoules(u128::from(new - old) * 1000)),
            Wrap::Never => new.checked_sub(old).map(|d| nanojoules(u128::from(d) * 1000)),
        }
    }

    fn ambiguity(&self, ns: u64) -> Option<u64> {
        let range = self.spec.wrap.range_uj()?;
        let most = (self.spec.max_power_w * ns as f64 / 1e3) as u64;
        (most > range).then(|| most / range * range)
    }
}

fn saturated(microjoules: u128) -> u64 {
    u64::try_from(microjoules).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "counter_tests.rs"]
mod tests;
