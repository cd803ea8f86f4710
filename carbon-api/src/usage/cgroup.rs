//! CPU time of control groups: v2 `cpu.stat` and v1 `cpuacct.usage`, each group's own (its subtree less the groups below it).
//!
//! Both count exited children. Every group but the root is a row; a container is one row with everything below it. On a
//! hybrid machine v2 is preferred, and a v1 group is a row only where none of its members is counted in v2.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::container_id;
use super::owner::Owner;
use super::placement::GroupRows;
use super::{Consumer, Consumers, Slot, UsagePass, UsageRow, UsageSource, WorkloadKind};
use crate::error::ReadError;
use crate::stamp::Clock;
use crate::system::{KernelFile, leading_u64, malformed};

/// The tree is walked at least every so many ticks, whatever its folders' link counts say.
const WALK_ANYWAY: u64 = 30;

/// One hierarchy with counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// Reads all groups of one hierarchy.
#[derive(Debug)]
pub struct CgroupUsage {
    root: PathBuf,
    version: Version,
    /// In the order of their paths: every group stands before those below it.
    groups: Vec<Group>,
    below: Vec<u64>,
    /// Link counts of the folders now and at the last walk, the root first.
    links: Vec<u64>,
    walked_links: Vec<u64>,
    tick: u64,
    /// When the tree was last known as it is, on the boot-time clock.
    walked_ns: Option<u64>,
}

#[derive(Debug)]
struct Group {
    path: Arc<str>,
    folder: PathBuf,
    file: KernelFile,
    parent: Option<usize>,
    slot: Option<Slot>,
    owner: Owner,
    is_container: bool,
    /// Subtree, cumulative nanoseconds.
    subtree: u64,
    /// What groups below it, since removed, had used: no longer this group's own.
    removed: u64,
    own: u64,
    lives: bool,
    /// It was not there at the walk before the last one.
    young: bool,
}

impl CgroupUsage {
    /// Opens the hierarchies below `cgroupfs`: v2 at its root or under `unified/`, v1 `cpuacct`. Empty where there is none.
    pub fn open_all(cgroupfs: &Path) -> (Vec<Self>, GroupRows) {
        let v2 = [cgroupfs.to_path_buf(), cgroupfs.join("unified")].into_iter().find(|r| r.join("cgroup.controllers").exists());
        let v1 = ["cpuacct", "cpu,cpuacct"].iter().map(|n| cgroupfs.join(n)).find(|r| r.join("cpuacct.usage").exists());
        let rows = GroupRows { v2: v2.is_some(), v1: v1.is_some() };
        let open = |root: Option<PathBuf>, version| {
            root.map(|root| Self {
                root,
                version,
                groups: Vec::new(),
                below: Vec::new(),
                links: Vec::new(),
                walked_links: Vec::new(),
                tick: 0,
                walked_ns: None,
            })
        };
        ([open(v2, Version::V2), open(v1, Version::V1)].into_iter().flatten().collect(), rows)
    }

    /// Where the hierarchy lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn file_name(&self) -> &'static str {
        match self.version {
            Version::V1 => "cpuacct.usage",
            Version::V2 => "cpu.stat",
        }
    }

    /// True where a folder got or lost a folder since the last walk: its link count tells (two, and one for each folder in it).
    fn has_changed(&mut self) -> bool {
        let links = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.nlink());
        self.links.clear();
        self.links.push(links(&self.root));
        for group in self.groups.iter().filter(|g| !g.is_container) {
            self.links.push(links(&group.folder));
        }
        // a file system that does not count links (1, or 0 for what is gone) has to be walked
        let changed = self.links != self.walked_links || self.links.iter().any(|&l| l < 2);
        std::mem::swap(&mut self.links, &mut self.walked_links);
        changed
    }

    /// Finds groups that came; those that went are found by their files.
    fn walk(&mut self) {
        let young = self.walked_ns.is_some();
        let mut folders = vec![(self.root.clone(), String::new())];
        let mut found = Vec::new();
        while let Some((folder, path)) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
                let Some(name) = entry.file_name().to_str().filter(|_| is_folder).map(str::to_owned) else { continue };
                let path = format!("{path}/{name}");
                if container_id(&path).is_none() {
                    folders.push((entry.path(), path.clone()));
                }
                found.push(path);
            }
        }
        found.sort_unstable();
        for path in found {
            let place = self.groups.binary_search_by(|g| (*g.path).cmp(&path));
            let Err(place) = place else { continue };
            let folder = self.root.join(&path[1..]);
            let Ok(file) = KernelFile::open(folder.join(self.file_name())) else { continue };
            for group in &mut self.groups {
                group.parent = group.parent.map(|p| if p >= place { p + 1 } else { p });
            }
            let is_container = container_id(&path).is_some();
            let path: Arc<str> = path.into();
            let group = Group {
                path,
                folder,
                file,
                parent: None,
                slot: None,
                owner: Owner::Unknown,
                is_container,
                subtree: 0,
                removed: 0,
                own: 0,
                lives: true,
                young,
            };
            self.groups.insert(place, group);
        }
        for i in 0..self.groups.len() {
            let above = self.groups[i].path.rsplit_once('/').map_or("", |(head, _)| head);
            self.groups[i].parent = self.groups.binary_search_by(|g| (*g.path).cmp(above)).ok();
        }
    }

    fn remove_dead(&mut self, pass: &mut UsagePass) {
        for i in (0..self.groups.len()).rev() {
            if self.groups[i].lives {
                continue;
            }
            let group = self.groups.remove(i);
            // what it was seen to use stays with it; the rest is the parent's
            if let Some(parent) = group.parent {
                self.groups[parent].removed += group.subtree;
            }
            for other in &mut self.groups {
                other.parent = other.parent.filter(|&p| p != i).map(|p| if p > i { p - 1 } else { p });
            }
            pass.gone.extend(group.slot);
        }
    }

    fn read_counters(&mut self, pass: &mut UsagePass) {
        let mut buffer = [0_u8; 512];
        for group in &mut self.groups {
            match read_ns(&group.file, self.version, &mut buffer) {
                Ok(ns) => group.subtree = group.subtree.max(ns),
                Err(ReadError::Absent { .. }) => group.lives = false,
                Err(error) => pass.errors.push(("usage/cgroup", error)),
            }
        }
    }
}

