//! What both Prometheus formats share: families with their text rendered once, samples written straight into a buffer.

use std::io::Write;

use carbon_api::snapshot::Snapshot;

use crate::catalogue::{CATALOGUE, Kind, Metric};
use crate::rows::{self, Sink, Value};
use crate::{Context, View};

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

/// Every family, ready to be written.
#[derive(Debug)]
pub(crate) struct Exposition {
    families: Vec<Family>,
}

impl Exposition {
    /// Renders the fixed parts of every family.
    pub(crate) fn new(dialect: Dialect) -> Self {
        let families = CATALOGUE.iter().map(|m| Family::new(m, dialect)).collect();
        Self { families }
    }

    /// Appends every family that has a sample.
    pub(crate) fn write(&self, snapshot: &Snapshot, view: View, context: &Context<'_>, out: &mut Vec<u8>) {
        for family in &self.families {
            let mut writer = FamilyWriter { family, period_s: snapshot.period_s, begun: false, out };
            rows::feed(family.metric.id, snapshot, view, context, &mut writer);
        }
    }
}

/// One family: what stands before its samples, and what stands between the values of its labels.
#[derive(Debug)]
struct Family {
    metric: &'static Metric,
    /// Up to the end of the help that does not depend on the snapshot.
    head: Vec<u8>,
    /// After the help.
    tail: Vec<u8>,
    /// `name{a="`, `",b="`: what comes before each label's value.
    before: Vec<Vec<u8>>,
    /// `"} `, or `name ` where there is no label.
    close: Vec<u8>,
}

impl Family {
    fn new(metric: &'static Metric, dialect: Dialect) -> Self {
        let sample = metric.sample_name();
        let (head, tail) = match dialect {
            Dialect::Text => text_header(metric, &sample),
            Dialect::OpenMetrics => open_metrics_header(metric),
        };
        let mut before = Vec::new();
        for (at, label) in metric.label_names().enumerate() {
            let opening = if at == 0 { format!("{sample}{{{label}=\"") } else { format!("\",{label}=\"") };
            before.push(opening.into_bytes());
        }
        let close = if before.is_empty() { format!("{sample} ") } else { "\"} ".to_owned() };
        Self { metric, head: head.into_bytes(), tail: tail.into_bytes(), before, close: close.into_bytes() }
    }
}

/// HELP, TYPE; both carry the name of the samples.
fn text_header(metric: &Metric, sample: &str) -> (String, String) {
    let kind = match metric.kind {
        Kind::Sum => "counter",
        Kind::Gauge | Kind::Info => "gauge",
    };
    let help = escaped_help(metric.help, Dialect::Text);
    (format!("# HELP {sample} {help}"), format!("\n# TYPE {sample} {kind}\n"))
}

/// TYPE, UNIT, HELP; all carry the name of the family.
fn open_metrics_header(metric: &Metric) -> (String, String) {
    let family = metric.family_name();
    let kind = match metric.kind {
        Kind::Sum => "counter",
        Kind::Gauge => "gauge",
        Kind::Info => "info",
    };
    let help = escaped_help(metric.help, Dialect::OpenMetrics);
    let unit = match metric.unit_words() {
        Some(words) => format!("# UNIT {family} {words}\n"),
        None => String::new(),
    };
    (format!("# TYPE {family} {kind}\n{unit}# HELP {family} {help}"), "\n".to_owned())
}

/// OpenMetrics escapes quotes in a help too.
fn escaped_help(help: &str, dialect: Dialect) -> String {
    let escaped = help.replace('\\', "\\\\").replace('\n', "\\n");
    match dialect {
        Dialect::Text => escaped,
        Dialect::OpenMetrics => escaped.replace('"', "\\\""),
    }
}

struct FamilyWriter<'a> {
    family: &'a Family,
    period_s: f64,
    begun: bool,
    out: &'a mut Vec<u8>,
}

impl FamilyWriter<'_> {
    /// The header comes with the first sample, so that a family without samples is not there at all.
    fn begin(&mut self) {
        self.begun = true;
        self.out.extend_from_slice(&self.family.head);
        if self.family.metric.is_energy_sum() {
            let period = self.period_s;
            let written = write!(self.out, " Sampled every {period} s, counted since process start.");
            debug_assert!(written.is_ok(), "writing to a vector does not fail");
        }
        self.out.extend_from_slice(&self.family.tail);
    }
}

impl Sink for FamilyWriter<'_> {
    #[inline]
    fn sample(&mut self, labels: &[&str], value: Value) {
        debug_assert_eq!(labels.len(), self.family.before.len());
        let known = match self.family.metric.kind {
            Kind::Sum => value.is_countable(),
            Kind::Gauge | Kind::Info => value.is_known(),
        };
        if !known {
            return;
        }
        if !self.begun {
            self.begin();
        }
        for (before, label) in self.family.before.iter().zip(labels) {
            self.out.extend_from_slice(before);
            write_escaped(label, self.out);
        }
        self.out.extend_from_slice(&self.family.close);
        value.write(self.out);
        self.out.push(b'\n');
    }
}

/// Appends a label's value: `\`, `"` and newline are escaped in both formats, nothing else is.
fn write_escaped(label: &str, out: &mut Vec<u8>) {
    let mut rest = label.as_bytes();
    // looks at every byte without leaving early, which the compiler turns into a few wide instructions
    if !rest.iter().fold(false, |any, &c| any | is_special(c)) {
        out.extend_from_slice(rest);
        return;
    }
    while let Some(at) = rest.iter().position(|&c| is_special(c)) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'"' => b"\\\"",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

const fn is_special(c: u8) -> bool {
    matches!(c, b'\\' | b'"' | b'\n')
}
