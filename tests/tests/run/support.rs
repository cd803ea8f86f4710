//! What the tests of `run` share.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use fake_machine::{Guard, Truth};
use treehouse_tests::child::{self, Ended};
use treehouse_tests::scratch::Scratch;
use treehouse_tests::{machine, wait};

pub(crate) const TREEHOUSE: &str = env!("CARGO_BIN_EXE_treehouse-under-test");
pub(crate) const FAKE_MACHINE: &str = env!("CARGO_BIN_EXE_fake-machine-under-test");
/// No command of these tests takes as long.
pub(crate) const LIMIT: Duration = wait::LIMIT;

/// `treehouse run --format json` on the counters of a fake machine, up to and including `--`.
pub(crate) fn on(scratch: &Scratch, machine: &Guard) -> Command {
    let mut command = scratch.command(TREEHOUSE);
    command.args(machine::meters(machine)).args(["--format", "json", "run", "--"]);
    command
}

/// The same without a meter: the model.
pub(crate) fn on_model(scratch: &Scratch) -> Command {
    let mut command = scratch.command(TREEHOUSE);
    command.arg("--sysfs").arg(scratch.folder("empty").unwrap()).args(["--format", "json", "run", "--"]);
    command
}

/// Runs a shell script under the given `run`; further arguments are its `$0`, `$1` …
pub(crate) fn shell(mut command: Command, script: &str, arguments: &[OsString]) -> Ended {
    child::run(command.args(["sh", "-c", script]).args(arguments), LIMIT).unwrap()
}

/// What is true between two truths, in joules.
pub(crate) fn between(first: &Truth, last: &Truth) -> f64 {
    machine::host_j(last) - machine::host_j(first)
}

/// A number of a report.
pub(crate) fn number(report: &serde_json::Value, field: &str) -> f64 {
    report[field].as_f64().unwrap_or_else(|| panic!("no number {field} in {report}"))
}
