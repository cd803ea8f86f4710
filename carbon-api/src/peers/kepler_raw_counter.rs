//! What is exported (Kepler's node counter is the zone's own value: it falls at a wrap, and starts at the energy since boot).

use super::bench::{Bench, INTEL, S, package, rapl, uj};

#[test]
fn exported_counters_never_fall() {
    // one wraps, one is loaded anew, one fails now and then
    let mut b = Bench::new(vec![package(0), package(1), package(2)], |t| {
        let reset = if t < 20 * S { 150_000_000_000 + uj(50, t) } else { uj(50, t - 20 * S) };
        let failing = if t / S % 7 == 3 { Err(super::bench::eio()) } else { Ok(rapl(uj(60, t))) };
        vec![Ok(rapl(INTEL - 800_000_000 + uj(40, t))), Ok(rapl(reset)), failing]
    });
    assert_eq!(b.host(), 0, "it begins at 0, whatever the zones show");
    let mut last = b.snapshot();
    for _ in 0..60 {
        b.run(1);
        let now = b.snapshot();
        for (before, after) in last.domains.iter().zip(&now.domains) {
            assert!(after.energy >= before.energy, "{}: {:?} after {:?}", after.info.name, after.energy, before.energy);
        }
        for (before, after) in last.workloads.iter().zip(&now.workloads) {
            assert!(after.energy >= before.energy && after.energy.coarse() >= before.energy.coarse());
        }
        assert!(now.host_energy() >= last.host_energy() && now.host_coarse() >= last.host_coarse());
        last = now;
    }
    assert!(last.domains[0].energy.0.abs_diff(uj(40, 59 * S)) <= 62, "nothing is lost at the wrap: {:?}", last.domains[0].energy);
}
