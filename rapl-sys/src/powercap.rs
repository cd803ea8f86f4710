//! The powercap tree: `class/powercap/intel-rapl*` (MSR, TPMI) and `intel-rapl-mmio*`.
//!
//! Folder names are `intel-rapl:<hex>[:<hex>]` in order of allocation: a zone is known by its `name` file and by the folder
//! that holds it. Files stay open; a read is one `pread`. Source: Linux `Documentation/power/powercap/powercap.rst` and
//! `drivers/powercap/intel_rapl_common.c`. `energy_uj` may be read by root alone since Linux 5.10 (CVE-2020-8694).

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::domain::{Counter, Counting, Domain, name_apart};
use crate::identity::Identity;
use crate::{Epoch, Error, Kind, Processor, Scale, quirks, text};

/// Where the control types lie below the root of sysfs.
const CLASS: &str = "class/powercap";
/// The control types that we know, the better view first.
const CONTROL_TYPES: [&str; 2] = ["intel-rapl", "intel-rapl-mmio"];

/// A zone that was found, readable or not.
#[derive(Debug)]
pub struct Found {
    /// Who it is.
    pub identity: Identity,
    /// Its folder.
    pub path: PathBuf,
    /// Index of the zone whose folder holds it.
    pub parent: Option<usize>,
    /// Index of the zone of which this is a second view (MMIO beside MSR, one zone listed twice).
    pub duplicate_of: Option<usize>,
    /// `max_energy_range_uj`; 0 where it cannot be read.
    pub range_uj: u64,
    /// The largest `constraint_K_max_power_uw`, in watts.
    pub max_power_w: Option<f64>,
    /// The open counter, or why it could not be opened.
    pub zone: Result<Zone, Error>,
}

/// One counter, its file open.
#[derive(Debug)]
pub struct Zone {
    file: File,
    path: PathBuf,
}

impl Zone {
    /// Opens `energy_uj` in a zone's folder.
    ///
    /// # Errors
    /// What the kernel says: EACCES without the right to read, ENOENT where the zone is gone.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("energy_uj");
        let file = File::open(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        Ok(Self { file, path })
    }

    /// Cumulative microjoules as the kernel shows them; comes back to zero at `max_energy_range_uj`.
    ///
    /// # Errors
    /// EIO, ENODATA, ENODEV (driver reloaded: open anew), or a text that is no unsigned number.
    pub fn read_uj(&self) -> Result<u64, Error> {
        text::pread_u64(&self.file, &self.path)
    }

    /// The counter's file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Finds every zone below `sysfs`; one bad zone never hides the others.
///
/// # Errors
/// Only where `class/powercap` itself cannot be listed (absent on machines without RAPL).
pub fn discover(sysfs: &Path) -> Result<Vec<Found>, Error> {
    let class = sysfs.join(CLASS);
    let entries = std::fs::read_dir(&class).map_err(|source| Error::Io { path: class.clone(), source })?;
    let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    // parents before children, in a stable order: fewer colons first, then by the hexadecimal ids
    names.sort_by_key(|n| (n.matches(':').count(), control_type(n).map(|(rank, _)| rank), ids(n), n.clone()));
    let mut found: Vec<Found> = Vec::new();
    for name in names {
        let Some((rank, rest)) = control_type(&name) else { continue };
        if rest.is_empty() {
            continue; // the control type itself
        }
        let folder = class.join(&name);
        let parent = parent_of(&name, &folder, &found);
        found.push(inspect(folder, parent, &found, rank));
    }
    Ok(found)
}

/// The same zones as [`discover`] finds them, as domains of the common tree.
///
/// On AMD and Hygon the zone `core` shows the register of one core, the one that the kernel reads for the package.
///
/// # Errors
/// As [`discover`].
pub fn domains(sysfs: &Path, processor: &Processor) -> Result<Vec<Domain>, Error> {
    let epoch = Epoch::new();
    let mut domains: Vec<Domain> = discover(sysfs)?.into_iter().map(|found| found.into_domain(processor, epoch)).collect();
    name_apart(&mut domains);
    Ok(domains)
}

impl Found {
    fn into_domain(self, processor: &Processor, epoch: Epoch) -> Domain {
        let Self { identity, path, parent, duplicate_of, range_uj, max_power_w, zone } = self;
        let unit = unit_nj(range_uj).map(|nj| nj as f64 / 1e9);
        let resolution_j = unit.unwrap_or_else(|| Scale::from_esu(quirks::usual_esu(processor, identity.kind)).joules());
        let counter = zone.map(|zone| Box::new(Held { zone, folder: path.clone(), epoch }) as Box<dyn Counter>);
        let counting = Counting::Microjoules { range_uj };
        let name = identity.to_string();
        Domain { identity, name, path, parent, duplicate_of, counting, resolution_j, max_power_w, counter }
    }
}

/// A zone with what opens it again.
#[derive(Debug)]
struct Held {
    zone: Zone,
    folder: PathBuf,
    epoch: Epoch,
}

impl Counter for Held {
    fn read(&mut self) -> Result<u64, Error> {
        self.zone.read_uj()
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.zone = Zone::open(&self.folder)?;
        Ok(())
    }

