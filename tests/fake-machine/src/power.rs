//! The true power of a zone: its own script, and shares of other zones.

use crate::error::ModelError;
use crate::steps::Steps;
use crate::zone::ZoneId;

/// Millionths in a whole: how shares are kept.
pub(crate) const MILLION: u64 = 1_000_000;

/// What a zone draws: a base level, pulses on top of it, and shares of what other zones draw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Power {
    base: Steps,
    pulses: Steps,
    parts: Vec<Part>,
}

/// A share of another zone's power, until it is cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) zone: ZoneId,
    /// Share in millionths.
    pub(crate) share: u64,
    pub(crate) until: u64,
}

impl Power {
    pub(crate) fn constant(microwatts: u64) -> Self {
        Self { base: Steps::constant(microwatts), ..Self::default() }
    }

    pub(crate) fn share_of(zone: ZoneId, share: u64) -> Self {
        let mut power = Self::default();
        power.add_part(zone, share);
        power
    }

    pub(crate) fn add_part(&mut self, zone: ZoneId, share: u64) {
        self.parts.push(Part { zone, share, until: u64::MAX });
    }

    /// From `at` on the zone draws this, and no longer follows other zones; pulses stay.
    pub(crate) fn set(&mut self, at: u64, microwatts: u64) {
        self.base.set(at, microwatts);
        for part in &mut self.parts {
            part.until = part.until.min(at);
        }
    }

    pub(crate) fn pulse(&mut self, from: u64, until: u64, microwatts: u64) {
        self.pulses.raise(from, until, microwatts);
    }

    /// What the zone draws on its own account, in microwatts.
    pub(crate) fn own_microwatts(&self, t: u64) -> u64 {
        self.base.level(t).saturating_add(self.pulses.level(t))
    }

    /// The energy of its own account from 0 until `t`, in femtojoules.
    pub(crate) fn own_femtojoules(&self, t: u64) -> u128 {
        self.base.integral(t) + self.pulses.integral(t)
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

/// Watts as whole microwatts.
pub(crate) fn microwatts(watts: f64) -> Result<u64, ModelError> {
    if (0.0..=1e6).contains(&watts) { Ok((watts * 1e6).round() as u64) } else { Err(ModelError::Watts { watts }) }
}

/// A share as millionths, at most `most` wholes.
pub(crate) fn millionths(share: f64, most: u32) -> Result<u64, ModelError> {
    if (0.0..=f64::from(most)).contains(&share) {
        Ok((share * 1e6).round() as u64)
    } else {
        Err(ModelError::Share { share, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watts_that_are_no_watts_are_refused() {
        assert_eq!(microwatts(40.0), Ok(40_000_000));
        assert_eq!(microwatts(0.000_000_6), Ok(1));
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e7] {
            assert!(microwatts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_that_are_no_shares_are_refused() {
        assert_eq!(millionths(0.75, 1), Ok(750_000));
        for bad in [-0.1, 1.1, f64::NAN] {
            assert!(millionths(bad, 1).is_err(), "{bad}");
        }
    }
}
