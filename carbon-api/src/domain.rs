//! What is metered: sources, domains, what contains what, and the cover that is the host.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::counter::CounterSpec;

/// How a figure came about: part of every energy that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// A meter covers exactly this.
    Measured,
    /// A share of a meter's reading.
    Attributed,
    /// No meter: a power model.
    Modelled,
}

impl Provenance {
    /// The word in JSON and in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Attributed => "attributed",
            Self::Modelled => "modelled",
        }
    }

    /// What a share of this reading is: a share of a model stays modelled.
    #[must_use]
    pub const fn of_share(self) -> Self {
        match self {
            Self::Modelled => Self::Modelled,
            Self::Measured | Self::Attributed => Self::Attributed,
        }
    }
}

/// Kind of meter; the `source` of JSON and the `method` of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// RAPL through the kernel's powercap tree.
    RaplPowercap,
    /// A power model: no meter covers the CPU.
    Model,
}

impl Source {
    /// The word in JSON and in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RaplPowercap => "rapl_powercap",
            Self::Model => "model",
        }
    }

    /// The provenance of a reading of this source.
    pub const fn provenance(self) -> Provenance {
        match self {
            Self::RaplPowercap => Provenance::Measured,
            Self::Model => Provenance::Modelled,
        }
    }
}

/// What a domain is, which decides containment, attribution and the `hw.type` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainKind {
    /// The platform as its supply sees it (SoC, memory, more): contains packages.
    Psys,
    /// One processor package or die.
    Package,
    /// The cores of a package.
    Core,
    /// Graphics and the like inside a client package.
    Uncore,
    /// Memory, beside the package on servers.
    Dram,
    /// All processors, of a model.
    Cpu,
    /// All memory, of a model.
    Memory,
    /// A zone of a name we do not know: listed, never counted.
    Other,
}

impl DomainKind {
    /// The word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Psys => "psys",
            Self::Package => "package",
            Self::Core => "core",
            Self::Uncore => "uncore",
            Self::Dram => "dram",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Other => "other",
        }
    }

    /// The class under which energy is shared out and kept in the ledger.
    pub const fn class(self) -> DomainClass {
        match self {
            Self::Psys | Self::Other => DomainClass::Platform,
            Self::Package | Self::Core | Self::Uncore | Self::Cpu => DomainClass::Cpu,
            Self::Dram | Self::Memory => DomainClass::Memory,
        }
    }

    /// `hw.type` of the OpenTelemetry semantic conventions.
    pub const fn hw_type(self) -> &'static str {
        match self.class() {
            DomainClass::Cpu => "cpu",
            DomainClass::Memory => "memory",
            DomainClass::Platform => "power_supply",
        }
    }

    const fn may_be_in_host(self) -> bool {
        matches!(self, Self::Psys | Self::Package | Self::Dram | Self::Cpu | Self::Memory)
    }
}

/// How the energy of a domain is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainClass {
    /// By CPU time.
    Cpu,
    /// By CPU time too; kept apart in the ledger.
    Memory,
    /// Platform energy beyond what CPU time explains: unattributed.
    Platform,
}

impl DomainClass {
    /// Every class, in the order of [`DomainClass::index`].
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Platform];

    /// Its place in [`DomainClass::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Cpu => 0,
            Self::Memory => 1,
            Self::Platform => 2,
        }
    }

    /// The word in labels and in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Platform => "platform",
        }
    }
}

/// One metered domain: who it is, what holds it, how its counter behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainInfo {
    /// The kind of meter.
    pub source: Source,
    /// Readable and unique within a source: `package-0`, `dram-0`, `psys`.
    pub name: Arc<str>,
    /// Stable hardware id: `socket0`, `socket0-die1`.
    pub device: Arc<str>,
    /// What it is.
    pub kind: DomainKind,
    /// Index of the domain that holds it, within the same list.
    pub contained_in: Option<usize>,
    /// The name of the domain that shows the same energy, where this is a second view of it.
    pub duplicate_of: Option<Arc<str>>,
    /// How the counter counts.
    pub counter: CounterSpec,
    /// How often the source renews its value, in seconds.
    pub update_s: f64,
    /// Relative accuracy of the source (a bound used as a 95 % half width).
    pub accuracy: f64,
}

/// Which domains count towards the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostCover {
    /// psys where there is exactly one with a unit finer than 0.1 J, else packages and memory.
    #[default]
    Auto,
    /// Packages and memory, never psys.
    Packages,
}

/// True where `outer` holds the energy of `inner`: by the tree, or because psys stands above packages and memory.
pub fn contains(domains: &[DomainInfo], outer: usize, inner: usize) -> bool {
    if outer == inner || is_below(domains, outer, inner) {
        return false;
    }
    let stands_above = domains[outer].kind == DomainKind::Psys
        && matches!(domains[inner].kind, DomainKind::Package | DomainKind::Dram | DomainKind::Core | DomainKind::Uncore);
    stands_above || is_below(domains, inner, outer)
}

fn is_below(domains: &[DomainInfo], inner: usize, outer: usize) -> bool {
    let parents = std::iter::successors(domains[inner].contained_in, |&at| domains[at].contained_in);
    parents.take(domains.len()).any(|parent| parent == outer)
}

