//! Why a reading failed, told apart by what the caller can do next.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// A meter or usage source that did not answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// The file or device is not there: nothing to read until it comes back.
    #[error("{path} is absent")]
    Absent {
        /// What was asked for.
        path: PathBuf,
        /// The error number (ENOENT, ENODEV), where the kernel gave one.
        errno: Option<i32>,
    },
    /// The kernel refused: a permission is missing.
    #[error("{path} may not be read (errno {errno})")]
    Denied {
        /// What was asked for.
        path: PathBuf,
        /// EACCES or EPERM.
        errno: i32,
    },
    /// The answer is not what the interface promises.
    #[error("{path} holds {found:?}, which is not {expected}")]
    Malformed {
        /// What was asked for.
        path: PathBuf,
        /// The beginning of the text found.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// The read itself failed.
    #[error("{path} cannot be read (errno {errno})")]
    Io {
        /// What was asked for.
        path: PathBuf,
        /// EIO, ENODATA and others.
        errno: i32,
    },
}

impl ReadError {
    /// Sorts an error of the operating system by what can be done about it.
    pub fn from_io(path: &Path, error: &std::io::Error) -> Self {
        let path = path.to_path_buf();
        match (error.kind(), error.raw_os_error()) {
            (std::io::ErrorKind::NotFound, errno) | (_, errno @ Some(19 | 6)) => Self::Absent { path, errno },
            (std::io::ErrorKind::PermissionDenied, errno) => Self::Denied { path, errno: errno.unwrap_or(13) },
            (_, errno) => Self::Io { path, errno: errno.unwrap_or(5) },
        }
    }

    /// The short label of the metric `treehouse_meter_errors_total`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "absent",
            Self::Denied { .. } => "denied",
            Self::Malformed { .. } => "malformed",
            Self::Io { .. } => "io",
        }
    }

    /// The error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Absent { errno, .. } => *errno,
            Self::Denied { errno, .. } | Self::Io { errno, .. } => Some(*errno),
            Self::Malformed { .. } => None,
        }
    }
}
