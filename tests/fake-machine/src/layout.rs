//! Every file that a machine ever has, in one list that both forms of the tree are made from.

mod host;
mod powercap;

use crate::cgroup::{self, Hierarchy};
use crate::fault::ReadError;
use crate::model::TrueMachine;
use crate::moment::Moment;
use crate::proctext;
use crate::zone::ZoneId;

/// One directory, link or file, by its path below the tree's root.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) path: String,
    pub(crate) content: Content,
    pub(crate) presence: Presence,
    /// Permission bits.
    pub(crate) mode: u32,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Directory,
    Link(String),
    Text(String),
    Live(Value),
}

/// A text that changes in time.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Energy(ZoneId),
    Stat,
    Meminfo,
    Uptime,
    Cpuinfo,
    /// By the process's place in the script.
    ProcessStat(usize),
    CpuStat(String),
    CpuacctUsage(String),
    Procs(Hierarchy, String),
}

/// When a node is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Presence {
    Always,
    /// While the zone is not gone.
    Zone(ZoneId),
    /// While the process lives.
    Process(usize),
    /// Until the group is removed.
    Cgroup(usize),
}

/// All nodes of a machine, directories before what is in them.
pub(crate) fn nodes(machine: &TrueMachine) -> Vec<Node> {
    let mut nodes = Vec::new();
    for directory in ["sys", "proc", "cgroup"] {
        nodes.push(Node::directory(directory.to_owned(), Presence::Always));
    }
    powercap::add(&mut nodes, machine);
    host::add_topology(&mut nodes, machine);
    host::add_proc(&mut nodes, machine);
    host::add_cgroups(&mut nodes, machine);
    nodes
}

impl Node {
    fn directory(path: String, presence: Presence) -> Self {
        Self { path, content: Content::Directory, presence, mode: 0o755 }
    }

    fn link(path: String, target: String, presence: Presence) -> Self {
        Self { path, content: Content::Link(target), presence, mode: 0o777 }
    }

    fn text(path: String, text: impl Into<String>, presence: Presence) -> Self {
        Self { path, content: Content::Text(text.into()), presence, mode: 0o444 }
    }

    fn live(path: String, value: Value, presence: Presence) -> Self {
        Self { path, content: Content::Live(value), presence, mode: 0o444 }
    }
}

impl Presence {
    /// Whether the node is there at an instant.
    pub(crate) fn holds(self, moment: &Moment<'_>) -> bool {
        let machine = moment.machine();
        let t = moment.clocks().boottime_ns;
        match self {
            Self::Always => true,
            Self::Zone(zone) => !machine.is_gone(zone, t),
            Self::Process(index) => machine.processes[index].alive(moment.monotonic_ns()),
            Self::Cgroup(index) => t < machine.cgroups[index].until,
        }
    }

    /// The user who owns the node: a process owns its directory, all else is the server's.
    pub(crate) fn owner(self, machine: &TrueMachine) -> Option<u32> {
        match self {
            Self::Process(index) => Some(machine.processes[index].uid),
            _ => None,
        }
    }

    /// What a descriptor gets that was opened before the node went away.
    pub(crate) fn loss(self) -> ReadError {
        match self {
            Self::Process(_) => ReadError::NoProcess,
            _ => ReadError::NoDevice,
        }
    }

    /// A number that changes when the node goes away: descriptors of before are then dead.
    pub(crate) fn generation(self, moment: &Moment<'_>) -> usize {
        match self {
            Self::Zone(zone) => {
                let t = moment.clocks().boottime_ns;
                moment.machine().departures(zone, t)
            }
            Self::Always => 0,
            Self::Process(_) | Self::Cgroup(_) => usize::from(!self.holds(moment)),
        }
    }
}

impl Value {
    /// The text at an instant.
    pub(crate) fn text(&self, moment: &Moment<'_>) -> Result<String, ReadError> {
        let machine = moment.machine();
        Ok(match self {
            Self::Energy(zone) => moment.shown(*zone)?,
            Self::Stat => proctext::stat(moment),
            Self::Meminfo => proctext::meminfo(moment),
            Self::Uptime => proctext::uptime(moment),
            Self::Cpuinfo => proctext::cpuinfo(moment),
            Self::ProcessStat(index) => proctext::process_stat(moment, &machine.processes[*index]),
            Self::CpuStat(path) => cgroup::cpu_stat(moment, path),
            Self::CpuacctUsage(path) => cgroup::cpuacct_usage(moment, path),
            Self::Procs(hierarchy, path) => cgroup::procs(moment, *hierarchy, path),
        })
    }
}
