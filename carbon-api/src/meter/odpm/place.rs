//! One channel of a power monitor followed through swaps of its rail and through restarts.

use crate::counter::{Epoch, GapReason, Value};
use crate::stamp::Stamp;

use super::text::Channel;

/// A channel and the rail that it measured when it was found.
#[derive(Clone, Debug)]
pub struct Place {
    /// The channel's number.
    pub number: usize,
    /// The rail's name in the schematic.
    pub rail: Box<[u8]>,
    epoch: Epoch,
    last: Option<Last>,
    /// The channel measured something else, or its driver went away: what comes next does not continue what was.
    broken: bool,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    t_ms: u64,
    active_ms: Option<u64>,
    value: Value,
}

impl Place {
    /// A channel that has not been read.
    pub fn new(channel: &Channel<'_>) -> Self {
        Self { number: channel.number, rail: channel.rail.into(), epoch: Epoch::FIRST, last: None, broken: false }
    }

    /// Takes what the channel shows at the device's time `t_ms`, which is `at`; the same time again is the same value again.
    /// `None` where another rail is measured there.
    pub fn take(&mut self, channel: &Channel<'_>, t_ms: u64, at: Stamp) -> Option<Value> {
        if *channel.rail != *self.rail {
            self.interrupt();
            return None;
        }
        if let Some(last) = &self.last {
            let fell = t_ms < last.t_ms || channel.active_ms < last.active_ms;
            if fell || self.broken {
                self.epoch.advance(GapReason::Epoch);
            } else if t_ms == last.t_ms {
                return Some(last.value);
            }
        }
        self.broken = false;
        let value = Value { shown: channel.energy_uj, at, epoch: self.epoch };
        self.last = Some(Last { t_ms, active_ms: channel.active_ms, value });
        Some(value)
    }

    /// Notes that the next value does not continue the last.
    pub fn interrupt(&mut self) {
        self.broken = true;
    }
}
