//! Which rows of a snapshot feed which metric: written once, used by every way out.

use carbon_api::snapshot::{FaultRow, Snapshot};

pub use crate::number::Value;

use crate::catalogue::Id;
use crate::{Context, View};

/// Takes the samples of one metric; labels come in the order of the metric's attributes.
pub trait Sink {
    /// Takes one sample.
    fn sample(&mut self, labels: &[&str], value: Value);
}

impl<F: FnMut(&[&str], Value)> Sink for F {
    fn sample(&mut self, labels: &[&str], value: Value) {
        self(labels, value);
    }
}

/// Gives every sample of one metric to `sink`, in the snapshot's order.
///
/// What is not known has no sample: no energy before the first closed interval, no grams without an intensity.
pub fn feed(id: Id, snapshot: &Snapshot, view: View, context: &Context<'_>, sink: &mut impl Sink) {
    match id {
        Id::HostEnergy => host(snapshot, view, sink),
        Id::ComponentEnergy => components(snapshot, view, sink),
        Id::WorkloadEnergy => workloads(snapshot, view, sink),
        Id::Emissions => emissions(snapshot, view, sink),
        Id::Intensity => {
            if let Some(i) = &snapshot.intensity {
                let labels = [&*i.zone, i.kind.name(), i.provider];
                sink.sample(&labels, Value::Figure(i.g_per_kwh.value()));
            }
        }
        Id::IntensityAge => {
            if let Some(i) = &snapshot.intensity {
                let labels = [&*i.zone, i.provider];
                sink.sample(&labels, Value::Figure(i.age_s(context.now)));
            }
        }
        Id::Decisions => {
            for row in context.decisions {
                sink.sample(&[row.policy, row.outcome], Value::Count(row.count));
            }
        }
        Id::MeterErrors => faults(&snapshot.errors, Value::Count, sink),
        Id::MeterGap => faults(&snapshot.gap_seconds, Value::Figure, sink),
        Id::MeterResets => faults(&snapshot.resets, Value::Count, sink),
        Id::SelfEnergy => {
            if snapshot.ready {
                sink.sample(&[], Value::Energy(view.energy(snapshot.self_energy)));
            }
        }
        Id::Uncertainty => {
            if snapshot.ready && !snapshot.host.is_empty() {
                let joules = view.joules(snapshot.uncertainty_j);
                sink.sample(&["host"], Value::Figure(joules));
            }
        }
        Id::WorkloadSeries => {
            let (exported, folded) = snapshot.series;
            sink.sample(&["exported"], Value::Count(exported as u64));
            sink.sample(&["folded"], Value::Count(folded as u64));
        }
        Id::CollectorSuccess => {
            for row in context.collectors {
                sink.sample(&[row.collector], Value::Count(u64::from(row.success)));
            }
        }
        Id::SampleAge => {
            if snapshot.ready {
                let age = context.now.duration_since(snapshot.until);
                sink.sample(&[], Value::Figure(age.as_secs_f64().max(0.0)));
            }
        }
        Id::LateTicks => sink.sample(&[], Value::Count(snapshot.late_ticks)),
        Id::ScrapeDuration => {
            if let Some(seconds) = context.scrape_duration_s {
                sink.sample(&[], Value::Figure(seconds));
            }
        }
        Id::BuildInfo => sink.sample(&[context.version], Value::Count(1)),
    }
}

fn host(snapshot: &Snapshot, view: View, sink: &mut impl Sink) {
    // between the first reading and the second the rows are there, and say nothing yet
    for row in snapshot.host.iter().filter(|_| snapshot.ready) {
        let energy = view.pick(row.energy, row.coarse);
        let labels = [row.method.name(), row.provenance.name()];
        sink.sample(&labels, Value::Energy(energy));
    }
}

fn components(snapshot: &Snapshot, view: View, sink: &mut impl Sink) {
    for row in snapshot.domains.iter().filter(|d| d.leaf && snapshot.ready) {
        let info = &row.info;
        // a package and its memory share the device: the name beside it makes the id unique within the host
        let id = format!("{}/{}", info.device, info.name);
        let labels = [id.as_str(), info.kind.hw_type(), &info.name, info.source.name(), info.source.provenance().name()];
        sink.sample(&labels, Value::Energy(view.energy(row.energy)));
    }
}

fn workloads(snapshot: &Snapshot, view: View, sink: &mut impl Sink) {
    for row in &snapshot.workloads {
        let labels = [row.kind.name(), &*row.workload, row.provenance.name()];
        sink.sample(&labels, Value::Energy(view.energy(row.energy)));
    }
}

fn emissions(snapshot: &Snapshot, view: View, sink: &mut impl Sink) {
    let carbon = &snapshot.carbon;
    let grams = |grams| Value::Figure(view.grams(grams));
    // one user's snapshot is never ready: there the rows say whether anything is known
    let known = snapshot.ready || !snapshot.workloads.is_empty();
    // before any interval was priced, 0 g would claim what nobody knows
    if known && snapshot.intensity.is_some() || carbon.operational_g > 0.0 {
        let labels = ["operational", &*carbon.zone, carbon.kind];
        sink.sample(&labels, grams(carbon.operational_g));
    }
    if let Some(embodied) = carbon.embodied_g.filter(|_| snapshot.ready) {
        sink.sample(&["embodied", &*carbon.zone, carbon.kind], grams(embodied));
    }
}

fn faults<N: Copy>(rows: &[FaultRow<N>], value: impl Fn(N) -> Value, sink: &mut impl Sink) {
    for row in rows {
        let labels = [row.source, row.reason, &*row.domain];
        sink.sample(&labels, value(row.amount));
    }
}
