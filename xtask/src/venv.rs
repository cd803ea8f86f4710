//! A Python environment under `target` with programs of others that read what we export.
//!
//! Receivers of OpenTelemetry metrics, two small programs for two ways in: `oteltap` speaks HTTP with protobuf (uncompressed), prints each
//! metric as a line of JSON and exits 0 once one matches `--await-metric REGEX`; `rotel` speaks gRPC and
//! HTTP and prints what arrives with `--debug-log metrics --debug-log-verbosity detailed`.
//! Both bring their own native library, so nothing is compiled. And the parser of `prometheus_client`, which
//! is strict about OpenMetrics.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::network;
use crate::setting::Setting;
use crate::workspace::Workspace;

/// What pip installs. Fixed, so that a new version cannot fail a change that has nothing to do with it.
const REQUIREMENTS: [&str; 3] = ["oteltap==1.0.0", "prometheus-client==0.26.0", "rotel==0.0.1a15"];
/// The file that says which requirements an environment was made with.
const STAMP: &str = "requirements.txt";

/// The environment, complete.
#[derive(Debug)]
pub(crate) struct Venv {
    folder: PathBuf,
    rotel: PathBuf,
}

impl Venv {
    /// The variables that tell the tests where the programs are.
    pub(crate) fn variables(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("TREEHOUSE_TEST_VENV", self.folder.clone()),
            ("TREEHOUSE_TEST_OTELTAP", self.folder.join("bin/oteltap")),
            ("TREEHOUSE_TEST_ROTEL", self.rotel.clone()),
        ]
    }
}

/// Finds the environment, or makes it if that is allowed; `None` means that tests must do without.
///
/// # Errors
/// When it was to be made and could not be.
pub(crate) fn prepare(workspace: &Workspace, setting: Setting) -> Result<Option<Venv>> {
    let folder = workspace.target().join("venv");
    let shown = folder.strip_prefix(workspace.root()).unwrap_or(&folder).display();
    if let Some(venv) = find(&folder) {
        println!("   python: {shown} is there");
        return Ok(Some(venv));
    }
    if !setting.install {
        println!("   python: no environment, and --no-install: tests that need Python will be skipped");
        return Ok(None);
    }
    let Some(python) = python(workspace) else {
        println!("   python: no python3 with venv: tests that need Python will be skipped");
        return Ok(None);
    };
    println!("   python: installing {} in {shown}", REQUIREMENTS.join(" "));
    make(workspace, &python, &folder)?;
    let venv = find(&folder);
    ensure!(venv.is_some(), "pip reported success, but {shown} lacks oteltap or rotel");
    Ok(venv)
}

/// A Python that can make an environment: the one on the path, or else Debian's.
pub(crate) fn python(workspace: &Workspace) -> Option<OsString> {
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|program| {
            workspace
                .command(program)
                .args(["-c", "import venv, ensurepip"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
        .map(OsString::from)
}

/// The environment in this folder, if it is complete and made with the present requirements.
fn find(folder: &Path) -> Option<Venv> {
    let stamp = fs::read_to_string(folder.join(STAMP)).ok()?;
    if stamp != stamp_text() || !folder.join("bin/oteltap").is_file() {
        return None;
    }
    // The folder between is named after Python's version.
    let libraries = fs::read_dir(folder.join("lib")).ok()?;
    let rotel = libraries
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/rotel/rotel-agent")))
        .find(|path| path.is_file())?;
    Some(Venv { folder: folder.to_owned(), rotel })
}

/// Makes the environment afresh.
fn make(workspace: &Workspace, python: &OsString, folder: &Path) -> Result<()> {
    let filled = network::insist(&format!("pip install {}", REQUIREMENTS.join(" ")), || {
        // Afresh each time: what was half made is no ground to build on.
        let made =
            workspace.command(python).args(["-m", "venv", "--clear"]).arg(folder).status().context("cannot start python3")?;
        ensure!(made.success(), "python3 -m venv {} failed; see above, or pass --no-install", folder.display());
        let filled = workspace
            .command(folder.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-input",
                "--retries=10",
                "--timeout=60",
            ])
            .args(REQUIREMENTS)
            .status()
            .context("cannot start pip")?;
        Ok(filled.success())
    })?;
    ensure!(filled, "pip install {} failed; see above, or pass --no-install", REQUIREMENTS.join(" "));
    // Written last: an environment without it is made again.
    let stamp = folder.join(STAMP);
    fs::write(&stamp, stamp_text()).with_context(|| format!("cannot write {}", stamp.display()))
}

/// What the stamp holds.
fn stamp_text() -> String {
    REQUIREMENTS.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// An environment as pip leaves it, in a folder of its own.
    fn environment(stamp: &str) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let packages = folder.join("lib/python3.11/site-packages/rotel");
        fs::create_dir_all(&packages).unwrap();
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::write(packages.join("rotel-agent"), "").unwrap();
        fs::write(folder.join("bin/oteltap"), "").unwrap();
        fs::write(folder.join(STAMP), stamp).unwrap();
        root
    }

    #[test]
    fn a_complete_environment_is_found_with_both_programs() {
        let folder = environment(&stamp_text());
        let venv = find(folder.path());
        let there = venv.as_ref().map(|venv| venv.variables().map(|(_, path)| path.exists()));
        assert_eq!(there, Some([true; 3]), "{venv:?}");
    }

    #[test]
    fn an_environment_of_other_requirements_is_made_again() {
        let folder = environment("oteltap==0.1\n");
        let venv = find(folder.path());
        assert!(venv.is_none(), "{venv:?}");
    }

    #[test]
    fn an_environment_that_lost_a_program_is_made_again() {
        let folder = environment(&stamp_text());
        fs::remove_file(folder.path().join("bin/oteltap")).unwrap();
        let venv = find(folder.path());
        assert!(venv.is_none(), "{venv:?}");
    }
}
