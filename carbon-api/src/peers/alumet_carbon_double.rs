//! A package that contains its cores (Alumet turns the energy of package, cores and total into grams each, and their sum counts
//! the same joule up to three times).

use super::bench::{Bench, S, package, rapl, uj};
use crate::domain::{DomainKind, test_domain};

#[test]
fn package_and_core_make_grams_once() {
    let domains = vec![
        package(0),
        test_domain(DomainKind::Core, "core-0", Some(0)),
        test_domain(DomainKind::Dram, "dram-0", None),
        test_domain(DomainKind::Psys, "psys", None),
    ];
    let mut b = Bench::new(domains, |t| [40, 30, 5, 60].map(|watts| Ok(rapl(uj(watts, t)))).to_vec());
    b.run(11);
    let s = b.snapshot();
    assert!(s.host_energy().0.abs_diff(uj(60, 10 * S)) <= 62, "the platform holds the others: {}", s.host_energy().0);
    // 360 g/kWh are 100 microgram a joule
    assert!((s.carbon.operational_g - 0.06).abs() < 1e-7, "{}", s.carbon.operational_g);
    let shared: f64 = s.workloads.iter().filter_map(|w| w.carbon_g).sum();
    assert!((shared - s.carbon.operational_g).abs() < 1e-12, "{shared}");
}
