//! Facts about processors: what `/proc/cpuinfo` says, watts of a virtual processor by family, thermal design power by name.
//!
//! Coefficients: Cloud Carbon Footprint (Apache-2.0), the constants of its AWS, Azure and GCP packages, read 2024-03; it takes
//! them from SPECpower results, so they hold a share of the whole server. Family and model numbers: Linux
//! `arch/x86/include/asm/intel-family.h`, and `arch/arm64/include/asm/cputype.h`. Design powers: a source for each row of
//! `data/cpu_tdp.csv`.

use std::collections::BTreeSet;

/// Half width of the interval where the processor is known: static estimators show "consistent errors up to 40 %" against
/// wall meters (arXiv 2509.22092).
pub(super) const KNOWN: f64 = 0.40;
/// Half width of the interval where it is not.
pub(super) const UNKNOWN: f64 = 1.0;

const TDP_TABLE: &str = include_str!("../../../data/cpu_tdp.csv");

/// Watts of one virtual processor, idle and fully busy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// The row's name.
    pub family: &'static str,
    /// Watts when idle.
    pub min_w: f64,
    /// Watts when busy.
    pub max_w: f64,
    /// Relative half width of the 95 % interval.
    pub uncertainty: f64,
}

impl Coefficients {
    /// The mean of one large provider, for processors without a row.
    pub const UNKNOWN: Self = row("mean of AWS instances", 0.74, 3.50, UNKNOWN);

    /// Finds the row by what `/proc/cpuinfo` says; the mean of AWS where there is none.
    pub fn by_cpuinfo(cpuinfo: &str) -> Self {
        Self::of(&Processor::parse(cpuinfo), None)
    }

    /// Finds the row of a processor; the mean of its provider (AWS where that is not known) where there is none.
    pub fn of(processor: &Processor<'_>, provider: Option<Provider>) -> Self {
        let x86 = (processor.vendor, processor.family, processor.model, processor.stepping);
        match (x86, processor.implementer, processor.part) {
            ((Some("GenuineIntel"), Some(6), Some(42 | 45), _), ..) => row("Sandy Bridge", 2.17, 8.58, KNOWN),
            ((Some("GenuineIntel"), Some(6), Some(58 | 62), _), ..) => row("Ivy Bridge", 3.04, 8.25, KNOWN),
            ((Some("GenuineIntel"), Some(6), Some(60 | 63), _), ..) => row("Haswell", 1.00, 4.74, KNOWN),
            ((Some("GenuineIntel"), Some(6), Some(79), _), ..) => row("Broadwell", 0.71, 3.69, KNOWN),
            ((Some("GenuineIntel"), Some(6), Some(85), Some(0..=4)), ..) => row("Skylake", 0.65, 4.26, KNOWN),
            ((Some("GenuineIntel"), Some(6), Some(85), Some(5..=7)), ..) => row("Cascade Lake", 0.64, 3.97, KNOWN),
            ((Some("GenuineIntel"), Some(6), Some(158), Some(10..=13)), ..) => row("Coffee Lake", 1.14, 5.42, KNOWN),
            // family and model are those of desktop parts too, which draw far more for a processor
            ((Some("AuthenticAMD"), Some(23), Some(1), _), ..) if processor.is_epyc() => {
                row("EPYC 1st generation", 0.82, 2.55, KNOWN)
            }
            ((Some("AuthenticAMD"), Some(23), Some(49), _), ..) => row("EPYC 2nd generation", 0.47, 1.69, KNOWN),
            ((Some("AuthenticAMD"), Some(25), Some(1), _), ..) => row("EPYC 3rd generation", 0.45, 2.02, KNOWN),
            (_, Some(0x41), Some(0xd0c)) => row("Graviton 2", 0.47, 1.69, KNOWN),
            _ => provider.map_or(Self::UNKNOWN, Provider::mean),
        }
    }
}

const fn row(family: &'static str, min_w: f64, max_w: f64, uncertainty: f64) -> Coefficients {
    Coefficients { family, min_w, max_w, uncertainty }
}

/// Who runs the machine beneath a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
}

