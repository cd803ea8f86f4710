//! Observable instruments of the SDK whose callbacks copy from the latest snapshot, and do nothing else: a panic in one would end
//! the SDK's reader for good.

use std::sync::Arc;
use std::time::Duration;

use carbon_api::snapshot::SnapshotCell;
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};

use crate::catalogue::{Id, Kind, Metric, Series, metric};
use crate::rows::{self, Value};
use crate::{Context, View};

/// What goes through the SDK. No `hw.power`: the conventions recommend energy in its place.
const SENT: [Id; 5] = [Id::HostEnergy, Id::ComponentEnergy, Id::Emissions, Id::Intensity, Id::IntensityAge];

/// A provider that collects every `interval` and hands the result to `exporter`.
pub(super) fn provider<E: PushMetricExporter>(
    exporter: E,
    interval: Duration,
    resource: Resource,
    cell: &Arc<SnapshotCell>,
    view: View,
) -> SdkMeterProvider {
    let reader = PeriodicReader::builder(exporter).with_interval(interval).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
    let scope = InstrumentationScope::builder("treehouse").with_version(env!("CARGO_PKG_VERSION")).build();
    let meter = provider.meter_with_scope(scope);
    // whatever the list says: no series of a workload passes through an instrument
    for metric in SENT.into_iter().map(metric).filter(|m| m.series == Series::Host) {
        register(&meter, metric, Arc::clone(cell), view);
    }
    provider
}

fn register(meter: &Meter, metric: &'static Metric, cell: Arc<SnapshotCell>, view: View) {
    let observe = move |observer: &dyn AsyncInstrument<f64>| {
        let snapshot = cell.load();
        let context = Context::new("", snapshot.until);
        let mut sink = |labels: &[&str], value: Value| {
            let pairs = metric.attributes.iter().zip(labels);
            let attributes: Vec<KeyValue> = pairs.map(|(&key, label)| KeyValue::new(key, (*label).to_owned())).collect();
            if value.is_countable() {
                observer.observe(value.as_f64(), &attributes);
            }
        };
        rows::feed(metric.id, &snapshot, view, &context, &mut sink);
    };
    // the SDK keeps the callback, not the instrument
    match metric.kind {
        Kind::Sum => {
            let instrument = meter.f64_observable_counter(metric.name).with_description(metric.help);
            instrument.with_unit(metric.unit).with_callback(observe).build();
        }
        Kind::Gauge | Kind::Info => {
            let instrument = meter.f64_observable_gauge(metric.name).with_description(metric.help);
            instrument.with_unit(metric.unit).with_callback(observe).build();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use carbon_api::domain::{Provenance, Source};
    use carbon_api::snapshot::{HostRow, Snapshot, WorkloadRow};
    use carbon_api::units::Microjoules;
    use carbon_api::usage::WorkloadKind;
    use jiff::Timestamp;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::metrics::Temporality;
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};

    use super::*;

    /// Name, attributes and value of each point.
    type Points = Vec<(String, Vec<KeyValue>, f64)>;

    #[derive(Clone, Debug, Default)]
    struct Recorder(Arc<Mutex<Points>>);

    impl PushMetricExporter for Recorder {
        async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
            let mut points = self.0.lock().unwrap();
            for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
                match metric.data() {
                    AggregatedMetrics::F64(MetricData::Sum(sum)) => {
                        assert!(sum.is_monotonic());
                        assert_eq!(sum.temporality(), Temporality::Cumulative);
                        points.extend(
                            sum.data_points().map(|p| (metric.name().to_owned(), p.attributes().cloned().collect(), p.value())),
                        );
                    }
                    AggregatedMetrics::F64(MetricData::Gauge(gauge)) => points.extend(
                        gauge.data_points().map(|p| (metric.name().to_owned(), p.attributes().cloned().collect(), p.value())),
                    ),
                    other => panic!("{other:?}"),
                }
            }
            Ok(())
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }

        fn temporality(&self) -> Temporality {
            Temporality::Cumulative
        }
    }

    fn busy_host(workloads: u64) -> Snapshot {
        let row = |at| WorkloadRow {
            kind: WorkloadKind::Process,
            workload: format!("p:{at}").into(),
            cgroup: None,
            uid: None,
            provenance: Provenance::Attributed,
            energy: Microjoules(1_000_001),
            carbon_g: None,
            power_w: 1.0,
            cpu_s: 1.0,
            uncertainty_j: 0.0,
            started_at: Timestamp::UNIX_EPOCH,
            gone_at: None,
        };
        Snapshot {
            ready: true,
            host: vec![HostRow {
                method: Source::RaplPowercap,
                provenance: Provenance::Measured,
                energy: Microjoules(1_000_001 * workloads),
                coarse: Microjoules(1_000_000 * workloads),
            }],
            workloads: (0..workloads).map(row).collect(),
            ..Snapshot::empty(Timestamp::UNIX_EPOCH, 1.0)
        }
    }

    #[test]
    fn no_entity_series_uses_an_sdk_instrument() {
        assert!(SENT.iter().all(|&id| metric(id).series == Series::Host));
        let recorder = Recorder::default();
        let cell = Arc::new(SnapshotCell::new(busy_host(5_000)));
        let provider =
            provider(recorder.clone(), Duration::from_secs(3600), Resource::builder_empty().build(), &cell, View::Fine);
        provider.force_flush().unwrap();
        let points = recorder.0.lock().unwrap().clone();
        assert_eq!(points.len(), 1, "5 000 workloads, one point: the host");
        let (name, attributes, value) = &points[0];
        assert_eq!(name, "hw.host.energy");
        assert!((value - 5_000.005).abs() < 1e-9, "{value}");
        assert!(attributes.iter().all(|kv| !["workload", "otel.metric.overflow"].contains(&kv.key.as_str())));
        provider.shutdown().unwrap();
    }

    #[test]
    fn the_coarse_view_sends_the_coarse_host() {
        let recorder = Recorder::default();
        let cell = Arc::new(SnapshotCell::new(busy_host(7)));
        let provider =
            provider(recorder.clone(), Duration::from_secs(3600), Resource::builder_empty().build(), &cell, View::Coarse);
        provider.force_flush().unwrap();
        assert!((recorder.0.lock().unwrap()[0].2 - 7.0).abs() < f64::EPSILON);
        provider.shutdown().unwrap();
    }
}
