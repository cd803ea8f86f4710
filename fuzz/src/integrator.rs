//! Any samples of power through the integrator, and what comes out of it through the counter.
//!
//! Input: the period, then one sample after the other, each led by a byte that says how it is told.

use carbon_api::counter::{Counter, CounterSpec, GapReason, Wrap};
use carbon_api::integrator::PowerIntegrator;
use carbon_api::stamp::Stamp;

use crate::bytes::Bytes;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut sum = PowerIntegrator::new(bytes.number());
    let spec = CounterSpec { max_power_w: f64::INFINITY, ..CounterSpec::new(Wrap::Never) };
    let (mut counter, mut counted_uj) = (Counter::new(spec), 0_u128);
    let (mut at, mut last, mut most_uw, mut time_ns) = (Stamp::at(0), None::<Stamp>, 0_u64, 0_u64);
    while !bytes.is_empty() {
        let how = bytes.byte();
        at = bytes.stamp(at, how);
        let microwatts = bytes.number();
        if how & 0x80 != 0 {
            sum.interrupt(GapReason::Epoch);
        }
        let before = sum.value();
        sum.sample(microwatts, at);
        let value = sum.value().expect("a sample was taken");
        let (old, new_epoch) = before.map_or((0, true), |b| (b.shown, b.epoch != value.epoch));
        assert!(value.shown >= old, "energy falls");
        assert!(!new_epoch || value.shown == old, "a gap is no energy");
        most_uw = most_uw.max(microwatts);
        // a sample that is not later is left out
        if last.is_none_or(|last| at.since(last) > 0) {
            time_ns = time_ns.saturating_add(last.map_or(0, |last| at.since(last)));
            last = Some(at);
        }
        let most_uj = most_uw as f64 * time_ns as f64 / 1e9;
        assert!(value.shown as f64 <= most_uj * (1.0 + 1e-9), "{} of at most {most_uj} uJ", value.shown);
        counted_uj += counter.take(&value).step().map_or(0, |step| u128::from(step.energy.0));
        assert!(counted_uj <= value.shown.into(), "the counter tells {counted_uj} of {} uJ", value.shown);
    }
}
