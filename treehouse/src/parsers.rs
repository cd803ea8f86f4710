//! Parsers of the program, for fuzz targets and for the test that replays their corpus.

use crate::config::check;
use crate::serve::access;

/// Reads the text of a configuration and prints it with every key.
///
/// # Errors
/// `:LINE: what is wrong; the mend`.
pub fn config(text: &str) -> Result<String, String> {
    let config = check::parse(text)?;
    toml::to_string(&config).map_err(|error| error.to_string())
}

/// What follows `Bearer` in an `Authorization` header.
pub fn bearer(header: &[u8]) -> Option<&[u8]> {
    access::bearer(header)
}

/// True where `file` holds a token and `presented` is it.
pub fn token_opens(file: &[u8], presented: &[u8]) -> bool {
    access::token_opens(file, presented)
}
