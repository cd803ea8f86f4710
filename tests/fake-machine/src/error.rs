//! What can be wrong with a script, and with a tree of files.

use std::io;
use std::path::PathBuf;

use crate::fault::Fault;

/// A machine that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// A power below zero, not a number, or beyond any machine.
    #[error("watts must be a number from 0 to 1000000, got {watts}")]
    Watts {
        /// What was given.
        watts: f64,
    },
    /// A share below zero, not a number, or far above one.
    #[error("a share must be a number from 0 to {most}, got {share}")]
    Share {
        /// What was given.
        share: f64,
        /// The largest share that makes sense there.
        most: u32,
    },
    /// A counter value above the zone's range.
    #[error("{uj} uJ is above the range of the zone, {range} uJ")]
    AboveRange {
        /// What was asked for.
        uj: u64,
        /// The largest value the zone shows.
        range: u64,
    },
    /// A unit that no register has.
    #[error("a counter unit must be 1 to 4294967295 nJ, got {unit_nj}")]
    Unit {
        /// What was given.
        unit_nj: u64,
    },
    /// A word that names no fault.
    #[error("unknown fault '{word}': one of {known}")]
    UnknownFault {
        /// What was given.
        word: String,
        /// The words that exist.
        known: String,
    },
    /// A zone that does not exist.
    #[error("no zone '{name}': the zones are {known}")]
    UnknownZone {
        /// What was asked for.
        name: String,
        /// Names and ids of all zones.
        known: String,
    },
    /// A name that several zones have.
    #[error("zone '{name}' could be any of {ids}: use the id")]
    AmbiguousZone {
        /// What was asked for.
        name: String,
        /// The ids of those zones.
        ids: String,
    },
    /// A builder step that changes a zone, before there is one.
    #[error("'{step}' needs a zone before it")]
    NoZone {
        /// The builder's method.
        step: &'static str,
    },
    /// A zone inside a package, before there is a package.
    #[error("'{zone}' lies inside a package: add the package first")]
    NoPackage {
        /// The zone's name.
        zone: String,
    },
    /// Two zones with one directory.
    #[error("two zones have the id {id}")]
    DuplicateId {
        /// The directory name.
        id: String,
    },
    /// No CPU, or more than the model writes out.
    #[error("a machine has 1 to 4096 cpus, got {cpus}")]
    Cpus {
        /// What was given.
        cpus: u32,
    },
    /// A cgroup path that is not absolute or climbs.
    #[error("cgroup path '{path}' must start with / and have no empty, . or .. part")]
    CgroupPath {
        /// What was given.
        path: String,
    },
    /// A wrap cannot come near without power.
    #[error("zone {zone} draws no power, so its counter never comes near its wrap")]
    NeverWraps {
        /// The zone's name.
        zone: String,
    },
    /// A line of the control file that is no command.
    #[error("cannot read command '{line}': {usage}")]
    Command {
        /// The line.
        line: String,
        /// How it should look.
        usage: &'static str,
    },
    /// A fault that the form in use cannot show.
    #[error("{fault} cannot be shown by plain files: use the FUSE form")]
    NeedsFuse {
        /// The fault.
        fault: Fault,
    },
}

/// A tree of ordinary files that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A fault that plain files cannot show.
    #[error("{path}: {fault} cannot be shown by plain files: use the FUSE form")]
    CannotShow {
        /// The value's file.
        path: PathBuf,
        /// What a reader should have got.
        fault: Fault,
    },
}
