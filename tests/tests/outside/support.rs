//! What these tests share.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fake_machine::Guard;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::Energy;
use treehouse_tests::machine;
use treehouse_tests::scratch::Scratch;

pub(crate) const TREEHOUSE: &str = env!("CARGO_BIN_EXE_treehouse-under-test");
pub(crate) const FAKE_MACHINE: &str = env!("CARGO_BIN_EXE_fake-machine-under-test");
/// Nothing here takes as long.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The program on all of a fake machine, whose processes never come or go.
pub(crate) fn on(scratch: &Scratch, machine: &Guard, configuration: &str) -> Command {
    let mut command = scratch.command(TREEHOUSE);
    command.arg("--config").arg(scratch.write("config.toml", configuration).unwrap());
    command.args(machine::everything(machine));
    command
}

/// Asks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(100));
    }
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
