//! From joules to grams: operational by the intensity of the time of use, embodied by time and reservation.
//!
//! Operational `O = E / 3.6e6 * I`, embodied `M = TE * (TiR / EL) * (RR / ToR)` (ISO/IEC 21031, Software Carbon Intensity).
//! Grams are never turned back into kilowatt-hours. An unknown intensity is null, not zero.

use serde::Serialize;

use crate::grid::Intensity;
use crate::units::{Embodied, Grams, GramsPerKwh, Joules};

/// Embodied carbon of a machine by a table, and its expected life.
///
/// Defaults of the Impact Framework's `sci-embodied` (MIT): 1 000 kg for a server of one vCPU and 16 GB, 100 kg a further
/// vCPU, 1.388 kg a further gigabyte; four years. Modelled: ± 50 % at best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EmbodiedModel {
    /// Total embodied grams of the machine.
    pub total_g: f64,
    /// Expected life, in seconds.
    pub life_s: f64,
}

impl EmbodiedModel {
    /// Four years.
    pub const LIFE_S: f64 = 126_144_000.0;
    /// Relative half width of a table's figure (a convention).
    pub const UNCERTAINTY: f64 = 0.50;

    /// The table's figure for a machine of `vcpus` processors and `memory_gb` gigabytes.
    pub fn by_table(vcpus: u32, memory_gb: f64) -> Self {
        let cpu = 100_000.0 * f64::from(vcpus.saturating_sub(1));
        let memory = 533_000.0 / 384.0 * (memory_gb - 16.0).max(0.0);
        Self { total_g: 1_000_000.0 + cpu + memory, life_s: Self::LIFE_S }
    }

    /// The share of `seconds` with `reserved` of the machine's resources (0 to 1).
    pub fn share(&self, seconds: f64, reserved: f64) -> Grams<Embodied> {
        Grams::new(self.total_g * (seconds / self.life_s) * reserved.clamp(0.0, 1.0))
    }
}

/// Grams of an energy whose intensity is one value over its whole interval.
pub fn operational(energy: Joules, intensity: GramsPerKwh) -> Grams {
    intensity.price(energy)
}

/// Half width of the 95 % interval of a product: `u² = (I u_E)² + (E u_I)²`, in grams.
pub fn uncertainty_g(energy: Joules, energy_half_width: Joules, intensity: &Intensity) -> f64 {
    let by_energy = intensity.g_per_kwh.price::<()>(energy_half_width).value();
    let by_intensity = GramsPerKwh::new(intensity.uncertainty_g_per_kwh).price::<()>(energy).value();
    by_energy.hypot(by_intensity)
}

/// Grams of several steps, each priced at its own intensity.
pub fn by_steps<'a>(steps: impl IntoIterator<Item = (Joules, &'a GramsPerKwh)>) -> Grams {
    steps.into_iter().map(|(energy, intensity)| intensity.price(energy)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grid::IntensityKind;

    const KWH: f64 = 3.6e6;

    #[test]
    fn a_long_span_is_priced_slot_by_slot() {
        let (low, high) = (GramsPerKwh::new(100.0), GramsPerKwh::new(300.0));
        let grams = |a: f64, b: f64| by_steps([(Joules::new(a * KWH), &low), (Joules::new(b * KWH), &high)]).value();
        assert!((grams(1.0, 1.0) - 400.0).abs() < 1e-9);
        assert!((grams(0.5, 1.5) - 500.0).abs() < 1e-9);
    }

    #[test]
    fn embodied_shares_sum_to_the_machine() {
        let machine = EmbodiedModel { total_g: 1_000_000.0, life_s: EmbodiedModel::LIFE_S };
        let share = |reserved| machine.share(3600.0, reserved).value();
        assert!((share(1.0) - 28.5388).abs() < 1e-4);
        assert!((share(0.25) - 7.1347).abs() < 1e-4);
        assert!((share(0.25) + share(0.75) - share(1.0)).abs() < 1e-12);
    }

    #[test]
    fn the_table_counts_further_processors_and_memory() {
        assert!((EmbodiedModel::by_table(1, 16.0).total_g - 1_000_000.0).abs() < 1e-9);
        assert!((EmbodiedModel::by_table(2, 17.0).total_g - 1_101_388.0).abs() < 1.0);
    }

    #[test]
    fn uncertainty_of_a_product() {
        let epoch = jiff::Timestamp::UNIX_EPOCH;
        let intensity = Intensity {
            zone: "GB".into(),
            zone_asked: "GB".into(),
            g_per_kwh: GramsPerKwh::new(200.0),
            kind: IntensityKind::Average,
            factor_type: None,
            provider: "fixed",
            method: "fixed",
            from: epoch,
            until: epoch,
            as_of: epoch,
            issued_at: epoch,
            stale: false,
            estimated: false,
            uncertainty_g_per_kwh: 20.0,
            fallbacks: Vec::new(),
            warnings: Vec::new(),
        };
        let u = uncertainty_g(Joules::new(KWH), Joules::new(0.05 * KWH), &intensity);
        assert!((u - 22.36).abs() < 0.01, "{u}");
    }

    proptest! {
        #[test]
        fn splitting_an_interval_never_changes_carbon(joules in 0.0..1e12_f64, part in 0.0..1.0_f64, grams in 0.0..2000.0_f64) {
            let i = GramsPerKwh::new(grams);
            let whole = operational(Joules::new(joules), i).value();
            let split = by_steps([(Joules::new(joules * part), &i), (Joules::new(joules * (1.0 - part)), &i)]).value();
            prop_assert!((whole - split).abs() <= 1e-12 * whole.max(1.0));
        }
    }
}
