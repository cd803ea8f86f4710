//! Two scrapers less than two seconds apart (scaphandre's Prometheus exporter measures when it is asked, at most once in two
//! seconds: one scraper's request takes the refresh from the other, and values stand still).

use super::bench::{Bench, S, package, rapl, uj};

#[test]
fn scrapes_neither_steal_nor_delay_a_value() {
    let show = |t| vec![Ok(rapl(uj(40, t)))];
    let (mut asked, mut alone) = (Bench::new(vec![package(0)], show), Bench::new(vec![package(0)], show));
    for second in 1..=10_u64 {
        // some scrapers that come at any time, one of which keeps what it got
        let held: Vec<_> = (0..50).map(|_| asked.snapshot()).collect();
        asked.run(1);
        alone.run(1);
        assert!(held.iter().all(|s| s.sequence == held[0].sequence), "what was handed out does not change");
        let (now, before) = (asked.host(), held[0].host_energy().0);
        assert_eq!(now, alone.host());
        if second > 1 {
            assert!((now - before).abs_diff(uj(40, S)) <= 62, "a new value every second: {before} to {now}");
        }
    }
}
