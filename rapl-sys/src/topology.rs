//! Which package, die and core a CPU belongs to: `devices/system/cpu/cpuN/topology`.
//!
//! A counter of the processor is known by one CPU that can read it; where that CPU sits says what the counter stands for.

use std::path::{Path, PathBuf};

use crate::text;

/// Where the CPUs lie below the root of sysfs.
const CPUS: &str = "devices/system/cpu";

/// Where one CPU sits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// `physical_package_id`; 0 where it is not said.
    pub package: u32,
    /// `die_id`; `None` where it is not said (before Linux 5.2) or does not apply.
    pub die: Option<u32>,
    /// `core_id`, unique within a die; `None` where it is not said.
    pub core: Option<u32>,
}

/// The CPUs that sysfs shows, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    cpus: Vec<(u32, Place)>,
}

impl Topology {
    /// Reads the tree below `sysfs`. Nothing fails: a tree without these files is one package of CPUs that are not known.
    pub fn read(sysfs: &Path) -> Self {
        let folder = sysfs.join(CPUS);
        let Ok(entries) = std::fs::read_dir(&folder) else { return Self::default() };
        let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
        let cpus = names.filter_map(|name| Some((parse_cpu_name(&name)?, folder.join(&name).join("topology"))));
        // an offline CPU has no topology folder
        Self::new(cpus.filter(|(_, folder)| folder.is_dir()).map(|(cpu, folder)| (cpu, place(&folder))))
    }

    /// A topology from numbers that are known otherwise.
    pub fn new(cpus: impl IntoIterator<Item = (u32, Place)>) -> Self {
        let mut cpus: Vec<_> = cpus.into_iter().collect();
        cpus.sort_unstable();
        cpus.dedup_by_key(|(cpu, _)| *cpu);
        Self { cpus }
    }

    /// Where a CPU sits; the only package for one that is not known.
    pub fn place(&self, cpu: u32) -> Place {
        self.get(cpu).unwrap_or_default()
    }

    /// Where a CPU sits, if sysfs shows it.
    pub fn get(&self, cpu: u32) -> Option<Place> {
        let at = self.cpus.binary_search_by_key(&cpu, |(number, _)| *number).ok()?;
        Some(self.cpus[at].1)
    }

    /// All CPUs that are shown, in order of their numbers.
    pub fn cpus(&self) -> impl Iterator<Item = (u32, Place)> + '_ {
        self.cpus.iter().copied()
    }

    /// True where some package has several dies: then, and only then, the kernel names zones `package-N-die-D`.
    pub fn has_dies(&self) -> bool {
        self.cpus.iter().any(|(_, a)| self.cpus.iter().any(|(_, b)| a.package == b.package && a.die != b.die))
    }

    /// The first CPU for which `of` gives each value, in order of the CPUs' numbers.
    pub fn first_cpus<K: PartialEq>(&self, of: impl Fn(Place) -> K) -> Vec<(u32, Place)> {
        let mut seen: Vec<K> = Vec::new();
        self.cpus()
            .filter(|&(_, place)| {
                !seen.contains(&of(place)) && {
                    seen.push(of(place));
                    true
                }
            })
            .collect()
    }
}

/// The number in `cpuN`; `None` for `cpufreq`, `cpuidle` and the like.
pub fn parse_cpu_name(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("cpu")?;
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

fn place(folder: &Path) -> Place {
    // -1 stands for "does not apply" and is no unsigned number
    let number = |name: &str| text::read_u64(&path(folder, name)).ok().and_then(|n| u32::try_from(n).ok());
    Place { package: number("physical_package_id").unwrap_or(0), die: number("die_id"), core: number("core_id") }
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(package: u32, die: u32, core: u32) -> Place {
        Place { package, die: Some(die), core: Some(core) }
    }

    #[test]
    fn a_tree_gives_package_die_and_core() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = dir.path().join(CPUS).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("cpu10/topology/physical_package_id", "1\n");
        write("cpu10/topology/die_id", "1\n");
        write("cpu10/topology/core_id", "7\n");
        write("cpu2/topology/physical_package_id", "0\n");
        write("cpu2/topology/die_id", "-1\n");
        write("cpu3/cpuidle/x", "offline: no topology\n");
        write("cpufreq/x", "");
        let topology = Topology::read(dir.path());
        let expected = [(2, Place::default()), (10, at(1, 1, 7))];
        assert_eq!(topology.cpus().collect::<Vec<_>>(), expected);
        assert!(!topology.has_dies(), "one die in each package that is shown");
        assert_eq!(topology.place(99), Place::default());
    }

    #[test]
    fn a_tree_without_topology_is_one_package() {
        let topology = Topology::read(tempfile::tempdir().unwrap().path());
        assert_eq!((topology.place(5), topology.has_dies()), (Place::default(), false));
    }

    #[test]
    fn dies_are_told_from_packages() {
        assert!(Topology::new([(0, at(0, 0, 0)), (1, at(0, 1, 0))]).has_dies());
        assert!(!Topology::new([(0, at(0, 0, 0)), (1, at(1, 1, 0))]).has_dies());
        let topology = Topology::new([(9, at(1, 0, 0)), (1, at(0, 0, 0)), (4, at(1, 0, 3))]);
        assert_eq!(topology.first_cpus(|p| p.package), [(1, at(0, 0, 0)), (4, at(1, 0, 3))]);
    }

    proptest! {
        #[test]
        fn any_name_is_read(name in ".{0,20}", number in any::<u32>()) {
            let _ = parse_cpu_name(&name);
            prop_assert_eq!(parse_cpu_name(&format!("cpu{number}")), Some(number));
        }
    }
}
