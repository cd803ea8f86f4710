//! Everything about the machine that is not a zone.

use super::Builder;
use crate::cgroup::{Cgroup, CgroupLayout, Hierarchy, check_path, is_within, with_parents};
use crate::error::ModelError;
use crate::model::{Suspend, Vendor};
use crate::steps::Steps;
use crate::usage::{Process, cpu_millionths};

impl Builder {
    /// CPUs online.
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.machine.cpus = cpus;
        if !(1..=4096).contains(&cpus) {
            self.fail(ModelError::Cpus { cpus });
        }
        self
    }

    /// Who made the processor.
    pub fn vendor(mut self, vendor: Vendor) -> Self {
        self.machine.vendor = vendor;
        self
    }

    /// Leaves `devices/system/cpu` out of the sysfs tree.
    pub fn without_topology(mut self) -> Self {
        self.machine.topology = false;
        self
    }

    /// Memory, in units of 1024 bytes; 8 GiB to begin with.
    pub fn memory_kb(mut self, kb: u64) -> Self {
        self.machine.memory_kb = kb;
        self
    }

    /// When the machine was switched on, in seconds of Unix time.
    pub fn boot_unix_s(mut self, seconds: u64) -> Self {
        self.machine.boot_unix_s = seconds;
        self
    }

    /// At `at` the machine sleeps for `length_ns`.
    pub fn suspend(mut self, at: u64, length_ns: u64) -> Self {
        let length = length_ns;
        self.machine.suspends.push(Suspend { at, length });
        self.machine.suspends.sort_by_key(|sleep| sleep.at);
        self
    }

    /// Adds a process, and the groups it is in.
    pub fn process(mut self, process: Process) -> Self {
        self.add_cgroup(Hierarchy::V2, &process.cgroup);
        self.add_cgroup(Hierarchy::Cpuacct, &process.cpuacct);
        self.machine.processes.push(process);
        self
    }

    /// From `at` on processes that nobody sees use this many CPUs in user and system mode.
    pub fn unseen(mut self, at: u64, user: f64, system: f64) -> Self {
        self.machine.rates.user.set(at, cpu_millionths(user));
        self.machine.rates.system.set(at, cpu_millionths(system));
        self
    }

    /// This many CPUs wait for input and output.
    pub fn iowait(mut self, cpus: f64) -> Self {
        self.machine.rates.iowait = Steps::constant(cpu_millionths(cpus));
        self
    }

    /// This many CPUs are taken away by a hypervisor.
    pub fn steal(mut self, cpus: f64) -> Self {
        self.machine.rates.steal = Steps::constant(cpu_millionths(cpus));
        self
    }

    /// Which cgroup hierarchies there are.
    pub fn cgroup_layout(mut self, layout: CgroupLayout) -> Self {
        self.machine.cgroup_layout = layout;
        self
    }

    /// Adds an empty v2 group with the groups around it; processes bring their own.
    pub fn cgroup(mut self, path: &str) -> Self {
        self.add_cgroup(Hierarchy::V2, path);
        self
    }

    /// Removes a group and all below it at `at`, in every hierarchy that has it.
    pub fn remove_cgroup(mut self, path: &str, at: u64) -> Self {
        for cgroup in &mut self.machine.cgroups {
            if is_within(&cgroup.path, path) {
                cgroup.until = at;
            }
        }
        self
    }

    fn add_cgroup(&mut self, hierarchy: Hierarchy, path: &str) {
        if let Err(error) = check_path(path) {
            self.fail(error);
            return;
        }
        for path in with_parents(path) {
            let known = self.machine.cgroups.iter().any(|cgroup| cgroup.hierarchy == hierarchy && cgroup.path == path);
            if !known {
                self.machine.cgroups.push(Cgroup { hierarchy, path: path.to_owned(), until: u64::MAX });
            }
        }
    }
}
