//! Lines of a child's output, read as they come.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a child has written so far; a thread reads on for as long as there is something.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads `from` to its end.
    pub fn read(from: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let filled = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                filled.change(|state| state.lines.push(String::from_utf8_lossy(&line).into_owned()));
            }
            filled.change(|state| state.ended = true);
        });
        lines
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }

    /// All lines so far as one text.
    pub fn text(&self) -> String {
        self.all().join("\n")
    }

    /// Waits until `find` finds something in one of the lines; `None` where the output ends or `limit` passes before.
    pub fn wait<T>(&self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        loop {
            if let Some(found) = state.lines[seen..].iter().find_map(|line| find(line)) {
                return Some(found);
            }
            seen = state.lines.len();
            let left = end.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the output has ended.
    pub fn wait_for_end(&self, limit: Duration) -> bool {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(state, limit, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_and_an_end_is_noticed() {
        let lines = Lines::read(&b"one\ntwo 2\nthree"[..]);
        let limit = crate::wait::LIMIT;
        assert_eq!(lines.wait(limit, |line| line.strip_prefix("two ").map(str::to_owned)), Some("2".to_owned()));
        assert_eq!(lines.wait(limit, |line| (line == "four").then_some(())), None);
        assert!(lines.wait_for_end(limit));
        assert_eq!(lines.text(), "one\ntwo 2\nthree");
    }
}
