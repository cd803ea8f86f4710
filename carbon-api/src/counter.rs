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
const SUSPEND_NS: u64 = 100_000_000;

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
            Self::Units { unit_nj } => Some(((u128::from(unit_nj) << 32) / 1000) as u64),
            Self::Modulus { modulus } => Some(modulus),
        }
    }
}

/// What is known of a counter before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CounterSpec {
    /// How it comes back to zero.
    pub wrap: Wrap,
    /// The most the domain can draw, in watts.
    pub max_power_w: f64,
    /// Whether the counter goes on counting during suspend.
    pub survives_suspend: bool,
}

impl CounterSpec {
    /// Default bound of a domain's power: no socket of today draws a kilowatt for long.
    pub const MAX_POWER_W: f64 = 1000.0;

    /// A counter with the default bound of 1000 W that does not survive a suspend (RAPL).
    pub const fn new(wrap: Wrap) -> Self {
        Self { wrap, max_power_w: Self::MAX_POWER_W, survives_suspend: false }
    }

    /// One count, in joules.
    pub fn resolution_j(&self) -> f64 {
        match self.wrap {
            Wrap::Units { unit_nj } => unit_nj as f64 / 1e9,
            Wrap::Never | Wrap::Modulus { .. } => 1e-6,
        }
    }

    /// Seconds from one zero to the next at the highest power, where it wraps at all.
    pub fn wrap_seconds(&self) -> Option<f64> {
        self.wrap.range_uj().map(|r| r as f64 / 1e6 / self.max_power_w)
    }

    /// The largest rise that `ns` nanoseconds allow, in microjoules: `1.5 * P_max * dt + 16 J`.
    fn bound_uj(&self, ns: u64) -> u128 {
        SLACK_UJ + (1.5 * self.max_power_w * ns as f64 / 1e3) as u128
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
}

impl GapReason {
    /// The label of `treehouse_meter_gap_seconds_total`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Suspend => "suspend",
            Self::FailedRead => "failed_read",
            Self::Implausible => "implausible",
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
    failed: bool,
    reloaded: bool,
    /// Nanojoules below one microjoule, carried so that nothing is lost to rounding.
    remainder_nj: u64,
}

impl Counter {
    /// A counter that has not been read.
    pub const fn new(spec: CounterSpec) -> Self {
        Self { spec, last: None, failed: false, reloaded: false, remainder_nj: 0 }
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

    /// Takes one reading of `shown` microjoules.
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
        let Some(nanojoules) = self.rise_nj(last.shown, shown) else {
            return self.restart(shown, at, Outcome::Reset(ResetReason::Fall));
        };
        let possible = nanojoules / 1000 <= self.spec.bound_uj(at.since(last.changed));
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
        let total_nj = nanojoules + u128::from(self.remainder_nj);
        self.remainder_nj = (total_nj % 1000) as u64;
        let step = Step { energy: Microjoules((total_nj / 1000) as u64), from: last.at, until: at, ambiguous_uj };
        let changed = if shown == last.shown { last.changed } else { at };
        self.last = Some(Last { shown, at, changed });
        if fell { Outcome::Wrapped(step) } else { Outcome::Delta(step) }
    }

    fn restart(&mut self, shown: u64, at: Stamp, outcome: Outcome) -> Outcome {
        self.last = Some(Last { shown, at, changed: at });
        self.remainder_nj = 0;
        outcome
    }

    /// Nanojoules from one shown value to the next, through zero where it fell; `None` where it cannot have wrapped.
    fn rise_nj(&self, old: u64, new: u64) -> Option<u128> {
        match self.spec.wrap {
            Wrap::Units { unit_nj } => {
                let raw = |shown: u64| (u128::from(shown) * 1000 + u128::from(unit_nj) / 2) / u128::from(unit_nj);
                let (old, new) = (u32::try_from(raw(old)).ok()?, u32::try_from(raw(new)).ok()?);
                Some(u128::from(new.wrapping_sub(old)) * u128::from(unit_nj))
            }
            Wrap::Modulus { modulus } if old >= modulus || new >= modulus => None,
            Wrap::Modulus { modulus } if new < old => Some(u128::from(new + (modulus - old)) * 1000),
            Wrap::Modulus { .. } => Some(u128::from(new - old) * 1000),
            Wrap::Never => new.checked_sub(old).map(|d| u128::from(d) * 1000),
        }
    }

    fn ambiguity(&self, ns: u64) -> Option<u64> {
        let range = self.spec.wrap.range_uj()?;
        let most = (self.spec.max_power_w * ns as f64 / 1e3) as u64;
        (most > range).then(|| most / range * range)
    }
}

#[cfg(test)]
#[path = "counter_tests.rs"]
mod tests;