impl Provider {
    /// By the text of `/sys/class/dmi/id/sys_vendor`.
    pub fn by_vendor(sys_vendor: &str) -> Option<Self> {
        match sys_vendor.trim() {
            "Amazon EC2" => Some(Self::Aws),
            "Microsoft Corporation" => Some(Self::Azure),
            "Google" => Some(Self::Gcp),
            _ => None,
        }
    }

    /// Its middle instance, for processors without a row.
    pub const fn mean(self) -> Coefficients {
        match self {
            Self::Aws => Coefficients::UNKNOWN,
            Self::Azure => row("mean of Azure instances", 0.74, 3.54, UNKNOWN),
            Self::Gcp => row("median of GCP instances", 0.68, 4.11, UNKNOWN),
        }
    }
}

/// What `/proc/cpuinfo` says of the first processor, and of how many packages there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processor<'a> {
    /// `model name`.
    pub name: Option<&'a str>,
    /// `vendor_id`.
    pub vendor: Option<&'a str>,
    /// `cpu family`.
    pub family: Option<u32>,
    /// `model`.
    pub model: Option<u32>,
    /// `stepping`.
    pub stepping: Option<u32>,
    /// `CPU implementer` of Arm.
    pub implementer: Option<u32>,
    /// `CPU part` of Arm.
    pub part: Option<u32>,
    /// How many different `physical id` there are, at least 1.
    pub packages: u32,
    /// The `hypervisor` flag is set: a virtual machine.
    pub is_guest: bool,
}

impl<'a> Processor<'a> {
    /// Reads any text; what is not there is `None`.
    pub fn parse(cpuinfo: &'a str) -> Self {
        let values = |name: &'static str| {
            cpuinfo.lines().filter_map(move |l| l.split_once(':').filter(|(k, _)| k.trim() == name).map(|(_, v)| v.trim()))
        };
        let field = |name| values(name).next().filter(|value| !value.is_empty());
        let number = |name| {
            let text: &str = field(name)?;
            text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
        };
        Self {
            name: field("model name"),
            vendor: field("vendor_id"),
            family: number("cpu family"),
            model: number("model"),
            stepping: number("stepping"),
            implementer: number("CPU implementer"),
            part: number("CPU part"),
            packages: values("physical id").collect::<BTreeSet<_>>().len().max(1) as u32,
            is_guest: field("flags").is_some_and(|flags| flags.split_whitespace().any(|f| f == "hypervisor")),
        }
    }

    /// A name that tells kinds of processors apart: the model's, or the numbers of an Arm core.
    pub fn identity(&self) -> String {
        match (self.name, self.implementer, self.part) {
            (Some(name), ..) => name.into(),
            (None, Some(implementer), Some(part)) => format!("arm {implementer:#04x} {part:#05x}"),
            _ => "unknown".into(),
        }
    }

    fn is_epyc(&self) -> bool {
        self.name.is_some_and(|name| name.contains("EPYC"))
    }
}

/// A row of the table of thermal design powers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DesignPower {
    /// The processor's plain name.
    pub name: &'static str,
    /// Watts of one package.
    pub watts: f64,
    /// Where the figure comes from.
    pub source: &'static str,
}

impl DesignPower {
    /// Finds the row of a processor by its `model name`; marks, core counts and clock rates in it do not matter.
    pub fn by_name(model_name: &str) -> Option<Self> {
        let wanted = plain(model_name);
        Self::rows().find(|row| plain(row.name) == wanted)
    }

    /// All rows.
    pub fn rows() -> impl Iterator<Item = Self> {
        TDP_TABLE.lines().skip(1).filter_map(|line| {
            let (name, rest) = line.split_once(',')?;
            let (watts, source) = rest.split_once(',')?;
            Some(Self { name, watts: watts.parse().ok()?, source })
        })
    }
}

