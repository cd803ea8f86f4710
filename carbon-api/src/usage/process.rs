//! CPU time of every process by its CPU clock: one system call a process, no descriptor, no text.
//!
//! `clock_gettime((~pid << 3) | 2)` gives the whole process in nanoseconds, exited threads included, children not, to any
//! user. The kernel answers by process id and knows nothing of another procfs: on a fake or foreign tree `stat` is read
//! instead. Identity (name, start, groups, user) is read once in a process's life and looked over every other minute; the user
//! more often, since a program of another user can take the place of this one (setuid).

use std::fmt::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::time::{ClockId, clock_gettime};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, SeekFrom, seek, statat};

use super::host::TICK_NS;
use super::owner::Owner;
use super::placement::{GroupRows, Groups};
use super::stat::{Stat, cpu_clock, nanoseconds};
use super::{Consumer, Consumers, Slot, UsagePass, UsageRow, UsageSource, WorkloadKind};
use crate::error::ReadError;
use crate::stamp::Clock;

/// Ticks between two looks at a process's groups; spread over the ticks by process id.
const LOOK_AGAIN: u64 = 120;
/// The same for threads of the kernel, which call no exec and join no group: only their id may have gone to somebody else.
const LOOK_AGAIN_AT_KERNEL: u64 = 30 * LOOK_AGAIN;
/// Ticks between two looks at the user of a process that is not root's.
const LOOK_AT_OWNER: u64 = 8;
/// Ticks for which a process is nobody's that was found to have changed its user: until the interval before is closed too.
const NOBODYS: u8 = 2;
const ROOT: Option<u32> = Some(0);
/// The parent of every kernel thread.
const KTHREADD: i32 = 2;
/// Magic number of procfs in `statfs`.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// How CPU time is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The process CPU clock, in nanoseconds.
    Clock,
    /// `stat`, in ticks of 10 ms: the tree is not our kernel's.
    Stat,
}

/// Reads all processes below one root of procfs.
#[derive(Debug)]
pub struct ProcessUsage {
    procfs: PathBuf,
    directory: Arc<OwnedFd>,
    reader: Reader,
    rows: GroupRows,
    /// Sorted by process id, as the directory lists them.
    known: Vec<Known>,
    born: Vec<Known>,
    entries: Vec<u8>,
    text: Vec<u8>,
    path: String,
    tick: u64,
}

#[derive(Debug)]
struct Known {
    pid: i32,
    clock: ClockId,
    started_ticks: u64,
    groups: Groups,
    uid: Option<u32>,
    /// Its user changed: it is nobody's for so many looks more.
    uid_changed: u8,
    /// Its row, where no group of it is one.
    slot: Option<Slot>,
    cpu_ns: u64,
    seen: u64,
    looks: u8,
    /// A thread of the kernel.
    is_kernel: bool,
}

impl ProcessUsage {
    /// Opens a root of procfs; `rows` tells which groups have counters of their own.
    ///
    /// # Errors
    /// The root is absent, denied or no folder.
    pub fn open(procfs: &Path, rows: GroupRows) -> Result<Self, ReadError> {
        let directory = rustix::fs::open(procfs, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| ReadError::from_io(procfs, &e.into()))?;
        let reader = if is_own(procfs, &directory) { Reader::Clock } else { Reader::Stat };
        Ok(Self {
            procfs: procfs.into(),
            directory: Arc::new(directory),
            reader,
            rows,
            known: Vec::new(),
            born: Vec::new(),
            entries: Vec::with_capacity(32 * 1024),
            text: vec![0; 4096],
            path: String::new(),
            tick: 0,
        })
    }

    /// How CPU time is read here.
    pub fn reader(&self) -> Reader {
        self.reader
    }

