//! The registers themselves, through `/dev/cpu/N/msr` (module `msr`): the last resort, used only when asked for.
//!
//! One CPU for each package (AMD, Hygon) or die (Intel), by topology; on AMD one for each physical core as well, since the
//! core register (C001_029A) is that of a single core. Needs CAP_SYS_RAWIO and the right to read the node. The low 32 bits
//! of an energy register count in units of 2^-ESU joules; bits 12:8 of the unit register are the ESU, and some models fix
//! other units ([`crate::quirks`]). A register that answers EIO, or 0 as in the kernel's own drivers, is a domain that
//! this processor does not have. Source: Intel SDM volume 4, AMD PPR, Linux `arch/x86/include/asm/msr-index.h`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::{Counter, Counting, Domain, mark_second_views, name_apart, package_of};
use crate::topology::Place;
use crate::{Epoch, Error, Identity, Kind, Processor, Scale, Topology, Vendor, quirks};

/// MSR_RAPL_POWER_UNIT of Intel.
const INTEL_UNITS: u32 = 0x606;
/// Energy registers of Intel: package, core (PP0), uncore (PP1), memory, platform.
const INTEL: [(Kind, u32); 5] =
    [(Kind::Package, 0x611), (Kind::Core, 0x639), (Kind::Uncore, 0x641), (Kind::Dram, 0x619), (Kind::Psys, 0x64d)];
/// MSR_AMD_RAPL_POWER_UNIT.
const AMD_UNITS: u32 = 0xc001_0299;
/// MSR_AMD_PKG_ENERGY_STATUS.
const AMD_PACKAGE: u32 = 0xc001_029b;
/// MSR_AMD_CORE_ENERGY_STATUS.
const AMD_CORE: u32 = 0xc001_029a;
/// EIO: this processor has no such register.
const EIO: i32 = 5;

/// What to find, and where.
#[derive(Clone, Copy, Debug)]
pub struct Registers<'a> {
    /// The root of devices, `/dev`.
    pub dev: &'a Path,
    /// Whose registers they are.
    pub processor: Processor,
    /// Read them although this is a guest.
    pub in_guest: bool,
    /// The core registers of AMD and Hygon as well, one for each physical core.
    pub cores: bool,
}

/// One energy register of one CPU.
#[derive(Debug)]
pub struct MsrZone {
    node: Arc<File>,
    path: PathBuf,
    register: u32,
    esu: u8,
    epoch: Epoch,
}

impl MsrZone {
    /// The low 32 bits: counts of 2^-[`esu`](Self::esu) joules, which wrap.
    ///
    /// # Errors
    /// EIO where the register is gone, EPERM under lockdown, ENXIO where the CPU is offline.
    pub fn read_raw(&self) -> Result<u32, Error> {
        Ok(read(&self.node, &self.path, self.register)? as u32)
    }

    /// The energy status unit.
    pub fn esu(&self) -> u8 {
        self.esu
    }
}

impl Counter for MsrZone {
    fn read(&mut self) -> Result<u64, Error> {
        self.read_raw().map(u64::from)
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.node = Arc::new(File::open(&self.path).map_err(|source| Error::io(&self.path, source))?);
        Ok(())
    }

