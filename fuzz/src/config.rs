//! The text of a configuration: read and printed so that it reads back as it was, or refused in one line.

use treehouse::parsers;

/// Plays one input.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parsers::config(text) {
        Ok(printed) => assert_eq!(parsers::config(&printed).as_ref(), Ok(&printed)),
        Err(problem) => assert!(problem.starts_with(':') && !problem.contains('\n'), "{problem}"),
    }
}
