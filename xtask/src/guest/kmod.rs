//! Builds the kernel modules of `tests/guest/kmod`, with a few drivers of the kernel itself, in a folder under `target`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::kit::Kit;
use super::{Folder, succeed};
use crate::workspace::Workspace;

/// Where the sources are.
const SOURCES: &str = "tests/guest/kmod";

/// Builds what changed and returns the modules, sorted.
///
/// # Errors
/// A source cannot be copied, or it does not compile.
pub(super) fn build(workspace: &Workspace, kit: &Kit, folder: &Folder) -> Result<Vec<PathBuf>> {
    let place = folder.join("kmod");
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    let mut changed = false;
    for source in sources(&workspace.root().join(SOURCES))?.into_iter().chain(kit.drivers()) {
        changed |= copy_if_changed(&source, &place)?;
    }
    let release = place.join("release");
    changed |= fs::read_to_string(&release).ok().as_deref() != Some(kit.release());
    if changed {
        let mut make = workspace.command("make");
        make.args(["--silent", "--jobs=2", "--directory"])
            .arg(kit.common_headers()?)
            .arg(variable("O", &kit.headers()))
            .arg(variable("M", &place))
            // Debian's image brings no vmlinux to take types from, and nothing here needs them.
            .arg("CONFIG_DEBUG_INFO_BTF_MODULES=")
            .arg("modules")
            .stdout(Stdio::null())
            .env("LD_LIBRARY_PATH", kit.library_path()?);
        // A stamp from before must not outlive a build that fails.
        let _ = fs::remove_file(&release);
        succeed(make, "make modules")?;
        fs::write(&release, kit.release()).with_context(|| format!("cannot write {}", release.display()))?;
    }
    let modules = with_extension(&place, "ko")?;
    ensure!(!modules.is_empty(), "{} holds no module", place.display());
    Ok(modules)
}

/// What the build reads: C, headers and the list of objects.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut sources = with_extension(folder, "c")?;
    sources.extend(with_extension(folder, "h")?);
    sources.push(folder.join("Kbuild"));
    Ok(sources)
}

/// The files with this ending, sorted.
fn with_extension(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == extension)).filter(|path| !is_generated(path)).collect();
    paths.sort();
    Ok(paths)
}

/// The build leaves sources of its own beside ours.
fn is_generated(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".mod.c"))
}

/// Copies a file into a folder, unless the same is there: make goes by the time of a change.
fn copy_if_changed(source: &Path, folder: &Path) -> Result<bool> {
    let new = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
    let copy = folder.join(source.file_name().unwrap_or_default());
    if fs::read(&copy).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    fs::write(&copy, new).with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(true)
}

fn variable(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
