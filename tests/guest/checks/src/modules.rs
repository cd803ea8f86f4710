//! Kernel modules, loaded and unloaded with busybox, and their parameters.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Loads a module with parameters such as `psys=1`.
pub(crate) fn load(name: &str, parameters: &[&str]) -> Result<()> {
    run(Command::new("modprobe").arg(name).args(parameters))
}

/// Unloads a module.
pub(crate) fn unload(name: &str) -> Result<()> {
    run(Command::new("rmmod").arg(name))
}

/// Writes a parameter of a loaded module.
pub(crate) fn set(module: &str, parameter: &str, value: &str) -> Result<()> {
    let path = format!("/sys/module/{module}/parameters/{parameter}");
    fs::write(&path, value).with_context(|| format!("cannot write {value} to {path}"))
}

/// Runs a command that must succeed; what it said is in the error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
