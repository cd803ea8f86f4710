//! Which sign of a battery's current or power means that it is being drained: gauges differ, their `status` tells.

/// Votes after which the sign is known.
const SURE: i8 = 3;
/// The most votes that are kept, so that a wrong start heals.
const MOST: i8 = 60;

/// Learns the sign of draining from readings whose status says `Discharging`.
///
/// The kernel's ABI makes it negative; some vendors invert it, others give the magnitude alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    votes: i8,
}

impl Direction {
    /// Takes one reading made while the status said `Discharging`; true where it runs against the sign learned so far: energy
    /// flows in, and the status is late.
    pub fn flows_in(&mut self, flow: i64) -> bool {
        let sign = flow.signum() as i8;
        let opposed = sign != 0 && self.drain_sign() == -sign;
        self.votes = (self.votes + sign).clamp(-MOST, MOST);
        opposed
    }

    /// The sign that means draining: -1 or 1; 0 as long as it is not known.
    pub const fn drain_sign(&self) -> i8 {
        if self.votes.abs() >= SURE { self.votes.signum() } else { 0 }
    }
}
