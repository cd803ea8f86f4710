//! Energy units that the processor's model decides.
//!
//! Source: Linux `arch/x86/events/rapl.c` (`RAPL_UNIT_QUIRK_*`) and `drivers/powercap/intel_rapl_common.c`.

use crate::{Kind, Processor};

/// Memory counts in 2^-16 J (documented as 15.3 uJ): Haswell-X, Broadwell-X and -D, Skylake-X and its followers,
/// Ice Lake-X and -D, Knights Landing and Mill.
const DRAM_FIXED: [u32; 8] = [63, 79, 86, 85, 106, 108, 87, 133];
/// The platform counts in whole joules: Sapphire Rapids, Emerald Rapids.
const PSYS_JOULES: [u32; 2] = [143, 207];
/// The unit register means 2^n microjoules, not 2^-n joules: Silvermont, Airmont and their kin.
const ATOM_MICROJOULES: [u32; 4] = [55, 74, 76, 90];
/// 2^-14 J, on most of Intel's.
const INTEL_ESU: u8 = 14;
/// 2^-16 J, on AMD's and Hygon's.
const AMD_ESU: u8 = 16;

/// The unit that a model fixes for a kind, whatever the unit register says: `esu` of 2^-esu joules.
pub fn fixed_esu(processor: &Processor, kind: Kind) -> Option<u8> {
    match kind {
        Kind::Dram if processor.is_intel_model(&DRAM_FIXED) => Some(16),
        Kind::Psys if processor.is_intel_model(&PSYS_JOULES) => Some(0),
        _ => None,
    }
}

/// The unit in which a counter moves, where the unit register cannot be seen (perf folds all into 2^-32 J).
pub fn usual_esu(processor: &Processor, kind: Kind) -> u8 {
    let by_vendor = if processor.vendor.counts_by_package() { AMD_ESU } else { INTEL_ESU };
    fixed_esu(processor, kind).unwrap_or(by_vendor)
}

/// True where the unit register counts in microjoules, so that 2^-esu joules does not hold.
pub fn counts_in_microjoules(processor: &Processor) -> bool {
    processor.is_intel_model(&ATOM_MICROJOULES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vendor;

    #[test]
    fn the_model_decides_the_unit() {
        let intel = |model| Processor { vendor: Vendor::Intel, family: Some(6), model: Some(model), hypervisor: false };
        for model in [63, 79, 86, 85, 106, 108, 87, 133] {
            assert_eq!(fixed_esu(&intel(model), Kind::Dram), Some(16), "{model}");
            assert_eq!(usual_esu(&intel(model), Kind::Package), 14);
        }
        for model in [143, 207] {
            assert_eq!(usual_esu(&intel(model), Kind::Psys), 0, "{model}");
            assert_eq!(usual_esu(&intel(model), Kind::Dram), 14);
        }
        assert_eq!(usual_esu(&intel(158), Kind::Dram), 14);
        let amd = Processor { vendor: Vendor::Amd, family: Some(6), model: Some(63), hypervisor: false };
        assert_eq!((usual_esu(&amd, Kind::Package), fixed_esu(&amd, Kind::Dram)), (16, None));
        assert!(counts_in_microjoules(&intel(55)) && !counts_in_microjoules(&intel(92)));
    }
}
