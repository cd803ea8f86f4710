//! Where no meter covers the CPU: power from the use of the processors and from the size of memory, always called modelled.
//!
//! `vcpu-linear/1`: `P = n * (Pmin + u * (Pmax - Pmin))` for n online processors and utilisation u without steal, and
//! 0.392 W a gigabyte of memory. Coefficients: Cloud Carbon Footprint (Apache-2.0), read 2024-03. Half width of the interval:
//! 40 % where the processor's family has a row ("consistent errors up to 40 %" of static estimators against wall meters,
//! arXiv 2509.22092), 100 % otherwise. A convention, not a statistical guarantee.

use super::{DomainReport, Meter, ModelInfo, SourceReport, Status, Value};
use crate::counter::{CounterSpec, Wrap};
use crate::domain::{DomainInfo, DomainKind, Source};
use crate::error::ReadError;
use crate::stamp::Clock;
use crate::usage::HostRow;

/// Watts a gigabyte of memory.
pub const MEMORY_W_PER_GB: f64 = 0.392;

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
    pub const UNKNOWN: Self = row("mean of AWS instances", 0.74, 3.50, 1.0);

    /// Finds the row by what `/proc/cpuinfo` says.
    pub fn by_cpuinfo(cpuinfo: &str) -> Self {
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|l| l.split(':').next().is_some_and(|k| k.trim() == name))?;
            line.split_once(':').map(|(_, v)| v.trim())
        };
        let number = |name: &str| {
            let text = field(name)?;
            text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
        };
        let x86 = (field("vendor_id"), number("cpu family"), number("model"), number("stepping"));
        match (x86, number("CPU implementer"), number("CPU part")) {
            ((Some("GenuineIntel"), Some(6), Some(79), _), ..) => row("Broadwell", 0.71, 3.69, 0.40),
            ((Some("GenuineIntel"), Some(6), Some(85), Some(0..=4)), ..) => row("Skylake", 0.65, 4.26, 0.40),
            ((Some("GenuineIntel"), Some(6), Some(85), Some(5..=7)), ..) => row("Cascade Lake", 0.64, 3.97, 0.40),
            ((Some("AuthenticAMD"), Some(23), Some(49), _), ..) => row("EPYC 2nd generation", 0.47, 1.69, 0.40),
            (_, Some(0x41), Some(0xd0c)) => row("Graviton 2", 0.47, 1.69, 0.40),
            _ => Self::UNKNOWN,
        }
    }
}

const fn row(family: &'static str, min_w: f64, max_w: f64, uncertainty: f64) -> Coefficients {
    Coefficients { family, min_w, max_w, uncertainty }
}

/// Reads the machine's CPU time; given from outside, so that the model knows no other adapter.
pub type HostReader = Box<dyn FnMut(&dyn Clock) -> Result<HostRow, ReadError> + Send>;

/// The model as a meter: two domains, `cpu` and `memory`.
pub struct ModelMeter {
    domains: [DomainInfo; 2],
    info: ModelInfo,
    coefficients: Coefficients,
    memory_gb: f64,
    host: HostReader,
    last: Option<HostRow>,
    cpu_j: f64,
    memory_j: f64,
}

impl ModelMeter {
    /// A model of a machine with `memory_gb` gigabytes whose CPU time `host` reads.
    pub fn new(coefficients: Coefficients, memory_gb: f64, host: HostReader) -> Self {
        let domain = |kind: DomainKind| DomainInfo {
            source: Source::Model,
            name: kind.name().into(),
            device: "machine".into(),
            kind,
            contained_in: None,
            duplicate_of: None,
            counter: CounterSpec { max_power_w: 100_000.0, ..CounterSpec::new(Wrap::Never) },
            update_s: 0.0,
            integrated: false,
            on_module: false,
            accuracy: coefficients.uncertainty,
        };
        let Coefficients { family, min_w, max_w, .. } = coefficients;
        let info = ModelInfo {
            id: "vcpu-linear/1",
            parameters: format!(
                "{min_w} W idle and {max_w} W busy a processor, {MEMORY_W_PER_GB} W a gigabyte of {memory_gb:.1} GB"
            ),
            basis: format!("Cloud Carbon Footprint coefficients, row: {family}"),
        };
        let domains = [domain(DomainKind::Cpu), domain(DomainKind::Memory)];
        Self { domains, info, coefficients, memory_gb, host, last: None, cpu_j: 0.0, memory_j: 0.0 }
    }

