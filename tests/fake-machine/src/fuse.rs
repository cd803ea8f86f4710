//! The machine as a FUSE file system: every value is computed at the instant of the read.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite,
    Request, Session, SessionACL, TimeOrNow, WriteFlags,
};
use rustix::process::{getegid, geteuid};

use crate::fault::ReadError;
use crate::inodes::{Body, Inode, Inodes};
use crate::live::LiveMachine;

/// Nothing may be remembered: the next look may find another world.
const NO_CACHE: Duration = Duration::ZERO;
/// What sysfs says of every file, whatever is in it.
const FILE_SIZE: u64 = 4096;

/// Mounts the machine on a directory and serves it from a thread of its own.
///
/// # Errors
/// When FUSE cannot be used here.
pub(crate) fn mount(directory: &Path, machine: Arc<LiveMachine>) -> io::Result<BackgroundSession> {
    let root = geteuid().is_root();
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("fake-machine".to_owned()),
        MountOption::DefaultPermissions,
        MountOption::NoExec,
        MountOption::NoAtime,
    ];
    // Only root may let others in without a line in fuse.conf.
    config.acl = if root { SessionACL::All } else { SessionACL::Owner };
    Session::new(FuseTree::new(machine), directory, &config)?.spawn()
}

/// The file system.
struct FuseTree {
    machine: Arc<LiveMachine>,
    inodes: Inodes,
    handles: Mutex<HashMap<u64, Handle>>,
    next_handle: AtomicU64,
    born: SystemTime,
}

/// An open file.
struct Handle {
    /// Its node's generation at open: another one now means that the node went away since.
    generation: usize,
    /// The text that the last read at offset 0 got, for reads further on.
    text: Vec<u8>,
}

impl FuseTree {
    fn new(machine: Arc<LiveMachine>) -> Self {
        Self {
            inodes: machine.look(|machine, _| Inodes::of(machine)),
            machine,
            handles: Mutex::default(),
            next_handle: AtomicU64::new(1),
            born: SystemTime::now(),
        }
    }

    fn attributes(&self, inode: &Inode) -> FileAttr {
        let (kind, size) = match &inode.body {
            Body::Directory => (FileType::Directory, 0),
            Body::Link(target) => (FileType::Symlink, target.len() as u64),
            Body::Control => (FileType::RegularFile, 0),
            Body::Text(_) | Body::Live(_) | Body::Truth => (FileType::RegularFile, FILE_SIZE),
        };
        FileAttr {
            ino: INodeNo(inode.number),
            size,
            blocks: 0,
            atime: self.born,
            mtime: self.born,
            ctime: self.born,
            crtime: self.born,
            kind,
            perm: inode.mode as u16,
            nlink: 1,
            uid: inode.owner.unwrap_or_else(|| geteuid().as_raw()),
            gid: inode.owner.unwrap_or_else(|| getegid().as_raw()),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// The whole text of a file now.
    fn text(&self, inode: &Inode) -> Result<String, ReadError> {
        match &inode.body {
            Body::Text(text) => Ok(text.clone()),
            Body::Live(value) => self.machine.look(|machine, t| value.text(&machine.at(t))),
            Body::Control => Ok(format!("{}\n", self.machine.outcome())),
            Body::Truth => Ok(self.machine.truth()),
            Body::Directory | Body::Link(_) => Err(ReadError::Absent),
        }
    }

    fn is_there(&self, inode: &Inode) -> bool {
        self.machine.look(|machine, t| inode.presence.holds(&machine.at(t)))
    }

    fn generation(&self, inode: &Inode) -> usize {
        self.machine.look(|machine, t| inode.presence.generation(&machine.at(t)))
    }

    /// Opens a file: permission and absence show here, all other faults at the read.
    fn open_handle(&self, inode: &Inode) -> Result<u64, ReadError> {
        if !self.is_there(inode) {
            return Err(ReadError::Absent);
        }
        if let Err(error @ (ReadError::Denied | ReadError::Absent)) = self.text(inode) {
            return Err(error);
        }
        let number = self.next_handle.fetch_add(1, Ordering::Relaxed);
        let handle = Handle { generation: self.generation(inode), text: Vec::new() };
        self.handles().insert(number, handle);
        Ok(number)
    }

    /// Reads as kernfs does: offset 0 makes the text anew, further on it is that of before.
    fn read_handle(&self, inode: &Inode, number: u64, offset: u64, size: u32) -> Result<Vec<u8>, ReadError> {
        let mut handles = self.handles();
        let handle = handles.get_mut(&number).ok_or(ReadError::NoDevice)?;
        if handle.generation != self.generation(inode) {
            return Err(inode.presence.loss());
        }
        if offset == 0 {
            handle.text = self.text(inode)?.into_bytes();
        }
        let length = handle.text.len();
        let start = usize::try_from(offset).unwrap_or(length).min(length);
        let end = start.saturating_add(size as usize).min(length);
        Ok(handle.text[start..end].to_vec())
    }

    fn handles(&self) -> MutexGuard<'_, HashMap<u64, Handle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filesystem for FuseTree {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.inodes.children(parent.0).find(|inode| OsStr::new(&inode.name) == name && self.is_there(inode));
        match found {
            Some(inode) => reply.entry(&NO_CACHE, &self.attributes(inode), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.inodes.get(ino.0) {
            Some(inode) => reply.attr(&NO_CACHE, &self.attributes(inode)),
            None => reply.error(Errno::ENOENT),
        }
    }

    /// The truncation of `echo … > ctl` is let through; nothing else can be changed.
    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let owner = mode.or(uid).or(gid).is_some();
        match self.inodes.get(ino.0) {
            Some(inode) if matches!(inode.body, Body::Control) && !owner => {
                reply.attr(&NO_CACHE, &self.attributes(inode));
            }
            Some(_) => reply.error(Errno::EPERM),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.inodes.get(ino.0).map(|inode| &inode.body) {
            Some(Body::Link(target)) => reply.data(target.as_bytes()),
            _ => reply.error(Errno::EINVAL),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let parent = self.inodes.parent(ino.0);
        let dots = [(ino.0, "."), (parent, "..")];
        let dots = dots.map(|(number, name)| (number, FileType::Directory, name));
        let children = self.inodes.children(ino.0).map(|inode| (inode.number, self.attributes(inode).kind, inode.name.as_str()));
        let entries = (1..).zip(dots.into_iter().chain(children));
        // Offsets count the absent too, so that a listing goes on at the right place.
        for (next, (number, kind, name)) in entries.skip_while(|(next, _)| *next <= offset) {
            let there = self.inodes.get(number).is_some_and(|i| self.is_there(i));
            if there && reply.add(INodeNo(number), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let opened = self.inodes.get(ino.0).ok_or(ReadError::Absent).and_then(|inode| self.open_handle(inode));
        match opened {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(Errno::from_i32(error.errno())),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read =
            self.inodes.get(ino.0).ok_or(ReadError::NoDevice).and_then(|inode| self.read_handle(inode, handle.0, offset, size));
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(Errno::from_i32(error.errno())),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let control = self.inodes.get(ino.0);
        if !control.is_some_and(|inode| matches!(inode.body, Body::Control)) {
            reply.error(Errno::EACCES);
            return;
        }
        match self.machine.command(&String::from_utf8_lossy(data)) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => {
                let _ = writeln!(io::stderr().lock(), "fake-machine: {error}");
                reply.error(Errno::EINVAL);
            }
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.handles().remove(&handle.0);
        reply.ok();
    }
}
