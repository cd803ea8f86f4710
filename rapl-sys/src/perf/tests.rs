use std::fs;
use std::time::Duration;

use super::*;
use crate::Kind;
use crate::fake::{Tree, amd, intel};

/// The kernel's own PMU of clocks: what it counts is no energy, but it is opened and read in the same way.
const SOFTWARE: u32 = 1;
/// `PERF_COUNT_SW_CPU_CLOCK`: nanoseconds.
const CPU_CLOCK: u32 = 0;
const INTEL_SERVER: [(&str, u32); 3] = [("cores", 1), ("pkg", 2), ("ram", 3)];

fn listed(tree: &Tree, cpuinfo: &[u8]) -> Vec<(String, u32)> {
    let topology = Topology::read(&tree.sysfs());
    let processor = Processor::parse(cpuinfo);
    let pmus = [POWER, POWER_CORE].into_iter().filter_map(|name| Some((name, Pmu::read(&tree.sysfs(), name).ok()?)));
    let all = pmus.flat_map(|(name, pmu)| list(name, &pmu, &topology, &processor));
    all.map(|l| (l.identity.to_string(), l.cpu)).collect()
}

fn names(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
    expected.iter().map(|(name, cpu)| ((*name).to_owned(), *cpu)).collect()
}

#[test]
fn cpumask_is_mapped_by_topology() {
    let tree = Tree::new();
    // the first CPU of the mask sits in the second package
    tree.cpu(0, 1, 0, 0);
    tree.cpu(24, 0, 0, 0);
    tree.pmu(POWER, 12, "0,24", &[("pkg", 2), ("ram", 3)]);
    let expected = [("package-1", 0), ("package-0", 24), ("dram-1", 0), ("dram-0", 24)];
    assert_eq!(listed(&tree, &intel(85)), names(&expected));
}

#[test]
fn a_cpu_stands_for_a_die_on_intel() {
    let tree = Tree::new();
    for (cpu, package, die) in [(0, 0, 0), (24, 0, 1), (48, 1, 0), (72, 1, 1)] {
        tree.cpu(cpu, package, die, 0);
    }
    tree.pmu(POWER, 12, "0,24,48,72", &INTEL_SERVER);
    let got = listed(&tree, &intel(85));
    assert_eq!(got.len(), 12);
    let packages = [("package-0-die-0", 0), ("package-0-die-1", 24), ("package-1-die-0", 48), ("package-1-die-1", 72)];
    assert_eq!(got[..4], names(&packages));
    assert!(got.contains(&("dram-1-die-1".to_owned(), 72)));
}

#[test]
fn a_cpu_stands_for_a_package_on_amd() {
    let tree = Tree::new();
    for (cpu, package, die) in [(0, 0, 0), (1, 0, 0), (8, 0, 1), (16, 1, 0)] {
        tree.cpu(cpu, package, die, cpu % 8);
    }
    tree.pmu(POWER, 12, "0,16", &[("pkg", 2)]);
    tree.pmu(POWER_CORE, 13, "0-1,8,16", &[("core", 1)]);
    let cores = [("core-0-cpu-0", 0), ("core-0-cpu-1", 1), ("core-0-cpu-8", 8), ("core-1-cpu-16", 16)];
    let expected: Vec<_> = [("package-0", 0), ("package-1", 16)].into_iter().chain(cores).collect();
    assert_eq!(listed(&tree, &amd()), names(&expected));
}

#[test]
fn a_client_has_graphics_and_a_platform() {
    let tree = Tree::new();
    tree.cpu(0, 0, 0, 0);
    tree.pmu(POWER, 12, "0", &[("cores", 1), ("pkg", 2), ("gpu", 4), ("psys", 5), ("npu", 6)]);
    let domains = open_all(&tree.sysfs(), &Processor::parse(&intel(154)), &Pmu::read(&tree.sysfs(), POWER).unwrap(), true);
    let got: Vec<_> = domains.iter().map(|d| (d.name.as_str(), d.identity.kind, d.parent)).collect();
    let expected = [
        ("package-0", Kind::Package, None),
        ("core-0", Kind::Core, Some(0)),
        ("uncore-0", Kind::Uncore, Some(0)),
        ("psys", Kind::Psys, None),
        ("npu-0", Kind::Other, Some(0)),
    ];
    assert_eq!(got, expected);
}

#[test]
fn units_come_from_the_model() {
    let tree = Tree::new();
    tree.pmu(POWER, 12, "0", &[("pkg", 2), ("ram", 3), ("psys", 5)]);
    let resolutions = |model| {
        let processor = Processor::parse(&intel(model));
        let domains = open_all(&tree.sysfs(), &processor, &Pmu::read(&tree.sysfs(), POWER).unwrap(), false);
        domains.iter().map(|d| d.resolution_j).collect::<Vec<_>>()
    };
    let (esu14, esu16) = (2_f64.powi(-14), 2_f64.powi(-16));
    assert_eq!(resolutions(143), [esu14, esu14, 1.0], "Sapphire Rapids");
    assert_eq!(resolutions(106), [esu14, esu16, esu14], "Ice Lake-X");
}

