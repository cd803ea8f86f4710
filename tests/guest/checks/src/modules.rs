//! Kernel modules, loaded and unloaded with busybox.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Watts of the package without any work; see `known_energy.c`.
const IDLE_W: u64 = 10;
/// Watts of the memory.
const DRAM_W: u64 = 3;
/// Watts that one busy processor adds.
const BUSY_W: u64 = 20;

/// Loads the registers, so that each comes back to zero in the middle of a measurement of this length.
pub(crate) fn load_registers(seconds: u64) -> Result<()> {
    // Late enough for the measurement to have begun, early enough for it not to be over.
    let package = seconds * IDLE_W * 1000 * 7 / 10;
    let core = (seconds * BUSY_W * 1000 / 6) * 6 / 10;
    let dram = seconds * DRAM_W * 1000 / 2;
    load("known_energy", &[&format!("wrap_after_mj={package},{core},{dram},0")])
}

/// Loads a module with parameters such as `psys=1`.
pub(crate) fn load(name: &str, parameters: &[&str]) -> Result<()> {
    run(Command::new("modprobe").arg(name).args(parameters))
}

/// Unloads a module.
pub(crate) fn unload(name: &str) -> Result<()> {
    run(Command::new("rmmod").arg(name))
}

/// Runs a command that must succeed; what it said is in the error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
