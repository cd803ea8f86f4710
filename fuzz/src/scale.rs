//! The scale of a perf event: whatever it says, more counts are never less energy, and as much as the text says.

use rapl_sys::Scale;

use crate::bytes::Bytes;

/// Plays one input: two counts, then the text.
pub fn run(data: &[u8]) {
    let (numbers, text) = data.split_at(data.len().min(16));
    let mut numbers = Bytes::new(numbers);
    let (one, other) = (numbers.number(), numbers.number());
    for scale in [Scale::parse(data), Scale::parse(text)].into_iter().flatten().chain([Scale::from_esu(numbers.byte())]) {
        let (least, most) = (one.min(other), one.max(other));
        assert!(scale.microjoules(least) <= scale.microjoules(most), "{scale:?}");
        assert!(scale.joules() > 0.0, "{scale:?}");
        let exact = scale.joules() * most as f64 * 1e6;
        let told = scale.microjoules(most) as f64;
        assert!(told <= exact * (1.0 + 1e-9), "{scale:?}: {told} of {exact} uJ");
        assert!(told >= (exact - 1.0).min(u64::MAX as f64) * (1.0 - 1e-9), "{scale:?}: {told} of {exact} uJ");
    }
}
