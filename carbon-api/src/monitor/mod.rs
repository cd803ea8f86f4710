//! The measuring loop: one synchronous thread that reads, closes intervals and swaps an immutable snapshot.
//!
//! [`Sampler`] is the loop's body, free of threads and sleep, so that tests move its clock by hand. [`Monitor`] runs it on
//! absolute deadlines, counts late ticks, and stops when told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub use sampler::{Parts, Sampler, Settings};

use crate::snapshot::SnapshotCell;
use crate::system::nanoseconds;

mod domains;
mod faults;
mod sampler;

/// The thread that measures; dropped or stopped, it closes the open interval and writes the last batch.
#[derive(Debug)]
pub struct Monitor {
    stop: Arc<AtomicBool>,
    cell: Arc<SnapshotCell>,
    thread: Option<JoinHandle<Sampler>>,
}

impl Monitor {
    /// Starts measuring.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(sampler: Sampler) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, cell) = (Arc::clone(&stop), sampler.cell());
        let thread = std::thread::Builder::new().name("monitor".into()).spawn(move || run(sampler, &told))?;
        Ok(Self { stop, cell, thread: Some(thread) })
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
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if let Ok(mut sampler) = thread.join() {
                sampler.finish();
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(mut sampler: Sampler, stop: &AtomicBool) -> Sampler {
    let period = u64::try_from(sampler.period().as_nanos()).unwrap_or(u64::MAX).max(100_000);
    // a timer that may be late by 50 us (the kernel's default slack) is late at every tick
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    let now = || nanoseconds(clock_gettime(ClockId::Monotonic));
    let mut due = now();
    while !stop.load(Ordering::Relaxed) {
        sampler.tick();
        due += period;
        let at = now();
        if at > due {
            let missed = (at - due) / period + 1;
            sampler.count_late(missed);
            due += missed * period;
        }
        sleep_until(due, stop);
    }
    sampler
}

/// Sleeps until the deadline on the monotonic clock; one wake-up, and a stop interrupts it.
///
/// The standard library parks on a futex with an absolute `CLOCK_MONOTONIC` deadline: as exact as `clock_nanosleep`, and
/// unlike it, it can be ended from outside.
fn sleep_until(due: u64, stop: &AtomicBool) {
    loop {
        let at = nanoseconds(clock_gettime(ClockId::Monotonic));
        if at >= due || stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::park_timeout(Duration::from_nanos(due - at));
    }
}
