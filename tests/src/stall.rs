//! Notices when the machine stood still, so that a figure that it spoilt is not taken for the program's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::skip;

/// How long each nap of the watch is meant to be.
const NAP: Duration = Duration::from_millis(1);
/// How often a check that fails is tried.
const ATTEMPTS: u32 = 5;
/// How often it must fail without a stall until it has failed: what delays one process alone is not seen by the watch.
const QUIET_FAILURES: u32 = 2;
/// Processors that are watched, at most.
const PROCESSORS: usize = 16;

/// A thread a processor that naps and notes by how much it overslept.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    worst_ns: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Begins to watch.
    pub fn start() -> Self {
        let (stop, worst_ns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = processors().into_iter().map(|processor| {
            let (told, worst) = (Arc::clone(&stop), Arc::clone(&worst_ns));
            thread::spawn(move || nap(processor, &told, &worst))
        });
        let threads = threads.collect();
        Self { stop, worst_ns, threads }
    }

    /// The longest time for which a processor did not run a thread that was due.
    pub fn worst(&self) -> Duration {
        Duration::from_nanos(self.worst_ns.load(Ordering::Relaxed))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The processors that this process may use; one that is not named where the system does not tell.
fn processors() -> Vec<Option<CpuSet>> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let single = |processor| {
        let mut set = CpuSet::new();
        set.set(processor).map(|()| Some(set))
    };
    let each = (0..CpuSet::count()).filter(|&processor| allowed.is_set(processor).unwrap_or(false)).take(PROCESSORS);
    let found: Vec<_> = each.filter_map(|processor| single(processor).ok()).collect();
    if found.is_empty() { vec![None] } else { found }
}

fn nap(processor: Option<CpuSet>, told: &AtomicBool, worst: &AtomicU64) {
    if let Some(set) = processor {
        // where that is not allowed it watches wherever it runs
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
    while !told.load(Ordering::Relaxed) {
        let begun = Instant::now();
        thread::sleep(NAP);
        let late = begun.elapsed().saturating_sub(NAP);
        worst.fetch_max(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Runs a check whose figure a stall of at least `limit` can spoil. One that fails is tried again. It has failed once it failed
/// twice without such a stall; if every attempt was spoilt, the test is skipped and says so.
///
/// # Panics
/// The check failed, and no stall explains it.
pub fn unless_stalled(limit: Duration, mut check: impl FnMut() -> Result<(), String>) {
    let (mut last, mut quiet) = (String::new(), 0);
    for _ in 0..ATTEMPTS {
        let watch = Watch::start();
        let Err(problem) = check() else { return };
        let worst = watch.worst();
        last = format!("{problem} (the machine stood still for {worst:?})");
        quiet += u32::from(worst < limit);
        assert!(quiet < QUIET_FAILURES, "{last}");
        skip::note(&format!("tried again: {last}"));
    }
    skip::optional(&format!("busy machine: {last}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_without_a_stall_is_a_failure_the_second_time() {
        let mut times = 0;
        let check = || {
            times += 1;
            Err("wrong".into())
        };
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| unless_stalled(Duration::from_secs(3600), check)));
        assert!(failed.is_err());
        assert_eq!(times, QUIET_FAILURES);
    }

    #[test]
    fn a_check_that_holds_is_done_once() {
        let mut times = 0;
        unless_stalled(Duration::ZERO, || {
            times += 1;
            Ok(())
        });
        assert_eq!(times, 1);
    }

    #[test]
    fn one_that_fails_once_is_tried_again() {
        let mut times = 0;
        unless_stalled(Duration::from_secs(3600), || {
            times += 1;
            if times == 1 { Err("late".into()) } else { Ok(()) }
        });
        assert_eq!(times, 2);
    }
}
