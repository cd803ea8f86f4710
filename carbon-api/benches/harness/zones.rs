//! A powercap tree of plain files in memory.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use carbon_api::bank::Bank;
use carbon_api::meter::powercap::{PowercapMeter, PowercapOptions};
use fake_machine::{PlainTree, TrueMachine};

/// A machine of two packages, or of one with three zones.
pub(crate) struct Zones {
    machine: TrueMachine,
    tree: PlainTree,
    counters: Vec<PathBuf>,
    /// Virtual time, in nanoseconds.
    at: u64,
    // the last field: the tree goes first
    _directory: tempfile::TempDir,
}

impl Zones {
    /// Writes a tree of 3 zones (package, core, dram), or of 8 (two packages with core, uncore and dram).
    pub(crate) fn write(zones: usize) -> Result<Self, Box<dyn Error>> {
        let builder = TrueMachine::builder().cpus(2);
        let machine = match zones {
            3 => builder.package(0, 40.0).core(30.0).dram(5.0).build()?,
            8 => {
                let first = builder.package(0, 40.0).core(30.0).uncore(2.0).dram(5.0);
                first.package(1, 40.0).core(30.0).uncore(2.0).dram(5.0).build()?
            }
            other => return Err(format!("there is no tree of {other} zones").into()),
        };
        let directory = in_memory()?;
        let tree = PlainTree::write(directory.path(), &machine, 0)?;
        let mut counters = Vec::new();
        for entry in std::fs::read_dir(tree.sysfs().join("class/powercap"))? {
            let counter = entry?.path().join("energy_uj");
            if counter.exists() {
                counters.push(counter);
            }
        }
        if counters.len() != zones {
            return Err(format!("the tree has {} counters instead of {zones}", counters.len()).into());
        }
        Ok(Self { machine, tree, counters, at: 0, _directory: directory })
    }

    /// Lets a tenth of a second of virtual time pass, so that counters move.
    pub(crate) fn advance(&mut self) -> Result<(), Box<dyn Error>> {
        self.at += 100_000_000;
        Ok(self.tree.update(&self.machine, self.at)?)
    }

    /// The meters of the tree, as the program wires them.
    pub(crate) fn bank(&self) -> Result<Bank, Box<dyn Error>> {
        let (meter, report) = PowercapMeter::discover(&self.tree.sysfs(), &PowercapOptions::default());
        let meter = meter.ok_or_else(|| format!("no meter: {}", report.detail))?;
        Ok(Bank::new(vec![Box::new(meter)]))
    }

    /// The counters' files, held open.
    pub(crate) fn open(&self) -> std::io::Result<Vec<File>> {
        self.counters.iter().map(File::open).collect()
    }
}

/// A folder on tmpfs, where a read costs what the kernel's own path costs; elsewhere where there is no such place.
fn in_memory() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}
