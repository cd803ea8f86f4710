//! One zone that cannot be read (in Kepler the first error ends the round: the other zones lose their energy of it too).

use super::bench::{Bench, S, eio, package, rapl, uj};
use crate::domain::{DomainKind, test_domain};

#[test]
fn an_eio_on_dram_costs_package_nothing() {
    // dram stands first in its meter's list of errors, before the package is taken
    let domains = vec![test_domain(DomainKind::Dram, "dram-0", None), package(0)];
    let mut b = Bench::new(domains, |t| {
        let dram = if (5 * S..12 * S).contains(&t) { Err(eio()) } else { Ok(rapl(uj(5, t))) };
        vec![dram, Ok(rapl(uj(40, t)))]
    });
    for second in 1..=20 {
        b.run(1);
        let package = &b.snapshot().domains[1];
        assert!(package.energy.0.abs_diff((second - 1) * 40_000_000) <= 62, "{second} s: {package:?}");
    }
    let s = b.snapshot();
    assert!(s.domains[0].energy.0.abs_diff(19 * 5_000_000) <= 62, "its own energy is closed over the errors: {:?}", s.domains[0]);
    let errors: Vec<(&str, &str, u64)> = s.errors.iter().map(|e| (&*e.domain, e.reason, e.amount)).collect();
    assert_eq!(errors, [("dram-0", "io", 7)]);
    let gaps: Vec<(&str, &str)> = s.gap_seconds.iter().map(|g| (&*g.domain, g.reason)).collect();
    assert_eq!(gaps, [("dram-0", "failed_read")]);
}