    fn visit(&mut self, pid: i32, hint: &mut usize, clock: &dyn Clock, consumers: &mut Consumers, pass: &mut UsagePass) {
        // the directory lists ids in rising order, as `known` holds them: the next one is nearly always where we stand
        let found = match self.known.get(*hint) {
            Some(k) if k.pid == pid => Ok(*hint),
            _ => self.known.binary_search_by_key(&pid, |k| k.pid),
        };
        if let Ok(i) = found {
            *hint = i + 1;
            let (cpu, at_ns) = (self.cpu_of(self.known[i].pid, self.known[i].clock), clock.stamp().boottime_ns);
            let Some(cpu_ns) = cpu else { return };
            let known = &self.known[i];
            let every = if known.is_kernel { LOOK_AGAIN_AT_KERNEL } else { LOOK_AGAIN };
            let due = (known.looks < 1 && !known.is_kernel) || (self.tick + pid as u64).is_multiple_of(every);
            // a clock that fell belongs to another process that got the same id
            let same = cpu_ns >= self.known[i].cpu_ns;
            let user_is_due = known.uid != ROOT && (self.tick + pid as u64).is_multiple_of(LOOK_AT_OWNER);
            if same && (due || user_is_due || known.uid_changed > 0) {
                self.look_at_owner(i, consumers);
            }
            if same && (!due || self.look_again(i, consumers)) {
                let known = &mut self.known[i];
                (known.cpu_ns, known.seen) = (cpu_ns, self.tick);
                if let Some(slot) = known.slot {
                    pass.rows.push(UsageRow { slot, at_ns, cpu_ns });
                }
                return;
            }
            retire(&mut self.known[i], consumers, pass);
            self.known[i].seen = 0;
            // a process that only moved has used time that its old row was given
            if let Some(known) = self.meet(pid, !same, clock, consumers, pass) {
                self.known[i] = known;
            }
        } else if let Some(known) = self.meet(pid, self.tick > 1, clock, consumers, pass) {
            self.born.push(known);
        }
    }

    /// Reads who a process is and gives it a row, unless a group of it is one; `young` where all its time is to be counted.
    fn meet(
        &mut self,
        pid: i32,
        young: bool,
        clock: &dyn Clock,
        consumers: &mut Consumers,
        pass: &mut UsagePass,
    ) -> Option<Known> {
        let stat = self.stat(pid)?;
        let groups = Groups::parse(self.text_of(pid, "cgroup").unwrap_or_default());
        let clock_id = cpu_clock(pid);
        let cpu_ns = if self.reader == Reader::Clock { self.cpu_of(pid, clock_id)? } else { stat.cpu_ns };
        let at_ns = clock.stamp().boottime_ns;
        let uid = self.owner_of(pid);
        consumers.memberships.count(&groups, true);
        consumers.owners.came(&groups, uid);
        let is_row = consumers.memberships.process_is_row(&groups, self.rows);
        let slot = is_row.then(|| {
            let slot = consumers.insert(Consumer {
                kind: WorkloadKind::Process,
                name: stat.name(pid),
                cgroup: group_name(&groups),
                owner: uid.map_or(Owner::Unknown, Owner::User),
                // what lived before the first pass has used time that no interval of ours covers
                started_ns: young.then(|| stat.started_ticks * TICK_NS),
                quantum_ns: if self.reader == Reader::Clock { 1 } else { TICK_NS },
            });
            pass.rows.push(UsageRow { slot, at_ns, cpu_ns });
            slot
        });
        let (started_ticks, is_kernel) = (stat.started_ticks, stat.parent == KTHREADD || pid == KTHREADD);
        Some(Known {
            pid,
            clock: clock_id,
            started_ticks,
            groups,
            uid,
            uid_changed: 0,
            slot,
            cpu_ns,
            seen: self.tick,
            looks: 0,
            is_kernel,
        })
    }

    /// Looks at a known process once more: after its first tick (it may have called exec since), then every other minute.
    /// False where it is another process by now, or sits in another group.
    fn look_again(&mut self, i: usize, consumers: &mut Consumers) -> bool {
        let pid = self.known[i].pid;
        let Some(stat) = self.stat(pid) else { return true };
        let groups = Groups::parse(self.text_of(pid, "cgroup").unwrap_or_default());
        let known = &mut self.known[i];
        known.looks = known.looks.saturating_add(1);
        if stat.started_ticks != known.started_ticks || groups != known.groups {
            return false;
        }
        if let Some(slot) = known.slot {
            let name = stat.name(pid);
            if consumers.get(slot).is_some_and(|c| c.name != name) {
                consumers.rename(slot, name);
            }
            // another member of its v1 group may have moved into v2, or out of it
            return consumers.memberships.process_is_row(&known.groups, self.rows);
        }
        !consumers.memberships.process_is_row(&known.groups, self.rows)
    }

