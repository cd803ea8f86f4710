//! The measuring loop: one synchronous thread that reads, closes intervals and swaps an immutable snapshot.
//!
//! [`Sampler`] is the loop's body, free of threads and sleep, so that tests move its clock by hand. [`Monitor`] runs it on
//! absolute deadlines, counts late ticks, and stops when told to.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::{ClockId, Timespec, clock_gettime};

pub use sampler::{Learn, Parts, Sampler, Settings};

use crate::bank::Bank;
use crate::cover::HostCover;
use crate::snapshot::SnapshotCell;
use crate::system::nanoseconds;

mod domains;
mod faults;
mod own;
mod platform;
mod sampler;

/// What the thread finds in its word: to go on, to stop, or to take other meters.
const GOES_ON: u32 = 0;
const STOPS: u32 = 1;
const REWIRES: u32 = 2;

/// Ticks that a loop which overslept makes up for, one right after the other; beyond them they are left out, and counted.
const CATCH_UP: u64 = 10;

/// Meters that wait to be taken, and what makes the host of them.
type Mailbox = Arc<Mutex<Option<(Bank, HostCover)>>>;

/// The thread that measures; dropped or stopped, it closes the open interval and writes the last batch.
pub struct Monitor {
    stop: Arc<AtomicU32>,
    meters: Mailbox,
    cell: Arc<SnapshotCell>,
    thread: Option<JoinHandle<Sampler>>,
}

impl Monitor {
    /// Starts measuring.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(sampler: Sampler) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicU32::new(GOES_ON));
        let (told, cell) = (Arc::clone(&stop), sampler.cell());
        let meters = Mailbox::default();
        let given = Arc::clone(&meters);
        let thread = std::thread::Builder::new().name("monitor".into()).spawn(move || run(sampler, &told, &given))?;
        Ok(Self { stop, meters, cell, thread: Some(thread) })
    }

    /// For whoever may hand over other meters while the loop runs.
    pub fn handle(&self) -> Handle {
        Handle { stop: Arc::clone(&self.stop), meters: Arc::clone(&self.meters) }
    }

    /// Where the snapshots are.
    pub fn cell(&self) -> Arc<SnapshotCell> {
        Arc::clone(&self.cell)
    }

    /// True while the thread measures.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|t| !t.is_finished())
    }

    /// Takes a last usage reading, closes the open interval, writes what is to be written, and waits for all of it.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop.store(STOPS, Ordering::Relaxed);
            let _ = futex::wake(&self.stop, futex::Flags::PRIVATE, 1);
            if let Ok(mut sampler) = thread.join() {
                sampler.finish();
            }
        }
    }
}

/// Hands other meters to a loop that runs; clones are the same.
#[derive(Clone)]
pub struct Handle {
    stop: Arc<AtomicU32>,
    meters: Mailbox,
}

impl Handle {
    /// Hands over other meters; the loop takes them at once, and each of their counters starts a new epoch.
    pub fn rewire(&self, bank: Bank, cover: HostCover) {
        *self.meters.lock().unwrap_or_else(PoisonError::into_inner) = Some((bank, cover));
        if self.stop.compare_exchange(GOES_ON, REWIRES, Ordering::Release, Ordering::Relaxed).is_ok() {
            let _ = futex::wake(&self.stop, futex::Flags::PRIVATE, 1);
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").field("is_running", &self.is_running()).finish_non_exhaustive()
    }
}

fn run(mut sampler: Sampler, stop: &AtomicU32, meters: &Mailbox) -> Sampler {
    let mut period = period_of(&sampler);
    // a timer that may be late by 50 us (the kernel's default slack) is late at every tick
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    let now = || nanoseconds(clock_gettime(ClockId::Monotonic));
    let mut due = now();
    while stop.load(Ordering::Relaxed) != STOPS {
        if stop.compare_exchange(REWIRES, GOES_ON, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            let given = meters.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((bank, cover)) = given {
                sampler.rewire(bank, cover);
                period = period_of(&sampler);
            }
        } else {
            sampler.tick();
        }
        due += period;
        let at = now();
        if at > due {
            let missed = (at - due) / period + 1;
            // a counter is read a little late rather than not at all
            let left_out = if missed > CATCH_UP { missed } else { 0 };
            sampler.count_late(left_out.max(1));
            due += left_out * period;
        }
        sleep_until(due, stop);
    }
    sampler
}

fn period_of(sampler: &Sampler) -> u64 {
    u64::try_from(sampler.period().as_nanos()).unwrap_or(u64::MAX).max(100_000)
}

/// Sleeps until an absolute instant of `CLOCK_MONOTONIC`, as `clock_nanosleep` does; a stop ends it at once.
///
/// It waits on the word that a stop writes. `park_timeout` would do the same, but by way of so much code that is cold after a
/// long sleep that a wake-up costs a fifth more.
fn sleep_until(due: u64, stop: &AtomicU32) {
    let deadline = Timespec { tv_sec: (due / 1_000_000_000) as i64, tv_nsec: (due % 1_000_000_000) as i64 };
    while stop.load(Ordering::Relaxed) == GOES_ON {
        match futex::wait_bitset(stop, futex::Flags::PRIVATE, GOES_ON, Some(&deadline), NonZeroU32::MAX) {
            // woken, a signal, or the word changed before the wait began: look at the word again
            Ok(()) | Err(Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::TIMEDOUT) => return,
            // a sandbox without this call must not make the loop spin
            Err(_) => {
                let left = due.saturating_sub(nanoseconds(clock_gettime(ClockId::Monotonic)));
                return std::thread::sleep(std::time::Duration::from_nanos(left));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn monotonic_ns() -> u64 {
        nanoseconds(clock_gettime(ClockId::Monotonic))
    }

    #[test]
    fn a_sleep_ends_at_its_deadline_and_not_before() {
        let due = monotonic_ns() + 20_000_000;
        sleep_until(due, &AtomicU32::new(GOES_ON));
        assert!(monotonic_ns() >= due);
    }

    #[test]
    fn a_stop_ends_a_long_sleep() {
        let stop = Arc::new(AtomicU32::new(GOES_ON));
        let (begun, told) = (Instant::now(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || sleep_until(monotonic_ns() + 600_000_000_000, &told));
        std::thread::sleep(Duration::from_millis(20));
        stop.store(STOPS, Ordering::Relaxed);
        // no loss if the thread does not sleep yet: it then finds the word changed
        futex::wake(&stop, futex::Flags::PRIVATE, 1).unwrap();
        thread.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(300));
    }
}
