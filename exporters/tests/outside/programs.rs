//! Programs of others that tests need, and what to do where one is missing.

use std::fs::OpenOptions;
use std::io::Write;
#[cfg(feature = "otlp")]
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Says that a test could not run here: a line in the file that `TREEHOUSE_SKIP_LOG` names.
pub(crate) fn skip(test: &str, why: &str) {
    eprintln!("skipped: {test}: {why}");
    if let Some(path) = std::env::var_os("TREEHOUSE_SKIP_LOG") {
        let mut log = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(log, "required: {test}: {why}").unwrap();
    }
}

/// `promtool`, where it is installed.
pub(crate) fn promtool(test: &str) -> Option<Command> {
    let there = Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return Some(Command::new("promtool"));
    }
    skip(test, "promtool is not installed (package prometheus)");
    None
}

/// A program of the Python environment: by its own variable, or inside the environment.
#[cfg(feature = "otlp")]
pub(crate) fn receiver(test: &str, variable: &str, inside: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv");
    let venv = std::env::var_os("TREEHOUSE_TEST_VENV").map_or(root, PathBuf::from);
    let named = std::env::var_os(variable).map(PathBuf::from);
    let found = named.filter(|path| path.is_file()).or_else(|| find(&venv, inside));
    if found.is_none() {
        skip(test, &format!("no {inside} in {} (set TREEHOUSE_TEST_VENV or {variable})", venv.display()));
    }
    found
}

/// `inside` may begin with a `*` for the folder that is named after Python's version.
#[cfg(feature = "otlp")]
fn find(venv: &Path, inside: &str) -> Option<PathBuf> {
    let Some(rest) = inside.strip_prefix("lib/*/") else {
        return Some(venv.join(inside)).filter(|path| path.is_file());
    };
    let folders = std::fs::read_dir(venv.join("lib")).ok()?;
    folders.filter_map(|entry| Some(entry.ok()?.path().join(rest))).find(|path| path.is_file())
}
