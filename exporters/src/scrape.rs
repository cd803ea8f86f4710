//! `GET /metrics`: both formats, and the choice between them.

use carbon_api::snapshot::Snapshot;

use crate::accept::{self, Format};
use crate::openmetrics::OpenMetrics;
use crate::prometheus::PrometheusText;
use crate::{Context, Exporter, View};

/// Answers scrapes in the format that each asks for.
#[derive(Debug, Default)]
pub struct Scrape {
    text: PrometheusText,
    openmetrics: OpenMetrics,
}

impl Scrape {
    /// Renders what is the same in every scrape.
    pub fn new() -> Self {
        Self::default()
    }

    /// The exporter of a format.
    pub fn exporter(&self, format: Format) -> &dyn Exporter {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.openmetrics,
        }
    }

    /// Appends the body to `out`, in the format that the request's `Accept` header asks for, and tells the content type.
    ///
    /// Several `Accept` headers of one request are joined by `,` before.
    pub fn answer(
        &self,
        accept: Option<&str>,
        snapshot: &Snapshot,
        view: View,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> &'static str {
        let choice = accept::negotiate(accept);
        self.exporter(choice.format).write(snapshot, view, context, out);
        choice.content_type()
    }
}
