//! A machine at one instant.

use crate::fault::{Fault, ReadError};
use crate::model::TrueMachine;
use crate::units::FEMTO_PER_MICRO;
use crate::usage::CpuTime;
use crate::zone::ZoneId;

/// A machine at one instant: what is true, and what is shown.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    machine: &'a TrueMachine,
    t: u64,
}

/// The clocks of an instant, in nanoseconds since the machine was switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// `CLOCK_BOOTTIME`.
    pub boottime_ns: u64,
    /// `CLOCK_MONOTONIC`, which leaves sleeps out.
    pub monotonic_ns: u64,
}

impl<'a> Moment<'a> {
    pub(crate) fn new(machine: &'a TrueMachine, t: u64) -> Self {
        Self { machine, t }
    }

    /// The clocks.
    pub fn clocks(&self) -> Clocks {
        Clocks { boottime_ns: self.t, monotonic_ns: self.monotonic_ns() }
    }

    /// The text that a reader of a zone's `energy_uj` gets.
    ///
    /// # Errors
    /// The fault that holds, when it is one that a reader gets as an error number.
    pub fn shown(&self, zone: ZoneId) -> Result<String, ReadError> {
        self.machine.shown(zone, self.t)
    }

    /// The microjoules that a zone's counter stands at, faults aside.
    pub fn counter_uj(&self, zone: ZoneId) -> u64 {
        let count = self.machine.count(zone, self.t);
        self.machine.zone(zone).units().shown_uj(count)
    }

    /// The true energy of a zone since the machine was switched on, in microjoules rounded down.
    pub fn energy_uj(&self, zone: ZoneId) -> u64 {
        (self.machine.energy_fj(zone, self.t) / FEMTO_PER_MICRO) as u64
    }

    /// The fault that holds for a zone.
    pub fn fault(&self, zone: ZoneId) -> Fault {
        self.machine.zone(zone).fault(self.t).0
    }

    /// CPU time of the machine since it was switched on.
    pub fn cpu_time(&self) -> CpuTime {
        let machine = self.machine;
        machine.rates.total(&machine.processes, machine.cpus, self.monotonic_ns())
    }

    /// CPU nanoseconds of all processes that ever had this pid.
    pub fn process_ns(&self, pid: u32) -> u64 {
        let now = self.monotonic_ns();
        let own = self.machine.processes.iter().filter(|p| p.pid == pid);
        own.map(|p| p.user_ns(now) + p.system_ns(now)).sum()
    }

    /// CPU nanoseconds in user and system mode of a v2 cgroup with all below it, the dead included.
    pub fn cgroup_ns(&self, path: &str) -> (u64, u64) {
        self.subtree_ns(|process| &process.cgroup, path)
    }

    /// CPU nanoseconds in user and system mode of a v1 `cpuacct` group, likewise.
    pub fn cpuacct_ns(&self, path: &str) -> (u64, u64) {
        self.subtree_ns(|process| &process.cpuacct, path)
    }

    pub(crate) fn monotonic_ns(&self) -> u64 {
        self.machine.monotonic_ns(self.t)
    }

    pub(crate) fn machine(&self) -> &'a TrueMachine {
        self.machine
    }

    fn subtree_ns(&self, path_of: impl Fn(&crate::usage::Process) -> &str, path: &str) -> (u64, u64) {
        let now = self.monotonic_ns();
        if path == "/" {
            let time = self.cpu_time();
            return (time.user_ns, time.system_ns);
        }
        let members = self.machine.processes.iter().filter(|process| crate::cgroup::is_within(path_of(process), path));
        members.fold((0, 0), |(user, system), process| (user + process.user_ns(now), system + process.system_ns(now)))
    }
}
