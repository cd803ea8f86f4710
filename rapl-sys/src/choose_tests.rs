use proptest::prelude::*;

use super::*;
use crate::Vendor;
use crate::domain::Counting;
use crate::fake::{Tree, amd, domain, intel};

const INTEL: u64 = 262_143_328_850;
const AMD: u64 = 65_532_610_987;
const POWERCAP: Counting = Counting::Microjoules { range_uj: INTEL };

/// Names of the domains that count: no second views.
fn counted(choice: &Choice) -> Vec<&str> {
    choice.domains.iter().filter(|d| d.duplicate_of.is_none()).map(|d| d.name.as_str()).collect()
}

fn tried(choice: &Choice, backend: Backend) -> &Tried {
    choice.tried.iter().find(|t| t.backend == backend).unwrap()
}

/// Cascade Lake-AP: two packages of two dies, each with its own counters.
fn cascade_lake_ap() -> Tree {
    let tree = Tree::new();
    for at in 0..4_u32 {
        tree.cpu(at * 24, at / 2, at % 2, 0);
        let (package, die) = (at / 2, at % 2);
        tree.zone(&format!("intel-rapl/intel-rapl:{at}"), &format!("package-{package}-die-{die}"), 1_000_000, INTEL);
        tree.zone(&format!("intel-rapl/intel-rapl:{at}/intel-rapl:{at}:0"), "dram", 500_000, 65_712_999_613);
        tree.msr(at * 24, &[(0x606, 0xa0e03), (0x611, 1 << 14), (0x619, 1 << 15)]);
    }
    tree.pmu("power", 1, "0,24,48,72", &[("pkg", 2), ("ram", 3)]);
    tree
}

/// EPYC: two packages, which recent kernels show by die although each die reads the package's counter.
fn epyc(energy_uj: [u64; 4]) -> Tree {
    let tree = Tree::new();
    for at in 0..4_u32 {
        let (package, die) = (at / 2, at % 2);
        tree.cpu(at, package, die, at);
        let name = format!("package-{package}-die-{die}");
        // in the order of allocation, not of numbers: die 1 first
        let folder = format!("intel-rapl/intel-rapl:{:x}", 11 - at);
        tree.zone(&folder, &name, energy_uj[at as usize], AMD);
        tree.zone(&format!("{folder}/intel-rapl:{:x}:0", 11 - at), "core", 1000, AMD);
    }
    tree
}

#[test]
fn amd_twin_dies_count_once() {
    let tree = epyc([700, 700, 900, 900]);
    let mut choice = open(&tree.options(&amd()));
    assert_eq!(choice.backend, Some(Backend::Powercap));
    assert_eq!(counted(&choice), ["package-1-die-0", "package-0-die-0", "core-1-die-0", "core-0-die-0"]);
    let packages = choice.domains.iter_mut().filter(|d| d.identity.kind == Kind::Package && d.duplicate_of.is_none());
    assert_eq!(packages.map(|d| d.read().unwrap()).sum::<u64>(), 1600);
    let twin = &tried(&choice, Backend::Powercap).domains[0];
    assert_eq!(
        (twin.name.as_str(), &twin.duplicate_of),
        ("package-1-die-1", &Some((Backend::Powercap, "package-1-die-0".into())))
    );
}

#[test]
fn a_twin_stands_in_for_a_first_die_that_cannot_be_read() {
    let tree = epyc([700, 700, 900, 900]);
    std::fs::remove_file(tree.sysfs().join("class/powercap/intel-rapl:b/energy_uj")).unwrap();
    let choice = open(&tree.options(&amd()));
    assert!(counted(&choice).contains(&"package-0-die-1"), "{:?}", counted(&choice));
    assert!(!counted(&choice).contains(&"package-0-die-0"));
}

#[test]
fn dies_of_intel_are_distinct_even_where_they_agree() {
    let choice = open(&cascade_lake_ap().options(&intel(85)));
    assert_eq!(counted(&choice).len(), 8);
}

#[test]
fn an_unknown_vendor_is_judged_by_its_counters() {
    let twins = open(&epyc([1_000_000, 1_000_900, 5_000_000, 5_000_000]).options(b""));
    assert_eq!(counted(&twins), ["package-1-die-0", "package-0-die-0", "core-1-die-0", "core-0-die-0"]);
    let distinct = open(&epyc([1_000_000, 1_002_000, 5_000_000, 9_000_000]).options(b""));
    assert_eq!(counted(&distinct).len(), 8);
}

#[test]
fn switching_back_ends_starts_an_epoch() {
    let tree = cascade_lake_ap();
    let options = Options { msr: true, ..tree.options(&intel(85)) };
    let first = open(&options);
    assert_eq!(first.backend, Some(Backend::Powercap));
    let same = open(&options);
    for at in 0..4 {
        tree.remove_zone(&format!("intel-rapl:{at}"));
        tree.remove_zone(&format!("intel-rapl:{at}:0"));
    }
    let other = open(&options);
    assert_eq!(other.backend, cfg!(feature = "msr").then_some(Backend::Msr));
    let epochs = |choice: &Choice| choice.domains.iter().map(|d| d.counter.as_ref().unwrap().epoch()).collect::<Vec<_>>();
    let (first, same, other) = (epochs(&first), epochs(&same), epochs(&other));
    assert_eq!((first.len(), same.len(), other.len()), (8, 8, if cfg!(feature = "msr") { 8 } else { 0 }));
    assert!(same.iter().all(|e| !first.contains(e)), "the same back end, chosen again");
    assert!(other.iter().all(|e| !first.contains(e) && !same.contains(e)), "another back end");
}

