//! Who a zone is: package, die and kind from its `name` file, never from the digits of its folder.

use std::fmt;

/// What a zone meters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A processor package, or one die of it.
    Package,
    /// The cores of a package.
    Core,
    /// Graphics and the like of a client package.
    Uncore,
    /// Memory.
    Dram,
    /// The platform.
    Psys,
    /// A name that we do not know.
    Other,
}

/// One zone's identity; unique within a machine but for second views of the same counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// What it meters.
    pub kind: Kind,
    /// The package that it belongs to; `None` for the platform, unless each package has a platform counter of its own.
    pub package: Option<u32>,
    /// The die, where the package has several counters.
    pub die: Option<u32>,
    /// The CPU that stands for it, where it meters a single physical core and not all the cores of a package.
    pub cpu: Option<u32>,
    /// The text of the `name` file, trimmed; the like of it for back ends without such a file.
    pub label: String,
}

impl Identity {
    /// Reads a name; `parent` is the zone whose folder holds this one.
    pub fn parse(name: &str, parent: Option<&Self>) -> Self {
        let label = name.trim().to_owned();
        let (package, die) = (parent.and_then(|p| p.package), parent.and_then(|p| p.die));
        let (kind, package, die) = match label.as_str() {
            "core" => (Kind::Core, package, die),
            "uncore" => (Kind::Uncore, package, die),
            "dram" => (Kind::Dram, package, die),
            "psys" => (Kind::Psys, None, None),
            other => match (parse_package(other), parse_platform(other)) {
                (Some((package, die)), _) => (Kind::Package, Some(package), die),
                (None, Some(package)) => (Kind::Psys, Some(package), None),
                (None, None) => (Kind::Other, package, die),
            },
        };
        Self { kind, package, die, cpu: None, label }
    }

    /// One package, or one die of it.
    pub fn package(package: u32, die: Option<u32>) -> Self {
        let label = die.map_or_else(|| format!("package-{package}"), |die| format!("package-{package}-die-{die}"));
        Self { kind: Kind::Package, package: Some(package), die, cpu: None, label }
    }

    /// The platform of a package, named as the kernel names it: `psys`, and `psys-1` for another package than the first.
    pub fn platform(package: u32) -> Self {
        let (package, label) = if package == 0 { (None, "psys".to_owned()) } else { (Some(package), format!("psys-{package}")) };
        Self { kind: Kind::Psys, package, die: None, cpu: None, label }
    }

    /// A part of a package or die: `core`, `uncore`, `dram`, or a name that we do not know.
    pub fn part(label: &str, package: u32, die: Option<u32>) -> Self {
        Self::parse(label, Some(&Self::package(package, die)))
    }

    /// One physical core, known by a CPU of it.
    pub fn one_core(package: u32, cpu: u32) -> Self {
        Self { cpu: Some(cpu), ..Self::part("core", package, None) }
    }

    /// Stable hardware id: `socket0`, `socket0-die1`, `platform`, `platform1`.
    pub fn device(&self) -> String {
        match (self.package, self.die) {
            (Some(package), _) if self.kind == Kind::Psys => format!("platform{package}"),
            (Some(package), Some(die)) => format!("socket{package}-die{die}"),
            (Some(package), None) => format!("socket{package}"),
            (None, _) => "platform".to_owned(),
        }
    }
}

/// Readable and unique: `package-0`, `package-0-die-1`, `core-0`, `core-0-cpu-12`, `dram-1`, `psys`, `psys-1`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Package => "package",
            Kind::Core => "core",
            Kind::Uncore => "uncore",
            Kind::Dram => "dram",
            Kind::Psys => "psys",
            Kind::Other => &self.label,
        };
        f.write_str(kind)?;
        if let Some(package) = self.package {
            write!(f, "-{package}")?;
        }
        if let Some(die) = self.die {
            write!(f, "-die-{die}")?;
        }
        if let Some(cpu) = self.cpu {
            write!(f, "-cpu-{cpu}")?;
        }
        Ok(())
    }
}

fn parse_package(name: &str) -> Option<(u32, Option<u32>)> {
    let rest = name.strip_prefix("package-")?;
    match rest.split_once("-die-") {
        Some((package, die)) => Some((package.parse().ok()?, Some(die.parse().ok()?))),
        None => Some((rest.parse().ok()?, None)),
    }
}

/// `psys-N`, since Linux 5.12, where each package has a platform counter (`rapl_init_domains`).
fn parse_platform(name: &str) -> Option<u32> {
    name.strip_prefix("psys-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn package_0_die_1_parses() {
        let id = Identity::parse("package-0-die-1\n", None);
        assert_eq!((id.kind, id.package, id.die), (Kind::Package, Some(0), Some(1)));
        assert_eq!((id.to_string(), id.device()), ("package-0-die-1".into(), "socket0-die1".into()));
    }

    #[test]
    fn a_part_takes_its_package_from_the_zone_above() {
        let package = Identity::parse("package-3", None);
        assert_eq!(Identity::parse("core", Some(&package)).to_string(), "core-3");
        assert_eq!(Identity::parse("dram", Some(&package)).device(), "socket3");
        assert_eq!(Identity::parse("psys", Some(&package)).to_string(), "psys");
    }

    #[test]
    fn every_package_may_have_a_platform() {
        let second = Identity::parse("psys-1\n", None);
        assert_eq!((second.kind, second.to_string(), second.device()), (Kind::Psys, "psys-1".into(), "platform1".into()));
        assert_eq!(second, Identity::platform(1));
        assert_eq!(Identity::platform(0), Identity::parse("psys", None));
    }

    #[test]
    fn a_physical_core_is_named_by_its_package_and_cpu() {
        let core = Identity::one_core(0, 12);
        assert_eq!((core.to_string(), core.device(), core.kind), ("core-0-cpu-12".into(), "socket0".into(), Kind::Core));
        assert_ne!(core, Identity::part("core", 0, None));
        assert_eq!(Identity::package(2, Some(1)), Identity::parse("package-2-die-1", None));
    }

    proptest! {
        #[test]
        fn any_name_is_somebody(name in ".{0,40}", known in "(package-|psys|-die-|core|[0-9]{1,11}|-){0,6}") {
            for name in [&name, &known] {
                let id = Identity::parse(name, Some(&Identity::package(1, None)));
                let _ = (id.to_string(), id.device());
            }
        }
    }

    #[test]
    fn an_unknown_name_is_other_and_keeps_its_label() {
        for name in ["package-", "package-x", "package-0-die-", "camera", ""] {
            assert_eq!(Identity::parse(name, None).kind, Kind::Other, "{name:?}");
        }
        assert_eq!(Identity::parse("camera", None).to_string(), "camera");
    }
}
