//! Checks by name, a line each.

use std::io::{Stdout, Write, stdout};

use anyhow::Result;

/// Whoever reports does it here.
#[derive(Debug)]
pub(crate) struct Checks {
    out: Stdout,
}

impl Checks {
    /// Lines go to standard output.
    pub(crate) fn new() -> Self {
        Self { out: stdout() }
    }

    /// Does a check and says how it went, with what it found.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<String>) {
        self.record(name, check());
    }

    /// A check that is over.
    pub(crate) fn record(&mut self, name: &str, outcome: Result<String>) {
        match outcome {
            Ok(found) if found.is_empty() => self.say(&format!("ok       {name}")),
            Ok(found) => self.say(&format!("ok       {name}: {found}")),
            Err(error) => self.say(&format!("FAILED   {name}: {error:#}")),
        }
    }

    /// A check that this program or this machine cannot have.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        self.say(&format!("skipped  {name}: {why}"));
    }

    /// A line beside the checks.
    pub(crate) fn note(&mut self, text: &str) {
        self.say(&format!("         {text}"));
    }

    /// Says that all checks are over.
    pub(crate) fn end(mut self) {
        self.say("end");
    }

    /// One line, whatever the text. If nobody can be told, whoever listens misses the end.
    fn say(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}", one_line(text));
        let _ = self.out.flush();
    }
}

/// Whoever reads goes line by line.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_many_lines_is_told_on_one() {
        assert_eq!(one_line("ok   a:\n b\r\nc \n"), "ok   a:  b c");
    }
}
