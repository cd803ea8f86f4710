//! A powercap tree of plain files in memory.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fake_machine::{PlainTree, TrueMachine};

/// Counters of one package, or of two.
pub(crate) struct Zones {
    sysfs: PathBuf,
    counters: Vec<PathBuf>,
    _directory: tempfile::TempDir,
}

impl Zones {
    /// Writes a tree of 3 zones (package, core, dram), or of 8 (two packages with core, uncore and dram).
    pub(crate) fn write(zones: usize) -> Result<Self, Box<dyn Error>> {
        let builder = TrueMachine::builder().cpus(2);
        let machine = match zones {
            3 => builder.package(0, 40.0).core(30.0).dram(5.0).build()?,
            4 => builder.package(0, 40.0).core(30.0).uncore(2.0).dram(5.0).build()?,
            8 => {
                let first = builder.package(0, 40.0).core(30.0).uncore(2.0).dram(5.0);
                first.package(1, 40.0).core(30.0).uncore(2.0).dram(5.0).build()?
            }
            other => return Err(format!("there is no tree of {other} zones").into()),
        };
        let directory = in_memory()?;
        let sysfs = PlainTree::write(directory.path(), &machine, 0)?.sysfs();
        let mut counters = Vec::new();
        for entry in std::fs::read_dir(sysfs.join("class/powercap"))? {
            let counter = entry?.path().join("energy_uj");
            if counter.exists() {
                counters.push(counter);
            }
        }
        if counters.len() != zones {
            return Err(format!("the tree has {} counters instead of {zones}", counters.len()).into());
        }
        Ok(Self { sysfs, counters, _directory: directory })
    }

    /// What lets the counters move, from any thread.
    pub(crate) fn movement(&self) -> std::io::Result<Movement> {
        let open = |path: &PathBuf| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            OpenOptions::new().write(true).open(path)
        };
        let files = self.counters.iter().map(open).collect::<Result<_, _>>()?;
        let mut movement = Movement { files, shown_uj: 1_000_000_000 };
        movement.rise(0)?;
        Ok(movement)
    }

    /// The root of the tree, to be passed as the root of sysfs.
    pub(crate) fn sysfs(&self) -> &Path {
        &self.sysfs
    }

    /// The counters' files, held open.
    pub(crate) fn open(&self) -> std::io::Result<Vec<File>> {
        self.counters.iter().map(File::open).collect()
    }
}

/// Writes what the counters show.
pub(crate) struct Movement {
    files: Vec<File>,
    shown_uj: u64,
}

impl Movement {
    /// Lets every counter rise by so many microjoules; one write of one width, so that no reader finds half a number.
    pub(crate) fn rise(&mut self, microjoules: u64) -> std::io::Result<()> {
        self.shown_uj += microjoules;
        let text = format!("{:\n<24}", self.shown_uj);
        self.files.iter().try_for_each(|file| file.write_all_at(text.as_bytes(), 0))
    }
}

/// A folder on tmpfs, where a read costs what the kernel's own path costs; elsewhere where there is no such place.
fn in_memory() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}
