//! Scrapers of any pace (Alumet exports the energy of its last interval as a gauge: a slow scraper misses intervals, a fast one
//! sums the same interval again).

use super::bench::{Bench, S, package, rapl, uj};

#[test]
fn scrapers_of_any_pace_add_up_to_the_same() {
    let mut b = Bench::new(vec![package(0)], |t| vec![Ok(rapl(uj(40, t)))]);
    // each has the energy that it first saw, and the sum of the rises since
    let mut scrapers = [1, 3, 7].map(|pace| (pace, None::<u64>, 0_u64));
    for second in 1..=43_u64 {
        b.run(1);
        let now = b.host();
        for (pace, last, sum) in &mut scrapers {
            // the fastest asks several times a tick
            let times = if *pace == 1 { 5 } else { u64::from(second % *pace == 0) };
            for _ in 0..times {
                *sum += last.map_or(0, |last| now - last);
                *last = Some(now);
            }
        }
    }
    for (pace, last, sum) in scrapers {
        let seconds = 43 / pace * pace - pace.max(1);
        assert!(sum.abs_diff(uj(40, seconds * S)) <= 62, "every {pace} s: {sum} up to {last:?}");
    }
}
