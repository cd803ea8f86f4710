//! cargo-deny, which checks licences, banned crates and sources.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::network;
use crate::setting::Setting;
use crate::workspace::Workspace;

/// The one way to get it; it is compiled, in about three minutes on two cores, once a machine.
const INSTALL: [&str; 3] = ["install", "cargo-deny", "--locked"];

/// Finds cargo-deny, or installs it if that is allowed; false means that the step cannot run.
///
/// # Errors
/// When it was to be installed and could not be.
pub(crate) fn prepare(workspace: &Workspace, setting: Setting) -> Result<bool> {
    if is_there(workspace) {
        println!("   cargo-deny: is there");
        return Ok(true);
    }
    if !setting.install {
        println!("   cargo-deny: not there, and --no-install");
        return Ok(false);
    }
    println!("   cargo-deny: cargo {}, once, about three minutes", INSTALL.join(" "));
    let line = format!("cargo {}", INSTALL.join(" "));
    let installed =
        network::insist(&line, || Ok(workspace.cargo().args(INSTALL).status().context("cannot start cargo install")?.success()))?;
    ensure!(installed && is_there(workspace), "{line} failed; see above, or pass --no-install");
    Ok(true)
}

/// Whether cargo finds it, on the path or in its own folder.
fn is_there(workspace: &Workspace) -> bool {
    workspace
        .cargo()
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
