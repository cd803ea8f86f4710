use super::*;
use crate::fake::{Tree, amd, intel};

/// Bits 12:8 are 14: 2^-14 J.
const ESU_14: (u32, u64) = (INTEL_UNITS, 0x000a_0e03);

fn find(tree: &Tree, cpuinfo: &[u8], in_guest: bool) -> Result<Vec<Domain>, Error> {
    let dev = tree.dev();
    let registers = Registers { dev: &dev, processor: Processor::parse(cpuinfo), in_guest, cores: true };
    discover(&registers, &Topology::read(&tree.sysfs()))
}

fn summary(domains: &mut [Domain]) -> Vec<(String, Option<u64>, Counting, Option<usize>)> {
    domains.iter_mut().map(|d| (d.name.clone(), d.read().ok(), d.counting, d.parent)).collect()
}

fn row(name: &str, value: u64, esu: u8, parent: Option<usize>) -> (String, Option<u64>, Counting, Option<usize>) {
    (name.to_owned(), Some(value), Counting::Counts { esu }, parent)
}

#[test]
fn guest_msr_is_refused() {
    let tree = Tree::new();
    tree.msr(0, &[ESU_14, (0x611, 0x1234)]);
    let guest = [intel(85), b"flags : hypervisor".to_vec()].concat();
    let guest = String::from_utf8(guest).unwrap().replace("fpu msr", "fpu hypervisor");
    let error = find(&tree, guest.as_bytes(), false).unwrap_err();
    assert!(matches!(&error, Error::Skipped { reason, .. } if reason.contains("msr_in_guest")), "{error}");
    assert_eq!(summary(&mut find(&tree, guest.as_bytes(), true).unwrap()), [row("package-0", 0x1234, 14, None)]);
    assert_eq!(find(&tree, &intel(85), false).unwrap().len(), 1, "on the bare machine it is believed");
}

#[test]
fn the_low_half_counts_and_absent_registers_are_absent_domains() {
    let tree = Tree::new();
    tree.cpu(0, 0, 0, 0);
    // memory (0x619) reads 0, the platform (0x64d) lies beyond the end
    tree.msr(0, &[ESU_14, (0x611, 0xdead_beef_ffff_fffe), (0x639, 7), (0x641, 9)]);
    let mut domains = find(&tree, &intel(154), false).unwrap();
    let expected = [row("package-0", 0xffff_fffe, 14, None), row("core-0", 7, 14, Some(0)), row("uncore-0", 9, 14, Some(0))];
    assert_eq!(summary(&mut domains), expected);
    tree.msr(0, &[(0x611, 5)]);
    let wrapped = (domains[0].read().unwrap() as u32).wrapping_sub(0xffff_fffe);
    assert_eq!(Scale::from_esu(14).microjoules(wrapped.into()), 427, "7 units across the wrap");
}

#[test]
fn the_model_fixes_units() {
    let tree = Tree::new();
    tree.msr(0, &[ESU_14, (0x611, 1), (0x619, 2), (0x64d, 3)]);
    let units = |model| {
        let mut domains = find(&tree, &intel(model), false).unwrap();
        summary(&mut domains)
    };
    assert_eq!(units(106), [row("package-0", 1, 14, None), row("dram-0", 2, 16, Some(0)), row("psys", 3, 14, None)]);
    assert_eq!(units(143), [row("package-0", 1, 14, None), row("dram-0", 2, 14, Some(0)), row("psys", 3, 0, None)]);
    let error = find(&tree, &intel(55), false).unwrap_err();
    assert!(error.to_string().contains("another unit"), "{error}");
}

#[test]
fn one_cpu_reads_for_each_die_of_intel() {
    let tree = Tree::new();
    for (cpu, package, die) in [(0, 1, 0), (1, 1, 0), (2, 1, 1), (3, 0, 0), (4, 0, 1)] {
        tree.cpu(cpu, package, die, cpu);
        tree.msr(cpu, &[ESU_14, (0x611, u64::from(cpu) + 100)]);
    }
    let mut domains = find(&tree, &intel(85), false).unwrap();
    let got: Vec<_> = summary(&mut domains).into_iter().map(|(name, value, ..)| (name, value.unwrap())).collect();
    let expected = [("package-1-die-0", 100), ("package-1-die-1", 102), ("package-0-die-0", 103), ("package-0-die-1", 104)];
    assert_eq!(got, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn amd_has_a_register_a_package_and_one_a_core() {
    let tree = Tree::new();
    // two dies in the package, two threads in the first core
    for (cpu, die, core) in [(0, 0, 0), (1, 1, 0), (2, 0, 0), (3, 1, 1)] {
        tree.cpu(cpu, 0, die, core);
        // in a plain file the three neighbours overlap: 29a is 299 less its first byte, 29b less the first two
        tree.msr(cpu, &[(AMD_UNITS, u64::from(cpu) << 24 | 0x0032_1003), (AMD_PACKAGE + 8, 0)]);
    }
    let mut domains = find(&tree, &amd(), false).unwrap();
    let expected = [
        row("package-0", 0x32, 16, None),
        row("core-0-cpu-0", 0x3210, 16, Some(0)),
        row("core-0-cpu-1", 0x0001_3210, 16, Some(0)),
        row("core-0-cpu-3", 0x0003_3210, 16, Some(0)),
    ];
    assert_eq!(summary(&mut domains), expected);
}

#[test]
fn what_is_missing_is_named() {
    let tree = Tree::new();
    let error = find(&tree, &intel(85), false).unwrap_err();
    assert!(error.is_gone() && error.path().ends_with("dev/cpu"), "{error}");
    assert!(matches!(find(&tree, b"", false), Err(Error::Skipped { .. })));
    tree.cpu(0, 0, 0, 0);
    tree.cpu(8, 1, 0, 0);
    tree.msr(0, &[ESU_14, (0x611, 5)]);
    let domains = find(&tree, &intel(85), false).unwrap();
    assert!(domains[0].counter.is_ok());
    let error = domains[1].counter.as_ref().unwrap_err();
    assert!(domains[1].name == "package-1" && error.is_gone() && error.path().ends_with("cpu/8/msr"), "{error}");
    tree.msr(8, &[(INTEL_UNITS, 0), (0x611, 5)]);
    let domains = find(&tree, &intel(85), false).unwrap();
    assert!(matches!(domains[1].counter, Err(Error::Malformed { .. })), "units of 0 are garbage");
}

#[test]
fn a_register_goes_on_after_it_was_opened_anew() {
    let tree = Tree::new();
    tree.msr(0, &[ESU_14, (0x611, 5)]);
    let mut domains = find(&tree, &intel(85), false).unwrap();
    let counter = domains[0].counter.as_mut().unwrap();
    let epoch = counter.epoch();
    counter.reopen().unwrap();
    assert_eq!((counter.read().unwrap(), counter.epoch()), (5, epoch));
}

proptest::proptest! {
    #[test]
    fn any_units_are_read(register in proptest::num::u64::ANY) {
        proptest::prop_assert!(parse_units(register).is_none_or(|esu| esu < 32));
    }
}
