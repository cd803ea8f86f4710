//! Notices when the machine stood still, so that a figure that it spoilt is not taken for the program's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::skip;

/// How long each nap of the watch is meant to be.
const NAP: Duration = Duration::from_millis(1);
/// How often a spoilt check is tried again.
const ATTEMPTS: u32 = 3;

/// A thread that naps and notes by how much it overslept.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    worst_ns: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to watch.
    pub fn start() -> Self {
        let (stop, worst_ns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, worst) = (Arc::clone(&stop), Arc::clone(&worst_ns));
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                let begun = Instant::now();
                thread::sleep(NAP);
                let late = begun.elapsed().saturating_sub(NAP);
                worst.fetch_max(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self { stop, worst_ns, thread: Some(thread) }
    }

    /// The longest time for which the machine did not run a thread that was due.
    pub fn worst(&self) -> Duration {
        Duration::from_nanos(self.worst_ns.load(Ordering::Relaxed))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs a check whose figure a stall of at least `limit` can spoil. One that fails while there was such a stall is tried
/// again; if every attempt was spoilt, the test is skipped and says so. One that fails without a stall has failed.
///
/// # Panics
/// The check failed, and no stall explains it.
pub fn unless_stalled(limit: Duration, mut check: impl FnMut() -> Result<(), String>) {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let watch = Watch::start();
        let Err(problem) = check() else { return };
        let worst = watch.worst();
        last = format!("{problem} (the machine stood still for {worst:?})");
        assert!(worst >= limit, "{last}");
    }
    skip::optional(&format!("busy machine: {last}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_without_a_stall_is_a_failure() {
        let failed = thread::spawn(|| unless_stalled(Duration::from_secs(3600), || Err("wrong".into()))).join();
        assert!(failed.is_err());
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
}
