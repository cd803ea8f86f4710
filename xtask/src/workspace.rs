//! Where the repository is, and how programs are started in it.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::network;

/// The repository, as `cargo metadata` describes it.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    metadata: Value,
}

impl Workspace {
    /// Asks cargo, from wherever in the repository the caller stands.
    pub(crate) fn find() -> Result<Self> {
        let mut command = Command::new(cargo_program());
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        if let Some(directory) = env::var_os("CARGO_MANIFEST_DIR") {
            command.arg("--manifest-path").arg(Path::new(&directory).join("Cargo.toml"));
        }
        let output = command.stdin(Stdio::null()).output().context("cannot start cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cannot read what cargo metadata printed")?;
        Ok(Self { root: path(&metadata, "workspace_root")?, target: path(&metadata, "target_directory")?, metadata })
    }

    /// The folder that holds the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for whatever is built, `target` unless the caller moved it.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Cargo in the root, without standard input.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.command(cargo_program());
        command.envs(network::CARGO.into_iter().filter(|(name, _)| env::var_os(name).is_none()));
        command
    }

    /// Any program in the root, without standard input and without what `cargo run` put into our environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            // Build scripts that watch these would run again each time cargo and xtask take turns.
            if name.to_str().is_some_and(describes_a_package) {
                command.env_remove(name);
            }
        }
        command
    }

    /// The names of all benchmark targets, sorted.
    pub(crate) fn benches(&self) -> Vec<String> {
        benches(&self.metadata)
    }
}

/// The cargo that started us, or the one on the path.
fn cargo_program() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Whether cargo sets this variable to describe the package it runs.
fn describes_a_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_BIN_NAME"
}

/// An absolute path in cargo's metadata.
fn path(metadata: &Value, key: &str) -> Result<PathBuf> {
    let text = metadata[key].as_str().with_context(|| format!("cargo metadata names no {key}"))?;
    let path = PathBuf::from(text);
    ensure!(path.is_absolute(), "cargo metadata names a relative {key}: {text}");
    Ok(path)
}

/// Names of the targets of kind `bench`.
fn benches(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let mut names: Vec<String> = targets
        .filter(|target| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bench")))
        .filter_map(|target| Some(target["name"].as_str()?.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn benchmarks_are_the_targets_of_that_kind_in_any_package() {
        let metadata = json!({"packages": [
            {"targets": [{"name": "one", "kind": ["lib"]}, {"name": "sampler", "kind": ["bench"]}]},
            {"targets": [{"name": "attribution", "kind": ["bench"]}, {"name": "end_to_end", "kind": ["test"]}]},
        ]});
        assert_eq!(benches(&metadata), ["attribution", "sampler"]);
    }

    #[test]
    fn the_workspace_is_found_and_holds_this_package() {
        let workspace = Workspace::find().unwrap();
        assert!(workspace.root().join("xtask/Cargo.toml").is_file(), "{workspace:?}");
        assert!(workspace.target().is_absolute());
    }

    #[test]
    fn what_cargo_says_of_this_package_is_not_passed_on() {
        assert!(describes_a_package("CARGO_PKG_VERSION_MAJOR"));
        assert!(describes_a_package("CARGO_MANIFEST_DIR"));
        assert!(!describes_a_package("CARGO_HOME"));
        assert!(!describes_a_package("CARGO_TARGET_DIR"));
        assert!(!describes_a_package("CARGO"));
    }
}
