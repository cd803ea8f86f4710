//! The clocks of this machine, and small files kept open.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::error::ReadError;
use crate::stamp::{Clock, Stamp};

/// `CLOCK_BOOTTIME`, `CLOCK_MONOTONIC` and `CLOCK_REALTIME`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn stamp(&self) -> Stamp {
        Stamp {
            boottime_ns: nanoseconds(clock_gettime(ClockId::Boottime)),
            monotonic_ns: nanoseconds(clock_gettime(ClockId::Monotonic)),
        }
    }

    fn utc(&self) -> Timestamp {
        let now = clock_gettime(ClockId::Realtime);
        Timestamp::new(now.tv_sec, i32::try_from(now.tv_nsec).unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// A duration or instant of the kernel in nanoseconds; 0 before the epoch.
pub fn nanoseconds(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A small file of the kernel, kept open and read from its beginning each time.
#[derive(Debug)]
pub struct KernelFile {
    file: File,
    path: PathBuf,
}

impl KernelFile {
    /// Opens the file.
    ///
    /// # Errors
    /// Absent, denied, or another error of the operating system.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let path = path.into();
        match File::open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => Err(ReadError::from_io(&path, &error)),
        }
    }

    /// Reads as much as fits into `buffer`; one system call for what fits into a page.
    ///
    /// # Errors
    /// What the kernel says; ENODEV where the thing behind the file is gone.
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], ReadError> {
        match self.file.read_at(buffer, 0) {
            Ok(length) => Ok(&buffer[..length]),
            Err(error) => Err(ReadError::from_io(&self.path, &error)),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Parses an unsigned decimal that begins the bytes; blanks before it are skipped.
pub fn leading_u64(bytes: &[u8]) -> Option<u64> {
    let mut value: Option<u64> = None;
    for &b in bytes.iter().skip_while(|b| b.is_ascii_whitespace()) {
        if !b.is_ascii_digit() {
            break;
        }
        value = Some(value.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(b - b'0'))?);
    }
    value
}

/// Says that a file holds something else than it should.
pub fn malformed(path: &Path, bytes: &[u8], expected: &'static str) -> ReadError {
    let found = String::from_utf8_lossy(&bytes[..bytes.len().min(24)]).into_owned();
    ReadError::Malformed { path: path.to_path_buf(), found, expected }
}
