//! Checks by name, a line each.

use anyhow::Result;

/// Whoever reports does it here.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    failed: bool,
}

impl Checks {
    /// A check that is over, with what it found.
    pub(crate) fn record(&mut self, name: &str, outcome: Result<String>) {
        match outcome {
            Ok(found) if found.is_empty() => println!("ok       {name}"),
            Ok(found) => println!("ok       {name}: {found}"),
            Err(error) => {
                self.failed = true;
                println!("FAILED   {name}: {}", one_line(&format!("{error:#}")));
            }
        }
    }

    /// Does it and records it.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<String>) {
        self.record(name, check());
    }

    /// A check that this program or this machine cannot have.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        println!("skipped  {name}: {why}");
    }

    /// A line beside the checks.
    pub(crate) fn note(&mut self, text: &str) {
        println!("         {text}");
    }
}

/// Whoever reads goes line by line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_many_lines_is_told_on_one() {
        assert_eq!(one_line("a:\n  b\n\nc "), "a: b c");
    }
}