    /// A reopened zone goes on: its counter lives in hardware.
    fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// Nanojoules of one count, where the range is that of a 32-bit register: `range_uj = unit_nj * (2^32 - 1) / 1000`.
///
/// `None` for other ranges (2^37 - 1 on Atom) and for 0.
pub fn unit_nj(range_uj: u64) -> Option<u64> {
    const COUNTS: u128 = u32::MAX as u128;
    let unit = (u128::from(range_uj) * 1000 + COUNTS / 2) / COUNTS;
    (unit > 0 && unit * COUNTS / 1000 == range_uj.into()).then(|| u64::try_from(unit).ok())?
}

fn inspect(folder: PathBuf, parent: Option<usize>, found: &[Found], rank: usize) -> Found {
    let label = text::read(&folder.join("name"))
        .unwrap_or_else(|_| folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let identity = Identity::parse(&label, parent.map(|p| &found[p].identity));
    let first = found.iter().position(|f| f.identity == identity && f.identity.kind != Kind::Other);
    let rank_of = |f: &Found| f.path.file_name().and_then(|n| n.to_str()).and_then(control_type).map_or(0, |(r, _)| r);
    let duplicate_of = first.filter(|&i| rank_of(&found[i]) <= rank);
    Found {
        identity,
        parent,
        duplicate_of,
        range_uj: text::read_u64(&folder.join("max_energy_range_uj")).unwrap_or(0),
        max_power_w: max_power(&folder),
        // a counter that can be opened and not read is no counter yet
        zone: Zone::open(&folder).and_then(|zone| zone.read_uj().map(|_| zone)),
        path: folder,
    }
}

fn max_power(folder: &Path) -> Option<f64> {
    let constraint = |k: u32| text::read_u64(&folder.join(format!("constraint_{k}_max_power_uw"))).ok();
    (0..8).filter_map(constraint).max().filter(|&uw| uw > 0).map(|uw| uw as f64 / 1e6)
}

/// Rank of the control type, and the rest of the name; `None` for other drivers (`dtpm`, `psci`).
fn control_type(name: &str) -> Option<(usize, &str)> {
    let (head, rest) = name.split_once(':').unwrap_or((name, ""));
    CONTROL_TYPES.iter().position(|&t| t == head).map(|rank| (rank, rest))
}

/// Hexadecimal ids of a folder name, for a stable order only.
fn ids(name: &str) -> Vec<u64> {
    name.split(':').skip(1).map(|id| u64::from_str_radix(id, 16).unwrap_or(u64::MAX)).collect()
}

/// The zone above: the folder that really holds this one; where links cannot be followed, the name less its last id.
fn parent_of(name: &str, folder: &Path, found: &[Found]) -> Option<usize> {
    let above = folder.canonicalize().ok().and_then(|real| Some(real.parent()?.file_name()?.to_str()?.to_owned()));
    let by_name = || name.rsplit_once(':').map(|(head, _)| head.to_owned());
    let position = |wanted: &str| found.iter().position(|f| f.path.file_name().is_some_and(|n| n == wanted));
    above.as_deref().and_then(position).or_else(|| by_name().as_deref().and_then(position))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree as the kernel lays it out: real folders under devices, links under class.
    fn tree(zones: &[(&str, &str, u64)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let class = dir.path().join(CLASS);
        fs::create_dir_all(&class).unwrap();
        for (path, name, range) in zones {
            let real = dir.path().join("devices/virtual/powercap").join(path);
            fs::create_dir_all(&real).unwrap();
            fs::write(real.join("name"), format!("{name}\n")).unwrap();
            fs::write(real.join("energy_uj"), "1234567\n").unwrap();
            fs::write(real.join("max_energy_range_uj"), format!("{range}\n")).unwrap();
            let link = class.join(real.file_name().unwrap());
            symlink(Path::new("../../devices/virtual/powercap").join(path), link).unwrap();
        }
        dir
    }

    fn summary(found: &[Found]) -> Vec<(String, Option<usize>, Option<usize>)> {
        found.iter().map(|f| (f.identity.to_string(), f.parent, f.duplicate_of)).collect()
    }

    const INTEL: u64 = 262_143_328_850;

    #[test]
    fn zones_are_found_by_name_and_topology() {
        let dir = tree(&[
            ("intel-rapl/intel-rapl:0", "package-1", INTEL),
            ("intel-rapl/intel-rapl:0/intel-rapl:0:0", "core", INTEL),
            ("intel-rapl/intel-rapl:0/intel-rapl:0:1", "dram", 65_712_999_613),
            ("intel-rapl/intel-rapl:1", "package-0", INTEL),
            ("intel-rapl/intel-rapl:2", "psys", INTEL),
            ("dtpm/dtpm", "soc", 0),
        ]);
        let found = discover(dir.path()).unwrap();
        let expected = [("package-1", None), ("package-0", None), ("psys", None), ("core-1", Some(0)), ("dram-1", Some(0))];
        let got: Vec<_> = found.iter().map(|f| (f.identity.to_string(), f.parent)).collect();
        assert_eq!(got, expected.map(|(n, p)| (n.to_owned(), p)));
        assert_eq!(found[0].zone.as_ref().unwrap().read_uj().unwrap(), 1_234_567);
    }

    #[test]
    fn zone_a_is_hex() {
        let dir = tree(&[
            ("intel-rapl/intel-rapl:a", "package-10", INTEL),
            ("intel-rapl/intel-rapl:9", "package-9", INTEL),
            ("intel-rapl/intel-rapl:10", "package-16", INTEL),
            ("intel-rapl/intel-rapl:a/intel-rapl:a:0", "core", INTEL),
        ]);
        let got = summary(&discover(dir.path()).unwrap());
        assert_eq!(got[0].0, "package-9");
        assert_eq!(got[1].0, "package-10");
        assert_eq!(got[2].0, "package-16");
        assert_eq!(got[3], ("core-10".into(), Some(1), None));
    }

    #[test]
    fn the_mmio_view_is_a_duplicate_of_the_msr_view() {
        let dir = tree(&[
            ("intel-rapl-mmio/intel-rapl-mmio:0", "package-0", INTEL),
            ("intel-rapl/intel-rapl:0", "package-0", INTEL),
            ("intel-rapl-mmio/intel-rapl-mmio:0/intel-rapl-mmio:0:0", "dram", INTEL),
        ]);
        let found = discover(dir.path()).unwrap();
        assert!(found[0].path.ends_with("intel-rapl:0"));
        assert_eq!(found[1].duplicate_of, Some(0));
        assert_eq!(found[2].duplicate_of, None, "memory that only MMIO shows is no duplicate");
    }

    #[test]
    fn a_zone_without_a_counter_does_not_hide_the_others() {
        let dir = tree(&[("intel-rapl/intel-rapl:0", "package-0", INTEL), ("intel-rapl/intel-rapl:1", "package-1", INTEL)]);
        fs::remove_file(dir.path().join(CLASS).join("intel-rapl:0/energy_uj")).unwrap();
        fs::write(dir.path().join(CLASS).join("intel-rapl:1/energy_uj"), "-12345\n").unwrap();
        let found = discover(dir.path()).unwrap();
        assert_eq!(found[0].zone.as_ref().unwrap_err().errno(), Some(2));
        assert!(matches!(found[1].zone, Err(Error::Malformed { .. })));
    }

    #[test]
    fn a_range_tells_the_unit() {
        assert_eq!(unit_nj(INTEL), Some(61_035));
        assert_eq!(unit_nj(65_532_610_987), Some(15_258));
        assert_eq!(unit_nj(65_712_999_613), Some(15_300));
        assert_eq!(unit_nj(4_294_967_295_000_000), Some(1_000_000_000), "the platform of Sapphire Rapids");
        assert_eq!((unit_nj((1 << 37) - 1), unit_nj(0), unit_nj(999_999)), (None, None, None));
        let _ = unit_nj(u64::MAX);
    }

    #[test]
    fn a_zone_goes_on_after_it_was_opened_anew() {
        let dir = tree(&[
            ("intel-rapl/intel-rapl:0", "package-0", INTEL),
            ("intel-rapl/intel-rapl:0/intel-rapl:0:0", "dram", 65_712_999_613),
            ("intel-rapl-mmio/intel-rapl-mmio:0", "package-0", INTEL),
        ]);
        let mut domains = domains(dir.path(), &Processor::default()).unwrap();
        let names: Vec<_> = domains.iter().map(|d| (d.name.as_str(), d.contained_in(), d.parent)).collect();
        assert_eq!(names, [("package-0", None, None), ("package-0@intel-rapl-mmio:0", None, None), ("dram-0", None, Some(0))]);
        assert!((domains[2].resolution_j - 15.3e-6).abs() < 1e-12);
        let counter = domains[0].counter.as_mut().unwrap();
        let before = (counter.read().unwrap(), counter.epoch());
        counter.reopen().unwrap();
        assert_eq!((counter.read().unwrap(), counter.epoch()), before);
        fs::remove_file(dir.path().join(CLASS).join("intel-rapl:0/energy_uj")).unwrap();
        assert!(counter.reopen().unwrap_err().is_gone());
        assert_eq!(counter.read().unwrap(), before.0, "the old file is kept where no new one opens");
    }

    #[test]
    fn a_machine_without_powercap_says_so() {
        let error = discover(tempfile::tempdir().unwrap().path()).unwrap_err();
        assert_eq!(error.errno(), Some(2));
        assert!(error.to_string().contains("class/powercap"));
    }
}
