//! Why a RAPL counter could not be read.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The same numbers on every architecture of Linux.
const ENOENT: i32 = 2;
const ENXIO: i32 = 6;
const ENODEV: i32 = 19;

/// A RAPL counter that did not answer as the kernel documents.
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
    /// It was not tried, because its answer could not be trusted or was not asked for.
    #[error("{path} is not used: {reason}", path = path.display())]
    Skipped {
        /// The file or folder that would have been opened.
        path: PathBuf,
        /// Why, and what would change it.
        reason: &'static str,
    },
}

impl Error {
    /// The error number, where the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::Malformed { .. } | Self::Skipped { .. } => None,
        }
    }

    /// The file or folder at fault.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Io { path, .. } | Self::Malformed { path, .. } | Self::Skipped { path, .. } => path,
        }
    }

    /// True where a permission is missing (EACCES, EPERM).
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// True where the thing is not there (any more): ENOENT, ENXIO, ENODEV, or a perf event whose read comes back empty.
    ///
    /// For a counter that was open before: its driver or CPU went away, so open it anew.
    pub fn is_gone(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        source.kind() == io::ErrorKind::UnexpectedEof || matches!(source.raw_os_error(), Some(ENOENT | ENXIO | ENODEV))
    }

    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// The same path, number and words; an error without a number keeps its kind and text.
impl Clone for Error {
    fn clone(&self) -> Self {
        match self {
            Self::Io { path, source } => {
                let again = match source.raw_os_error() {
                    Some(errno) => io::Error::from_raw_os_error(errno),
                    None => io::Error::new(source.kind(), source.to_string()),
                };
                Self::Io { path: path.clone(), source: again }
            }
            Self::Malformed { path, found, expected } => Self::Malformed { path: path.clone(), found: found.clone(), expected },
            Self::Skipped { path, reason } => Self::Skipped { path: path.clone(), reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_sorted_by_what_can_be_done() {
        let of = |errno| Error::io("/sys/x", io::Error::from_raw_os_error(errno));
        assert!(of(13).is_denied() && of(1).is_denied() && !of(13).is_gone());
        assert!(of(2).is_gone() && of(6).is_gone() && of(19).is_gone() && !of(5).is_gone());
        assert!(Error::io("x", io::ErrorKind::UnexpectedEof.into()).is_gone());
        let skipped = Error::Skipped { path: "p".into(), reason: "so" };
        assert!(!skipped.is_denied() && !skipped.is_gone() && skipped.errno().is_none());
    }

    #[test]
    fn a_copy_says_the_same() {
        for error in [
            Error::io("/sys/x", io::Error::from_raw_os_error(5)),
            Error::io("/sys/x", io::Error::other("odd")),
            Error::Malformed { path: "a".into(), found: "b".into(), expected: "c" },
            Error::Skipped { path: "a".into(), reason: "b" },
        ] {
            assert_eq!((error.to_string(), error.errno()), (error.clone().to_string(), error.clone().errno()));
        }
    }
}
