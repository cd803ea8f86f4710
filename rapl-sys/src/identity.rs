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
    /// The package that it belongs to; `None` for the platform.
    pub package: Option<u32>,
    /// The die, where the package has several counters.
    pub die: Option<u32>,
    /// The text of the `name` file, trimmed.
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
            other => match parse_package(other) {
                Some((package, die)) => (Kind::Package, Some(package), die),
                None => (Kind::Other, package, die),
            },
        };
        Self { kind, package, die, label }
    }

    /// Stable hardware id: `socket0`, `socket0-die1`, `platform`.
    pub fn device(&self) -> String {
        match (self.package, self.die) {
            (Some(package), Some(die)) => format!("socket{package}-die{die}"),
            (Some(package), None) => format!("socket{package}"),
            (None, _) => "platform".to_owned(),
        }
    }
}

/// Readable and unique: `package-0`, `package-0-die-1`, `core-0`, `dram-1`, `psys`.
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

#[cfg(test)]
mod tests {
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
    fn an_unknown_name_is_other_and_keeps_its_label() {
        for name in ["package-", "package-x", "package-0-die-", "camera", ""] {
            assert_eq!(Identity::parse(name, None).kind, Kind::Other, "{name:?}");
        }
        assert_eq!(Identity::parse("camera", None).to_string(), "camera");
    }
}