impl UsageSource for CgroupUsage {
    fn name(&self) -> &'static str {
        match self.version {
            Version::V1 => "cgroup-v1",
            Version::V2 => "cgroup-v2",
        }
    }

    fn read(&mut self, clock: &dyn Clock, consumers: &mut Consumers, pass: &mut UsagePass) {
        self.tick += 1;
        let before = self.walked_ns;
        if self.tick.is_multiple_of(WALK_ANYWAY) || self.has_changed() {
            self.walk();
        }
        self.walked_ns = Some(clock.stamp().boottime_ns);
        self.read_counters(pass);
        let at_ns = clock.stamp().boottime_ns;
        self.remove_dead(pass);
        self.below.clear();
        self.below.resize(self.groups.len(), 0);
        for group in &self.groups {
            if let Some(parent) = group.parent {
                self.below[parent] += group.subtree;
            }
        }
        for (group, below) in self.groups.iter_mut().zip(&self.below) {
            // the files are read one after the other: the sum below may be a little ahead of the group itself
            group.own = group.own.max(group.subtree.saturating_sub(below + group.removed));
            let young = std::mem::take(&mut group.young);
            let is_row = self.version == Version::V2 || consumers.memberships.v1_is_row(&group.path);
            if !is_row {
                pass.gone.extend(group.slot.take());
                continue;
            }
            let members = match self.version {
                Version::V1 => consumers.owners.of_v1(&group.path),
                Version::V2 => consumers.owners.of_v2(&group.path),
            };
            // once it was several users' it stays so: what each of them used in it is one counter
            group.owner = group.owner.join(members);
            if let Some(slot) = group.slot {
                consumers.set_owner(slot, group.owner);
            }
            let owner = group.owner;
            let slot = *group.slot.get_or_insert_with(|| {
                let id = container_id(&group.path).filter(|_| group.is_container);
                consumers.insert(Consumer {
                    kind: if id.is_some() { WorkloadKind::Container } else { WorkloadKind::Cgroup },
                    name: id.map_or_else(|| Arc::clone(&group.path), Into::into),
                    cgroup: Some(Arc::clone(&group.path)),
                    owner,
                    // a group that was not there at the walk before has used nothing until then
                    started_ns: before.filter(|_| young),
                    quantum_ns: if self.version == Version::V2 { 1000 } else { 1 },
                })
            });
            pass.rows.push(UsageRow { slot, at_ns, cpu_ns: group.own });
        }
    }
}

fn read_ns(file: &KernelFile, version: Version, buffer: &mut [u8]) -> Result<u64, ReadError> {
    let text = file.read(buffer)?;
    let value = match version {
        Version::V1 => leading_u64(text),
        Version::V2 => parse_usage_usec(text).and_then(|us| us.checked_mul(1000)),
    };
    value.ok_or_else(|| malformed(file.path(), text, "CPU time of a group"))
}

