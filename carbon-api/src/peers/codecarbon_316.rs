//! Two dies of an AMD package that show one counter (mlco2/codecarbon#316, #1274: a Threadripper 1950X of 68 W is told as 137 W, with
//! 125 W at the wall).

use super::bench::{Clockwork, S, powercap};
use crate::bank::Observed;
use crate::cover::{HostCover, host_cover};
use crate::detect::{Machine, Options};

/// Domains in the host where the dies show one counter, of which a second goes by.
fn host_of(vendor: &str) -> (Vec<String>, f64) {
    let dir = tempfile::tempdir().unwrap();
    let show =
        |uj: u64| powercap(dir.path(), &[("intel-rapl:0", "package-0-die-0", uj), ("intel-rapl:1", "package-0-die-1", uj)]);
    show(5_000_000);
    std::fs::write(dir.path().join("cpuinfo"), format!("processor : 0\nvendor_id : {vendor}\n")).unwrap();
    let roots =
        Options { sysfs: dir.path().into(), procfs: dir.path().into(), cgroupfs: dir.path().join("none"), ..Options::default() };
    let mut machine = Machine::detect(&roots);
    let clock = Clockwork::default();
    machine.bank.read(&clock);
    clock.set(S);
    show(73_500_000);
    let cover = host_cover(&machine.bank.domain_list(), &HostCover::Auto);
    let observed = machine.bank.read(&clock).1.to_vec();
    let energy = |i: &usize| match &observed[*i] {
        Observed::Read(outcome) => outcome.step().unwrap().energy.joules().value(),
        Observed::Failed(error) => panic!("{error}"),
    };
    (machine.host_cover.clone(), cover.iter().map(energy).sum())
}

#[test]
fn dies_that_share_a_counter_count_once() {
    let (cover, joules) = host_of("AuthenticAMD");
    assert_eq!(cover, ["rapl_powercap/package-0-die-0"]);
    assert!((joules - 68.5).abs() < 0.001, "{joules} J in a second, not 137");
}

#[test]
fn dies_with_counters_of_their_own_are_summed() {
    let (cover, joules) = host_of("GenuineIntel");
    assert_eq!((cover.len(), joules.round()), (2, 137.0));
}
