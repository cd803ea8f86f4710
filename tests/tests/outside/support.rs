//! What these tests share.

use std::process::Command;
use std::time::Duration;

use fake_machine::Guard;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::Energy;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::eventually;
use treehouse_tests::{machine, wait};

pub(crate) const TREEHOUSE: &str = env!("CARGO_BIN_EXE_treehouse-under-test");
pub(crate) const FAKE_MACHINE: &str = env!("CARGO_BIN_EXE_fake-machine-under-test");
/// Nothing here takes as long.
pub(crate) const LIMIT: Duration = wait::LIMIT;

/// The program on all of a fake machine, whose processes never come or go.
pub(crate) fn on(scratch: &Scratch, machine: &Guard, configuration: &str) -> Command {
    let mut command = scratch.command(TREEHOUSE);
    command.arg("--config").arg(scratch.write("config.toml", configuration).unwrap());
    command.args(machine::everything(machine));
    command
}

/// Waits until two intervals in a row show the same energy, as they do on a machine that draws no power: the host in millijoules.
pub(crate) fn settled(daemon: &Daemon) -> u64 {
    let mut last = None;
    eventually("an interval without energy", || {
        let energy = Energy::of(daemon).unwrap();
        let now = (energy.until, energy.host_mj()?);
        match last {
            Some((until, _)) if until == now.0 => None,
            Some((_, host_mj)) if host_mj == now.1 => Some(host_mj),
            _ => {
                last = Some(now);
                None
            }
        }
    })
}
