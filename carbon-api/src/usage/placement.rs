//! Where a process sits: its lines of `/proc/PID/cgroup`, and the one counter that its CPU time is taken from.
//!
//! v2 wherever the process has a v2 group other than `/`; else its v1 `cpuacct` group; else its own clock. Never two.

use std::collections::HashMap;
use std::sync::Arc;

/// The groups of one process; `/` where it sits at the root or the hierarchy does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// In the unified hierarchy.
    pub v2: Arc<str>,
    /// In the v1 hierarchy that counts CPU time.
    pub v1: Arc<str>,
}

impl Groups {
    /// Reads the text of `/proc/PID/cgroup`. A path that leaves our own root (`/../x`) is not ours to resolve: the root.
    pub fn parse(text: &[u8]) -> Self {
        let mut groups = Self { v2: "/".into(), v1: "/".into() };
        for line in text.split(|&b| b == b'\n') {
            let mut fields = line.splitn(3, |&b| b == b':');
            let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
            let path = String::from_utf8_lossy(path);
            let path = path.trim_end_matches(" (deleted)");
            if path == "/" || path.starts_with("/..") || !path.starts_with('/') {
                continue;
            }
            if id == b"0" && controllers.is_empty() {
                groups.v2 = path.into();
            } else if controllers.split(|&b| b == b',').any(|c| c == b"cpuacct") {
                groups.v1 = path.into();
            }
        }
        groups
    }
}

/// Which hierarchies have counters that become rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupRows {
    /// The unified hierarchy can be read.
    pub v2: bool,
    /// A v1 `cpuacct` hierarchy can be read.
    pub v1: bool,
}

/// How many processes each v1 group has, and how many of them are counted in v2.
#[derive(Debug, Default)]
pub struct Memberships {
    v1: HashMap<Arc<str>, (u32, u32)>,
}

impl Memberships {
    /// Notes a process that came (`true`) or left.
    pub fn count(&mut self, groups: &Groups, came: bool) {
        if &*groups.v1 == "/" {
            return;
        }
        let entry = self.v1.entry(Arc::clone(&groups.v1)).or_default();
        let in_v2 = u32::from(&*groups.v2 != "/");
        if came {
            *entry = (entry.0 + 1, entry.1 + in_v2);
        } else {
            *entry = (entry.0.saturating_sub(1), entry.1.saturating_sub(in_v2));
            if entry.0 == 0 {
                self.v1.remove(&groups.v1);
            }
        }
    }

    /// True where no member of the v1 group (or of a group below it) is counted in v2: only then the group is a row.
    pub fn v1_is_row(&self, path: &str) -> bool {
        let is_below = |member: &str| member.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        !self.v1.iter().any(|(member, (_, in_v2))| *in_v2 > 0 && is_below(member))
    }

    /// True where the process needs a row of its own: no group of it is one.
    pub fn process_is_row(&self, groups: &Groups, rows: GroupRows) -> bool {
        let in_v2 = rows.v2 && &*groups.v2 != "/";
        let in_v1 = rows.v1 && &*groups.v2 == "/" && &*groups.v1 != "/" && self.v1_is_row(&groups.v1);
        !in_v2 && !in_v1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HYBRID: &[u8] = b"5:devices:/\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n0::/system.slice/a.service\n";

    #[test]
    fn both_hierarchies_are_read() {
        let groups = Groups::parse(HYBRID);
        assert_eq!((&*groups.v2, &*groups.v1), ("/system.slice/a.service", "/docker/abc"));
        assert_eq!(Groups::parse(b"0::/../../other\n"), Groups { v2: "/".into(), v1: "/".into() });
    }

    #[test]
    fn hybrid_never_adds_v1_and_v2() {
        let rows = GroupRows { v2: true, v1: true };
        let mut m = Memberships::default();
        let (both, only_v1) = (Groups::parse(HYBRID), Groups::parse(b"2:cpuacct:/docker/abc\n0::/\n"));
        m.count(&only_v1, true);
        assert!(m.v1_is_row("/docker/abc") && !m.process_is_row(&only_v1, rows));
        m.count(&both, true);
        assert!(!m.v1_is_row("/docker/abc") && !m.v1_is_row("/docker"), "one member is counted in v2");
        assert!(!m.process_is_row(&both, rows), "the v2 group is its row");
        assert!(m.process_is_row(&only_v1, rows), "the others are rows of their own");
        m.count(&both, false);
        assert!(m.v1_is_row("/docker/abc"));
    }

    proptest! {
        #[test]
        fn any_bytes_have_groups(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let groups = Groups::parse(&bytes);
            prop_assert!(groups.v2.starts_with('/') && groups.v1.starts_with('/'));
        }
    }
}
