//! The machine as ordinary files, for virtual time and for places without FUSE.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::error::TreeError;
use crate::fault::{Fault, ReadError};
use crate::layout::{self, Content, Node, Value};
use crate::model::TrueMachine;
use crate::moment::Moment;
use crate::padded::PaddedFile;

/// A tree `DIR/{sys,proc,cgroup}` of ordinary files that shows a machine at one instant at a time.
///
/// Values are renewed by one `pwrite` of the file's whole width, padded with newlines, so that a
/// reader never finds an empty or a short file. (The page cache copies without a lock: digits of two
/// renewals in one read have not been seen, but are not ruled out.) Faults show as far as ordinary files can:
/// garbage, empty, negative, zero and stall are texts; gone unlinks (a descriptor held from before
/// keeps its last value, where a real one would read ENODEV); eacces is mode 000, which does not
/// keep root out; eio and enodev are an error of [`PlainTree::update`].
///
/// Zones and processes are fixed when the tree is written; steps, pulses, faults and counters may
/// be added to the machine at any time.
#[derive(Debug)]
pub struct PlainTree {
    root: PathBuf,
    entries: Vec<Entry>,
}

/// A node and its file.
#[derive(Debug)]
struct Entry {
    node: Node,
    path: PathBuf,
    shown: bool,
    file: Option<PaddedFile>,
    mode: u32,
}

impl PlainTree {
    /// Writes the tree below `directory`, which is created when it is missing.
    ///
    /// # Errors
    /// When a file cannot be written, or a fault of that instant cannot be shown.
    pub fn write(directory: impl AsRef<Path>, machine: &TrueMachine, t: u64) -> Result<Self, TreeError> {
        let root = directory.as_ref().to_owned();
        fs::create_dir_all(&root).map_err(|source| at(&root, source))?;
        let entries = layout::nodes(machine).into_iter().map(|node| Entry::new(&root, node)).collect();
        let mut tree = Self { root, entries };
        tree.update(machine, t)?;
        Ok(tree)
    }

    /// Brings every file to instant `t`.
    ///
    /// # Errors
    /// The first file that could not be written, or whose fault plain files cannot show; all other
    /// files are renewed all the same.
    pub fn update(&mut self, machine: &TrueMachine, t: u64) -> Result<(), TreeError> {
        let moment = machine.at(t);
        let mut outcome = Ok(());
        for entry in self.entries.iter_mut().rev() {
            if entry.shown && !entry.node.presence.holds(&moment) {
                outcome = outcome.and(entry.remove());
            }
        }
        for entry in &mut self.entries {
            if !entry.shown && entry.node.presence.holds(&moment) {
                outcome = outcome.and(entry.create(machine));
            }
            if entry.shown {
                outcome = outcome.and(entry.renew(&moment));
            }
        }
        outcome
    }

    /// Takes every file of the tree away again; the directory itself stays.
    ///
    /// # Errors
    /// The first file that could not be removed.
    pub fn remove(mut self) -> Result<(), TreeError> {
        let mut outcome = Ok(());
        for entry in self.entries.iter_mut().rev().filter(|entry| entry.shown) {
            outcome = outcome.and(entry.remove());
        }
        outcome
    }

    /// What to pass as `--sysfs`.
    pub fn sysfs(&self) -> PathBuf {
        self.root.join("sys")
    }

    /// What to pass as `--procfs`.
    pub fn procfs(&self) -> PathBuf {
        self.root.join("proc")
    }

    /// What to pass as `--cgroupfs`.
    pub fn cgroupfs(&self) -> PathBuf {
        self.root.join("cgroup")
    }
}

impl Entry {
    fn new(root: &Path, node: Node) -> Self {
        Self { path: root.join(&node.path), shown: false, file: None, mode: node.mode, node }
    }

    fn create(&mut self, machine: &TrueMachine) -> Result<(), TreeError> {
        let path = &self.path;
        let made = match &self.node.content {
            Content::Directory => fs::create_dir(path),
            Content::Link(target) => symlink(target, path),
            Content::Text(text) => {
                let file = self.create_file();
                file.and_then(|mut file| file.write_all(text.as_bytes()))
            }
            Content::Live(_) => {
                let file = self.create_file();
                file.map(|file| self.file = Some(PaddedFile::new(file)))
            }
        };
        made.map_err(|source| at(path, source))?;
        if let Some(uid) = self.node.presence.owner(machine) {
            // Only root may give files away: others keep those of all processes.
            let _ = chown(path, Some(uid), Some(uid));
        }
        self.shown = true;
        self.mode = self.node.mode;
        Ok(())
    }

    fn create_file(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(self.node.mode);
        options.open(&self.path)
    }

    fn remove(&mut self) -> Result<(), TreeError> {
        let gone = match self.node.content {
            Content::Directory => fs::remove_dir(&self.path),
            _ => fs::remove_file(&self.path),
        };
        self.shown = false;
        self.file = None;
        gone.map_err(|source| at(&self.path, source))
    }

    fn renew(&mut self, moment: &Moment<'_>) -> Result<(), TreeError> {
        let Content::Live(value) = &self.node.content else {
            return Ok(());
        };
        match value.text(moment) {
            Ok(text) => {
                if let Some(file) = &mut self.file {
                    file.put(&text).map_err(|source| at(&self.path, source))?;
                }
                self.set_mode(self.node.mode)
            }
            Err(ReadError::Denied) => self.set_mode(0),
            Err(_) => Err(TreeError::CannotShow {
                path: self.path.clone(),
                fault: match value {
                    Value::Energy(zone) => moment.fault(*zone),
                    _ => Fault::Eio,
                },
            }),
        }
    }

    fn set_mode(&mut self, mode: u32) -> Result<(), TreeError> {
        if self.mode != mode {
            let permissions = Permissions::from_mode(mode);
            fs::set_permissions(&self.path, permissions).map_err(|source| at(&self.path, source))?;
            self.mode = mode;
        }
        Ok(())
    }
}

fn at(path: &Path, source: io::Error) -> TreeError {
    TreeError::Io { path: path.to_owned(), source }
}
