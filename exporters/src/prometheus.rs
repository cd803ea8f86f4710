//! Prometheus text format 0.0.4.
//!
//! HELP and TYPE carry the name of the samples (`…_total`); the last line ends with a newline; there are no timestamps, because
//! the figures are counters that stand at the end of the last closed interval.

use carbon_api::snapshot::Snapshot;

use crate::exposition::{Dialect, Exposition};
use crate::{Context, Exporter, View};

/// Writes text 0.0.4.
#[derive(Debug)]
pub struct PrometheusText(Exposition);

impl PrometheusText {
    /// Renders what is the same in every scrape.
    pub fn new() -> Self {
        Self(Exposition::new(Dialect::Text))
    }
}

impl Default for PrometheusText {
    fn default() -> Self {
        Self::new()
    }
}

impl Exporter for PrometheusText {
    fn content_type(&self) -> &'static str {
        "text/plain; version=0.0.4; charset=utf-8"
    }

    fn write(&self, snapshot: &Snapshot, view: View, context: &Context<'_>, out: &mut Vec<u8>) {
        self.0.write(snapshot, view, context, out);
    }
}
