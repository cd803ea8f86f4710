//! A collector for applications that own a `prometheus::Registry` and want our figures in it.
//!
//! It shows the totals and the `top` workloads; the rest is folded into `workload="other"`, so that the family still sums to the
//! host. This is for a registry's tens of series, not for thousands: that crate renders each series anew at every scrape, which
//! [`Scrape`](crate::scrape::Scrape) does not.
//!
//! ```
//! use std::sync::Arc;
//! use carbon_api::snapshot::{Snapshot, SnapshotCell};
//! use exporters::{View, bridge::Bridge};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cell = Arc::new(SnapshotCell::new(Snapshot::empty(jiff::Timestamp::UNIX_EPOCH, 1.0)));
//! let registry = prometheus::Registry::new();
//! registry.register(Box::new(Bridge::new(cell, 10, View::Coarse)?))?;
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::prometheus::core::{Collector, Desc};
use ::prometheus::proto;
use carbon_api::snapshot::{Snapshot, SnapshotCell};

use crate::catalogue::{Id, Kind, Metric, metric};
use crate::rows::{self, Value};
use crate::{Context, View};

use self::fold::Fold;

mod fold;

/// What a registry gets: everything that is bounded, and the workloads.
const SHOWN: [Id; 11] = [
    Id::HostEnergy,
    Id::ComponentEnergy,
    Id::WorkloadEnergy,
    Id::Emissions,
    Id::Intensity,
    Id::IntensityAge,
    Id::MeterErrors,
    Id::MeterGap,
    Id::MeterResets,
    Id::SelfEnergy,
    Id::Uncertainty,
];

/// The catalogue does not fit the `prometheus` crate: a defect of this crate, told at registration.
#[derive(Debug, thiserror::Error)]
#[error("metric {name} is not accepted by the prometheus crate: {source}")]
pub struct BridgeError {
    name: String,
    source: ::prometheus::Error,
}

/// Collects from the latest snapshot.
#[derive(Debug)]
pub struct Bridge {
    cell: Arc<SnapshotCell>,
    view: View,
    families: Vec<Family>,
    fold: Mutex<Fold>,
}

impl Bridge {
    /// A collector of the totals and the `top` workloads of the snapshots in `cell`.
    ///
    /// # Errors
    /// [`BridgeError`] where the `prometheus` crate refuses a name of the catalogue.
    pub fn new(cell: Arc<SnapshotCell>, top: usize, view: View) -> Result<Self, BridgeError> {
        let families = SHOWN.iter().map(|&id| Family::new(metric(id)));
        Ok(Self { cell, view, families: families.collect::<Result<_, _>>()?, fold: Mutex::new(Fold::new(top)) })
    }

    fn samples(&self, family: &Family, snapshot: &Snapshot) -> Vec<proto::Metric> {
        let mut metrics = Vec::new();
        let mut sink = |labels: &[&str], value: Value| metrics.extend(family.sample(labels, value));
        if family.metric.id == Id::WorkloadEnergy {
            let mut fold = self.fold.lock().unwrap_or_else(PoisonError::into_inner);
            for row in fold.update(snapshot, self.view) {
                let labels = [row.kind.name(), &*row.workload, row.provenance.name()];
                sink(&labels, Value::Energy(row.energy));
            }
        } else {
            // a registry has no clock of its own: ages are told as of the figures
            let context = Context::new("", snapshot.until);
            rows::feed(family.metric.id, snapshot, self.view, &context, &mut sink);
        }
        metrics
    }
}

impl Collector for Bridge {
    fn desc(&self) -> Vec<&Desc> {
        self.families.iter().map(|f| &f.desc).collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let snapshot = self.cell.load();
        let mut collected = Vec::with_capacity(self.families.len());
        for family in &self.families {
            let samples = self.samples(family, &snapshot);
            if !samples.is_empty() {
                collected.push(family.with(samples));
            }
        }
        collected
    }
}

#[derive(Debug)]
struct Family {
    metric: &'static Metric,
    desc: Desc,
    labels: Vec<String>,
}

impl Family {
    fn new(metric: &'static Metric) -> Result<Self, BridgeError> {
        let name = metric.sample_name();
        let labels: Vec<String> = metric.label_names().collect();
        let desc = Desc::new(name.clone(), metric.help.to_owned(), labels.clone(), HashMap::new())
            .map_err(|source| BridgeError { name, source })?;
        Ok(Self { metric, desc, labels })
    }

    fn sample(&self, labels: &[&str], value: Value) -> Option<proto::Metric> {
        let pairs = self.labels.iter().zip(labels).map(|(name, label)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name(name.clone());
            pair.set_value((*label).to_owned());
            pair
        });
        let mut metric = proto::Metric::from_label(pairs.collect());
        if self.metric.kind == Kind::Sum {
            let mut counter = proto::Counter::default();
            counter.set_value(value.is_countable().then(|| value.as_f64())?);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value.is_known().then(|| value.as_f64())?);
            metric.set_gauge(gauge);
        }
        Some(metric)
    }

    fn with(&self, samples: Vec<proto::Metric>) -> proto::MetricFamily {
        let mut family = proto::MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(match self.metric.kind {
            Kind::Sum => proto::MetricType::COUNTER,
            Kind::Gauge | Kind::Info => proto::MetricType::GAUGE,
        });
        family.set_metric(samples);
        family
    }
}
