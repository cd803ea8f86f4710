//! Where no meter covers the CPU: power from the use of the processors and from the size of memory, always called modelled.
//!
//! A [`Rule`] turns utilisation into watts: `vcpu-linear/1`, `tdp-curve/1`, `calibrated-line/1`, or one given from outside.
//! Memory is 0.392 W a gigabyte (Cloud Carbon Footprint, Apache-2.0). Every rule states its half width; apart from a line that
//! was learned on the machine itself it is a convention, not a statistical guarantee.

mod calibration;
mod cpus;
mod learner;
mod line;
mod rule;

pub use calibration::{Calibration, CalibrationError, MachineKey};
pub use cpus::{Coefficients, DesignPower, Processor, Provider};
pub use learner::Learner;
pub use line::{Line, Point};
pub use rule::{Curve, Facts, Load, Rule, powercap_tdp_w, tdp_share};

use super::{DomainReport, Meter, ModelInfo, SourceReport, Status, Value};
use crate::counter::{CounterSpec, Wrap};
use crate::domain::{DomainInfo, DomainKind, Source};
use crate::error::ReadError;
use crate::stamp::Clock;
use crate::usage::HostRow;

/// Watts a gigabyte of memory.
pub const MEMORY_W_PER_GB: f64 = 0.392;

/// Reads the machine's CPU time; given from outside, so that the model knows no other adapter.
pub type HostReader = Box<dyn FnMut(&dyn Clock) -> Result<HostRow, ReadError> + Send>;

/// The model as a meter: two domains, `cpu` and `memory`.
pub struct ModelMeter {
    domains: [DomainInfo; 2],
    info: ModelInfo,
    rule: Rule,
    memory_gb: f64,
    host: HostReader,
    last: Option<HostRow>,
    cpu_j: f64,
    memory_j: f64,
}

impl ModelMeter {
    /// `vcpu-linear/1` of a machine with `memory_gb` gigabytes whose CPU time `host` reads.
    pub fn new(coefficients: Coefficients, memory_gb: f64, host: HostReader) -> Self {
        Self::with(Rule::vcpu_linear(coefficients), memory_gb, host)
    }

    /// The same by any rule.
    pub fn with(rule: Rule, memory_gb: f64, host: HostReader) -> Self {
        let domain = |kind: DomainKind, accuracy: f64| DomainInfo {
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
            accuracy,
        };
        let info = ModelInfo {
            id: rule.id(),
            parameters: format!("{}, {MEMORY_W_PER_GB} W a gigabyte of {memory_gb:.1} GB", rule.parameters()),
            basis: rule.basis().into(),
        };
        // nothing that is known of the processors makes memory better known
        let domains =
            [domain(DomainKind::Cpu, rule.uncertainty()), domain(DomainKind::Memory, rule.uncertainty().max(cpus::KNOWN))];
        Self { domains, info, rule, memory_gb, host, last: None, cpu_j: 0.0, memory_j: 0.0 }
    }

    /// What the list of sources says of it; `why` tells why there is no meter.
    pub fn report(&self, why: &str) -> SourceReport {
        SourceReport {
            source: Source::Model.name().into(),
            status: Status::Ok,
            detail: format!("{why}; the model is used (± {:.0} %)", self.rule.uncertainty() * 100.0),
            path: None,
            errno: None,
            mend: None,
            model: Some(self.info.clone()),
            domains: DomainReport::list(&self.domains, &[0, 1]),
        }
    }

    /// Joules of processors and memory so far.
    fn advance(&mut self, row: HostRow) -> Result<[f64; 2], ReadError> {
        if let Some(last) = self.last {
            let seconds = row.at_ns.saturating_sub(last.at_ns) as f64 / 1e9;
            let capacity = f64::from(row.cpus) * seconds;
            if capacity > 0.0 {
                let busy = row.busy_ns.saturating_sub(last.busy_ns) as f64 / 1e9;
                let load = Load { cpus: row.cpus, utilisation: (busy / capacity).min(1.0), seconds };
                self.cpu_j += self.rule.watts(load)? * seconds;
                self.memory_j += MEMORY_W_PER_GB * self.memory_gb * seconds;
            }
        }
        // only now: where the rule gave no power, the next reading stands for the longer interval
        self.last = Some(row);
        Ok([self.cpu_j, self.memory_j])
    }
}

impl Meter for ModelMeter {
    fn domains(&self) -> &[DomainInfo] {
        &self.domains
    }

    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        let row = (self.host)(clock);
        let at = clock.stamp();
        let reading = row.and_then(|row| self.advance(row));
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
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib as f64 * 1024.0 / 1e9)
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