#[test]
fn one_bad_file_costs_its_own_event() {
    let tree = Tree::new();
    tree.pmu(POWER, 12, "0", &INTEL_SERVER);
    tree.file("bus/event_source/devices/power/events/energy-ram.scale", "much");
    tree.file("bus/event_source/devices/power/events/energy-cores.unit", "Watts");
    let pmu = Pmu::read(&tree.sysfs(), POWER).unwrap();
    let wrong: Vec<_> = pmu.events.iter().filter_map(|e| Some((e.name.as_str(), e.spec.as_ref().err()?.to_string()))).collect();
    assert_eq!(wrong.len(), 2);
    assert!(wrong[0].0 == "cores" && wrong[0].1.contains("energy-cores.unit holds \"Watts"), "{wrong:?}");
    assert!(wrong[1].0 == "ram" && wrong[1].1.contains("energy-ram.scale"), "{wrong:?}");
    tree.file("bus/event_source/devices/power/cpumask", "0-");
    assert!(matches!(Pmu::read(&tree.sysfs(), POWER), Err(Error::Malformed { .. })));
}

#[test]
fn a_tree_of_plain_files_is_no_sysfs() {
    let tree = Tree::new();
    assert!(discover(&tree.sysfs(), &Processor::default(), true).unwrap_err().is_gone(), "without a PMU it is absent");
    tree.pmu(POWER, SOFTWARE, "0", &[("pkg", CPU_CLOCK)]);
    let error = discover(&tree.sysfs(), &Processor::default(), true).unwrap_err();
    assert!(matches!(&error, Error::Skipped { reason, .. } if reason.contains("no real sysfs")), "{error}");
    assert!(is_real_sysfs(Path::new("/sys")) && !is_real_sysfs(Path::new("/proc")) && !is_real_sysfs(Path::new("/none")));
}

/// The counters of a tree that names the kernel's clock as its PMU; `None` without the right to open it.
fn clocks(tree: &Tree, cpumask: &str) -> Option<Vec<Domain>> {
    tree.pmu(POWER, SOFTWARE, cpumask, &[("pkg", CPU_CLOCK)]);
    let domains = open_all(&tree.sysfs(), &Processor::parse(&intel(85)), &Pmu::read(&tree.sysfs(), POWER).unwrap(), true);
    let denied = domains.iter().any(|d| d.counter.as_ref().is_err_and(Error::is_denied));
    if denied {
        eprintln!("skipped: perf_event_open is not permitted here; run as root or with CAP_PERFMON");
    }
    (!denied).then_some(domains)
}

#[test]
fn an_event_counts_from_zero_and_never_falls() {
    let tree = Tree::new();
    let Some(mut domains) = clocks(&tree, "0") else { return };
    let first = domains[0].read().unwrap();
    std::thread::sleep(Duration::from_millis(30));
    let second = domains[0].read().unwrap();
    // 2^-32 J a nanosecond: 0.23 W
    let watts = (second - first) as f64 / 1e6 / 0.03;
    assert!(watts > 0.2, "30 ms of the clock: {watts} W");
    assert!(first < 10_000_000, "it starts near 0: {first}");
}

#[test]
fn an_event_follows_its_package_to_another_cpu() {
    let tree = Tree::new();
    tree.cpu(0, 3, 0, 0);
    tree.cpu(1, 3, 0, 1);
    let pmu = |mask| tree.pmu(POWER, SOFTWARE, mask, &[("pkg", CPU_CLOCK)]);
    pmu("0");
    let open = || {
        let topology = Topology::read(&tree.sysfs());
        let pmu = Pmu::read(&tree.sysfs(), POWER).unwrap();
        let listed = list(POWER, &pmu, &topology, &Processor::default()).remove(0);
        let origin = Origin { sysfs: tree.sysfs(), pmu: POWER, event: listed.event, stands_for: listed.stands_for };
        let open = Open::new(listed.kind, 0, listed.cpu)?;
        Ok::<_, std::io::Error>(PerfZone { open, scale: Scale::from_esu(32), epoch: Epoch::new(), path: listed.path, origin })
    };
    let mut zone = match open() {
        Ok(zone) => zone,
        Err(error) => return eprintln!("skipped: perf_event_open: {error}"),
    };
    std::thread::sleep(Duration::from_millis(20));
    let (count, epoch) = (zone.read_count().unwrap(), zone.epoch());
    assert_eq!(zone.cpu(), 0);
    if std::thread::available_parallelism().unwrap().get() > 1 {
        pmu("1");
        let reopened = std::time::Instant::now();
        zone.reopen().unwrap();
        assert_eq!(zone.cpu(), 1);
        // nanoseconds of the clock: one that went on would be ahead of the time since then
        let (new, since) = (zone.read_count().unwrap(), reopened.elapsed().as_nanos());
        assert!(zone.epoch() > epoch && u128::from(new) <= since, "a new event starts at 0: {new} in {since} ns, {count} before");
    }
    let kept = zone.epoch();
    tree.cpu(1, 0, 0, 1);
    pmu("1");
    assert!(zone.reopen().unwrap_err().is_gone(), "no CPU of the mask sits in package 3 any more");
    assert_eq!(zone.epoch(), kept);
    zone.read_count().unwrap();
}

/// The PMU `msr` cannot exclude anything either: it answers EINVAL to an exclude bit, as `power` does.
#[test]
fn an_event_excludes_nothing() {
    let folder = Path::new("/sys/bus/event_source/devices/msr");
    let Ok(kind) = fs::read_to_string(folder.join("type")) else { return eprintln!("skipped: no PMU msr here") };
    match Open::new(kind.trim().parse().unwrap(), 0, 0) {
        Ok(mut open) => {
            let first = open.read().unwrap();
            assert!(open.read().unwrap() > first, "the time stamp counter runs");
        }
        Err(error) => assert!(error.raw_os_error() != Some(22), "EINVAL: {error}"),
    }
}

#[test]
fn this_machine_answers_or_has_no_pmu() {
    match discover(Path::new("/sys"), &Processor::default(), true) {
        Ok(domains) => assert!(!domains.is_empty()),
        Err(error) => assert!(error.is_gone(), "{error}"),
    }
}
