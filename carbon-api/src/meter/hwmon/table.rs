//! What the chips and the boards do not tell of themselves: which voltage belongs to which current, how coarse they are, what
//! their rails feed.
//!
//! Sources: Linux `Documentation/hwmon/{ina2xx,ina3221,acpi_power_meter}` and the drivers' register scales, data sheets of
//! Texas Instruments, NVIDIA's tuning guide for Grace and power rails of Jetson modules.

use crate::domain::DomainKind;

/// Shunt resistance that the drivers assume where the firmware names none, in microohms.
pub(super) const DEFAULT_SHUNT_UOHM: f64 = 10_000.0;

/// How one kind of chip is read.
#[derive(Debug)]
pub(super) struct ChipType {
    /// Which `inN` and `currN` are voltage and current of one rail. Everything else is a shunt or a sum, never a rail.
    pub(super) pairs: &'static [(u32, u32)],
    /// Seconds that a conversion takes where the chip shows no `update_interval`.
    pub(super) update_s: Option<f64>,
    step: Step,
}

/// One count of the power, which the shunt resistor scales.
#[derive(Debug)]
enum Step {
    /// The coarser of what old drivers use for every shunt (watts) and of what new ones derive from it (watt-microohms).
    Register { fixed_w: f64, by_shunt: f64 },
    /// One count of the shunt voltage (40 uV) through the shunt, at 5 V.
    Product,
}

impl ChipType {
    /// One count of its power in watts, with a shunt of `shunt_uohm` microohms.
    pub(super) fn step_w(&self, shunt_uohm: f64) -> f64 {
        let shunt = if shunt_uohm > 0.0 { shunt_uohm } else { DEFAULT_SHUNT_UOHM };
        match self.step {
            Step::Register { fixed_w, by_shunt } => fixed_w.max(by_shunt / shunt),
            Step::Product => 5.0 * 40.0 / shunt,
        }
    }
}

const INA219: ChipType =
    ChipType { pairs: &[(1, 1)], update_s: Some(0.0681), step: Step::Register { fixed_w: 0.020, by_shunt: 200.0 } };
const INA226: ChipType =
    ChipType { pairs: &[(1, 1)], update_s: Some(0.0352), step: Step::Register { fixed_w: 0.025, by_shunt: 62.5 } };
const INA3221: ChipType = ChipType { pairs: &[(1, 1), (2, 2), (3, 3)], update_s: None, step: Step::Product };

/// The chips whose `hwmon` or IIO device is called `name`, where we know them.
pub(super) fn chip_type(name: &str) -> Option<&'static ChipType> {
    match name {
        "ina219" | "ina220" => Some(&INA219),
        "ina226" | "ina230" | "ina231" => Some(&INA226),
        "ina3221" | "ina3221x" => Some(&INA3221),
        _ => None,
    }
}

/// What a rail behind a power monitor of a board feeds, by its label.
///
/// A rail that feeds processors and something else (`VDD_CPU_GPU_CV`) is told by the first.
pub fn rail_kind(label: &str) -> DomainKind {
    const KINDS: [(DomainKind, &[&str], &[&str]); 4] = [
        (DomainKind::Board, &["VDD_IN", "POM_5V_IN", "VIN"], &[]),
        (DomainKind::Cpu, &["CPU"], &["VDD_CPU", "VDD_SYS_CPU", "POM_5V_CPU"]),
        (DomainKind::Gpu, &["GPU"], &["VDD_GPU", "VDD_SYS_GPU", "POM_5V_GPU"]),
        (DomainKind::Memory, &["VDDRQ"], &["VDD_DDR", "VDD_SYS_DDR", "VDDQ"]),
    ];
    let label = label.trim().to_ascii_uppercase();
    let fits = |whole: &[&str], begin: &[&str]| whole.contains(&label.as_str()) || begin.iter().any(|b| label.starts_with(b));
    KINDS.iter().find(|(_, whole, begin)| fits(whole, begin)).map_or(DomainKind::Rail, |(kind, ..)| *kind)
}

