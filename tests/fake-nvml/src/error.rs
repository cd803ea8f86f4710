//! What can go wrong outside the calls themselves.

use std::path::PathBuf;

/// The library could not be built, copied or scripted.
#[derive(Debug, thiserror::Error)]
pub enum FakeError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The script is not what it should be.
    #[error("{path}: not a script: {source}")]
    Script {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Cargo did not make the library.
    #[error("cargo build -p fake-nvml in {target} left no library: {detail}")]
    Build {
        /// The target directory.
        target: PathBuf,
        /// What cargo said last.
        detail: String,
    },
    /// A symbol to be taken away was never there.
    #[error("{library} has no symbol {symbol}: name one of NVML's functions")]
    Symbol {
        /// The library.
        library: PathBuf,
        /// The symbol.
        symbol: String,
    },
}

impl FakeError {
    /// A file error with its path.
    pub(crate) fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File { path: path.into(), source }
    }
}
