//! What `/proc/cpuinfo` says of the processor, as far as the meaning of its energy counters depends on it.

/// Who made the processor: decides whether a counter stands for a package or for a die.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// `GenuineIntel`: one counter a die.
    Intel,
    /// `AuthenticAMD`: one counter a package, whatever the dies.
    Amd,
    /// `HygonGenuine`: as AMD.
    Hygon,
    /// Another one, or nothing known.
    #[default]
    Unknown,
}

impl Vendor {
    /// True where every die of a package reads one and the same counter.
    ///
    /// Source: Linux `arch/x86/events/rapl.c`, the scope of its PMU.
    pub const fn counts_by_package(self) -> bool {
        matches!(self, Self::Amd | Self::Hygon)
    }
}

/// Vendor, family and model, and whether this is a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Processor {
    /// Who made it.
    pub vendor: Vendor,
    /// `cpu family`, where it is said.
    pub family: Option<u32>,
    /// `model`, where it is said.
    pub model: Option<u32>,
    /// The flag `hypervisor`: a guest, whose registers may read 0 or anything.
    pub hypervisor: bool,
}

impl Processor {
    /// Reads the text of `cpuinfo`, any bytes; what is not said stays unknown. The first processor speaks for all.
    ///
    /// ```
    /// use rapl_sys::{Processor, Vendor};
    /// let text = b"vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nflags\t\t: fpu hypervisor\n";
    /// let processor = Processor::parse(text);
    /// assert_eq!((processor.vendor, processor.model), (Vendor::Intel, Some(143)));
    /// assert!(processor.hypervisor);
    /// ```
    pub fn parse(cpuinfo: &[u8]) -> Self {
        let text = String::from_utf8_lossy(cpuinfo);
        let lines = || text.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim()));
        let value = |wanted: &str| lines().find(|(key, _)| *key == wanted).map(|(_, value)| value);
        let number = |wanted: &str| value(wanted).and_then(|v| v.parse().ok());
        let vendor = match value("vendor_id") {
            Some("GenuineIntel") => Vendor::Intel,
            Some("AuthenticAMD") => Vendor::Amd,
            Some("HygonGenuine") => Vendor::Hygon,
            _ => Vendor::Unknown,
        };
        let hypervisor = value("flags").is_some_and(|flags| flags.split_ascii_whitespace().any(|f| f == "hypervisor"));
        Self { vendor, family: number("cpu family"), model: number("model"), hypervisor }
    }

    /// True for the named models of Intel's family 6.
    pub(crate) fn is_intel_model(&self, models: &[u32]) -> bool {
        self.vendor == Vendor::Intel && self.family == Some(6) && self.model.is_some_and(|m| models.contains(&m))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_processor_speaks_for_all() {
        let text = b"processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\
            flags\t\t: fpu vme\n\nprocessor\t: 1\nvendor_id\t: GenuineIntel\nflags\t\t: hypervisor\n";
        let got = Processor::parse(text);
        assert_eq!(got, Processor { vendor: Vendor::Amd, family: Some(25), model: Some(17), hypervisor: false });
        assert!(got.vendor.counts_by_package());
    }

    #[test]
    fn what_is_not_said_is_unknown() {
        assert_eq!(Processor::parse(b"processor : 0\nBogoMIPS : 50.00\nFeatures : fp\n"), Processor::default());
        assert!(!Processor::parse(b"flags : hypervisor2 nohypervisor").hypervisor);
        assert!(!Vendor::Unknown.counts_by_package() && !Vendor::Intel.counts_by_package());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Processor::parse(&bytes);
        }

        #[test]
        fn any_lines_are_read(text in "(vendor_id|cpu family|model|flags|:|[\\n\\t ]|[0-9]{1,12}|hypervisor){0,40}") {
            let _ = Processor::parse(text.as_bytes());
        }
    }
}
