//! A control group of the command's own: its `cpu.stat` counts the whole tree to the microsecond, whoever reaps whom.
//!
//! We step into the group before the command is started, so that it begins there, and take off what we use ourselves. Made
//! where the v2 hierarchy can be written (as root, also beside v1 controllers); without it the kernel's rusage is used.

use std::fs;
use std::path::{Path, PathBuf};

use carbon_api::detect::own_cpu_ns;
use carbon_api::usage::placement::Groups;

/// The command's group; removed at the end.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
    home: PathBuf,
    /// CPU time of this process when it stepped in, in nanoseconds.
    own_before: u64,
}

impl Group {
    /// Makes a group below our own and steps into it; `None` where that is not allowed.
    pub(super) fn enter(cgroupfs: &Path) -> Option<Self> {
        let root =
            [cgroupfs.to_path_buf(), cgroupfs.join("unified")].into_iter().find(|r| r.join("cgroup.controllers").exists())?;
        let own = Groups::parse(&fs::read("/proc/self/cgroup").ok()?).v2;
        let home = root.join(own.trim_start_matches('/'));
        let folder = home.join(format!("treehouse-run-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let mut group = Self { folder, home, own_before: own_cpu_ns() };
        fs::write(group.folder.join("cgroup.procs"), "0").ok()?; // on failure it is dropped, and so removed
        group.own_before = own_cpu_ns();
        group.usage_ns().map(|_| group)
    }

    /// CPU time of the command's tree so far, in nanoseconds; `None` where the file cannot be read.
    pub(super) fn cpu_ns(&self) -> Option<u64> {
        // asking our own clock first makes the kernel book our running time in the group as well
        let own = own_cpu_ns() - self.own_before;
        Some(self.usage_ns()?.saturating_sub(own))
    }

    /// Processes of the group beside ourselves.
    pub(super) fn members(&self) -> Vec<i32> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let text = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|l| l.parse().ok()).filter(|&p| p != own).collect()
    }

    fn usage_ns(&self) -> Option<u64> {
        let text = fs::read_to_string(self.folder.join("cpu.stat")).ok()?;
        let line = text.lines().find_map(|l| l.strip_prefix("usage_usec "))?;
        line.trim().parse::<u64>().ok()?.checked_mul(1000)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let home = self.home.join("cgroup.procs");
        let _ = fs::write(&home, "0");
        // daemons that the command left behind live on, in the group that the command was started from
        for pid in self.members() {
            let _ = fs::write(&home, pid.to_string());
        }
        let _ = fs::remove_dir(&self.folder);
    }
}
