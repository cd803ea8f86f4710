//! Epochs: which readings may be subtracted from each other.

use std::sync::atomic::{AtomicU64, Ordering};

/// The life of a counter from one opening to the next. Readings of one epoch may be subtracted; across two they never may:
/// back ends differ by up to 2701 ppm, and a perf event starts at 0 when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(u64);

impl Epoch {
    /// One that no other counter of this process has had.
    #[expect(clippy::new_without_default, reason = "each call gives another one, which a default must not")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Its number, in order of opening.
    pub const fn number(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_epochs_are_equal() {
        let (first, second) = (Epoch::new(), Epoch::new());
        assert!(first < second && first.number() < second.number());
    }
}
