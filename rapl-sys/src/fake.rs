//! Machines out of plain files, for tests.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use crate::domain::{Counter, Counting, Domain};
use crate::{Epoch, Error, Identity, Options};

/// 2^-32 as the kernel writes it.
pub(crate) const SCALE: &str = "2.3283064365386962890625e-10";

/// `GenuineIntel` of family 6.
pub(crate) fn intel(model: u32) -> Vec<u8> {
    format!("vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: {model}\nflags\t\t: fpu msr\n").into()
}

/// `AuthenticAMD` of family 25.
pub(crate) fn amd() -> Vec<u8> {
    b"vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nflags\t\t: fpu msr\n".to_vec()
}

/// A folder with `sys` and `dev`.
pub(crate) struct Tree(tempfile::TempDir);

impl Tree {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn sysfs(&self) -> PathBuf {
        self.0.path().join("sys")
    }

    pub(crate) fn dev(&self) -> PathBuf {
        self.0.path().join("dev")
    }

    pub(crate) fn options(&self, cpuinfo: &[u8]) -> Options {
        Options::new(self.sysfs(), self.dev(), cpuinfo)
    }

    /// A file below `sys`.
    pub(crate) fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.sysfs().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{text}\n")).unwrap();
        path
    }

    pub(crate) fn cpu(&self, cpu: u32, package: u32, die: u32, core: u32) {
        for (name, value) in [("physical_package_id", package), ("die_id", die), ("core_id", core)] {
            self.file(&format!("devices/system/cpu/cpu{cpu}/topology/{name}"), &value.to_string());
        }
    }

    pub(crate) fn pmu(&self, name: &str, kind: u32, cpumask: &str, events: &[(&str, u32)]) {
        let folder = format!("bus/event_source/devices/{name}");
        self.file(&format!("{folder}/type"), &kind.to_string());
        self.file(&format!("{folder}/cpumask"), cpumask);
        self.file(&format!("{folder}/format/event"), "config:0-7");
        for (event, config) in events {
            self.file(&format!("{folder}/events/energy-{event}"), &format!("event={config:#04x}"));
            self.file(&format!("{folder}/events/energy-{event}.unit"), "Joules");
            self.file(&format!("{folder}/events/energy-{event}.scale"), SCALE);
        }
    }

    /// A powercap zone: a real folder under devices and its link under class; `path` is `intel-rapl/intel-rapl:0`.
    pub(crate) fn zone(&self, path: &str, name: &str, energy_uj: u64, range_uj: u64) {
        let real = format!("devices/virtual/powercap/{path}");
        self.file(&format!("{real}/name"), name);
        self.file(&format!("{real}/energy_uj"), &energy_uj.to_string());
        self.file(&format!("{real}/max_energy_range_uj"), &range_uj.to_string());
        let class = self.sysfs().join("class/powercap");
        fs::create_dir_all(&class).unwrap();
        let link = class.join(Path::new(path).file_name().unwrap());
        let _ = symlink(self.sysfs().join(real), link);
    }

    pub(crate) fn remove_zone(&self, path: &str) {
        fs::remove_file(self.sysfs().join("class/powercap").join(Path::new(path).file_name().unwrap())).unwrap();
    }

    /// Registers of a CPU: eight bytes each at the offset of its number.
    pub(crate) fn msr(&self, cpu: u32, registers: &[(u32, u64)]) {
        let path = self.dev().join(format!("cpu/{cpu}/msr"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
        for (register, value) in registers {
            file.write_all_at(&value.to_le_bytes(), (*register).into()).unwrap();
        }
    }
}

/// A counter that stands still.
#[derive(Debug)]
struct Still(u64, Epoch);

impl Counter for Still {
    fn read(&mut self) -> Result<u64, Error> {
        Ok(self.0)
    }

    fn reopen(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn epoch(&self) -> Epoch {
        self.1
    }
}

/// A domain without files; one that is not readable fails with EIO.
pub(crate) fn domain(identity: Identity, counting: Counting, readable: bool) -> Domain {
    let path = PathBuf::from(format!("/fake/{identity}"));
    let counter = if readable {
        Ok(Box::new(Still(1_000_000, Epoch::new())) as Box<dyn Counter>)
    } else {
        Err(Error::io(&path, std::io::Error::from_raw_os_error(5)))
    };
    let (name, resolution_j) = (identity.to_string(), 1e-6);
    Domain { identity, name, path, parent: None, duplicate_of: None, counting, resolution_j, max_power_w: None, counter }
}
