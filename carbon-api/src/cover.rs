//! Which domains are the host: a cover, of which no member contains another, so that nothing is counted twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{DomainInfo, DomainKind, Source, contains};

/// Which domains count towards the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum HostCover {
    /// psys where there is exactly one with a unit finer than 0.1 J, else packages and memory; GPUs beside them. Without RAPL:
    /// modules, boards, processors, memory and the rails of a phone. Never a battery, never a rail whose place is not known.
    #[default]
    Auto,
    /// The same without psys.
    Packages,
    /// Exactly these, as `source/domain`.
    Domains(Vec<Arc<str>>),
}

/// How it is written: a word, or a list of domains.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "it is \"auto\", \"packages\", or a list such as [\"hwmon/VDD_IN\"]")]
enum Written {
    Word(String),
    Domains(Vec<Arc<str>>),
}

impl TryFrom<Written> for HostCover {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Domains(domains) => Ok(Self::Domains(domains)),
            Written::Word(word) => match word.as_str() {
                "auto" => Ok(Self::Auto),
                "packages" => Ok(Self::Packages),
                _ => Err(format!("{word:?} is no cover; it is \"auto\", \"packages\", or a list such as [\"hwmon/VDD_IN\"]")),
            },
        }
    }
}

impl From<HostCover> for Written {
    fn from(cover: HostCover) -> Self {
        match cover {
            HostCover::Auto => Self::Word("auto".into()),
            HostCover::Packages => Self::Word("packages".into()),
            HostCover::Domains(domains) => Self::Domains(domains),
        }
    }
}

/// What the machine does not tell of itself: which domain feeds which, all as `source/domain`.
pub type Containment = BTreeMap<String, Vec<String>>;

/// Completes the list of all meters with what lies between two of them: second views, and what a module or a configured
/// domain holds.
pub fn relate(domains: &mut [DomainInfo], configured: &Containment) {
    mark_second_views(domains);
    let modules: Vec<usize> = (0..domains.len()).filter(|&i| is(domains, i, DomainKind::Module)).collect();
    let gpus: Vec<usize> = (0..domains.len()).filter(|&i| domains[i].on_module && is(domains, i, DomainKind::Gpu)).collect();
    let cpus: Vec<usize> = (0..domains.len()).filter(|&i| is(domains, i, DomainKind::Cpu)).collect();
    for held in [gpus, cpus] {
        for (place, &i) in held.iter().enumerate() {
            // modules, their processors and their GPUs are numbered alike
            let module = modules.get(place * modules.len() / held.len()).copied();
            if domains[i].contained_in.is_none() && domains[i].source != Source::Model {
                domains[i].contained_in = module;
            }
        }
    }
    let position = |name: &str| domains.iter().position(|d| d.full_name() == name);
    let edges: Vec<(usize, usize)> = configured
        .iter()
        .filter_map(|(outer, inner)| Some((position(outer)?, inner)))
        .flat_map(|(outer, inner)| inner.iter().filter_map(|i| position(i)).map(|i| (outer, i)).collect::<Vec<_>>())
        .collect();
    for (outer, inner) in edges {
        // a ring would hold everything and nothing
        if outer != inner && !contains(domains, inner, outer) {
            domains[inner].contained_in = Some(outer);
        }
    }
}

fn is(domains: &[DomainInfo], i: usize, kind: DomainKind) -> bool {
    domains[i].kind == kind && domains[i].duplicate_of.is_none()
}

/// RAPL comes before a sensor of the same package, the sensor of a module before the GPU driver's view of it.
fn mark_second_views(domains: &mut [DomainInfo]) {
    let first = |kind: DomainKind, better: fn(Source) -> bool| {
        let found = domains.iter().find(|d| d.kind == kind && d.duplicate_of.is_none() && better(d.source));
        found.map(|d| Arc::clone(&d.name))
    };
    let rapl = first(DomainKind::Package, Source::is_rapl);
    let module = first(DomainKind::Module, |s| s == Source::Hwmon);
    for d in domains.iter_mut().filter(|d| d.duplicate_of.is_none()) {
        match (d.kind, d.source) {
            (DomainKind::Package | DomainKind::Core, Source::Hwmon) => d.duplicate_of.clone_from(&rapl),
            (DomainKind::Module, Source::Nvml) => d.duplicate_of.clone_from(&module),
            _ => {}
        }
    }
}

