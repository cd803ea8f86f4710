//! What the tests of `serve` share.

use std::process::Command;

use fake_machine::Guard;
use treehouse_tests::machine;
use treehouse_tests::scratch::Scratch;

pub(crate) const TREEHOUSE: &str = env!("CARGO_BIN_EXE_treehouse-under-test");
pub(crate) const FAKE_MACHINE: &str = env!("CARGO_BIN_EXE_fake-machine-under-test");
pub(crate) const STRANGER: &str = env!("CARGO_BIN_EXE_stranger-under-test");

/// Exact sums are compared in these names.
pub(crate) const HOST: &str = "hw_host_energy_joules_total";
/// Its sum is the host's.
pub(crate) const WORKLOADS: &str = "treehouse_workload_energy_joules_total";

/// The program with a configuration, on the counters of a fake machine; processes are the real ones.
pub(crate) fn on(scratch: &Scratch, machine: &Guard, configuration: &str) -> Command {
    let mut command = scratch.command(TREEHOUSE);
    command.arg("--config").arg(scratch.write("config.toml", configuration).unwrap());
    command.args(machine::meters(machine));
    command
}

/// The same with the fake machine's processes and groups, which never come or go.
pub(crate) fn inside(scratch: &Scratch, machine: &Guard, configuration: &str) -> Command {
    let mut command = scratch.command(TREEHOUSE);
    command.arg("--config").arg(scratch.write("config.toml", configuration).unwrap());
    command.args(machine::everything(machine));
    command
}
