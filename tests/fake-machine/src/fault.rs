//! What can be wrong with a zone, and what a reader of it then gets.

use std::fmt;
use std::str::FromStr;

use rustix::io::Errno;

use crate::error::ModelError;

/// A fault of one zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// None: reads show the counter.
    #[default]
    Ok,
    /// EACCES at open, and at reads of a descriptor opened before (as a security module may do).
    Eacces,
    /// Opens, but reads fail with EIO.
    Eio,
    /// Opens, but reads fail with ENODEV.
    Enodev,
    /// Shows text that is no number.
    Garbage,
    /// Shows nothing at all: end of file at offset 0.
    Empty,
    /// Shows `-12345`.
    Negative,
    /// Shows `0`.
    Zero,
    /// Shows the value of the instant it began; afterwards the counter has caught up.
    Stall,
    /// Its directory and link are not there; descriptors opened before read ENODEV for ever.
    Gone,
}

/// Every fault with the word that names it.
const WORDS: [(Fault, &str); 10] = [
    (Fault::Ok, "ok"),
    (Fault::Eacces, "eacces"),
    (Fault::Eio, "eio"),
    (Fault::Enodev, "enodev"),
    (Fault::Garbage, "garbage"),
    (Fault::Empty, "empty"),
    (Fault::Negative, "negative"),
    (Fault::Zero, "zero"),
    (Fault::Stall, "stall"),
    (Fault::Gone, "gone"),
];

impl Fault {
    /// Every fault, `Ok` included.
    pub fn all() -> impl Iterator<Item = Self> {
        WORDS.into_iter().map(|(fault, _)| fault)
    }

    /// Whether ordinary files can show it; EIO and ENODEV need a file system that answers reads.
    pub fn fits_plain_files(self) -> bool {
        !matches!(self, Self::Eio | Self::Enodev)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(fault, _)| fault == self);
        f.write_str(word.map_or("?", |(_, word)| word))
    }
}

impl FromStr for Fault {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        WORDS
            .iter()
            .find(|(_, word)| *word == text)
            .map(|(fault, _)| *fault)
            .ok_or_else(|| ModelError::UnknownFault { word: text.to_owned(), known: WORDS.map(|(_, word)| word).join(" ") })
    }
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// EACCES.
    Denied,
    /// EIO.
    Input,
    /// ENODEV.
    NoDevice,
    /// ENOENT: there is no such file now.
    Absent,
    /// ESRCH: the process behind an open file has exited.
    NoProcess,
}

impl ReadError {
    /// The error number a reader sees.
    pub fn errno(self) -> i32 {
        match self {
            Self::Denied => Errno::ACCESS,
            Self::Input => Errno::IO,
            Self::NoDevice => Errno::NODEV,
            Self::Absent => Errno::NOENT,
            Self::NoProcess => Errno::SRCH,
        }
        .raw_os_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_back_from_its_word() {
        for fault in Fault::all() {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
    }

    #[test]
    fn an_unknown_fault_names_the_known_ones() {
        let error = "eperm".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("'eperm'") && error.contains("eacces eio"));
    }
}
