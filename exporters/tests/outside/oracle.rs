//! `prometheus-client`, the OpenMetrics writer of the Prometheus project, encodes the same data: families and samples must agree.

use std::sync::Mutex;

use exporters::View;
use exporters::accept::Format;
use exporters::catalogue::{CATALOGUE, Kind, Metric};
use exporters::rows::{self, Value};
use exporters::scrape::Scrape;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::machine::{context, machine};
use crate::parser::{self, Family};

type Labels = Vec<(String, String)>;

/// One family of the same snapshot, in the oracle's words.
#[derive(Debug)]
struct Oracle(&'static Metric, Mutex<Vec<(Labels, Value)>>);

impl Collector for Oracle {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let metric = self.0;
        let unit = metric.unit_words().map(Unit::Other);
        // the oracle appends the unit itself
        let family = metric.family_name();
        let name = match metric.unit_words() {
            Some(words) => family.strip_suffix(&format!("_{words}")).unwrap().to_owned(),
            None => family,
        };
        let kind = match metric.kind {
            Kind::Sum => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Info => MetricType::Info,
        };
        let mut descriptor = encoder.encode_descriptor(&name, metric.help, unit.as_ref(), kind)?;
        for (labels, value) in self.1.lock().unwrap().iter() {
            let series = descriptor.encode_family(labels)?;
            match metric.kind {
                Kind::Sum => ConstCounter::new(value.as_f64()).encode(series)?,
                Kind::Gauge => ConstGauge::new(value.as_f64()).encode(series)?,
                Kind::Info => prometheus_client::metrics::info::Info::new(labels.clone()).encode(series)?,
            }
        }
        Ok(())
    }
}

fn oracle(metric: &'static Metric) -> Oracle {
    let mut samples = Vec::new();
    rows::feed(metric.id, &machine(), View::Fine, &context(), &mut |labels: &[&str], value: Value| {
        let labels = metric.label_names().zip(labels.iter().map(|l| (*l).to_owned())).collect();
        samples.push((labels, value));
    });
    Oracle(metric, Mutex::new(samples))
}

/// Names, kinds, units and samples; values as numbers, because the oracle writes `1.0` where we write `1`.
fn comparable(family: &Family) -> (String, Option<String>, Vec<(String, Labels, u64)>) {
    let mut samples: Vec<_> =
        family.samples.iter().map(|s| (s.name.clone(), s.labels.clone(), s.value.parse::<f64>().unwrap().to_bits())).collect();
    samples.sort();
    (family.kind.clone(), family.unit.clone(), samples)
}

#[test]
fn our_openmetrics_says_what_the_oracle_says() {
    let mut registry = Registry::default();
    for metric in CATALOGUE.iter().filter(|m| m.kind != Kind::Info) {
        registry.register_collector(Box::new(oracle(metric)));
    }
    let mut theirs = String::new();
    text::encode(&mut theirs, &registry).unwrap();
    let theirs = parser::openmetrics(theirs.as_bytes());

    let mut body = Vec::new();
    Scrape::new().exporter(Format::OpenMetrics).write(&machine(), View::Fine, &context(), &mut body);
    let mut ours = parser::openmetrics(&body);
    let build = ours.remove("treehouse_build").unwrap();

    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, family) in &ours {
        assert_eq!(comparable(family), comparable(&theirs[name]), "{name}");
    }
    // the info family by itself: the oracle puts an info's labels behind those of its series
    let mut registry = Registry::default();
    let info = prometheus_client::metrics::info::Info::new(vec![("version", "0.1.0")]);
    registry.register("treehouse_build", "The version of this program", info);
    let mut theirs = String::new();
    text::encode(&mut theirs, &registry).unwrap();
    let theirs = parser::openmetrics(theirs.as_bytes());
    assert_eq!(comparable(&build), comparable(&theirs["treehouse_build"]));
}