/// The indices of the domains whose sum is the host: no member contains another, so nothing is counted twice.
pub fn host_cover(domains: &[DomainInfo], choice: &HostCover) -> Vec<usize> {
    let all = || 0..domains.len();
    if let HostCover::Domains(names) = choice {
        let named = |i: &usize| domains[*i].duplicate_of.is_none() && names.iter().any(|n| **n == *domains[*i].full_name());
        return outermost(domains, &all().filter(named).collect::<Vec<_>>());
    }
    let psys: Vec<usize> = all().filter(|&i| is(domains, i, DomainKind::Psys)).collect();
    let chosen_psys = match (choice, psys.as_slice()) {
        (HostCover::Auto, &[only]) if domains[only].counter.resolution_j < 0.1 => Some(only),
        _ => None,
    };
    let rapl = chosen_psys.is_some() || all().any(|i| is(domains, i, DomainKind::Package));
    let member = |i: &usize| {
        let d = &domains[*i];
        d.duplicate_of.is_none()
            && match d.kind {
                DomainKind::Psys => chosen_psys == Some(*i),
                DomainKind::Package | DomainKind::Dram | DomainKind::Gpu => true,
                DomainKind::Cpu | DomainKind::Memory | DomainKind::Module | DomainKind::Board => !rapl,
                // the rails of a phone are metered one by one and add up; a rail of a board may feed anything
                DomainKind::Rail => !rapl && d.source == Source::Odpm,
                DomainKind::Core | DomainKind::Uncore | DomainKind::GpuInstance | DomainKind::Battery | DomainKind::Other => {
                    false
                }
            }
    };
    outermost(domains, &all().filter(member).collect::<Vec<_>>())
}

/// The indices of the consuming components inside the host, none of which contains another (`hw.energy`): supply sides are left
/// out.
pub fn leaves(domains: &[DomainInfo], cover: &[usize]) -> Vec<usize> {
    let inside = |i: usize| cover.iter().any(|&m| m == i || contains(domains, m, i));
    let consuming = |i: &usize| domains[*i].kind.consumes() && domains[*i].duplicate_of.is_none() && inside(*i);
    outermost(domains, &(0..domains.len()).filter(consuming).collect::<Vec<_>>())
}

