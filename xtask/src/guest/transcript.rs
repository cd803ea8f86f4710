//! What the guest says, line by line: `ok`, `FAILED` or `skipped` before a check's name, and `end` at the end.

use std::fmt;

/// The lines so far, counted.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    passed: u64,
    failed: u64,
    skipped: u64,
    complete: bool,
}

impl Transcript {
    /// Counts a line and shows it.
    pub(super) fn take(&mut self, line: &str) {
        // An indented line is a detail of the one above it.
        match line.split(' ').next() {
            Some("ok") => self.passed += 1,
            Some("FAILED") => self.failed += 1,
            Some("skipped") => self.skipped += 1,
            Some("end") => {
                self.complete = true;
                return;
            }
            _ => {}
        }
        println!("   {line}");
    }

    /// A failure that the guest cannot tell of.
    pub(super) fn fail(&mut self, name: &str, why: &str) {
        self.take(&format!("FAILED   {name}: {why}"));
    }

    /// Checks that passed.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// Checks that failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Whether the guest came to its last line.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_the_word_they_begin_with() {
        let mut transcript = Transcript::default();
        for line in ["ok      one: 1 W", "FAILED  two: why", "skipped three: why", "okay", "        ok", "", "note a table"] {
            transcript.take(line);
        }
        assert!(!transcript.is_complete());
        transcript.take("end");
        assert!(transcript.is_complete());
        assert_eq!(transcript.to_string(), "1 passed, 1 failed, 1 skipped");
    }
}