    /// What the list of sources says of it; `why` tells why there is no meter.
    pub fn report(&self, why: &str) -> SourceReport {
        SourceReport {
            source: Source::Model.name().into(),
            status: Status::Ok,
            detail: format!("{why}; the model is used (± {:.0} %)", self.coefficients.uncertainty * 100.0),
            path: None,
            errno: None,
            mend: None,
            model: Some(self.info.clone()),
            domains: DomainReport::list(&self.domains, &[0, 1]),
        }
    }
}

impl Meter for ModelMeter {
    fn domains(&self) -> &[DomainInfo] {
        &self.domains
    }

    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        let row = (self.host)(clock);
        let at = clock.stamp();
        let reading = row.map(|row| {
            if let Some(last) = self.last.replace(row) {
                let seconds = row.at_ns.saturating_sub(last.at_ns) as f64 / 1e9;
                let all = f64::from(row.cpus) * seconds;
                let busy = (row.busy_ns.saturating_sub(last.busy_ns) as f64 / 1e9).min(all);
                let Coefficients { min_w, max_w, .. } = self.coefficients;
                self.cpu_j += min_w * all + (max_w - min_w) * busy;
                self.memory_j += MEMORY_W_PER_GB * self.memory_gb * seconds;
            }
            [self.cpu_j, self.memory_j]
        });
        for (i, value) in values.iter_mut().enumerate().take(2) {
            *value = reading.clone().map(|joules| Value::new((joules[i] * 1e6) as u64, at));
        }
    }

    fn longest_period_s(&self) -> Option<f64> {
        None
    }

    fn model(&self) -> Option<&ModelInfo> {
        Some(&self.info)
    }
}

/// Gigabytes (10^9 bytes) of `MemTotal` in the text of `/proc/meminfo`.
pub fn memory_gb(meminfo: &str) -> Option<f64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    struct At(u64);
    impl Clock for At {
        fn stamp(&self) -> Stamp {
            Stamp::at(self.0)
        }
        fn utc(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }
    }

    fn energy_after_an_hour(cpus: u32, utilisation: f64, memory_gb: f64) -> (u64, u64) {
        let host = move |clock: &dyn Clock| {
            let at_ns = clock.stamp().boottime_ns;
            let busy_ns = (at_ns as f64 * f64::from(cpus) * utilisation) as u64;
            Ok(HostRow { at_ns, busy_ns, steal_ns: 0, cpus, quantum_ns: 1 })
        };
        let mut model = ModelMeter::new(Coefficients::UNKNOWN, memory_gb, Box::new(host));
        let nothing = || Err(ReadError::Io { path: "x".into(), errno: 5 });
        let mut values = [nothing(), nothing()];
        model.read(&At(0), &mut values);
        model.read(&At(3_600_000_000_000), &mut values);
        let [cpu, memory] = values.map(|v| v.unwrap().shown);
        (cpu, memory)
    }

    #[test]
    fn two_processors_half_busy_for_an_hour_draw_15264_joules() {
        let (cpu, memory) = energy_after_an_hour(2, 0.5, 4.0);
        assert!(cpu.abs_diff(15_264_000_000) < 10, "{cpu}");
        assert!(memory.abs_diff(5_644_800_000) < 10, "{memory}");
    }

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
    fn memory_is_read_in_gigabytes() {
        assert!((memory_gb("MemTotal:       24608548 kB\nMemFree: 1 kB\n").unwrap() - 25.199).abs() < 0.001);
        assert_eq!(memory_gb("nothing"), None);
    }
}
