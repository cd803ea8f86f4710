//! All meters of a machine with their counters: one call reads everything and says what each domain did.

use std::sync::Arc;

use crate::counter::{Counter, Outcome};
use crate::cover::{Containment, relate};
use crate::domain::{DomainInfo, Source};
use crate::error::ReadError;
use crate::meter::{Meter, ModelInfo, Value};
use crate::stamp::{Clock, Stamp};

/// What one domain did at one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It answered.
    Read(Outcome),
    /// It did not; its next good reading may close a longer interval.
    Failed(ReadError),
}

/// Meters and counters; files stay open, and a steady state allocates nothing.
pub struct Bank {
    meters: Vec<Box<dyn Meter>>,
    domains: Vec<Arc<DomainInfo>>,
    counters: Vec<Counter>,
    values: Vec<Result<Value, ReadError>>,
    observed: Vec<Observed>,
}

impl Bank {
    /// Takes the meters; their domains stand one behind the other, containment moved along and completed between meters.
    pub fn new(meters: Vec<Box<dyn Meter>>) -> Self {
        Self::with(meters, &Containment::new())
    }

    /// The same, with what the configuration says that lies inside what.
    pub fn with(meters: Vec<Box<dyn Meter>>, configured: &Containment) -> Self {
        let mut domains: Vec<DomainInfo> = Vec::new();
        for meter in &meters {
            let offset = domains.len();
            for domain in meter.domains() {
                let contained_in = domain.contained_in.map(|p| p + offset);
                domains.push(DomainInfo { contained_in, ..domain.clone() });
            }
        }
        relate(&mut domains, configured);
        let domains: Vec<Arc<DomainInfo>> = domains.into_iter().map(Arc::new).collect();
        let counters = domains.iter().map(|d| Counter::new(d.counter)).collect();
        let unread = || ReadError::Absent { path: "not read yet".into(), errno: None };
        let values = domains.iter().map(|_| Err(unread())).collect();
        let observed = domains.iter().map(|_| Observed::Failed(unread())).collect();
        Self { meters, domains, counters, values, observed }
    }

    /// The domains of all meters.
    pub fn domains(&self) -> &[Arc<DomainInfo>] {
        &self.domains
    }

    /// The domains as a plain list, for the choice of a cover.
    pub fn domain_list(&self) -> Vec<DomainInfo> {
        self.domains.iter().map(|d| (**d).clone()).collect()
    }

    /// The counter of a domain.
    pub fn counter(&self, domain: usize) -> &Counter {
        &self.counters[domain]
    }

    /// Reads every domain once, and returns what each did and when the reading was taken.
    pub fn read(&mut self, clock: &dyn Clock) -> (Stamp, &[Observed]) {
        let mut at = 0;
        for meter in &mut self.meters {
            let end = at + meter.domains().len();
            meter.read(clock, &mut self.values[at..end]);
            at = end;
        }
        let mut latest = None;
        for ((value, counter), observed) in self.values.iter().zip(&mut self.counters).zip(&mut self.observed) {
            *observed = match value {
                Ok(value) => {
                    latest = latest.max(Some(value.at));
                    Observed::Read(counter.take(value))
                }
                Err(error) => {
                    counter.fail(matches!(error, ReadError::Absent { .. }));
                    Observed::Failed(error.clone())
                }
            };
        }
        (latest.unwrap_or_else(|| clock.stamp()), &self.observed)
    }

    /// What the last read found, one place a domain, as the meters gave it.
    pub fn values(&self) -> &[Result<Value, ReadError>] {
        &self.values
    }

    /// Makes the next read as new as it can be.
    pub fn settle(&mut self) {
        self.meters.iter_mut().for_each(|m| m.settle());
    }

    /// Plain words on what is doubtful.
    pub fn warnings(&self, warnings: &mut Vec<Arc<str>>) {
        self.meters.iter().for_each(|m| m.warnings(warnings));
    }

    /// The longest time between two reads that loses nothing, in seconds.
    pub fn longest_period_s(&self) -> Option<f64> {
        self.meters.iter().filter_map(|m| m.longest_period_s()).min_by(f64::total_cmp)
    }

    /// What the model was made from, where there is one.
    pub fn model(&self) -> Option<&ModelInfo> {
        self.meters.iter().find_map(|m| m.model())
    }

    /// Half width of the 95 % interval of `energy_j` of one domain at mean power `power_w`: `2 q + 2 P T + a E`.
    ///
    /// A bound used as an interval: one count and one update period at each end, and the accuracy of the source in between.
    pub fn uncertainty_j(&self, domain: usize, energy_j: f64, power_w: f64) -> f64 {
        uncertainty_j(&self.domains[domain], energy_j, power_w)
    }
}

/// Half width of the 95 % interval of a domain's energy, in joules.
pub fn uncertainty_j(domain: &DomainInfo, energy_j: f64, power_w: f64) -> f64 {
    let ends =
        if domain.source == Source::Model { 0.0 } else { 2.0 * domain.counter.resolution_j + 2.0 * power_w * domain.update_s };
    ends + domain.accuracy * energy_j
}
