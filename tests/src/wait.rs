//! Waits for what must come, rather than for a time after which it should have come.

use std::thread;
use std::time::{Duration, Instant};

/// How long something may take that takes a moment on a quiet machine; a guest of an emulator or of a busy host is not quiet.
pub const LIMIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// Asks again and again until there is an answer.
///
/// # Panics
/// There is none within [`LIMIT`].
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(LOOK);
    }
}

/// Does it again and again until it holds.
///
/// # Errors
/// What was wrong at the last time, [`LIMIT`] after the first.
pub fn eventually_or<T, E>(mut ask: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let end = Instant::now() + LIMIT;
    loop {
        match ask() {
            Err(_) if Instant::now() < end => thread::sleep(LOOK),
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_is_taken() {
        let mut asked = 0;
        let answer = eventually("three", || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!((answer, asked), (3, 3));
    }
}
