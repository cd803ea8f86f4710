//! The clocks that scripts are written in.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// `CLOCK_BOOTTIME` in nanoseconds: the time of every script.
pub fn boottime_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Boottime))
}

/// Microseconds to add to boottime for the time of day, in which NVML stamps its samples.
pub(crate) fn wall_offset_us() -> i64 {
    (nanoseconds(clock_gettime(ClockId::Realtime)) / 1000) as i64 - (boottime_ns() / 1000) as i64
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
