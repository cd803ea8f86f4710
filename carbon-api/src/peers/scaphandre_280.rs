//! Two sockets, of which one wraps (hubblo-org/scaphandre#280: the fall is left out of the host, and the host's value with it).

use super::bench::{Bench, INTEL, S, package, rapl, uj};

#[test]
fn one_socket_wrapping_keeps_the_host_right() {
    // the first wraps after 2.5 s, the second never
    let mut b = Bench::new(vec![package(0), package(1)], |t| {
        vec![Ok(rapl(INTEL - uj(40, 5 * S / 2) + uj(40, t))), Ok(rapl(1_000_000 + uj(60, t)))]
    });
    let mut last = 0;
    for second in 1..=10 {
        b.run(1);
        let host = b.host();
        assert!(host.abs_diff((second - 1) * 100_000_000) <= 124, "{host} after {second} s");
        assert!(host >= last);
        last = host;
    }
    let s = b.snapshot();
    assert_eq!((s.coverage, s.resets.len(), s.gaps.len()), (1.0, 0, 0));
    assert!(s.host_power_w().is_some_and(|w| (w - 100.0).abs() < 0.001));
}
