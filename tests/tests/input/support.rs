//! What these tests share.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use treehouse_tests::child::{self, Ended};
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait;

pub(crate) const TREEHOUSE: &str = env!("CARGO_BIN_EXE_treehouse-under-test");
pub(crate) const FAKE_MACHINE: &str = env!("CARGO_BIN_EXE_fake-machine-under-test");
/// A refusal that takes longer is none: the program runs.
pub(crate) const LIMIT: Duration = wait::LIMIT;

/// The program, with nothing of the user's.
pub(crate) fn treehouse<I: Into<OsString>>(scratch: &Scratch, arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = scratch.command(TREEHOUSE);
    command.args(arguments.into_iter().map(Into::into));
    command
}

/// Runs the program to its end.
pub(crate) fn run<I: Into<OsString>>(scratch: &Scratch, arguments: impl IntoIterator<Item = I>) -> Ended {
    child::run(&mut treehouse(scratch, arguments), LIMIT).unwrap()
}