/// `Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz` -> `intel xeon e5-2620 v3`.
fn plain(model_name: &str) -> String {
    let text = model_name.to_lowercase().replace("(r)", " ").replace("(tm)", " ");
    let words = text.split_whitespace().take_while(|w| !matches!(*w, "@" | "with" | "w/"));
    let is_noise = |w: &&str| matches!(*w, "cpu" | "processor" | "gen") || w.ends_with("-core") || w.ends_with("th");
    words.filter(|w| !is_noise(w)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_family_with_a_row_halves_the_uncertainty() {
        let rome = "vendor_id\t: AuthenticAMD\ncpu family\t: 23\nmodel\t\t: 49\nstepping\t: 0\n";
        assert_eq!(Coefficients::by_cpuinfo(rome).family, "EPYC 2nd generation");
        let cascade_lake = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nstepping\t: 7\n";
        assert_eq!(Coefficients::by_cpuinfo(cascade_lake).family, "Cascade Lake");
        let graviton = "CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
        assert_eq!(Coefficients::by_cpuinfo(graviton).family, "Graviton 2");
        assert!((Coefficients::by_cpuinfo("").uncertainty - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_desktop_part_does_not_take_the_row_of_a_server() {
        let zen = |name: &str| format!("vendor_id: AuthenticAMD\ncpu family: 23\nmodel: 1\nmodel name: {name}\nstepping: 1\n");
        let server = Coefficients::by_cpuinfo(&zen("AMD EPYC 7571"));
        assert_eq!(server.family, "EPYC 1st generation");
        let desktop = Coefficients::by_cpuinfo(&zen("AMD Ryzen Threadripper 1950X 16-Core Processor"));
        assert_eq!(desktop, Coefficients::UNKNOWN);
    }

    #[test]
    fn an_unknown_processor_takes_the_mean_of_its_provider() {
        let of = |vendor| Coefficients::of(&Processor::parse(""), Provider::by_vendor(vendor));
        assert_eq!(of("Amazon EC2\n"), Coefficients::UNKNOWN);
        assert_eq!((of("Microsoft Corporation\n").min_w, of("Microsoft Corporation\n").max_w), (0.74, 3.54));
        assert_eq!((of("Google\n").min_w, of("Google\n").max_w), (0.68, 4.11));
        assert_eq!(of("QEMU\n"), Coefficients::UNKNOWN);
    }

    #[test]
    fn packages_and_guests_are_told() {
        let two = "processor: 0\nphysical id\t: 0\nflags: fpu hypervisor\n\nprocessor: 1\nphysical id\t: 1\n\nprocessor: 2\nphysical id\t: 1\n";
        let processor = Processor::parse(two);
        assert_eq!((processor.packages, processor.is_guest), (2, true));
        assert!(!Processor::parse("model name: hypervisor\nflags: fpu no_hypervisor\n").is_guest);
    }

    #[test]
    fn a_design_power_is_found_under_the_kernels_name() {
        let of = |name| DesignPower::by_name(name).map(|row| row.watts);
        assert_eq!(of("AMD EPYC 7763 64-Core Processor"), Some(280.0));
        assert_eq!(of("Intel(R) Xeon(R) CPU E3-1240 V2 @ 3.40GHz"), Some(69.0));
        assert_eq!(of("11th Gen Intel(R) Core(TM) i5-11400 @ 2.60GHz"), Some(65.0));
        // another generation is another processor
        assert_eq!(of("Intel(R) Xeon(R) CPU E3-1240 @ 3.30GHz"), None);
        assert_eq!(of("AMD EPYC"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn every_row_of_the_table_is_whole_and_unique() {
        let rows: Vec<DesignPower> = DesignPower::rows().collect();
        assert_eq!(rows.len(), TDP_TABLE.lines().count() - 1);
        let names: BTreeSet<String> = rows.iter().map(|row| plain(row.name)).collect();
        assert_eq!(names.len(), rows.len());
        for row in rows {
            assert!((5.0..=500.0).contains(&row.watts) && row.source.len() > 5, "{row:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses(text in any::<String>(), name in ".{0,80}") {
            let cpuinfo = format!("{text}\nmodel name: {name}\nmodel: {text}\n");
            let processor = Processor::parse(&cpuinfo);
            prop_assert!(processor.packages >= 1);
            let _ = (Coefficients::by_cpuinfo(&cpuinfo), DesignPower::by_name(&name), processor.identity());
        }
    }
}
