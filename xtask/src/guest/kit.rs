//! What boots: a kernel with its modules and headers, sources of its drivers, an emulator, busybox. All of it is Debian's.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::apt::{Apt, Beside};
use super::{Folder, make_anew, succeed};
use crate::packages::is_on_path;
use crate::setting::Setting;
use crate::workspace::Workspace;

/// The kernel: whatever these stand for today is taken together, so that image and headers are of one build.
const KERNEL: [&str; 3] = ["linux-image-amd64", "linux-headers-amd64", "linux-source"];
/// Beginnings of the names in that which are the kernel, and not what installing it would take.
const OF_THE_KERNEL: [&str; 5] = ["linux-image-", "linux-headers-", "linux-kbuild-", "linux-compiler-", "linux-source-"];
/// Programs; they come with the libraries that this machine lacks. libelf1 is for the kernel's build.
const TOOLS: [&str; 3] = ["qemu-system-x86", "busybox-static", "libelf1"];
/// Drivers of the kernel that Debian does not build for this architecture.
pub(super) const DRIVERS: [&str; 3] = ["drivers/hwmon/ina2xx.c", "drivers/hwmon/ina3221.c", "drivers/power/supply/test_power.c"];
/// What builds the modules and unpacks.
const BUILDERS: [&str; 5] = ["make", "gcc", "tar", "apt-get", "dpkg-deb"];

/// Whether there is a kit.
#[derive(Debug)]
pub(super) enum Ready {
    /// There is.
    Kit(Kit),
    /// There is none; the text says why, and what to do.
    Not(String),
}

/// Unpacked packages.
#[derive(Debug)]
pub(super) struct Kit {
    root: PathBuf,
    drivers: PathBuf,
    release: String,
}

impl Kit {
    /// Finds the kit, or fetches it where that is allowed.
    ///
    /// # Errors
    /// It was to be fetched and could not be.
    pub(super) fn prepare(workspace: &Workspace, setting: Setting, folder: &Folder) -> Result<Ready> {
        if env::consts::ARCH != "x86_64" {
            return Ok(Ready::Not(format!("the guest is an x86_64 machine, and this one builds for {}", env::consts::ARCH)));
        }
        let missing: Vec<&str> = BUILDERS.into_iter().filter(|program| !is_on_path(program)).collect();
        if !missing.is_empty() {
            let install = "sudo apt-get install --no-install-recommends build-essential";
            return Ok(Ready::Not(format!("no {} here; on Debian: {install}", missing.join(", "))));
        }
        let kit = folder.join("kit");
        let stamp = kit.join("complete");
        if fs::read_to_string(&stamp).is_ok_and(|text| text == stamp_text()) {
            println!("   {} is there; remove it to fetch a newer kernel", kit.display());
            return Self::find(&kit).map(Ready::Kit);
        }
        if !setting.install {
            return Ok(Ready::Not(format!("{} is not there, and --no-install", kit.display())));
        }
        println!("   fetching {} and {}, once, into {}", KERNEL.join(" "), TOOLS.join(" "), kit.display());
        make_anew(&kit)?;
        fetch(workspace, folder, &kit)?;
        let found = Self::find(&kit)?;
        // Written last: a kit without it is made again.
        fs::write(&stamp, stamp_text()).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(Ready::Kit(found))
    }

    fn find(kit: &Path) -> Result<Self> {
        let root = kit.join("root");
        let modules = root.join("lib/modules");
        let entries = fs::read_dir(&modules).with_context(|| format!("cannot read {}", modules.display()))?;
        let names: BTreeSet<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
        let release = names.into_iter().next_back().with_context(|| format!("{} holds no kernel", modules.display()))?;
        Ok(Self { root, drivers: kit.join("drivers"), release })
    }

    /// The kernel's release, such as `6.1.0-56-amd64`.
    pub(super) fn release(&self) -> &str {
        &self.release
    }

    /// The bootable kernel.
    pub(super) fn kernel(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// The folder of its modules.
    pub(super) fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }

    /// The folder of headers that all kernels of this version share.
    ///
    /// # Errors
    /// The release has no such part.
    pub(super) fn common_headers(&self) -> Result<PathBuf> {
        let version = self.release.strip_suffix("-amd64").context("the kernel is not of the flavour amd64")?;
        Ok(self.root.join(format!("usr/src/linux-headers-{version}-common")))
    }

    /// The folder of headers of this kernel.
    pub(super) fn headers(&self) -> PathBuf {
        self.root.join(format!("usr/src/linux-headers-{}", self.release))
    }

    /// Sources of [`DRIVERS`].
    pub(super) fn drivers(&self) -> Vec<PathBuf> {
        DRIVERS.iter().map(|driver| self.drivers.join(driver)).collect()
    }

    /// A file of a package: from the kit, or where this machine had it already.
    ///
    /// # Errors
    /// It is in neither.
    pub(super) fn file(&self, path: &str) -> Result<PathBuf> {
        let places = [self.root.join(path), Path::new("/").join(path)];
        let found = places.into_iter().find(|place| place.exists());
        found.with_context(|| {
            format!("neither this machine nor {} holds {path}; remove the folder to make it again", self.root.display())
        })
    }

    /// A folder in the kit, whether it is there or not.
    pub(super) fn folder(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The value of `LD_LIBRARY_PATH` with which programs of the kit run.
    ///
    /// # Errors
    /// A folder's name holds a colon.
    pub(super) fn library_path(&self) -> Result<OsString> {
        let folders = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|folder| self.root.join(folder));
        env::join_paths(folders).context("cannot name the folders of libraries")
    }
}

fn fetch(workspace: &Workspace, folder: &Folder, kit: &Path) -> Result<()> {
    let apt = Apt::new(workspace, folder.join("apt"))?;
    let kernel = apt.needed(&KERNEL, Beside::Nothing)?;
    let (sources, mut packages): (Vec<String>, Vec<String>) = kernel
        .into_iter()
        .filter(|name| OF_THE_KERNEL.iter().any(|beginning| name.starts_with(beginning)))
        .partition(|name| name.starts_with("linux-source-"));
    ensure!(!sources.is_empty() && packages.len() > 3, "apt-get names no kernel with headers and sources");
    packages.extend(apt.needed(&TOOLS, Beside::ThisMachine)?);
    apt.unpack(&packages, &kit.join("root"))?;
    let root = kit.join("sources");
    apt.unpack(&sources, &root)?;
    for source in &sources {
        unpack_drivers(workspace, &root.join(format!("usr/src/{source}.tar.xz")), source, &kit.join("drivers"))?;
    }
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))
}

/// Takes the few files out of the archive.
fn unpack_drivers(workspace: &Workspace, archive: &Path, name: &str, folder: &Path) -> Result<()> {
    make_anew(folder)?;
    let mut tar = workspace.command("tar");
    tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(folder).arg("--strip-components=1");
    if !is_on_path("xz") {
        let root = folder.with_file_name("root");
        tar.arg(format!("--use-compress-program={} xz", root.join("bin/busybox").display()));
    }
    tar.args(DRIVERS.map(|driver| format!("{name}/{driver}")));
    succeed(tar, &format!("tar --extract --file {}", archive.display()))
}

/// What the stamp holds: a kit made of other packages is made again.
fn stamp_text() -> String {
    format!("{}\n{}\n{}\n", KERNEL.join(" "), TOOLS.join(" "), DRIVERS.join(" "))
}
