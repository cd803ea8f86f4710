//! Why a RAPL file could not be read.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A RAPL file that did not answer as the kernel documents.
#[derive(Debug, Error)]
pub enum Error {
    /// The operating system refused or failed; `source` tells which.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The text is not what the interface promises.
    #[error("{path} holds {found:?}, which is not {expected}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The beginning of the text.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
}

impl Error {
    /// The error number, where the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::Malformed { .. } => None,
        }
    }

    /// The file or folder at fault.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Io { path, .. } | Self::Malformed { path, .. } => path,
        }
    }
}
