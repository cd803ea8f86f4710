//! CPU time of the command's whole tree: children that lived for a moment, orphans, and daemons that it leaves behind.

use std::collections::HashMap;
use std::path::Path;

use carbon_api::usage::stat::{ProcessTime, process_time};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::group::Group;

/// The tree, counted by a group of its own or by the kernel's account of reaped children.
pub(super) struct Tree {
    group: Option<Group>,
    reaped_before: u64,
}

impl Tree {
    /// Prepares to count; we become the one that orphans are handed to.
    pub(super) fn begin(cgroupfs: &Path) -> Self {
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        Self { group: Group::enter(cgroupfs), reaped_before: reaped_ns() }
    }

    /// How the tree is counted, in words.
    pub(super) fn how(&self) -> &'static str {
        if self.group.is_some() {
            "cgroup: cpu.stat of a group of its own"
        } else {
            "rusage: reaped children, and the clocks of living ones"
        }
    }

    /// CPU time of the tree so far, in nanoseconds.
    pub(super) fn cpu_ns(&self) -> u64 {
        if let Some(ns) = self.group.as_ref().and_then(Group::cpu_ns) {
            return ns;
        }
        let living: u64 = descendants().iter().map(|p| p.cpu_ns + p.reaped_ns).sum();
        reaped_ns().saturating_sub(self.reaped_before) + living
    }

    /// Says which processes the command left behind.
    pub(super) fn survivors(&self) -> Option<String> {
        let processes = match &self.group {
            Some(group) => group.members().into_iter().filter_map(process_time).collect(),
            None => descendants(),
        };
        let names: Vec<&str> = processes.iter().map(|p| &*p.name).collect();
        let still = "still running, not waited for; its time until the command's end is counted";
        (!names.is_empty()).then(|| format!("{} {still}", names.join(", ")))
    }

    /// Removes the group.
    pub(super) fn end(self) {
        drop(self.group);
    }
}

/// CPU time of all children that were waited for, by us or by their own parents, in nanoseconds.
fn reaped_ns() -> u64 {
    let ns = |t: TimeVal| u64::try_from(t.tv_sec() * 1_000_000_000 + t.tv_usec() * 1000).unwrap_or(0);
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |u| ns(u.user_time()) + ns(u.system_time()))
}

/// Every living process below us.
fn descendants() -> Vec<ProcessTime> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let all: HashMap<i32, ProcessTime> = pids.filter_map(|pid| Some((pid, process_time(pid)?))).collect();
    let is_below = |pid: &i32| {
        let parents = std::iter::successors(all.get(pid), |p| all.get(&p.parent));
        parents.take(all.len()).any(|p| p.parent == own)
    };
    let mut below: Vec<i32> = all.keys().copied().filter(is_below).collect();
    below.sort_unstable();
    below.iter().filter_map(|pid| all.get(pid).cloned()).collect()
}
