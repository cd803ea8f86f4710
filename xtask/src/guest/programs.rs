//! Builds what runs in the guest: static programs, since nothing of a distribution is there.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::succeed;
use crate::workspace::Workspace;

/// Named, so that build scripts and macros are built without the flags.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Packages, and the programs they bring under the same name.
const PROGRAMS: [&str; 2] = ["treehouse", "guest-checks"];
/// No library of the system is needed; names of functions are left out, for the guest unpacks everything into memory.
const FLAGS: &str = "-C target-feature=+crt-static -C strip=symbols";

/// Builds both and returns where they are.
///
/// # Errors
/// They do not compile.
pub(super) fn build(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--target", TARGET]);
    for program in PROGRAMS {
        cargo.args(["--package", program, "--bin", program]);
    }
    let given = env::var("RUSTFLAGS").unwrap_or_default();
    cargo.env("RUSTFLAGS", format!("{given} {FLAGS}").trim());
    succeed(cargo, "cargo build")?;
    let folder = workspace.target().join(TARGET).join("debug");
    let programs: Vec<PathBuf> = PROGRAMS.iter().map(|program| folder.join(program)).collect();
    for program in &programs {
        ensure!(program.is_file(), "cargo reported success, but {} is not there", program.display());
    }
    Ok(programs)
}
