//! The guest's first and only file system: busybox, `init`, the static programs, and the modules that are loaded.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::depends::Depends;
use super::kit::Kit;
use super::{Folder, make_anew, succeed};
use crate::workspace::Workspace;

/// Where the guest's own files are.
const FILES: &str = "tests/guest";
/// Modules of Debian's kernel that the guest loads or that ours need, by name.
const MODULES: [&str; 6] = ["virtio_pci", "virtio_console", "i2c-stub", "i2c-dev", "ina2xx-adc", "industrialio"];
/// Folders that are mounted over, or that something is written to.
const FOLDERS: [&str; 8] = ["bin", "dev", "etc", "lib", "proc", "root", "sys", "tmp"];

/// Writes the image and returns where it is.
///
/// # Errors
/// Something that goes into it is missing.
pub(super) fn write(
    kit: &Kit,
    workspace: &Workspace,
    ours: &[PathBuf],
    programs: &[PathBuf],
    folder: &Folder,
) -> Result<PathBuf> {
    let busybox = kit.file("bin/busybox")?;
    let root = folder.join("image");
    lay_out_modules(kit, workspace, &busybox, ours, &root)?;
    let path = folder.join("image.cpio");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut archive = Archive::new(BufWriter::new(file));
    let mut folders: BTreeSet<String> = FOLDERS.map(str::to_owned).into();
    let mut files = vec![("bin/busybox".to_owned(), busybox), ("init".to_owned(), workspace.root().join(FILES).join("init"))];
    files.extend(programs.iter().map(|program| (format!("bin/{}", file_name(program)), program.clone())));
    for path in walk(&root)? {
        let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
        folders.extend(Path::new(&name).ancestors().skip(1).map(|above| above.to_string_lossy().into_owned()));
        files.push((name, path));
    }
    let write = || -> Result<()> {
        for name in folders.iter().filter(|name| !name.is_empty()) {
            archive.folder(name)?;
        }
        // The kernel opens it for init before anything is mounted.
        archive.device("dev/console", 5, 1)?;
        for (name, file) in &files {
            let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            archive.file(name, 0o755, &content)?;
        }
        Ok(archive.finish()?)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Puts the modules where modprobe looks, with the lists it reads.
fn lay_out_modules(kit: &Kit, workspace: &Workspace, busybox: &Path, ours: &[PathBuf], root: &Path) -> Result<()> {
    let theirs = kit.modules();
    if !theirs.join("modules.dep").exists() {
        depmod(workspace, busybox, &kit.folder(""), kit.release())?;
    }
    let list = theirs.join("modules.dep");
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    make_anew(root)?;
    let place = root.join("lib/modules").join(kit.release());
    for module in Depends::parse(&text).closure(&MODULES)? {
        copy(&theirs.join(module), &place.join(module))?;
    }
    for module in ours {
        copy(module, &place.join("extra").join(file_name(module)))?;
    }
    for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        copy(&theirs.join(list), &place.join(list))?;
    }
    depmod(workspace, busybox, root, kit.release())
}

fn depmod(workspace: &Workspace, busybox: &Path, root: &Path, release: &str) -> Result<()> {
    let mut command = workspace.command(busybox);
    command.args(["depmod", "-b"]).arg(root).arg(release);
    succeed(command, "busybox depmod")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Every file below a folder, sorted.
fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(walk(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
