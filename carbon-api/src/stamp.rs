//! Instants: two monotonic clocks for intervals, UTC for people. Never read here: time is an argument.

use serde::Serialize;

/// The two clocks of one reading, in nanoseconds. Their difference grows while the machine is suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Stamp {
    /// `CLOCK_BOOTTIME`: goes on during suspend.
    pub boottime_ns: u64,
    /// `CLOCK_MONOTONIC`: stands still during suspend.
    pub monotonic_ns: u64,
}

impl Stamp {
    /// A stamp of a machine that was never suspended.
    pub const fn at(ns: u64) -> Self {
        Self { boottime_ns: ns, monotonic_ns: ns }
    }

    /// Elapsed boot time since `earlier`, in nanoseconds; 0 if it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.boottime_ns.saturating_sub(earlier.boottime_ns)
    }

    /// Elapsed boot time since `earlier`, in seconds.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.since(earlier) as f64 / 1e9
    }

    /// How long the machine was suspended since `earlier`, in nanoseconds.
    pub fn suspended_since(self, earlier: Self) -> u64 {
        self.since(earlier).saturating_sub(self.monotonic_ns.saturating_sub(earlier.monotonic_ns))
    }
}

/// Where stamps come from; tests give a clock that they move by hand.
pub trait Clock {
    /// Both monotonic clocks, now.
    fn stamp(&self) -> Stamp;
    /// The wall clock in UTC, for labels and for the grid; never for intervals.
    fn utc(&self) -> jiff::Timestamp;
}
