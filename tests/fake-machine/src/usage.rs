//! CPU time: who used how much of it, until when.

use crate::power::MILLION;
use crate::steps::Steps;

/// Nanoseconds of one tick of `USER_HZ`, which is 100.
pub(crate) const TICK_NS: u64 = 10_000_000;

/// A process and its CPU time. Times are monotonic nanoseconds since the machine's start.
#[derive(Clone, Debug)]
pub struct Process {
    pub(crate) pid: u32,
    pub(crate) ppid: u32,
    pub(crate) uid: u32,
    pub(crate) comm: String,
    pub(crate) cgroup: String,
    pub(crate) cpuacct: String,
    pub(crate) starts: u64,
    pub(crate) ends: u64,
    /// Millionths of a CPU.
    user: Steps,
    system: Steps,
}

impl Process {
    /// A process of root, a child of pid 1, idle, in `/` of every hierarchy, there from the start.
    pub fn new(pid: u32, comm: &str) -> Self {
        Self {
            pid,
            ppid: u32::from(pid > 2),
            uid: 0,
            comm: comm.to_owned(),
            cgroup: "/".to_owned(),
            cpuacct: "/".to_owned(),
            starts: 0,
            ends: u64::MAX,
            user: Steps::default(),
            system: Steps::default(),
        }
    }

    /// The parent's pid; children of 2 are kernel threads.
    #[must_use]
    pub fn parent(mut self, pid: u32) -> Self {
        self.ppid = pid;
        self
    }

    /// The owner.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = uid;
        self
    }

    /// Its path in the v2 hierarchy.
    #[must_use]
    pub fn cgroup(mut self, path: &str) -> Self {
        path.clone_into(&mut self.cgroup);
        self
    }

    /// Its path in the v1 `cpuacct` hierarchy.
    #[must_use]
    pub fn cpuacct(mut self, path: &str) -> Self {
        path.clone_into(&mut self.cpuacct);
        self
    }

    /// The instant it is born.
    #[must_use]
    pub fn from(mut self, ns: u64) -> Self {
        self.starts = ns;
        self
    }

    /// The instant it exits and is reaped.
    #[must_use]
    pub fn until(mut self, ns: u64) -> Self {
        self.ends = ns;
        self
    }

    /// From `at` on it uses this many CPUs in user and system mode: 0.5 is half of one CPU.
    ///
    /// Rates that are not finite or negative count as 0.
    #[must_use]
    pub fn rate(mut self, at: u64, user: f64, system: f64) -> Self {
        self.user.set(at, cpu_millionths(user));
        self.system.set(at, cpu_millionths(system));
        self
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// CPU nanoseconds in user mode until a monotonic instant, kept after its exit.
    pub fn user_ns(&self, monotonic_ns: u64) -> u64 {
        self.used(&self.user, monotonic_ns)
    }

    /// CPU nanoseconds in system mode until a monotonic instant, kept after its exit.
    pub fn system_ns(&self, monotonic_ns: u64) -> u64 {
        self.used(&self.system, monotonic_ns)
    }

    pub(crate) fn alive(&self, monotonic_ns: u64) -> bool {
        (self.starts..self.ends).contains(&monotonic_ns)
    }

    pub(crate) fn is_kernel_thread(&self) -> bool {
        self.pid == 2 || self.ppid == 2
    }

    fn used(&self, rate: &Steps, monotonic_ns: u64) -> u64 {
        let until = rate.integral(monotonic_ns.min(self.ends));
        let before = rate.integral(self.starts.min(monotonic_ns));
        (until.saturating_sub(before) / u128::from(MILLION)) as u64
    }
}

/// CPU time of the whole machine, in nanoseconds summed over CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In user mode.
    pub user_ns: u64,
    /// In system mode.
    pub system_ns: u64,
    /// With nothing to do.
    pub idle_ns: u64,
    /// With nothing to do but an outstanding read or write; idle.
    pub iowait_ns: u64,
    /// Taken by a hypervisor; neither busy nor idle.
    pub steal_ns: u64,
}

impl CpuTime {
    /// Time spent working: user and system.
    pub fn busy_ns(&self) -> u64 {
        self.user_ns + self.system_ns
    }
}

/// CPU time that belongs to no process of the script.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostRates {
    pub(crate) user: Steps,
    pub(crate) system: Steps,
    pub(crate) iowait: Steps,
    pub(crate) steal: Steps,
}

impl HostRates {
    /// Sums the processes and the rest; idle is what is left of `cpus`.
    pub(crate) fn total(&self, processes: &[Process], cpus: u32, monotonic_ns: u64) -> CpuTime {
        let rest = |rate: &Steps| (rate.integral(monotonic_ns) / u128::from(MILLION)) as u64;
        let user = processes.iter().map(|p| p.user_ns(monotonic_ns));
        let system = processes.iter().map(|p| p.system_ns(monotonic_ns));
        let mut time = CpuTime {
            user_ns: rest(&self.user) + user.sum::<u64>(),
            system_ns: rest(&self.system) + system.sum::<u64>(),
            idle_ns: 0,
            iowait_ns: rest(&self.iowait),
            steal_ns: rest(&self.steal),
        };
        time.idle_ns = (u64::from(cpus) * monotonic_ns).saturating_sub(time.busy_ns() + time.iowait_ns + time.steal_ns);
        time
    }
}

/// CPUs as millionths; nonsense counts as 0.
pub(crate) fn cpu_millionths(cpus: f64) -> u64 {
    if cpus.is_finite() && cpus > 0.0 { (cpus * 1e6).round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_process_uses_time_between_its_birth_and_its_exit() {
        let process = Process::new(7, "x").from(SECOND).until(3 * SECOND).rate(0, 0.5, 0.25);
        assert_eq!(process.user_ns(SECOND / 2), 0);
        assert_eq!(process.user_ns(2 * SECOND), SECOND / 2);
        assert_eq!(process.user_ns(9 * SECOND), SECOND);
        assert_eq!(process.system_ns(9 * SECOND), SECOND / 2);
        assert!(process.alive(SECOND) && !process.alive(3 * SECOND));
    }

    #[test]
    fn all_cpu_time_is_somewhere() {
        let processes = [Process::new(7, "x").rate(0, 0.5, 0.1)];
        let rates = HostRates {
            user: Steps::constant(100_000),
            iowait: Steps::constant(50_000),
            steal: Steps::constant(20_000),
            ..HostRates::default()
        };
        let time = rates.total(&processes, 2, 10 * SECOND);
        assert_eq!(time.busy_ns(), 7 * SECOND);
        let rest = time.idle_ns + time.iowait_ns + time.steal_ns;
        assert_eq!(time.busy_ns() + rest, 20 * SECOND);
    }
}