#[test]
fn the_others_are_told_as_duplicates() {
    let tree = cascade_lake_ap();
    let choice = open(&Options { msr: true, ..tree.options(&intel(85)) });
    let perf = tried(&choice, Backend::Perf);
    assert!(matches!(perf.error, Some(Error::Skipped { .. })) && !perf.chosen);
    assert!(tried(&choice, Backend::Powercap).chosen);
    let msr = tried(&choice, Backend::Msr);
    let pairs: Vec<_> = msr.domains.iter().map(|d| (d.name.clone(), d.duplicate_of.clone().unwrap())).collect();
    assert_eq!(pairs.len(), if cfg!(feature = "msr") { 8 } else { 0 });
    assert!(pairs.iter().all(|(name, (backend, same))| *backend == Backend::Powercap && name == same), "{pairs:?}");
}

#[test]
fn registers_are_read_only_when_asked_for() {
    let tree = Tree::new();
    tree.msr(0, &[(0x606, 0xa0e03), (0x611, 5)]);
    let choice = open(&tree.options(&intel(85)));
    assert!(choice.backend.is_none() && choice.domains.is_empty());
    assert!(matches!(&tried(&choice, Backend::Msr).error, Some(Error::Skipped { reason, .. }) if reason.contains("msr = true")));
    assert!(tried(&choice, Backend::Powercap).error.as_ref().unwrap().is_gone());
    let choice = open(&Options { msr: true, order: vec![Backend::Msr], ..tree.options(&intel(85)) });
    assert_eq!(choice.tried.len(), 1);
    assert_eq!(choice.backend.is_some(), cfg!(feature = "msr"));
}

/// Back ends as lists of (identity, readable).
fn opened(lists: &[(Backend, &[(Identity, bool)])]) -> Vec<(Backend, Result<Vec<Domain>, Error>)> {
    let domains = |list: &[(Identity, bool)]| list.iter().map(|(id, ok)| domain(id.clone(), POWERCAP, *ok)).collect();
    lists.iter().map(|(backend, list)| (*backend, Ok(domains(list)))).collect()
}

#[test]
fn the_first_complete_back_end_is_chosen() {
    let (p0, p1, dram) = (Identity::package(0, None), Identity::package(1, None), Identity::part("dram", 0, None));
    let at = |perf: &[(Identity, bool)], powercap: &[(Identity, bool)]| {
        best(&opened(&[(Backend::Perf, perf), (Backend::Powercap, powercap)]))
    };
    let yes = |id: &Identity| (id.clone(), true);
    let no = |id: &Identity| (id.clone(), false);
    assert_eq!(at(&[yes(&p0)], &[yes(&p0), yes(&dram)]), Some(0), "complete in what it lists");
    assert_eq!(at(&[yes(&p0), no(&dram)], &[yes(&p0), yes(&dram)]), Some(1), "memory is missing in the first");
    assert_eq!(at(&[yes(&p0), no(&dram)], &[yes(&p0), no(&dram)]), Some(0), "none is complete: all packages open");
    assert_eq!(at(&[yes(&p0), no(&p1)], &[yes(&p0), yes(&p1), no(&dram)]), Some(1), "a package is missing in the first");
    assert_eq!(at(&[no(&p0), yes(&Identity::platform(0))], &[]), Some(0), "the platform stands for the packages");
    assert_eq!(at(&[], &[yes(&p0), no(&p1)]), Some(1), "one package is better than none");
    assert_eq!(at(&[no(&p0)], &[yes(&dram)]), Some(1), "memory alone is complete in what it lists");
    assert_eq!(at(&[no(&p0)], &[no(&p0), yes(&dram)]), None);
    assert_eq!(at(&[], &[]), None);
}

#[test]
fn a_second_view_that_fails_does_not_count_against_its_back_end() {
    let tree = Tree::new();
    tree.zone("intel-rapl/intel-rapl:0", "package-0", 5, INTEL);
    tree.zone("intel-rapl-mmio/intel-rapl-mmio:0", "package-0", 5, INTEL);
    std::fs::remove_file(tree.sysfs().join("class/powercap/intel-rapl-mmio:0/energy_uj")).unwrap();
    let choice = open(&tree.options(&intel(154)));
    assert_eq!(choice.backend, Some(Backend::Powercap));
    assert_eq!(counted(&choice), ["package-0"]);
}

