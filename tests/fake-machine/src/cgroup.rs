//! Control groups: which hierarchies there are, and the texts of their files.

use std::fmt::Write as _;

use crate::error::ModelError;
use crate::moment::Moment;
use crate::usage::Process;

/// Microseconds of a tick at HZ 250: the root's own `cpu.stat` moves in these steps.
const ROOT_STEP_USEC: u64 = 4_000;

/// How `--cgroupfs` looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupLayout {
    /// One v2 hierarchy at the root.
    #[default]
    V2,
    /// v1 controllers, `cpuacct` among them, and v2 without controllers in `unified`.
    Hybrid,
    /// v1 controllers only.
    V1,
}

/// The two kinds of hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    V2,
    Cpuacct,
}

/// A group of one hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    pub(crate) hierarchy: Hierarchy,
    pub(crate) path: String,
    /// The boottime instant at which it is removed.
    pub(crate) until: u64,
}

impl CgroupLayout {
    pub(crate) fn has(self, hierarchy: Hierarchy) -> bool {
        match hierarchy {
            Hierarchy::V2 => self != Self::V1,
            Hierarchy::Cpuacct => self != Self::V2,
        }
    }

    /// Where a hierarchy is mounted below `--cgroupfs`.
    pub(crate) fn mount(self, hierarchy: Hierarchy) -> &'static str {
        match (self, hierarchy) {
            (_, Hierarchy::Cpuacct) => "/cpu,cpuacct",
            (Self::V2, Hierarchy::V2) => "",
            (_, Hierarchy::V2) => "/unified",
        }
    }

    /// The text of a process's `cgroup` file.
    pub(crate) fn membership(self, process: &Process) -> String {
        let v1 = format!("4:cpu,cpuacct:{}\n1:name=systemd:/\n", process.cpuacct);
        let v2 = format!("0::{}\n", process.cgroup);
        match self {
            Self::V2 => v2,
            Self::Hybrid => v1 + &v2,
            Self::V1 => v1,
        }
    }
}

impl Hierarchy {
    pub(crate) fn path_of(self, process: &Process) -> &str {
        match self {
            Self::V2 => &process.cgroup,
            Self::Cpuacct => &process.cpuacct,
        }
    }
}

/// The text of `cpu.stat`: microseconds of the subtree.
pub(crate) fn cpu_stat(moment: &Moment<'_>, path: &str) -> String {
    let (user, system) = moment.cgroup_ns(path);
    let step = if path == "/" { ROOT_STEP_USEC } else { 1 };
    let floor = |ns: u64| ns / 1000 / step * step;
    let (user, system) = (floor(user), floor(system));
    format!("usage_usec {}\nuser_usec {user}\nsystem_usec {system}\nnice_usec 0\n", user + system)
}

/// The text of `cpuacct.usage`: nanoseconds of the subtree.
pub(crate) fn cpuacct_usage(moment: &Moment<'_>, path: &str) -> String {
    let (user, system) = moment.cpuacct_ns(path);
    format!("{}\n", user + system)
}

/// The text of `cgroup.procs`: who is in the group itself now.
pub(crate) fn procs(moment: &Moment<'_>, hierarchy: Hierarchy, path: &str) -> String {
    let now = moment.monotonic_ns();
    let mut text = String::new();
    for process in &moment.machine().processes {
        if process.alive(now) && hierarchy.path_of(process) == path {
            let _ = writeln!(text, "{}", process.pid);
        }
    }
    text
}

/// Whether `path` is `group` or lies below it.
pub(crate) fn is_within(path: &str, group: &str) -> bool {
    group == "/" || path.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Checks that a path is absolute and plain.
pub(crate) fn check_path(path: &str) -> Result<(), ModelError> {
    let parts = path.strip_prefix('/');
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if path == "/" || parts.is_some_and(|parts| parts.split('/').all(plain)) {
        Ok(())
    } else {
        Err(ModelError::CgroupPath { path: path.to_owned() })
    }
}

/// A path and the paths of the groups around it, outermost first, without the root.
pub(crate) fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
    ends.chain((path != "/").then_some(path.len())).map(|end| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_within_itself_and_its_parents_only() {
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a") && is_within("/a", "/"));
        assert!(!is_within("/ab", "/a") && !is_within("/a", "/a/b"));
    }

    #[test]
    fn parents_come_outermost_first() {
        assert_eq!(with_parents("/a/b/c").collect::<Vec<_>>(), ["/a", "/a/b", "/a/b/c"]);
        assert_eq!(with_parents("/").count(), 0);
    }

    #[test]
    fn climbing_paths_are_refused() {
        for bad in ["", "a", "/a/", "//", "/a/../b", "/."] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
        assert!(check_path("/").is_ok() && check_path("/a.slice/b").is_ok());
    }
}
