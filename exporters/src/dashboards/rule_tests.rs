//! Tests of the rules, for `promtool test rules`: each recording rule has a value, each alert an instant at which it fires and one at
//! which it does not.

use std::fmt::Write;

use crate::catalogue::Id;

use super::query::name;
use super::rules::{self, RUNBOOK};
use super::yaml::{GENERATED, quoted};

/// Labels of the one host of the tests.
const INSTANCE: &str = "instance=\"a:9464\", job=\"treehouse\"";

/// `rules/tests.yml`.
pub(super) fn file() -> String {
    let mut text = format!("{GENERATED}rule_files:\n  - recording.yml\n  - alerts.yml\nevaluation_interval: 15s\ntests:\n");
    for test in [wrap(), rates(), healthy(), faults(), broken(), model(), outside()] {
        test.write(&mut text);
    }
    text
}

/// Since the first sample: `15s`, `2m`.
type Instant = &'static str;
/// Labels and value of each sample.
type Samples = Vec<(String, f64)>;
/// The labels of each alert that fires.
type Firing = Vec<Vec<(&'static str, &'static str)>>;

/// One test group.
struct Test {
    name: &'static str,
    /// Series and their values.
    input: Vec<(String, &'static str)>,
    /// Instant, expression, and samples with their labels.
    values: Vec<(Instant, String, Samples)>,
    /// Instant, alert, and the labels with which it fires, if it does.
    alerts: Vec<(Instant, &'static str, Firing)>,
}

impl Test {
    fn write(&self, text: &mut String) {
        let _ = write!(text, "  - name: {}\n    interval: 15s\n    input_series:\n", quoted(self.name));
        for (series, values) in &self.input {
            let _ = write!(text, "      - series: {}\n        values: {}\n", quoted(series), quoted(values));
        }
        if !self.values.is_empty() {
            text.push_str("    promql_expr_test:\n");
        }
        for (at, expression, samples) in &self.values {
            let none = if samples.is_empty() { " []" } else { "" };
            let expression = quoted(expression);
            let _ = writeln!(text, "      - expr: {expression}\n        eval_time: {at}\n        exp_samples:{none}");
            for (labels, value) in samples {
                let _ = writeln!(text, "          - labels: {}\n            value: {value}", quoted(labels));
            }
        }
        if !self.alerts.is_empty() {
            text.push_str("    alert_rule_test:\n");
        }
        for (at, alert, firing) in &self.alerts {
            let _ = write!(text, "      - alertname: {alert}\n        eval_time: {at}\n");
            if firing.is_empty() {
                text.push_str("        exp_alerts: []\n");
                continue;
            }
            text.push_str("        exp_alerts:\n");
            for labels in firing {
                write_alert(text, alert, labels);
            }
        }
    }
}

/// promtool compares annotations too, so they are spelled out as they will read.
fn write_alert(text: &mut String, name: &str, labels: &[(&str, &str)]) {
    for alert in rules::alerts().iter().filter(|a| a.name == name) {
        let expand = |template: &str| {
            let filled = labels
                .iter()
                .fold(template.to_owned(), |text, (label, value)| text.replace(&format!("{{{{ $labels.{label} }}}}"), value));
            quoted(&filled)
        };
        let _ = write!(text, "          - exp_labels:\n              severity: {}\n", alert.severity);
        for (label, value) in labels {
            let _ = writeln!(text, "              {label}: {}", quoted(value));
        }
        let _ = write!(
            text,
            "            exp_annotations:\n              summary: {}\n              description: {}\n              runbook_url: {}\n",
            expand(alert.summary),
            expand(alert.description),
            expand(RUNBOOK),
        );
    }
}

/// The labels of the one host, and more.
fn firing(more: &[(&'static str, &'static str)]) -> Firing {
    vec![[("instance", "a:9464"), ("job", "treehouse")].iter().chain(more).copied().collect()]
}

fn series(id: Id, labels: &str) -> String {
    if labels.is_empty() { format!("{}{{{INSTANCE}}}", name(id)) } else { format!("{}{{{INSTANCE}, {labels}}}", name(id)) }
}

fn host(provenance: &str) -> String {
    let method = if provenance == "measured" { "rapl_powercap" } else { "model" };
    series(Id::HostEnergy, &format!("method=\"{method}\", provenance=\"{provenance}\""))
}

fn workload(kind: &str, workload: &str) -> String {
    series(Id::WorkloadEnergy, &format!("kind=\"{kind}\", workload=\"{workload}\", provenance=\"attributed\""))
}

/// A raw counter loses energy at each wrap, an accumulator does not: 20 000 J were used.
fn wrap() -> Test {
    let near = |series: &str, joules: &str| format!("abs(increase({series}[75s]) - {joules}) < bool 0.001");
    let ours = name(Id::HostEnergy);
    Test {
        name: "a wrap costs a raw counter energy and ours none",
        input: vec![
            ("raw_package_joules_total".to_owned(), "250000 254000 258000 262000 3856.67 7856.67"),
            (ours.clone(), "0 4000 8000 12000 16000 20000"),
        ],
        values: vec![
            ("75s", near("raw_package_joules_total", "19856.67"), vec![("{}".to_owned(), 1.0)]),
            ("75s", near(&ours, "20000"), vec![("{}".to_owned(), 1.0)]),
        ],
        alerts: vec![],
    }
}

/// 100 W of which a workload that ends had 40 W: its total jumps into `gone`, and no rate sees the jump.
fn rates() -> Test {
    let recorded = |at: usize| rules::recordings()[at].record.clone();
    let labelled = |record: usize, labels: &str| {
        let comma = if labels.is_empty() { "" } else { ", " };
        format!("{}{{{INSTANCE}{comma}{labels}}}", recorded(record))
    };
    Test {
        name: "recorded rates are watts, and the total of a workload that ended is in none of them",
        input: vec![
            (host("measured"), "0+1500x30"),
            (workload("process", "web:1"), "0+600x20 _x10"),
            (workload("process", "gone"), "0x20 12000x10"),
            (workload("process", "other"), "0x20 600+600x9"),
            (workload("idle", "idle"), "0+900x30"),
            (series(Id::Emissions, "scope=\"operational\", zone=\"GB\", kind=\"average\""), "0+0.15x300"),
            (series(Id::Emissions, "scope=\"operational\", zone=\"GB\", kind=\"marginal\""), "0+0.45x300"),
        ],
        values: vec![
            ("6m", recorded(0), vec![(labelled(0, ""), 100.0)]),
            (
                "4m",
                format!("{}{{kind=\"process\", workload=\"web:1\"}}", recorded(1)),
                vec![(labelled(1, "kind=\"process\", workload=\"web:1\""), 40.0)],
            ),
            ("6m", format!("{}{{workload=\"gone\"}}", recorded(1)), vec![]),
            ("7m", format!("sum({})", recorded(1)), vec![("{}".to_owned(), 100.0)]),
            ("65m", format!("round({}, 0.001)", recorded(2)), vec![(format!("{{{INSTANCE}, scope=\"operational\"}}"), 0.01)]),
            ("6m", recorded(3), vec![(labelled(3, ""), 1.0)]),
        ],
        alerts: vec![],
    }
}

/// A host at peace: nothing fires, though a built-in intensity is old and a workload ended.
fn healthy() -> Test {
    Test {
        name: "nothing fires on a host at peace",
        input: vec![
            (format!("up{{{INSTANCE}}}"), "1x400"),
            (host("measured"), "0+1500x400"),
            (workload("process", "web:1"), "0+600x200 _x200"),
            (workload("process", "gone"), "0x200 120000x200"),
            (workload("process", "other"), "0x200 600+600x199"),
            (workload("idle", "idle"), "0+900x400"),
            (series(Id::IntensityAge, "zone=\"GB\", provider=\"static\""), "3e7+15x400"),
            (series(Id::SampleAge, ""), "1x400"),
            (series(Id::MeterGap, "source=\"rapl_powercap\", reason=\"suspend\", domain=\"psys\""), "0+60x400"),
            (series(Id::MeterErrors, "source=\"rapl_powercap\", reason=\"failed_read\", domain=\"psys\""), "5x400"),
        ],
        values: vec![],
        alerts: rules::alerts().iter().map(|alert| ("100m", alert.name, vec![])).collect(),
    }
}

/// Meters fail from the tenth minute on.
fn faults() -> Test {
    let fault = [("source", "rapl_powercap"), ("reason", "failed_read"), ("domain", "dram-0")];
    let labels = "source=\"rapl_powercap\", reason=\"failed_read\", domain=\"dram-0\"";
    Test {
        name: "faults fire, the very first one too, and end",
        input: vec![
            (series(Id::MeterErrors, labels), "_x40 1x200"),
            (series(Id::MeterGap, labels), "_x40 1+1x8 9x200"),
            (series(Id::SampleAge, ""), "1x40 1+15x20 1x100"),
            (series(Id::IntensityAge, "zone=\"GB\", provider=\"uk-carbon-intensity\""), "0x40 7201x60"),
        ],
        values: vec![],
        alerts: vec![
            ("9m", "TreehouseMeterErrors", vec![]),
            ("12m", "TreehouseMeterErrors", firing(&fault)),
            ("30m", "TreehouseMeterErrors", vec![]),
            ("9m", "TreehouseMeterGap", vec![]),
            ("12m", "TreehouseMeterGap", firing(&fault)),
            ("40m", "TreehouseMeterGap", vec![]),
            ("9m", "TreehouseFiguresStale", vec![]),
            ("14m", "TreehouseFiguresStale", firing(&[])),
            ("15m", "TreehouseIntensityStale", vec![]),
            ("21m", "TreehouseIntensityStale", firing(&[("zone", "GB"), ("provider", "uk-carbon-intensity")])),
        ],
    }
}

/// A joule in two series, and half of all energy with nobody.
fn broken() -> Test {
    Test {
        name: "a broken partition and unattributed energy fire",
        input: vec![
            (host("measured"), "0+1500x300"),
            (workload("process", "web:1"), "0+750x300"),
            (workload("unattributed", "cpu"), "0+750x20 15001+750x279"),
        ],
        values: vec![],
        alerts: vec![
            ("4m", "TreehousePartitionBroken", vec![]),
            ("12m", "TreehousePartitionBroken", firing(&[])),
            ("50m", "TreehouseUnattributedHigh", vec![]),
            ("70m", "TreehouseUnattributedHigh", firing(&[])),
        ],
    }
}

/// No meter at all.
fn model() -> Test {
    Test {
        name: "a host without a meter is told of, and its share is 0",
        input: vec![(host("modelled"), "0+1500x200")],
        values: vec![(
            "20m",
            rules::recordings()[3].record.clone(),
            vec![(format!("{}{{{INSTANCE}}}", rules::recordings()[3].record), 0.0)],
        )],
        alerts: vec![("10m", "TreehouseModelOnly", vec![]), ("20m", "TreehouseModelOnly", firing(&[]))],
    }
}

/// A program that does not answer, and one whose SDK dropped series.
fn outside() -> Test {
    Test {
        name: "a scrape that fails and an overflow fire",
        input: vec![
            (format!("up{{{INSTANCE}}}"), "1x8 0x60"),
            ("up{instance=\"b:9100\", job=\"node\"}".to_owned(), "0x60"),
            (format!("{}{{{INSTANCE}, otel_metric_overflow=\"true\"}}", name(Id::ComponentEnergy)), "1x60"),
        ],
        values: vec![],
        alerts: vec![
            ("3m", "TreehouseDown", vec![]),
            ("10m", "TreehouseDown", firing(&[])),
            ("3m", "TreehouseOtelOverflow", vec![]),
            ("10m", "TreehouseOtelOverflow", firing(&[])),
        ],
    }
}
