//! CPU time of one thread.

use rustix::time::{ClockId, clock_gettime};

/// CPU time of the calling thread so far, in nanoseconds: what others do on the machine does not show in it.
pub(crate) fn thread_cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
