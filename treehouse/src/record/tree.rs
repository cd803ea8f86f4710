//! Copies the small files that meters are found by, so that parsers can be tried on what a real machine shows.
//!
//! What is copied is named here, file by file: nothing with a serial number, a host name or a process is on the list.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use carbon_api::detect::Options;
use carbon_api::meter::replay::{TreeFacts, Unreadable};

use crate::failure::Failure;

/// The largest file of sysfs, which gives a page at a time, and of procfs.
const MOST_SYS: u64 = 16 << 10;
const MOST_PROC: u64 = 1 << 20;
/// The most of all files.
const MOST_FILES: usize = 20_000;
/// Stands for a file that is too large: EFBIG.
const TOO_LARGE: i32 = 27;

/// A folder of devices, which of its folders are entered, and which files are copied.
struct Class {
    base: &'static str,
    /// The names of entries that are devices.
    devices: &'static [&'static str],
    /// The names of folders inside them that are entered.
    folders: &'static [&'static str],
    /// The names of their files; `*` stands for anything.
    files: &'static [&'static str],
}

const CLASSES: [Class; 7] = [
    Class {
        base: "class/powercap",
        devices: &["intel-rapl*"],
        folders: &["intel-rapl*"],
        files: &["name", "enabled", "energy_uj", "max_energy_range_uj", "constraint_*"],
    },
    Class {
        base: "class/hwmon",
        devices: &["hwmon*"],
        folders: &[],
        files: &["name", "update_interval", "samples", "shunt*", "in*_*", "curr*_*", "power*_*", "energy*_*"],
    },
    Class {
        base: "class/power_supply",
        devices: &["*"],
        folders: &[],
        files: &[
            "type",
            "scope",
            "present",
            "status",
            "online",
            "technology",
            "energy_*",
            "charge_*",
            "power_*",
            "current_*",
            "voltage_*",
            "capacity*",
        ],
    },
    Class {
        base: "bus/iio/devices",
        devices: &["iio:device*"],
        folders: &[],
        files: &["name", "label", "energy_value", "enabled_rails", "available_rails", "*sampling_rate", "in_*", "rail_name_*"],
    },
    Class {
        base: "bus/i2c/drivers/ina3221x",
        devices: &["*-*"],
        folders: &["iio:device*", "hwmon", "hwmon*"],
        files: &["name", "in_*", "rail_name_*", "curr*_*", "in*_*"],
    },
    Class {
        base: "bus/event_source/devices",
        devices: &["power", "power_core"],
        folders: &["format", "events"],
        files: &["type", "cpumask", "event", "energy-*"],
    },
    Class {
        base: "devices/system/cpu",
        devices: &["cpu*"],
        folders: &["topology"],
        files: &["online", "physical_package_id", "die_id", "core_id", "*_list"],
    },
];

/// Single files of sysfs and procfs.
const SYS: [&str; 3] = ["devices/system/cpu/online", "devices/system/cpu/possible", "devices/system/cpu/present"];
const PROC: [&str; 5] = ["cpuinfo", "meminfo", "stat", "sys/kernel/perf_event_paranoid", "sys/kernel/osrelease"];

/// Copies into `<to>/sys` and `<to>/proc`; what cannot be read is listed, and stops nothing.
pub(super) fn copy(roots: &Options, to: &Path) -> Result<TreeFacts, Failure> {
    let wrong = |e: io::Error| Failure::system(to.display(), e);
    let mut facts = TreeFacts::default();
    let mut sys = Copy { from: roots.sysfs.clone(), to: to.join("sys"), most: MOST_SYS, label: "sys", facts: &mut facts };
    for class in &CLASSES {
        sys.class(class).map_err(wrong)?;
    }
    for file in SYS {
        sys.file(Path::new(file)).map_err(wrong)?;
    }
    let mut proc = Copy { from: roots.procfs.clone(), to: to.join("proc"), most: MOST_PROC, label: "proc", facts: &mut facts };
    for file in PROC {
        proc.file(Path::new(file)).map_err(wrong)?;
    }
    Ok(facts)
}

struct Copy<'a> {
    from: PathBuf,
    to: PathBuf,
    most: u64,
    label: &'static str,
    facts: &'a mut TreeFacts,
}

