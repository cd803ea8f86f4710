//! `treehouse run` on a fake machine: the energy, the command as a child, and its whole process tree.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that meets what it does not expect has failed")]

mod accuracy;
mod child;
mod faults;
mod gpu;
mod support;
mod tree;
