//! Who used the processors: cumulative CPU time of consumers, and of the machine.
//!
//! A [`UsageSource`] adds rows to one [`UsagePass`] a tick; [`Consumers`] gives each consumer a slot for its life.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::ReadError;
use crate::stamp::Clock;

#[cfg(feature = "usage-cgroup")]
pub mod cgroup;
pub mod container;
#[cfg(feature = "usage-process")]
pub mod host;
pub mod owner;
pub mod placement;
#[cfg(feature = "usage-process")]
pub mod process;
#[cfg(feature = "usage-process")]
pub mod stat;

/// What a consumer is; the label `kind` of the workload family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadKind {
    /// One process.
    Process,
    /// A control group that is no container.
    Cgroup,
    /// A container.
    Container,
    /// A stretch of code.
    Span,
    /// Processors that did nothing.
    Idle,
    /// Energy that usage cannot explain.
    Unattributed,
}

impl WorkloadKind {
    /// The kinds that consumers have.
    pub const CONSUMERS: [Self; 4] = [Self::Process, Self::Cgroup, Self::Container, Self::Span];

    /// The word in JSON and in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Cgroup => "cgroup",
            Self::Container => "container",
            Self::Span => "span",
            Self::Idle => "idle",
            Self::Unattributed => "unattributed",
        }
    }

    /// Its place in [`WorkloadKind::CONSUMERS`]; `None` for idle and unattributed.
    pub fn consumer_index(self) -> Option<usize> {
        Self::CONSUMERS.iter().position(|&k| k == self)
    }
}

/// One thing that uses processors, for as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// What it is.
    pub kind: WorkloadKind,
    /// `name:pid`, a cgroup path or a container id; never a command line.
    pub name: Arc<str>,
    /// The cgroup that it sits in, where known: for other cuts of the same energy.
    pub cgroup: Option<Arc<str>>,
    /// Whose it is now.
    pub owner: owner::Owner,
    /// When it began, on the boot-time clock; `None`: before we looked, so its first reading is a level, not usage.
    pub started_ns: Option<u64>,
    /// The coarsest step of its CPU time, in nanoseconds.
    pub quantum_ns: u64,
}

/// A consumer's place in [`Consumers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

impl Slot {
    /// The slot as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// All consumers that live, and those whose energy is not settled yet.
#[derive(Debug, Default)]
pub struct Consumers {
    slots: Vec<Option<Consumer>>,
    free: Vec<Slot>,
    live: usize,
    /// Which processes sit in which groups: told by the process source, asked by the group source.
    pub memberships: placement::Memberships,
    /// Whose the processes of each group are.
    pub owners: owner::GroupOwners,
}

impl Consumers {
    /// Gives a new consumer its slot.
    pub fn insert(&mut self, consumer: Consumer) -> Slot {
        self.live += 1;
        if let Some(slot) = self.free.pop() {
            self.slots[slot.index()] = Some(consumer);
            return slot;
        }
        self.slots.push(Some(consumer));
        Slot(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
    }

    /// The consumer in a slot.
    pub fn get(&self, slot: Slot) -> Option<&Consumer> {
        self.slots.get(slot.index()).and_then(Option::as_ref)
    }

    /// Gives a consumer another name: a process that was seen before it became what it is.
    pub fn rename(&mut self, slot: Slot, name: Arc<str>) {
        if let Some(Some(consumer)) = self.slots.get_mut(slot.index()) {
            consumer.name = name;
        }
    }

    /// Says whose a consumer is from now on.
    pub fn set_owner(&mut self, slot: Slot, owner: owner::Owner) {
        if let Some(Some(consumer)) = self.slots.get_mut(slot.index()) {
            consumer.owner = owner;
        }
    }

    /// Frees a slot; only once nothing of it is open any more.
    pub fn release(&mut self, slot: Slot) {
        if let Some(place) = self.slots.get_mut(slot.index())
            && place.take().is_some()
        {
            self.live -= 1;
            self.free.push(slot);
        }
    }

    /// One more than the highest slot in use.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How many consumers there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }
}

/// Cumulative CPU time of one consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Whose.
    pub slot: Slot,
    /// When it was read, on the boot-time clock, in nanoseconds.
    pub at_ns: u64,
    /// Nanoseconds used since the consumer began.
    pub cpu_ns: u64,
}

/// Cumulative CPU time of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostRow {
    /// When it was read, on the boot-time clock, in nanoseconds.
    pub at_ns: u64,
    /// Nanoseconds used by everything, without steal and iowait.
    pub busy_ns: u64,
    /// Nanoseconds that the hypervisor took: neither busy nor capacity.
    pub steal_ns: u64,
    /// Online processors.
    pub cpus: u32,
    /// The coarsest step of `busy_ns`: 10 ms for clock ticks.
    pub quantum_ns: u64,
}

/// What all usage sources say at one tick; reused, so that a steady state allocates nothing.
#[derive(Debug, Default)]
pub struct UsagePass {
    /// The machine, where a source knows it.
    pub host: Option<HostRow>,
    /// Consumers that live.
    pub rows: Vec<UsageRow>,
    /// Consumers that ended since the last pass.
    pub gone: Vec<Slot>,
    /// Sources that failed in this pass.
    pub errors: Vec<(&'static str, ReadError)>,
}

impl UsagePass {
    /// Empties it for the next tick.
    pub fn clear(&mut self) {
        self.host = None;
        self.rows.clear();
        self.gone.clear();
        self.errors.clear();
    }
}

/// One way to learn who used the processors.
pub trait UsageSource: Send {
    /// The name under `usage/` in the list of sources.
    fn name(&self) -> &'static str;

    /// Adds what it knows to the pass. What cannot be read is left out and listed in `pass.errors`.
    fn read(&mut self, clock: &dyn Clock, consumers: &mut Consumers, pass: &mut UsagePass);
}
