//! A thread for meters that are slow to answer or must be sampled more often than the measuring loop ticks.
//!
//! The loop never waits for it: it takes what the last poll left. A window does wait, for one poll, at both of its ends.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest that a window waits for one poll.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct State {
    stop: bool,
    /// Polls that somebody waits for.
    wanted: u64,
    /// Polls that were wanted and are done.
    done: u64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Calls a closure again and again on a thread of its own; dropped, it ends the thread.
#[derive(Debug)]
pub struct Poller {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    /// Starts a thread called `name` that calls `poll` at once and then every `period`, missed turns left out.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(name: &str, period: Duration, mut poll: impl FnMut() + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let mut due = Instant::now();
            loop {
                let wanted = told.lock().wanted;
                poll();
                let now = Instant::now();
                while due <= now {
                    due += period.max(Duration::from_millis(1));
                }
                if told.wait(wanted, due) {
                    return;
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for one more poll and waits until it is done, half a second at most; true if it was done.
    pub fn settle(&self) -> bool {
        let mut state = self.shared.lock();
        state.wanted += 1;
        let wanted = state.wanted;
        self.shared.changed.notify_all();
        let waiting = |state: &mut State| state.done < wanted && !state.stop;
        let (state, _) = self.shared.changed.wait_timeout_while(state, PATIENCE, waiting).unwrap_or_else(PoisonError::into_inner);
        state.done >= wanted
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a poll is done that began when `wanted` were asked for; sleeps until the next is due or asked for. True: stop.
    fn wait(&self, wanted: u64, due: Instant) -> bool {
        let mut state = self.lock();
        state.done = wanted;
        self.changed.notify_all();
        let left = due.saturating_duration_since(Instant::now());
        let idle = |state: &mut State| state.wanted == state.done && !state.stop;
        let (state, _) = self.changed.wait_timeout_while(state, left, idle).unwrap_or_else(PoisonError::into_inner);
        state.stop
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn it_polls_at_once_and_again_until_it_is_dropped() {
        let count = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&count);
        let poller = Poller::start("poll-test", Duration::from_millis(2), move || {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        while count.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        drop(poller);
        let after = count.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(count.load(Ordering::Relaxed), after);
    }

    #[test]
    fn a_settled_poll_began_after_it_was_asked_for() {
        let count = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&count);
        let poller = Poller::start("poll-test", Duration::from_secs(3600), move || {
            seen.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        for _ in 0..5 {
            // on a machine that stands still the patience of one may end
            let before = (0..100).find_map(|_| {
                let before = count.load(Ordering::Relaxed);
                poller.settle().then_some(before)
            });
            assert!(count.load(Ordering::Relaxed) > before.unwrap());
        }
    }
}