/// Errors are those of writing; what cannot be read is noted in the facts.
impl Copy<'_> {
    fn class(&mut self, class: &Class) -> io::Result<()> {
        let base = Path::new(class.base);
        for name in names(&self.from.join(base)) {
            if matches_any(class.devices, &name) && !holds_address(&name) {
                let real = self.link(&base.join(&name))?;
                self.folder(class, &real)?;
            }
        }
        Ok(())
    }

    /// A folder of a device, files and links of it that are on the list.
    fn folder(&mut self, class: &Class, relative: &Path) -> io::Result<()> {
        for name in names(&self.from.join(relative)) {
            let path = relative.join(&name);
            let Ok(metadata) = fs::symlink_metadata(self.from.join(&path)) else { continue };
            if metadata.is_dir() && matches_any(class.folders, &name) {
                self.folder(class, &path)?;
            } else if metadata.is_file() && matches_any(class.files, &name) && !name.contains("serial") {
                self.file(&path)?;
            } else if metadata.is_symlink() && name == "device" {
                let device = self.link(&path)?;
                fs::create_dir_all(self.to.join(device))?;
            }
        }
        Ok(())
    }

    /// Makes a link anew where there is one, relative and inside the tree; returns the real path, relative to the root.
    fn link(&mut self, relative: &Path) -> io::Result<PathBuf> {
        let here = self.from.join(relative);
        let inside = |p: &Path| Some(p.strip_prefix(self.from.canonicalize().ok()?).ok()?.to_path_buf());
        let is_link = fs::symlink_metadata(&here).is_ok_and(|m| m.is_symlink());
        let Some(real) = here.canonicalize().ok().as_deref().and_then(inside).filter(|_| is_link) else {
            return Ok(relative.into());
        };
        let folder = relative.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(self.to.join(folder))?;
        let link = self.to.join(relative);
        if fs::symlink_metadata(&link).is_err() {
            symlink(towards(folder, &real), &link)?;
        }
        Ok(real)
    }

    fn file(&mut self, relative: &Path) -> io::Result<()> {
        let text = match self.read(relative) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let path = Path::new(self.label).join(relative);
                let unreadable = Unreadable { path, errno: error.raw_os_error().unwrap_or(0) };
                // a folder is reached by its class and by its device
                if !self.facts.unreadable.contains(&unreadable) {
                    self.facts.unreadable.push(unreadable);
                }
                return Ok(());
            }
        };
        let path = self.to.join(relative);
        fs::create_dir_all(path.parent().unwrap_or(&self.to))?;
        if !path.exists() {
            fs::write(path, without_serial(&text))?;
            self.facts.files += 1;
        }
        Ok(())
    }

    fn read(&self, relative: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.from.join(relative))?.take(self.most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > self.most || self.facts.files >= MOST_FILES {
            return Err(io::Error::from_raw_os_error(TOO_LARGE));
        }
        Ok(bytes)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The path from a folder to another place, both relative to one root.
fn towards(folder: &Path, to: &Path) -> PathBuf {
    let ups = folder.components().filter(|c| matches!(c, Component::Normal(_))).map(|_| "..");
    ups.collect::<PathBuf>().join(to)
}

/// Lines of `/proc/cpuinfo` that name one single board (ARM).
fn without_serial(text: &[u8]) -> Vec<u8> {
    let named = |line: &&[u8]| line.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"serial"));
    text.split_inclusive(|&b| b == b'\n').filter(|line| !named(line)).flatten().copied().collect()
}

fn matches_any(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => {
            let Some(tail) = name.strip_prefix(head) else { return false };
            (0..=tail.len()).any(|at| tail.get(at..).is_some_and(|tail| matches(rest, tail)))
        }
    }
}