#[test]
fn limits_of_power_come_from_powercap() {
    let ids = [Identity::package(0, None), Identity::package(1, None)];
    let list: Vec<_> = ids.iter().map(|id| (id.clone(), true)).collect();
    let mut opened = opened(&[(Backend::Perf, &list), (Backend::Powercap, &list)]);
    opened[1].1.as_mut().unwrap()[1].max_power_w = Some(270.0);
    borrow_limits(&mut opened, 0, &Options::new("/sys", "/dev", b""));
    let limits: Vec<_> = opened[0].1.iter().flatten().map(|d| d.max_power_w).collect();
    assert_eq!(limits, [None, Some(270.0)]);
}

#[test]
fn dies_and_packages_are_matched_across_back_ends() {
    let options = |cpuinfo: &[u8]| Options::new("/sys", "/dev", cpuinfo);
    let (die0, die1) = (Identity::package(0, Some(0)), Identity::package(0, Some(1)));
    let package = Identity::package(0, None);
    assert!(shows_same(&package, &die1, &options(&amd())) && shows_same(&die0, &die1, &options(&amd())));
    assert!(!shows_same(&die0, &die1, &options(&intel(85))));
    assert!(!shows_same(&Identity::one_core(0, 4), &Identity::part("core", 0, None), &options(&amd())));
    assert!(!shows_same(&Identity::package(1, None), &package, &options(&amd())));
}

#[test]
fn a_client_with_platform_and_graphics_is_chosen_whole() {
    let tree = Tree::new();
    tree.cpu(0, 0, 0, 0);
    tree.zone("intel-rapl/intel-rapl:0", "package-0", 5, INTEL);
    tree.zone("intel-rapl/intel-rapl:0/intel-rapl:0:0", "core", 5, INTEL);
    tree.zone("intel-rapl/intel-rapl:0/intel-rapl:0:1", "uncore", 5, INTEL);
    tree.zone("intel-rapl/intel-rapl:1", "psys", 5, INTEL);
    tree.zone("intel-rapl/intel-rapl:2", "camera", 5, INTEL);
    let choice = open(&tree.options(&intel(154)));
    assert_eq!(counted(&choice), ["package-0", "psys", "camera", "core-0", "uncore-0"]);
    assert_eq!(choice.domains[4].contained_in(), Some(0));
}

#[test]
fn sapphire_rapids_has_a_platform_of_whole_joules_a_package() {
    let tree = Tree::new();
    for package in 0..2_u32 {
        tree.cpu(package * 56, package, 0, 0);
        tree.zone(&format!("intel-rapl/intel-rapl:{package}"), &format!("package-{package}"), 5, INTEL);
        let name = if package == 0 { "psys" } else { "psys-1" };
        tree.zone(&format!("intel-rapl/intel-rapl:{}", package + 2), name, 5_000_000, 4_294_967_295_000_000);
    }
    let choice = open(&tree.options(&intel(143)));
    assert_eq!(counted(&choice), ["package-0", "package-1", "psys", "psys-1"]);
    let platforms = choice.domains.iter().filter(|d| d.identity.kind == Kind::Psys);
    assert_eq!(platforms.map(|d| d.resolution_j).collect::<Vec<_>>(), [1.0, 1.0]);
}

fn any_identity() -> impl Strategy<Value = Identity> {
    let die = prop_oneof![Just(None), (0_u32..3).prop_map(Some)];
    let label = prop_oneof![Just("core"), Just("dram"), Just("uncore"), Just("camera")];
    (0_u32..3, die, label, 0_u32..5).prop_map(|(package, die, label, what)| match what {
        0 | 1 => Identity::package(package, die),
        2 => Identity::platform(package),
        3 => Identity::one_core(package, die.unwrap_or(7)),
        _ => Identity::part(label, package, die),
    })
}

proptest! {
    /// Whatever a machine lists: one energy is counted once, and no name stands for two domains.
    #[test]
    fn no_energy_is_counted_twice(list in prop::collection::vec((any_identity(), any::<bool>()), 0..24)) {
        let mut domains: Vec<_> = list.into_iter().map(|(id, ok)| domain(id, POWERCAP, ok)).collect();
        crate::domain::mark_second_views(&mut domains);
        crate::domain::name_apart(&mut domains);
        twins::mark(&mut domains, Vendor::Amd);
        for (i, a) in domains.iter().enumerate() {
            prop_assert!(a.duplicate_of.is_none_or(|to| domains[to].duplicate_of.is_none() && to != i));
            for b in &domains[..i] {
                prop_assert_ne!(&a.name, &b.name);
                let both = a.duplicate_of.is_none() && b.duplicate_of.is_none() && a.identity.kind != Kind::Other;
                let same_die = a.identity.die == b.identity.die || (a.identity.die.is_some() && b.identity.die.is_some());
                let same = (a.identity.kind, a.identity.package, a.identity.cpu) == (b.identity.kind, b.identity.package, b.identity.cpu);
                prop_assert!(!(both && same && same_die), "{} and {}", a.name, b.name);
                if a.identity == b.identity {
                    let counted = [a, b].into_iter().find(|d| d.duplicate_of.is_none());
                    prop_assert!(counted.is_none_or(|d| d.counter.is_ok() || (a.counter.is_err() && b.counter.is_err())));
                }
            }
        }
    }
}
