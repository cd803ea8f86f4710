//! Durable totals: what was booked, by workload, class, zone and minute, up to a watermark.
//!
//! A [`Batch`] collects bookings in memory; the [`writer`] commits one every few seconds in one transaction that also moves
//! the watermark: after a crash everything before `durable_until` is there once, and nothing after it. A slot is additive, and
//! cut where the minute (and so where any intensity) changes: it can be priced anew later.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::domain::{DomainClass, Provenance};
use crate::usage::WorkloadKind;

pub mod store;
pub mod writer;

/// Version of the file's layout.
pub const SCHEMA: u64 = 1;

/// Why a ledger could not be used.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// Another process holds it.
    #[error("{path} is in use by another process: ask the daemon that holds it, or pass another --state folder", path = path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a newer version.
    #[error("{path} was written by a newer version (layout {found}, this program knows {SCHEMA}): update treehouse, or pass another --state folder", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The layout found.
        found: u64,
    },
    /// It is no ledger, or it is damaged.
    #[error("{path} is damaged or no ledger ({reason}): move it away to begin a new one, or pass another --state folder", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The operating system refused.
    #[error("{path} cannot be written ({reason}): free space or rights on its folder, or pass another --state folder", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// Whose, of what, where and when: the key of one slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotKey {
    /// Start of the minute, in seconds since the epoch.
    pub minute_s: i64,
    /// Kind of the series.
    pub kind: WorkloadKind,
    /// Name of the series.
    pub workload: Arc<str>,
    /// Class of the energy.
    pub class: DomainClass,
    /// Attributed or modelled.
    pub provenance: Provenance,
    /// Zone of the intensity.
    pub zone: Arc<str>,
    /// Who told the intensity.
    pub provider: &'static str,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SlotValue {
    /// Energy in microjoules.
    pub energy: u64,
    /// Grams of the part that had an intensity.
    pub grams: f64,
    /// Energy in microjoules that had none.
    pub unpriced: u64,
}

impl SlotValue {
    /// Adds another value.
    pub fn add(&mut self, other: &Self) {
        self.energy += other.energy;
        self.grams += other.grams;
        self.unpriced += other.unpriced;
    }
}

/// Bookings of one contiguous stretch of time, not yet on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Where it begins: the end of the batch before.
    pub from: Timestamp,
    /// Where it ends.
    pub until: Timestamp,
    /// Energy of the host in it, in microjoules: the sum of its slots.
    pub host: u64,
    /// What was booked.
    pub slots: BTreeMap<SlotKey, SlotValue>,
}

impl Batch {
    /// An empty batch that begins here.
    pub fn new(from: Timestamp) -> Self {
        Self { from, until: from, host: 0, slots: BTreeMap::new() }
    }

    /// Books `value` of the interval from `from` until `until`; `key.minute_s` is set here, and a value that spans a minute is
    /// split by the time on each side, to the microjoule.
    pub fn book(&mut self, mut key: SlotKey, value: SlotValue, from: Timestamp, until: Timestamp) {
        self.host += value.energy;
        let (mut at, end) = (from.as_nanosecond(), until.as_nanosecond());
        let mut left = value;
        loop {
            let minute = at.div_euclid(60_000_000_000);
            let edge = (minute + 1) * 60_000_000_000;
            key.minute_s = i64::try_from(minute * 60).unwrap_or(i64::MAX);
            if end <= edge {
                self.slots.entry(key).or_default().add(&left);
                return;
            }
            let (part, whole) = ((edge - at) as u128, (end - at) as u128);
            let share = |v: u64| (u128::from(v) * part / whole) as u64;
            let first = SlotValue {
                energy: share(left.energy),
                grams: left.grams * (part as f64 / whole as f64),
                unpriced: share(left.unpriced),
            };
            self.slots.entry(key.clone()).or_default().add(&first);
            left.energy -= first.energy;
            left.grams -= first.grams;
            left.unpriced -= first.unpriced;
            at = edge;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn key(name: &str) -> SlotKey {
        SlotKey {
            minute_s: 0,
            kind: WorkloadKind::Process,
            workload: name.into(),
            class: DomainClass::Cpu,
            provenance: Provenance::Attributed,
            zone: "GB".into(),
            provider: "static",
        }
    }

    proptest! {
        #[test]
        fn a_value_is_split_at_minutes_to_the_microjoule(start in 0_i64..1_000_000, ms in 0_i64..400_000, energy in any::<u32>()) {
            let from = Timestamp::from_millisecond(start).unwrap();
            let until = Timestamp::from_millisecond(start + ms).unwrap();
            let mut batch = Batch::new(from);
            let value = SlotValue { energy: u64::from(energy), grams: f64::from(energy), unpriced: u64::from(energy) / 2 };
            batch.book(key("x"), value, from, until);
            let sum = batch.slots.values().fold(SlotValue::default(), |mut s, v| { s.add(v); s });
            prop_assert_eq!((sum.energy, sum.unpriced), (value.energy, value.unpriced));
            prop_assert!((sum.grams - value.grams).abs() <= 1e-9 * value.grams);
            for k in batch.slots.keys() {
                prop_assert!(k.minute_s % 60 == 0 && k.minute_s * 1000 <= start + ms && (k.minute_s + 60) * 1000 >= start);
            }
        }
    }
}