/// True for a rail of a module as its maker names them, whatever it feeds.
pub(super) fn is_module_rail(label: &str) -> bool {
    let label = label.to_ascii_uppercase();
    rail_kind(&label) != DomainKind::Rail || ["VDD_SOC", "VDD_SYS_SOC", "VDD_CV", "SOC", "CV"].contains(&label.as_str())
}

/// A meter of an NVIDIA Grace: what it sees and on which socket, by the text that the firmware gives it.
pub fn grace_meter(label: &str) -> Option<(GracePart, u32)> {
    let (part, socket) = label.trim().split_once(" Power Socket ")?;
    let part = match part.to_ascii_lowercase().as_str() {
        "module" => GracePart::Module,
        "grace" => GracePart::Grace,
        "cpu" => GracePart::Cpu,
        "sysio" => GracePart::SysIo,
        "gpu" => GracePart::Gpu,
        _ => return None,
    };
    Some((part, socket.trim().parse().ok()?))
}

/// The meters of a Grace socket, each inside the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GracePart {
    /// The whole module with GPU, memory and regulators.
    Module,
    /// The Grace socket: processors, SoC and their memory.
    Grace,
    /// The rail of the processors.
    Cpu,
    /// The rail of the SoC.
    SysIo,
    /// The GPU of the module, which its own driver meters as well.
    Gpu,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rails_are_told_by_their_labels() {
        for label in ["VDD_IN", "POM_5V_IN", "VIN"] {
            assert_eq!(rail_kind(label), DomainKind::Board, "{label}");
        }
        for label in ["VDD_CPU_GPU_CV", "VDD_CPU_CV", "VDD_SYS_CPU", "POM_5V_CPU", "CPU"] {
            assert_eq!(rail_kind(label), DomainKind::Cpu, "{label}");
        }
        for label in ["VDD_GPU_SOC", "VDD_SYS_GPU", "POM_5V_GPU", "GPU"] {
            assert_eq!(rail_kind(label), DomainKind::Gpu, "{label}");
        }
        for label in ["VDDRQ", "VDD_SYS_DDR", "VDDQ_VDD2_1V8AO"] {
            assert_eq!(rail_kind(label), DomainKind::Memory, "{label}");
        }
        for label in ["VDD_SOC", "VIN_SYS_5V0", "SYS5V", "VDD_MUX", "VDD_3V3_SYS", "sum of shunt voltages"] {
            assert_eq!(rail_kind(label), DomainKind::Rail, "{label}");
        }
    }

    #[test]
    fn grace_meters_are_told_by_their_labels() {
        assert_eq!(grace_meter("Module Power Socket 0"), Some((GracePart::Module, 0)));
        assert_eq!(grace_meter("SysIO Power Socket 1"), Some((GracePart::SysIo, 1)));
        assert_eq!(grace_meter("PSU Power Socket 1"), None);
        assert_eq!(grace_meter("Grace Power Socket x"), None);
    }

    #[test]
    fn the_shunt_scales_the_step_of_power() {
        let ina219 = chip_type("ina219").unwrap();
        assert!((ina219.step_w(10_000.0) - 0.020).abs() < 1e-12);
        assert!((ina219.step_w(1_000.0) - 0.200).abs() < 1e-12);
        assert!((chip_type("ina226").unwrap().step_w(10_000.0) - 0.025).abs() < 1e-12);
        assert!((chip_type("ina226").unwrap().step_w(0.0) - 0.025).abs() < 1e-12);
        assert!((chip_type("ina3221").unwrap().step_w(5_000.0) - 0.040).abs() < 1e-12);
        assert!(chip_type("nct6775").is_none());
    }

    proptest! {
        #[test]
        fn any_label_is_taken(label in "\\PC{0,40}") {
            let _ = (rail_kind(&label), is_module_rail(&label), grace_meter(&label), chip_type(&label));
        }
    }
}