/// The indices of the domains whose sum is the host: no member contains another, so nothing is counted twice.
pub fn host_cover(domains: &[DomainInfo], choice: HostCover) -> Vec<usize> {
    let usable = |i: usize| domains[i].duplicate_of.is_none() && domains[i].kind.may_be_in_host();
    let psys: Vec<usize> = (0..domains.len()).filter(|&i| usable(i) && domains[i].kind == DomainKind::Psys).collect();
    let chosen_psys = match (choice, psys.as_slice()) {
        (HostCover::Auto, &[only]) if domains[only].counter.resolution_j() < 0.1 => Some(only),
        _ => None,
    };
    let members = |i: &usize| usable(*i) && (domains[*i].kind != DomainKind::Psys || chosen_psys == Some(*i));
    outermost(domains, &(0..domains.len()).filter(members).collect::<Vec<_>>())
}

/// The indices of the consuming components, none of which contains another (`hw.energy`): supply-side totals are left out.
pub fn leaves(domains: &[DomainInfo]) -> Vec<usize> {
    host_cover(domains, HostCover::Packages)
}

fn outermost(domains: &[DomainInfo], members: &[usize]) -> Vec<usize> {
    members.iter().copied().filter(|&i| !members.iter().any(|&o| contains(domains, o, i))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::counter::Wrap;

    pub(crate) fn domain(kind: DomainKind, name: &str, contained_in: Option<usize>) -> DomainInfo {
        DomainInfo {
            source: Source::RaplPowercap,
            name: name.into(),
            device: "socket0".into(),
            kind,
            contained_in,
            duplicate_of: None,
            counter: CounterSpec::new(Wrap::Units { unit_nj: 61_035 }),
            update_s: 0.001,
            accuracy: 0.05,
        }
    }

    fn names(domains: &[DomainInfo], cover: &[usize]) -> Vec<String> {
        cover.iter().map(|&i| domains[i].name.to_string()).collect()
    }

    #[test]
    fn packages_and_memory_are_the_host_without_psys() {
        let d = [
            domain(DomainKind::Package, "package-0", None),
            domain(DomainKind::Core, "core-0", Some(0)),
            domain(DomainKind::Dram, "dram-0", None),
        ];
        assert_eq!(names(&d, &host_cover(&d, HostCover::Auto)), ["package-0", "dram-0"]);
    }

    #[test]
    fn one_fine_psys_is_the_host_and_never_a_leaf() {
        let mut d = vec![
            domain(DomainKind::Package, "package-0", None),
            domain(DomainKind::Dram, "dram-0", None),
            domain(DomainKind::Psys, "psys", None),
        ];
        assert_eq!(names(&d, &host_cover(&d, HostCover::Auto)), ["psys"]);
        assert_eq!(names(&d, &leaves(&d)), ["package-0", "dram-0"]);
        assert_eq!(names(&d, &host_cover(&d, HostCover::Packages)), ["package-0", "dram-0"]);
        d[2].counter = CounterSpec::new(Wrap::Units { unit_nj: 1_000_000_000 });
        assert_eq!(names(&d, &host_cover(&d, HostCover::Auto)), ["package-0", "dram-0"], "a psys of 1 J steps is too coarse");
    }

    #[test]
    fn a_second_view_of_a_package_counts_once() {
        let mut d = [domain(DomainKind::Package, "package-0", None), domain(DomainKind::Package, "package-0-mmio", None)];
        d[1].duplicate_of = Some("package-0".into());
        assert_eq!(names(&d, &host_cover(&d, HostCover::Auto)), ["package-0"]);
    }

    fn any_tree() -> impl Strategy<Value = Vec<DomainInfo>> {
        let kinds = prop::sample::select(vec![
            DomainKind::Psys,
            DomainKind::Package,
            DomainKind::Core,
            DomainKind::Uncore,
            DomainKind::Dram,
            DomainKind::Other,
        ]);
        prop::collection::vec((kinds, any::<prop::sample::Index>(), any::<bool>()), 1..24).prop_map(|rows| {
            let mut tree: Vec<DomainInfo> = Vec::new();
            for (i, (kind, parent, nested)) in rows.into_iter().enumerate() {
                // a platform zone is never inside another one
                let held = (nested && i > 0 && kind != DomainKind::Psys).then(|| parent.index(i));
                tree.push(domain(kind, &format!("d{i}"), held));
            }
            tree
        })
    }

    proptest! {
        #[test]
        fn host_never_counts_a_joule_twice(tree in any_tree(), packages in any::<bool>()) {
            let cover = host_cover(&tree, if packages { HostCover::Packages } else { HostCover::Auto });
            for &a in &cover {
                for &b in &cover {
                    prop_assert!(!contains(&tree, a, b), "{} contains {}", tree[a].name, tree[b].name);
                }
            }
            let counted = |i: usize| cover.iter().filter(|&&m| m == i || contains(&tree, m, i)).count();
            for (i, row) in tree.iter().enumerate() {
                // a package or memory domain is inside exactly one member: nothing is lost either
                if matches!(row.kind, DomainKind::Package | DomainKind::Dram) {
                    prop_assert!(counted(i) >= 1, "{} is in no member", row.name);
                }
            }
        }
    }
}
