//! Headers of a request: `Accept`, and the token in `Authorization` with the file that it is held against.

use exporters::accept::{Format, negotiate};

/// Plays one input.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let choice = negotiate(Some(text));
        let named = text.to_ascii_lowercase().contains("application/openmetrics-text");
        assert!(choice.format == Format::Text || named, "nobody gets what was not asked for");
        assert!(choice.content_type().contains("charset=utf-8"));
    }
    let (file, header) = data.split_at(data.iter().position(|b| *b == b'\n').unwrap_or(data.len()));
    let token = treehouse::parsers::bearer(header.trim_ascii()).unwrap_or_default();
    assert!(!treehouse::parsers::token_opens(file, token) || token == file.trim_ascii());
    assert!(!treehouse::parsers::token_opens(file, b""));
}
