//! The nodes of the tree by number and by parent, as a file system wants them.

use std::collections::HashMap;

use crate::layout::{self, Content, Presence, Value};
use crate::model::TrueMachine;

/// The root's number, which FUSE fixes.
const ROOT: u64 = 1;

/// A node of the file system.
#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) body: Body,
    pub(crate) presence: Presence,
    /// Permission bits.
    pub(crate) mode: u32,
    /// The user who owns it, when that is not the server's.
    pub(crate) owner: Option<u32>,
    parent: u64,
    children: Vec<u64>,
}

/// What is in it.
#[derive(Debug)]
pub(crate) enum Body {
    Directory,
    Link(String),
    Text(String),
    Live(Value),
    /// Takes commands, and shows what the last one came to.
    Control,
    Truth,
}

/// All nodes; numbers are places in the list, counted from 1.
#[derive(Debug)]
pub(crate) struct Inodes {
    list: Vec<Inode>,
}

impl Inodes {
    pub(crate) fn of(machine: &TrueMachine) -> Self {
        let mut inodes = Self { list: Vec::new() };
        inodes.add(ROOT, "", Body::Directory, Presence::Always, 0o755);
        inodes.add(ROOT, "ctl", Body::Control, Presence::Always, 0o600);
        inodes.add(ROOT, "truth", Body::Truth, Presence::Always, 0o444);
        // A pid that is used again has two directories of one path: what follows lies in the last.
        let mut directories = HashMap::new();
        for node in layout::nodes(machine) {
            let (parent, name) = match node.path.rsplit_once('/') {
                Some((parent, name)) => (directories.get(parent).copied(), name),
                None => (None, node.path.as_str()),
            };
            let body = match node.content {
                Content::Directory => Body::Directory,
                Content::Link(target) => Body::Link(target),
                Content::Text(text) => Body::Text(text),
                Content::Live(value) => Body::Live(value),
            };
            let directory = matches!(body, Body::Directory);
            let parent = parent.unwrap_or(ROOT);
            let number = inodes.add(parent, name, body, node.presence, node.mode);
            if let Some(inode) = inodes.list.last_mut() {
                inode.owner = node.presence.owner(machine);
            }
            if directory {
                directories.insert(node.path, number);
            }
        }
        inodes
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Inode> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.list.get(index)
    }

    pub(crate) fn parent(&self, number: u64) -> u64 {
        self.get(number).map_or(ROOT, |inode| inode.parent)
    }

    /// What a directory ever holds, in a fixed order.
    pub(crate) fn children(&self, number: u64) -> impl Iterator<Item = &Inode> {
        let children = self.get(number).map_or(&[][..], |inode| &inode.children);
        children.iter().filter_map(|child| self.get(*child))
    }

    fn add(&mut self, parent: u64, name: &str, body: Body, presence: Presence, mode: u32) -> u64 {
        let number = self.list.len() as u64 + 1;
        self.list.push(Inode { number, name: name.to_owned(), body, presence, mode, owner: None, parent, children: Vec::new() });
        let above = usize::try_from(parent - 1).unwrap_or(0);
        if number != ROOT
            && let Some(above) = self.list.get_mut(above)
        {
            above.children.push(number);
        }
        number
    }
}
