//! Copies what the kernel shows into an archive, scene by scene: trees for tests that cannot have this kernel.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::checks::Checks;
use crate::modules::{run, set};

/// What is looked at; what its links named [`FOLLOWED`] point to is copied too.
const ROOTS: [&str; 6] = [
    "/sys/class/powercap",
    "/sys/class/hwmon",
    "/sys/class/power_supply",
    "/sys/bus/iio/devices",
    "/sys/bus/event_source/devices/power",
    "/sys/devices/system/cpu",
];
const FOLLOWED: [&str; 1] = ["device"];
/// Folders without anything that a meter reads.
const LEFT_OUT: [&str; 9] =
    ["power", "cpufreq", "cpuidle", "cache", "microcode", "hotplug", "vulnerabilities", "node0", "crash_hotplug"];
const FILES: [&str; 3] = ["/proc/cpuinfo", "/proc/meminfo", "/proc/version"];
/// Whatever is put here is sent.
pub(crate) const PLACE: &str = "/tmp/recorded";

/// The whole machine, and its rails once more in the form of the first drivers.
pub(crate) fn machine(checks: &mut Checks) {
    checks.check("the trees that the kernel shows are recorded", || {
        let mut copy = Copy::into("machine");
        for root in ROOTS {
            copy.tree(Path::new(root))?;
        }
        for file in FILES {
            copy.file(Path::new(file))?;
        }
        set("known_odpm", "old_form", "1")?;
        let old = Copy::into("old-rails").tree(Path::new("/sys/bus/iio/devices"));
        set("known_odpm", "old_form", "0")?;
        old?;
        ensure!(copy.count > 100, "only {} files", copy.count);
        Ok(format!("{} files", copy.count))
    });
}

/// The powercap tree with a platform and a second door.
pub(crate) fn platform(checks: &mut Checks) {
    checks.check("the powercap tree of a platform is recorded", || {
        let mut copy = Copy::into("platform");
        copy.tree(Path::new("/sys/class/powercap"))?;
        Ok(format!("{} files", copy.count))
    });
}

/// Sends what was recorded as one archive.
pub(crate) fn send(checks: &mut Checks, archive: &Path) {
    let sent = run(Command::new("tar").args(["-c", "-C", PLACE, "-f"]).arg(archive).arg("."));
    if let Err(error) = sent {
        checks.record("what was recorded is sent", Err(error));
    }
}

/// A copy under way.
struct Copy {
    place: PathBuf,
    seen: BTreeSet<PathBuf>,
    count: usize,
}

impl Copy {
    fn into(scene: &str) -> Self {
        Self { place: Path::new(PLACE).join(scene), seen: BTreeSet::new(), count: 0 }
    }

    /// A folder or a link, with all that is in it.
    fn tree(&mut self, path: &Path) -> Result<()> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        let metadata = path.symlink_metadata().with_context(|| format!("cannot look at {}", path.display()))?;
        if metadata.is_symlink() {
            return self.link(path, true);
        }
        let to = self.to(path);
        fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
        let is_class = ROOTS.iter().any(|root| Path::new(root) == path);
        for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
            let entry = entry?;
            let (below, kind, name) = (entry.path(), entry.file_type()?, entry.file_name());
            let name = name.to_string_lossy();
            if kind.is_symlink() {
                self.link(&below, is_class || FOLLOWED.contains(&&*name))?;
            } else if kind.is_dir() && !LEFT_OUT.contains(&&*name) {
                self.tree(&below)?;
            } else if kind.is_file() {
                self.file(&below)?;
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &Path, follow: bool) -> Result<()> {
        let target = fs::read_link(path).with_context(|| format!("cannot read {}", path.display()))?;
        let to = self.to(path);
        if to.symlink_metadata().is_err() {
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            symlink(&target, &to).with_context(|| format!("cannot make {}", to.display()))?;
        }
        if follow { self.tree(&plain(&path.parent().unwrap_or(path).join(target))) } else { Ok(()) }
    }

    /// A file that can be read; others are not in the copy.
    fn file(&mut self, path: &Path) -> Result<()> {
        let Ok(content) = fs::read(path) else { return Ok(()) };
        let to = self.to(path);
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        fs::write(&to, content).with_context(|| format!("cannot write {}", to.display()))?;
        self.count += 1;
        Ok(())
    }

    fn to(&self, path: &Path) -> PathBuf {
        self.place.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The path without `..`: links of sysfs go up real folders only.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(component);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_goes_up_is_followed_by_name() {
        assert_eq!(plain(Path::new("/sys/class/hwmon/../../devices/x")), Path::new("/sys/devices/x"));
    }
}