pub(crate) fn parse_usage_usec(text: &[u8]) -> Option<u64> {
    let line = text.split(|&b| b == b'\n').find_map(|l| l.strip_prefix(b"usage_usec"))?;
    leading_u64(line)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::system::SystemClock;
    use crate::usage::placement::Groups;

    struct Tree {
        dir: tempfile::TempDir,
        sources: Vec<CgroupUsage>,
        consumers: Consumers,
        pass: UsagePass,
    }

    impl Tree {
        fn v2(groups: &[(&str, u64)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("cgroup.controllers"), "cpu\n").unwrap();
            Self::open(dir, groups)
        }

        fn open(dir: tempfile::TempDir, groups: &[(&str, u64)]) -> Self {
            for (path, us) in groups {
                set(dir.path(), path, *us);
            }
            let sources = CgroupUsage::open_all(dir.path()).0;
            Self { dir, sources, consumers: Consumers::default(), pass: UsagePass::default() }
        }

        fn rows(&mut self) -> Vec<(String, u64)> {
            self.pass.clear();
            for source in &mut self.sources {
                source.read(&SystemClock, &mut self.consumers, &mut self.pass);
            }
            let name = |r: &UsageRow| (self.consumers.get(r.slot).unwrap().name.to_string(), r.cpu_ns / 1000);
            self.pass.rows.iter().map(name).collect()
        }
    }

    fn set(root: &Path, path: &str, us: u64) {
        fs::create_dir_all(root.join(path)).unwrap();
        fs::write(root.join(path).join("cpu.stat"), format!("usage_usec {us}\nuser_usec 1\n")).unwrap();
    }

    fn row(name: &str, us: u64) -> (String, u64) {
        (name.to_owned(), us)
    }

    #[test]
    fn a_group_owns_its_subtree_less_the_groups_below() {
        let mut t = Tree::v2(&[("a.slice", 100), ("a.slice/b.service", 60), ("a.slice/b.service/sub", 25)]);
        assert_eq!(t.rows(), [row("/a.slice", 40), row("/a.slice/b.service", 35), row("/a.slice/b.service/sub", 25)]);
    }

    #[test]
    fn a_container_is_one_row_with_everything_below_it() {
        let id = "0123456789abcdef".repeat(4);
        let scope = format!("system.slice/docker-{id}.scope");
        let mut t = Tree::v2(&[("system.slice", 50), (&scope, 50), (&format!("{scope}/init"), 20)]);
        assert_eq!(t.rows(), [row("/system.slice", 0), row(&id, 50)]);
        assert_eq!(t.consumers.get(t.pass.rows[1].slot).unwrap().kind, WorkloadKind::Container);
    }

    #[test]
    fn a_removed_group_keeps_its_own_and_its_parent_does_not_get_it() {
        let mut t = Tree::v2(&[("a", 100), ("a/b", 60)]);
        t.rows();
        let gone = t.pass.rows[1].slot;
        fs::remove_dir_all(t.dir.path().join("a/b")).unwrap();
        // the kernel answers ENODEV on the held file; a plain file cannot, so the source is told by its counter's end
        t.sources[0].groups[1].lives = false;
        set(t.dir.path(), "a", 107);
        t.sources[0].remove_dead(&mut t.pass);
        assert_eq!(t.pass.gone, [gone]);
        assert_eq!(t.rows(), [row("/a", 47)], "7 us after the last look are the parent's");
    }

    #[test]
    fn a_new_group_counts_from_zero_and_an_old_one_from_its_level() {
        let mut t = Tree::v2(&[("old", 100)]);
        t.rows();
        assert_eq!(t.consumers.get(t.pass.rows[0].slot).unwrap().started_ns, None);
        set(t.dir.path(), "new", 5);
        t.rows();
        assert!(t.consumers.get(t.pass.rows[0].slot).unwrap().started_ns.is_some(), "/new");
    }

    #[test]
    fn a_v1_group_with_a_member_counted_in_v2_is_no_row() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["cpuacct", "cpuacct/docker"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
            fs::write(dir.path().join(path).join("cpuacct.usage"), "9000000\n").unwrap();
        }
        let mut t = Tree::open(dir, &[]);
        assert_eq!(t.rows(), [row("/docker", 9000)]);
        let groups = Groups::parse(b"2:cpuacct:/docker\n0::/x.service\n");
        t.consumers.memberships.count(&groups, true);
        assert_eq!(t.rows(), []);
        assert_eq!(t.pass.gone.len(), 1);
    }

    #[test]
    fn a_group_is_its_only_users_and_stays_nobodys_once_another_was_in_it() {
        let mut t = Tree::v2(&[("a", 0)]);
        let group = Groups::parse(b"0::/a\n");
        let whose = |t: &mut Tree| {
            t.rows();
            t.consumers.get(t.pass.rows[0].slot).unwrap().owner
        };
        assert_eq!(whose(&mut t), Owner::Unknown, "nobody was seen in it");
        t.consumers.owners.came(&group, Some(1000));
        assert_eq!(whose(&mut t), Owner::User(1000));
        t.consumers.owners.came(&group, Some(0));
        assert_eq!(whose(&mut t), Owner::Mixed);
        t.consumers.owners.left(&group);
        t.consumers.owners.left(&group);
        t.consumers.owners.came(&group, Some(1000));
        assert_eq!(whose(&mut t), Owner::Mixed, "its counter holds what root used");
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_usage_usec(&bytes);
        }
    }
}
