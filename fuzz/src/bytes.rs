//! Numbers and instants out of an input, so that a short change of it is a small change of what happens.

use carbon_api::stamp::Stamp;

/// The part of an input that has not been used.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// All of an input.
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// True where nothing is left.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// One byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A number of up to eight bytes: how many, then as many, the lowest first.
    pub fn number(&mut self) -> u64 {
        let length = usize::from(self.byte() % 9);
        self.take(length).iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// A later instant than `last`, or any, by two bits of `how`.
    pub fn stamp(&mut self, last: Stamp, how: u8) -> Stamp {
        let later = |boot: u64, awake: u64| Stamp {
            boottime_ns: last.boottime_ns.saturating_add(boot),
            monotonic_ns: last.monotonic_ns.saturating_add(awake),
        };
        match how & 3 {
            0 => later(1_000_000_000, 1_000_000_000),
            1 => {
                let ns = self.number();
                later(ns, ns)
            }
            2 => later(self.number(), self.number()),
            _ => Stamp { boottime_ns: self.number(), monotonic_ns: self.number() },
        }
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
