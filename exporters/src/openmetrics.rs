//! OpenMetrics text format 1.0.0.
//!
//! TYPE, UNIT and HELP carry the name of the *family* (`treehouse_workload_energy_joules`), samples add `_total` or `_info`;
//! families never interleave, and the text ends with `# EOF`. There are no `_created` lines: stores that know no better
//! keep them as twice as many series.

use carbon_api::snapshot::Snapshot;

use crate::exposition::{Dialect, Exposition};
use crate::{Context, Exporter, View};

/// Writes OpenMetrics 1.0.0.
#[derive(Debug)]
pub struct OpenMetrics(Exposition);

impl OpenMetrics {
    /// Renders what is the same in every scrape.
    pub fn new() -> Self {
        Self(Exposition::new(Dialect::OpenMetrics))
    }
}

impl Default for OpenMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Exporter for OpenMetrics {
    fn content_type(&self) -> &'static str {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    }

    fn write(&self, snapshot: &Snapshot, view: View, context: &Context<'_>, out: &mut Vec<u8>) {
        self.0.write(snapshot, view, context, out);
        out.extend_from_slice(b"# EOF\n");
    }
}
