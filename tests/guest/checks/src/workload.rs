//! The command that the program measures.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::truth::Truth;

/// Of each round a sixth is work.
const WORK: Duration = Duration::from_millis(200);
const REST: Duration = Duration::from_secs(1);

/// Notes what the program saw last through a door, which was right before it started us; then works and rests.
pub(crate) fn run(length: Duration, door: &str, note: &Path) -> Result<()> {
    let start = Instant::now();
    let seen = Truth::last_seen(door)?;
    // Whoever waits for the note must not find half of it.
    let draft = note.with_extension("draft");
    fs::write(&draft, seen.line()).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, note).with_context(|| format!("cannot write {}", note.display()))?;
    while start.elapsed() < length {
        let round = Instant::now();
        while round.elapsed() < WORK {
            std::hint::black_box(0);
        }
        thread::sleep(REST.min(length.saturating_sub(start.elapsed())));
    }
    Ok(())
}
