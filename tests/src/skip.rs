//! A test that cannot run here, and says so.
//!
//! `cargo xtask test` reads the lines from the file that `TREEHOUSE_SKIP_LOG` names and counts them.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file that collects the lines.
const LOG: &str = "TREEHOUSE_SKIP_LOG";

/// Says that something is missing that every machine of the project must have; the caller returns.
///
/// # Panics
/// With `CI=true`: there a test that cannot run has failed.
pub fn required(reason: &str) {
    say("required", reason);
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!ci, "CI must be able to run this test: {reason}");
}

/// Says that something is missing that need not be there, or that the machine was too busy to tell; the caller returns.
pub fn optional(reason: &str) {
    say("optional", reason);
}

/// Says something about the running test that is no reason to leave it out.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}: {text}", test());
}

/// The name of the running test; threads that a test starts do not know it.
pub fn test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

fn say(word: &str, reason: &str) {
    let line = format!("{word}: {}: {}", test(), reason.replace('\n', " "));
    let _ = writeln!(std::io::stderr().lock(), "skipped: {line}");
    let Some(path) = std::env::var_os(LOG) else { return };
    // one write a line: tests run side by side
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    if let Err(error) = opened.and_then(|mut log| log.write_all((line + "\n").as_bytes())) {
        let _ = writeln!(std::io::stderr().lock(), "{}: {error}", path.display());
    }
}
