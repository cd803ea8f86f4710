//! What one tick says and what one closed interval holds.

use crate::attribution::{HostTime, Rest};
use crate::domain::{DomainClass, Provenance};
use crate::stamp::Stamp;
use crate::usage::Slot;

/// What a domain said at one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Energy since its last good reading, in microjoules.
    Energy(u64),
    /// Nothing: the read failed, and the next good one may close a longer interval.
    Missing,
    /// A first reading, a reset or a gap: the counter starts anew here.
    Restart,
}

/// A consumer's share of one class of energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose.
    pub slot: Slot,
    /// Of which class.
    pub class: DomainClass,
    /// `attributed`, or `modelled`.
    pub provenance: Provenance,
    /// How much, in microjoules.
    pub energy: u64,
}

/// The parts of one class that are nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Of which class.
    pub class: DomainClass,
    /// `attributed`, or `modelled`.
    pub provenance: Provenance,
    /// Idle and unattributed, in microjoules.
    pub rest: Rest,
}

/// One closed interval: every microjoule of the cover is in exactly one share or leftover.
#[derive(Clone, Debug, Default)]
pub struct Closed {
    /// The meters' instant at which it began.
    pub from: Stamp,
    /// The meters' instant at which it ended.
    pub until: Stamp,
    /// What consumers get.
    pub shares: Vec<Share>,
    /// What nobody gets.
    pub leftovers: Vec<Leftover>,
    /// Energy of each member of the cover, in microjoules, in the order of the cover.
    pub members: Vec<u64>,
    /// CPU time of each consumer that used some, in nanoseconds.
    pub used: Vec<(Slot, u64)>,
    /// CPU time of the machine.
    pub host: HostTime,
}

impl Closed {
    /// The energy of the host in this interval, in microjoules.
    pub fn energy(&self) -> u64 {
        self.members.iter().sum()
    }
}
