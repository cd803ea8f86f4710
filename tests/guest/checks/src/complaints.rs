//! What the kernel says of our modules: the truth of a broken kernel is worth nothing.

use std::process::Command;

use anyhow::ensure;

use crate::checks::Checks;
use crate::program;

/// Words with which the kernel begins a complaint about itself. That a processor was late is none: the host is busy, too.
const WORDS: [&str; 5] = ["WARNING: CPU", "BUG: unable", "BUG: sleeping", "Oops", "general protection"];

/// Reads everything that the kernel said since it booted.
pub(crate) fn none(checks: &mut Checks) {
    checks.check("the kernel complains of nothing", || {
        let output = program::output(&mut Command::new("dmesg"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(text.lines().count() > 50, "dmesg tells nothing: {}", output.status);
        let found = complaints(&text);
        ensure!(found.is_empty(), "{}", found.join("; "));
        Ok(format!("{} lines", text.lines().count()))
    });
}

fn complaints(text: &str) -> Vec<&str> {
    text.lines().filter(|line| WORDS.iter().any(|word| line.contains(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_lines_with_one_of_the_words() {
        let text = "[ 1.0] Linux version 6.1\n[ 2.0] WARNING: CPU: 1 PID: 3 at kernel/x.c:4\n[ 3.0] BUG: soft lockup\n";
        assert_eq!(complaints(text), ["[ 2.0] WARNING: CPU: 1 PID: 3 at kernel/x.c:4"]);
    }
}