    /// A reopened node goes on: the counter lives in hardware.
    fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// Opens the registers of every package, die and core that `topology` shows (CPU 0 where it shows none).
///
/// # Errors
/// [`Error::Skipped`] in a guest, for an unknown vendor and for models that count in another unit; ENOENT where there is no
/// `cpu` folder (`modprobe msr`). A node that cannot be opened is a package that says so.
pub fn discover(registers: &Registers<'_>, topology: &Topology) -> Result<Vec<Domain>, Error> {
    let folder = registers.dev.join("cpu");
    let skipped = |reason| Err(Error::Skipped { path: folder.clone(), reason });
    if registers.processor.hypervisor && !registers.in_guest {
        return skipped("this is a virtual machine, whose registers may read 0 or anything (msr_in_guest = true reads them)");
    }
    if registers.processor.vendor == Vendor::Unknown {
        return skipped("the energy registers of this vendor are not known");
    }
    if quirks::counts_in_microjoules(&registers.processor) {
        return skipped("this model counts in another unit; powercap knows it");
    }
    std::fs::metadata(&folder).map_err(|source| Error::io(&folder, source))?;
    let epoch = Epoch::new();
    let mut domains: Vec<Domain> =
        leaders(registers, topology).into_iter().flat_map(|leader| leader.domains(registers, epoch)).collect();
    domains.sort_by_key(|d| d.identity.kind != Kind::Package);
    mark_second_views(&mut domains);
    for i in 0..domains.len() {
        domains[i].parent = package_of(&domains, i);
    }
    name_apart(&mut domains);
    Ok(domains)
}

/// A CPU with the registers that are read through it.
struct Leader {
    cpu: u32,
    units: u32,
    registers: Vec<(Identity, u32)>,
}

fn leaders(registers: &Registers<'_>, topology: &Topology) -> Vec<Leader> {
    let cpus = |of: fn(Place) -> Place| {
        let cpus = topology.first_cpus(of);
        if cpus.is_empty() { vec![(0, Place::default())] } else { cpus }
    };
    if !registers.processor.vendor.counts_by_package() {
        let by_die = topology.has_dies();
        let leader = |(cpu, place): (u32, Place)| {
            let die = place.die.filter(|_| by_die);
            let registers = INTEL.map(|(kind, register)| (identify(kind, place.package, die), register)).to_vec();
            Leader { cpu, units: INTEL_UNITS, registers }
        };
        return cpus(|place| Place { core: None, ..place }).into_iter().map(leader).collect();
    }
    let package = |(cpu, place): (u32, Place)| {
        let registers = vec![(Identity::package(place.package, None), AMD_PACKAGE)];
        Leader { cpu, units: AMD_UNITS, registers }
    };
    let core = |(cpu, place): (u32, Place)| {
        let registers = vec![(Identity::one_core(place.package, cpu), AMD_CORE)];
        Leader { cpu, units: AMD_UNITS, registers }
    };
    let packages = cpus(|place| Place { package: place.package, ..Place::default() }).into_iter().map(package);
    // without core ids two threads of a core could not be told from two cores
    let known = |(_, place): &(u32, Place)| registers.cores && place.core.is_some();
    packages.chain(cpus(|place| place).into_iter().filter(known).map(core)).collect()
}

fn identify(kind: Kind, package: u32, die: Option<u32>) -> Identity {
    match kind {
        Kind::Psys => Identity::platform(package),
        Kind::Core => Identity::part("core", package, die),
        Kind::Uncore => Identity::part("uncore", package, die),
        Kind::Dram => Identity::part("dram", package, die),
        Kind::Package | Kind::Other => Identity::package(package, die),
    }
}

impl Leader {
    fn domains(self, registers: &Registers<'_>, epoch: Epoch) -> Vec<Domain> {
        let path = registers.dev.join(format!("cpu/{}/msr", self.cpu));
        let opened = File::open(&path).map_err(|source| Error::io(&path, source));
        let opened = opened.and_then(|node| Ok((read_esu(&node, &path, self.units)?, Arc::new(node))));
        let (esu, node) = match opened {
            Ok(opened) => opened,
            // what is beside the first register is not known: the first alone says what is wrong
            Err(error) => {
                return self.registers.into_iter().take(1).map(|(id, _)| domain(id, &path, 0, Err(error.clone()))).collect();
            }
        };
        let each = |(identity, register): (Identity, u32)| {
            let esu = quirks::fixed_esu(&registers.processor, identity.kind).unwrap_or(esu);
            let counter = match read(&node, &path, register) {
                Ok(value) if value as u32 == 0 => return None,
                Err(error) if error.errno() == Some(EIO) => return None,
                Ok(_) => Ok(MsrZone { node: Arc::clone(&node), path: path.clone(), register, esu, epoch }),
                Err(error) => Err(error),
            };
            Some(domain(identity, &path, esu, counter))
        };
        self.registers.into_iter().filter_map(each).collect()
    }
}

fn domain(identity: Identity, path: &Path, esu: u8, counter: Result<MsrZone, Error>) -> Domain {
    Domain {
        name: identity.to_string(),
        identity,
        path: path.into(),
        parent: None,
        duplicate_of: None,
        counting: Counting::Counts { esu },
        resolution_j: Scale::from_esu(esu).joules(),
        max_power_w: None,
        counter: counter.map(|zone| Box::new(zone) as Box<dyn Counter>),
    }
}

/// The energy status unit in the text of a unit register: bits 12:8; `None` for a register of 0, which no processor has.
pub fn parse_units(register: u64) -> Option<u8> {
    (register as u32 != 0).then_some((register >> 8 & 0x1f) as u8)
}

fn read_esu(node: &File, path: &Path, register: u32) -> Result<u8, Error> {
    let value = read(node, path, register)?;
    let malformed =
        || Error::Malformed { path: path.into(), found: format!("{register:#x} = {value:#x}"), expected: "a register of units" };
    parse_units(value).ok_or_else(malformed)
}

/// A register is eight bytes at the offset of its number.
fn read(node: &File, path: &Path, register: u32) -> Result<u64, Error> {
    let mut bytes = [0; 8];
    match node.read_at(&mut bytes, register.into()) {
        Ok(8) => Ok(u64::from_le_bytes(bytes)),
        Ok(_) => Err(Error::io(path, io::Error::from_raw_os_error(EIO))),
        Err(source) => Err(Error::io(path, source)),
    }
}

#[cfg(test)]
#[path = "msr_tests.rs"]
mod tests;