    /// Looks whose a known process is. What it used around a change of its user is nobody's.
    fn look_at_owner(&mut self, i: usize, consumers: &mut Consumers) {
        let Some(uid) = self.owner_of(self.known[i].pid) else { return };
        let known = &mut self.known[i];
        let owner = if known.uid != Some(uid) {
            (known.uid, known.uid_changed) = (Some(uid), NOBODYS);
            consumers.owners.changed(&known.groups);
            Owner::Mixed
        } else if known.uid_changed > 0 {
            known.uid_changed -= 1;
            if known.uid_changed == 0 { Owner::User(uid) } else { Owner::Mixed }
        } else {
            return;
        };
        if let Some(slot) = known.slot {
            consumers.set_owner(slot, owner);
        }
    }

    /// The owner of the process's folder: its effective user, or root where the kernel hides the process from its own user.
    fn owner_of(&mut self, pid: i32) -> Option<u32> {
        self.path.clear();
        write!(self.path, "{pid}").ok()?;
        statat(&*self.directory, &*self.path, AtFlags::SYMLINK_NOFOLLOW).ok().map(|s| s.st_uid)
    }

    fn cpu_of(&mut self, pid: i32, clock: ClockId) -> Option<u64> {
        match self.reader {
            Reader::Clock => clock_gettime(clock).ok().map(nanoseconds),
            Reader::Stat => self.stat(pid).map(|s| s.cpu_ns),
        }
    }

    fn stat(&mut self, pid: i32) -> Option<Stat> {
        Stat::parse(self.text_of(pid, "stat")?)
    }

    fn text_of(&mut self, pid: i32, file: &str) -> Option<&[u8]> {
        // one read: these files are far shorter than a page, and asking for their size first costs two calls more
        self.path.clear();
        write!(self.path, "{pid}/{file}").ok()?;
        let open = rustix::fs::openat(&*self.directory, &*self.path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let length = rustix::io::pread(&open, &mut self.text, 0).ok()?;
        Some(&self.text[..length])
    }
}

impl UsageSource for ProcessUsage {
    fn name(&self) -> &'static str {
        "process"
    }

    fn read(&mut self, clock: &dyn Clock, consumers: &mut Consumers, pass: &mut UsagePass) {
        self.tick += 1;
        if let Err(error) = seek(&*self.directory, SeekFrom::Start(0)) {
            pass.errors.push(("usage/process", ReadError::from_io(&self.procfs, &error.into())));
            return;
        }
        let mut hint = 0;
        let mut entries = std::mem::take(&mut self.entries);
        let mut list = RawDir::new(Arc::clone(&self.directory), entries.spare_capacity_mut());
        while let Some(Ok(entry)) = list.next() {
            if let Some(pid) = parse_pid(entry.file_name().to_bytes()) {
                self.visit(pid, &mut hint, clock, consumers, pass);
            }
        }
        drop(list);
        entries.clear();
        self.entries = entries;
        let tick = self.tick;
        self.known.retain_mut(|known| {
            let lives = known.seen == tick;
            if !lives {
                retire(known, consumers, pass);
            }
            lives
        });
        if !self.born.is_empty() {
            self.known.append(&mut self.born);
            self.known.sort_unstable_by_key(|k| k.pid);
        }
    }
}

fn retire(known: &mut Known, consumers: &mut Consumers, pass: &mut UsagePass) {
    if known.seen > 0 {
        consumers.memberships.count(&known.groups, false);
        consumers.owners.left(&known.groups);
    }
    if let Some(slot) = known.slot.take() {
        pass.gone.push(slot);
    }
}

/// A real procfs of our own namespace of process ids: only there do ids mean what the kernel means by them.
fn is_own(procfs: &Path, directory: &OwnedFd) -> bool {
    let is_procfs = rustix::fs::fstatfs(directory).is_ok_and(|s| s.f_type as u64 == PROC_SUPER_MAGIC);
    let own = std::fs::read_link(procfs.join("self")).is_ok_and(|l| l.to_str() == Some(&std::process::id().to_string()));
    is_procfs && own
}

pub(crate) fn parse_pid(name: &[u8]) -> Option<i32> {
    let digits = name.iter().all(u8::is_ascii_digit) && !name.is_empty();
    if !digits {
        return None;
    }
    std::str::from_utf8(name).ok()?.parse().ok()
}

fn group_name(groups: &Groups) -> Option<Arc<str>> {
    [&groups.v2, &groups.v1].into_iter().find(|p| &***p != "/").cloned()
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
