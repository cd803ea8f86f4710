//! The counter behind an `energy_uj` file: its unit, its width, and the text's formula.

use crate::error::ModelError;

/// Femtojoules in a nanojoule: microwatts times nanoseconds are femtojoules.
pub(crate) const FEMTO_PER_NANO: u128 = 1_000_000;
/// Femtojoules in a microjoule.
pub(crate) const FEMTO_PER_MICRO: u128 = 1_000_000_000;

/// How a zone counts energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// A 32-bit hardware register of units of `unit_nj` nanojoules, shown by the kernel as
    /// `raw * unit_nj / 1000` microjoules.
    Register {
        /// Nanojoules of one unit, never 0.
        unit_nj: u64,
    },
    /// A plain count of microjoules that goes from `max_uj` back to 0.
    Modulus {
        /// The largest value shown, in microjoules.
        max_uj: u64,
    },
}

impl Units {
    /// Energy status unit 14: most Intel processors; range 262143328850 uJ.
    pub const ESU_14: Self = Self::Register { unit_nj: 61_035 };
    /// Energy status unit 16: AMD processors; range 65532610987 uJ.
    pub const ESU_16: Self = Self::Register { unit_nj: 15_258 };
    /// The memory domain of Intel servers, 15.3 uJ; range 65712999613 uJ.
    pub const SERVER_DRAM: Self = Self::Register { unit_nj: 15_300 };
    /// Atom: 2^37 - 1 uJ.
    pub const ATOM: Self = Self::Modulus { max_uj: (1 << 37) - 1 };

    /// What `max_energy_range_uj` shows, in microjoules.
    pub fn range_uj(self) -> u64 {
        match self {
            Self::Register { .. } => self.shown_uj(u64::from(u32::MAX)),
            Self::Modulus { max_uj } => max_uj,
        }
    }

    /// The number of different values of the counter.
    pub fn modulus(self) -> u128 {
        match self {
            Self::Register { .. } => 1 << 32,
            Self::Modulus { max_uj } => u128::from(max_uj) + 1,
        }
    }

    /// The counter after `gained_fj` femtojoules since it stood at `start`.
    pub fn count(self, start: u64, gained_fj: u128) -> u64 {
        ((u128::from(start) + self.whole_units(gained_fj)) % self.modulus()) as u64
    }

    /// The whole counter units in an energy.
    pub fn whole_units(self, energy_fj: u128) -> u128 {
        match self {
            Self::Register { unit_nj } => energy_fj / (u128::from(unit_nj.max(1)) * FEMTO_PER_NANO),
            Self::Modulus { .. } => energy_fj / FEMTO_PER_MICRO,
        }
    }

    /// What the kernel shows for a counter value, in microjoules.
    pub fn shown_uj(self, count: u64) -> u64 {
        match self {
            Self::Register { unit_nj } => (u128::from(count) * u128::from(unit_nj) / 1000) as u64,
            Self::Modulus { .. } => count,
        }
    }

    /// The counter value that is shown nearest to `uj`.
    ///
    /// # Errors
    /// When `uj` lies above the range.
    pub fn count_of(self, uj: u64) -> Result<u64, ModelError> {
        let range = self.range_uj();
        if uj > range {
            return Err(ModelError::AboveRange { uj, range });
        }
        Ok(match self {
            Self::Register { unit_nj } => {
                let unit = u128::from(unit_nj.max(1));
                ((u128::from(uj) * 1000 + unit / 2) / unit) as u64
            }
            Self::Modulus { .. } => uj,
        })
    }

    pub(crate) fn check(self) -> Result<Self, ModelError> {
        match self {
            Self::Register { unit_nj } if unit_nj == 0 || unit_nj > u64::from(u32::MAX) => Err(ModelError::Unit { unit_nj }),
            _ => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_ranges_come_out_of_the_units() {
        assert_eq!(Units::ESU_14.range_uj(), 262_143_328_850);
        assert_eq!(Units::ESU_16.range_uj(), 65_532_610_987);
        assert_eq!(Units::SERVER_DRAM.range_uj(), 65_712_999_613);
        assert_eq!(Units::ATOM.range_uj(), 137_438_953_471);
    }

    #[test]
    fn a_register_wraps_after_its_last_unit() {
        let units = Units::ESU_14;
        let start = u64::from(u32::MAX);
        assert_eq!(units.shown_uj(units.count(start, 0)), 262_143_328_850);
        let unit = 61_035 * FEMTO_PER_NANO;
        assert_eq!(units.count(start, unit - 1), start);
        assert_eq!(units.count(start, unit), 0);
        assert_eq!(units.shown_uj(units.count(start, 1_001 * unit)), 61_035);
    }

    #[test]
    fn a_modulus_wraps_after_its_last_microjoule() {
        let units = Units::Modulus { max_uj: 9 };
        assert_eq!(units.count(9, FEMTO_PER_MICRO - 1), 9);
        assert_eq!(units.count(9, FEMTO_PER_MICRO), 0);
        assert_eq!(units.count(9, 23 * FEMTO_PER_MICRO), 2);
    }

    #[test]
    fn every_count_is_found_again_from_what_it_shows() {
        for units in [Units::ESU_14, Units::ESU_16, Units::SERVER_DRAM] {
            for count in [0, 1, 2, 999, 1_000, 65_536, 4_294_967_294, 4_294_967_295] {
                assert_eq!(units.count_of(units.shown_uj(count)), Ok(count));
            }
            assert!(units.count_of(units.range_uj() + 1).is_err());
        }
    }

    #[test]
    fn a_unit_of_nothing_is_refused() {
        assert!(Units::Register { unit_nj: 0 }.check().is_err());
    }
}
