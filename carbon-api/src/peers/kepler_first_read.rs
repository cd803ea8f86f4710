//! A counter that has run since boot (Kepler's first reading is all of it, and is split among those who happen to run then).

use super::bench::{Bench, S, package, rapl, uj};

#[test]
fn energy_since_boot_belongs_to_nobody() {
    let mut b = Bench::new(vec![package(0)], |t| vec![Ok(rapl(200_000_000_000 + uj(40, t)))]);
    assert_eq!(b.host(), 0);
    b.run(1);
    assert_eq!((b.host(), b.snapshot().carbon.operational_g), (0, 0.0), "one reading is no energy");
    b.run(1);
    assert!(b.host().abs_diff(uj(40, S)) <= 62, "{}", b.host());
    let shared: u64 = b.snapshot().workloads.iter().map(|w| w.energy.0).sum();
    assert_eq!(shared, b.host());
}