/// A wireless mouse is a power supply whose name is its address.
fn holds_address(name: &str) -> bool {
    let hex = |b: u8, i: usize| if i % 3 == 2 { b == b':' || b == b'_' || b == b'-' } else { b.is_ascii_hexdigit() };
    name.as_bytes().windows(17).any(|w| w.iter().enumerate().all(|(i, &b)| hex(b, i)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn tree() -> (tempfile::TempDir, Options) {
        let dir = tempfile::tempdir().unwrap();
        let (sys, proc) = (dir.path().join("sys"), dir.path().join("proc"));
        let zone = "devices/virtual/powercap/intel-rapl/intel-rapl:0";
        write(&sys, &format!("{zone}/name"), "package-0\n");
        write(&sys, &format!("{zone}/energy_uj"), "5\n");
        write(&sys, &format!("{zone}/uevent"), "SECRET\n");
        write(&sys, &format!("{zone}/intel-rapl:0:0/name"), "core\n");
        let chip = "devices/platform/i2c-1/1-0040";
        write(&sys, &format!("{chip}/hwmon/hwmon3/in1_input"), "5000\n");
        write(&sys, "devices/pnp/BAT0/power_supply/BAT0/serial_number", "SECRET\n");
        write(&sys, "devices/pnp/BAT0/power_supply/BAT0/energy_now", "70\n");
        write(&sys, "class/power_supply/hid-aa:bb:cc:dd:ee:ff-battery/status", "SECRET\n");
        for (link, to) in [
            ("class/powercap/intel-rapl:0", format!("../../{zone}")),
            ("class/hwmon/hwmon3", format!("../../{chip}/hwmon/hwmon3")),
            ("class/power_supply/BAT0", "../../devices/pnp/BAT0/power_supply/BAT0".into()),
        ] {
            fs::create_dir_all(sys.join(link).parent().unwrap()).unwrap();
            symlink(to, sys.join(link)).unwrap();
        }
        symlink("../../../1-0040", sys.join(chip).join("hwmon/hwmon3/device")).unwrap();
        symlink("../..", sys.join(zone).join("subsystem")).unwrap();
        write(&proc, "cpuinfo", "processor : 0\nSerial\t\t: SECRET\nmodel name : x\n");
        write(&proc, "version", "SECRET\n");
        (dir, Options { sysfs: sys, procfs: proc, ..Options::default() })
    }

    fn everything(folder: &Path) -> Vec<String> {
        let mut all = Vec::new();
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                all.extend(everything(&entry.path()));
            } else if kind.is_file() {
                all.push(fs::read_to_string(entry.path()).unwrap());
            }
        }
        all
    }

    #[test]
    fn meters_are_found_in_the_copy_as_they_were() {
        let (_dir, roots) = tree();
        let out = tempfile::tempdir().unwrap();
        let facts = copy(&roots, out.path()).unwrap();
        assert_eq!((facts.files, facts.unreadable.len()), (6, 0));
        let class = out.path().join("sys/class");
        assert_eq!(fs::read_to_string(class.join("powercap/intel-rapl:0/intel-rapl:0:0/name")).unwrap(), "core\n");
        assert_eq!(fs::read_to_string(class.join("hwmon/hwmon3/in1_input")).unwrap(), "5000\n");
        let device = fs::read_link(class.join("hwmon/hwmon3/device")).unwrap();
        assert!(device.is_relative() && device.ends_with("1-0040"), "{device:?}");
        assert!(class.join("hwmon/hwmon3/device").is_dir());
    }

    #[test]
    fn nothing_that_names_the_machine_is_copied() {
        let (_dir, roots) = tree();
        let out = tempfile::tempdir().unwrap();
        copy(&roots, out.path()).unwrap();
        let texts = everything(out.path());
        assert!(texts.iter().any(|t| t.contains("model name")) && !texts.iter().any(|t| t.contains("SECRET")), "{texts:?}");
    }

    #[test]
    fn what_is_too_large_or_refused_is_listed() {
        let (_dir, roots) = tree();
        write(&roots.sysfs, "class/power_supply/AC/type", &"x".repeat(20_000));
        let closed = roots.procfs.join("stat");
        fs::write(&closed, "cpu 1\n").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        let out = tempfile::tempdir().unwrap();
        let facts = copy(&roots, out.path()).unwrap();
        assert!(facts.unreadable.contains(&Unreadable { path: "sys/class/power_supply/AC/type".into(), errno: 27 }), "{facts:?}");
        // root reads what nobody may
        let refused = File::open(&closed).is_err();
        assert_eq!(facts.unreadable.contains(&Unreadable { path: "proc/stat".into(), errno: 13 }), refused, "{facts:?}");
    }

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("in*_*", "in1_input") && matches("*sampling_rate", "ext_sampling_rate") && matches("*", ""));
        assert!(!matches("in*_*", "in1") && !matches("name", "names") && !matches("hwmon*", "xhwmon0"));
    }
}