fn outermost(domains: &[DomainInfo], members: &[usize]) -> Vec<usize> {
    members.iter().copied().filter(|&i| !members.iter().any(|&o| contains(domains, o, i))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::counter::{CounterSpec, Wrap};
    use crate::domain::test_domain as domain;

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
        assert_eq!(names(&d, &host_cover(&d, &HostCover::Auto)), ["package-0", "dram-0"]);
    }

    #[test]
    fn one_fine_psys_is_the_host_and_never_a_leaf() {
        let mut d = vec![
            domain(DomainKind::Package, "package-0", None),
            domain(DomainKind::Dram, "dram-0", None),
            domain(DomainKind::Psys, "psys", None),
        ];
        assert_eq!(names(&d, &host_cover(&d, &HostCover::Auto)), ["psys"]);
        assert_eq!(names(&d, &leaves(&d, &host_cover(&d, &HostCover::Auto))), ["package-0", "dram-0"]);
        assert_eq!(names(&d, &host_cover(&d, &HostCover::Packages)), ["package-0", "dram-0"]);
        d[2].counter = CounterSpec::new(Wrap::Units { unit_nj: 1_000_000_000 });
        assert_eq!(names(&d, &host_cover(&d, &HostCover::Auto)), ["package-0", "dram-0"], "a psys of 1 J steps is too coarse");
    }

    #[test]
    fn a_second_view_of_a_package_counts_once() {
        let mut d = [domain(DomainKind::Package, "package-0", None), domain(DomainKind::Package, "package-0-mmio", None)];
        d[1].duplicate_of = Some("package-0".into());
        assert_eq!(names(&d, &host_cover(&d, &HostCover::Auto)), ["package-0"]);
    }

    fn of(source: Source, kind: DomainKind, name: &str, contained_in: Option<usize>) -> DomainInfo {
        DomainInfo { source, ..domain(kind, name, contained_in) }
    }

    #[test]
    fn gpus_are_added_beside_psys_and_packages() {
        let d = [domain(DomainKind::Package, "package-0", None), of(Source::Nvml, DomainKind::Gpu, "gpu-0", None)];
        assert_eq!(names(&d, &host_cover(&d, &HostCover::Auto)), ["package-0", "gpu-0"]);
        assert_eq!(names(&d, &leaves(&d, &[0, 1])), ["package-0", "gpu-0"]);
    }

    #[test]
    fn a_module_holds_its_processors_and_its_gpu() {
        let mut d = [
            of(Source::Hwmon, DomainKind::Module, "Module Power Socket 0", None),
            of(Source::Hwmon, DomainKind::Cpu, "CPU Power Socket 0", Some(0)),
            of(Source::Nvml, DomainKind::Gpu, "gpu-0", None),
            of(Source::Nvml, DomainKind::Module, "module-0", None),
            of(Source::Nvml, DomainKind::Gpu, "gpu-1", None),
        ];
        d[2].on_module = true;
        relate(&mut d, &Containment::new());
        assert_eq!(d[3].duplicate_of.as_deref(), Some("Module Power Socket 0"));
        assert_eq!(names(&d, &host_cover(&d, &HostCover::Auto)), ["Module Power Socket 0", "gpu-1"]);
        assert_eq!(names(&d, &leaves(&d, &[0, 4])), ["CPU Power Socket 0", "gpu-0", "gpu-1"]);
    }

    #[test]
    fn a_sensor_of_a_package_stands_back_behind_rapl() {
        let mut d = [domain(DomainKind::Package, "package-0", None), of(Source::Hwmon, DomainKind::Package, "Esocket0", None)];
        relate(&mut d, &Containment::new());
        assert_eq!(names(&d, &host_cover(&d, &HostCover::Auto)), ["package-0"]);
    }

    #[test]
    fn the_rails_of_a_phone_are_the_host_and_a_configured_parent_holds_its_rails() {
        let mut d = [
            of(Source::Odpm, DomainKind::Cpu, "S2M_VDD_CPUCL0", None),
            of(Source::Odpm, DomainKind::Rail, "VSYS_PWR_DISPLAY", None),
            of(Source::Odpm, DomainKind::Rail, "L1M", None),
            of(Source::Hwmon, DomainKind::Rail, "ina226", None),
            of(Source::FuelGauge, DomainKind::Battery, "BAT0", None),
        ];
        let configured = Containment::from([("odpm/VSYS_PWR_DISPLAY".to_owned(), vec!["odpm/L1M".to_owned()])]);
        relate(&mut d, &configured);
        assert_eq!(names(&d, &host_cover(&d, &HostCover::Auto)), ["S2M_VDD_CPUCL0", "VSYS_PWR_DISPLAY"]);
        let named = HostCover::Domains(vec!["fuel_gauge/BAT0".into()]);
        assert_eq!(names(&d, &host_cover(&d, &named)), ["BAT0"]);
    }

    #[test]
    fn a_ring_of_configured_edges_is_cut() {
        let mut d = [of(Source::Odpm, DomainKind::Rail, "a", None), of(Source::Odpm, DomainKind::Rail, "b", None)];
        let ring = [("odpm/a", "odpm/b"), ("odpm/b", "odpm/a")].map(|(o, i)| (o.to_owned(), vec![i.to_owned()]));
        relate(&mut d, &Containment::from(ring));
        assert_eq!(names(&d, &host_cover(&d, &HostCover::Auto)), ["a"]);
    }

    #[test]
    fn the_choice_reads_back_from_a_word_or_a_list() {
        let list = HostCover::Domains(vec!["hwmon/VDD_IN".into()]);
        for choice in [HostCover::Auto, HostCover::Packages, list] {
            let text = serde_json::to_string(&choice).unwrap();
            assert_eq!(serde_json::from_str::<HostCover>(&text).unwrap(), choice);
        }
        for wrong in ["\"cores\"", "7"] {
            let error = serde_json::from_str::<HostCover>(wrong).unwrap_err().to_string();
            assert!(error.contains("\"auto\", \"packages\""), "{error}");
        }
    }

    fn any_tree() -> impl Strategy<Value = Vec<DomainInfo>> {
        let kinds = prop::sample::select(vec![
            DomainKind::Psys,
            DomainKind::Package,
            DomainKind::Core,
            DomainKind::Uncore,
            DomainKind::Dram,
            DomainKind::Cpu,
            DomainKind::Gpu,
            DomainKind::GpuInstance,
            DomainKind::Module,
            DomainKind::Board,
            DomainKind::Rail,
            DomainKind::Battery,
            DomainKind::Other,
        ]);
        let sources = prop::sample::select(vec![Source::RaplPerf, Source::Nvml, Source::Hwmon, Source::Odpm]);
        let row = (kinds, sources, any::<prop::sample::Index>(), any::<bool>(), any::<bool>());
        prop::collection::vec(row, 1..24).prop_map(|rows| {
            let mut tree: Vec<DomainInfo> = Vec::new();
            for (i, (kind, source, parent, nested, on_module)) in rows.into_iter().enumerate() {
                // a platform zone is never inside another one
                let held = (nested && i > 0 && kind != DomainKind::Psys).then(|| parent.index(i));
                tree.push(DomainInfo { source, on_module, ..domain(kind, &format!("d{i}"), held) });
            }
            tree
        })
    }

    proptest! {
        #[test]
        fn host_never_counts_a_joule_twice(tree in any_tree(), packages in any::<bool>()) {
            let mut tree = tree;
            relate(&mut tree, &Containment::new());
            let cover = host_cover(&tree, &if packages { HostCover::Packages } else { HostCover::Auto });
            let leaves = leaves(&tree, &cover);
            for members in [&cover, &leaves] {
                for &a in members {
                    for &b in members {
                        prop_assert!(!contains(&tree, a, b), "{} contains {}", tree[a].name, tree[b].name);
                    }
                }
            }
            let inside = |i: usize| cover.iter().filter(|&&m| m == i || contains(&tree, m, i)).count();
            for (i, row) in tree.iter().enumerate() {
                // a package or memory domain is inside some member: nothing is lost either
                if matches!(row.kind, DomainKind::Package | DomainKind::Dram) && row.duplicate_of.is_none() {
                    prop_assert!(inside(i) >= 1, "{} is in no member", row.name);
                }
                prop_assert!(!cover.contains(&i) || row.duplicate_of.is_none(), "{} is a second view", row.name);
            }
            for &leaf in &leaves {
                prop_assert!(inside(leaf) >= 1, "{} is outside the host", tree[leaf].name);
            }
        }
    }
}
