//! Shows one [`Snapshot`] to the outside, in the words that other tools already use.
//!
//! Whatever is *asked* for the present state implements [`Exporter`]: [`prometheus::PrometheusText`] and
//! [`openmetrics::OpenMetrics`] (both behind [`scrape::Scrape`], which picks one by the request's `Accept` header).
//! Two more ways out run beside them, one feature each: `bridge` is a collector for an application that owns a
//! `prometheus::Registry`, `otlp` pushes host metrics through the OpenTelemetry SDK on a clock of its own.
//! Nothing here drives a measurement: all of it reads snapshots.
//!
//! [`catalogue`] names every metric once; [`rows`] says once which rows of a snapshot feed it.
//!
//! ```
//! use carbon_api::snapshot::Snapshot;
//! use exporters::{Context, View, scrape::Scrape};
//!
//! let snapshot = Snapshot::empty(jiff::Timestamp::UNIX_EPOCH, 1.0);
//! let scrape = Scrape::new();
//! let mut body = Vec::new(); // kept from one scrape to the next
//! let context = Context::new("0.1.0", jiff::Timestamp::UNIX_EPOCH);
//! let content_type = scrape.answer(None, &snapshot, View::Coarse, &context, &mut body);
//! assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
//! ```

use carbon_api::snapshot::Snapshot;
use carbon_api::units::Microjoules;
use jiff::Timestamp;

pub mod accept;
pub mod catalogue;
mod exposition;
mod name;
mod number;
pub mod openmetrics;
pub mod prometheus;
pub mod rows;
pub mod scrape;

#[cfg(feature = "bridge")]
pub mod bridge;
#[cfg(feature = "dashboards")]
pub mod dashboards;
#[cfg(feature = "otlp")]
pub mod otlp;

/// A format that shows one snapshot.
pub trait Exporter: Send + Sync {
    /// The media type of what [`write`](Self::write) appends.
    fn content_type(&self) -> &'static str;

    /// Appends the snapshot to `out`, which is meant to be reused: nothing is allocated for a series.
    fn write(&self, snapshot: &Snapshot, view: View, context: &Context<'_>, out: &mut Vec<u8>);
}

/// How fine the figures are that a reader gets to see.
///
/// Energy at microjoules and milliseconds tells a neighbour's secrets (PLATYPUS, CVE-2020-8694, CVE-2020-12912), so
/// whoever has shown no privilege sees whole millijoules. The remainder is carried, never lost: both views are monotone, and in
/// both the workload family sums to the host exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Energies in whole millijoules, grams in whole micrograms: for every reader over TCP without a token.
    #[default]
    Coarse,
    /// Energies to the microjoule: for privileged readers.
    Fine,
}

impl View {
    /// Micrograms in one gram: the grid of coarse grams. One microgram is more than 1 mJ up to 3 600 g/kWh.
    const GRAM_STEPS: f64 = 1e6;

    /// The energy as this view shows it.
    #[must_use]
    pub const fn energy(self, energy: Microjoules) -> Microjoules {
        match self {
            Self::Coarse => Microjoules(energy.0 / 1000 * 1000),
            Self::Fine => energy,
        }
    }

    /// Picks between an energy and its coarse twin, where the snapshot holds both.
    #[must_use]
    pub const fn pick(self, fine: Microjoules, coarse: Microjoules) -> Microjoules {
        match self {
            Self::Coarse => coarse,
            Self::Fine => fine,
        }
    }

    /// Joules computed from energies (an uncertainty) as this view shows them.
    #[must_use]
    pub fn joules(self, joules: f64) -> f64 {
        match self {
            Self::Coarse => (joules * 1e3).floor() / 1e3,
            Self::Fine => joules,
        }
    }

    /// Grams as this view shows them: a priced energy is an energy.
    #[must_use]
    pub fn grams(self, grams: f64) -> f64 {
        match self {
            Self::Coarse => (grams * Self::GRAM_STEPS).floor() / Self::GRAM_STEPS,
            Self::Fine => grams,
        }
    }
}

/// What an exporter shows beside the snapshot: facts of the program that asks.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The version of the program.
    pub version: &'a str,
    /// The present, from which ages are told.
    pub now: Timestamp,
    /// How long the last scrape took, in seconds; `None` before the first.
    pub scrape_duration_s: Option<f64>,
    /// Every source in use and whether its last read went well.
    pub collectors: &'a [CollectorRow<'a>],
    /// Decisions taken since the start.
    pub decisions: &'a [DecisionRow<'a>],
}

impl<'a> Context<'a> {
    /// A context without collectors, decisions or an earlier scrape.
    pub const fn new(version: &'a str, now: Timestamp) -> Self {
        Self { version, now, scrape_duration_s: None, collectors: &[], decisions: &[] }
    }
}

/// Whether one source works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectorRow<'a> {
    /// Its name in the list of sources: `rapl_powercap`, `usage/process`.
    pub collector: &'a str,
    /// Its last read went well.
    pub success: bool,
}

/// How often one policy ended in one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionRow<'a> {
    /// The policy.
    pub policy: &'a str,
    /// What became of the decision.
    pub outcome: &'a str,
    /// How often.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_coarse_energy_is_whole_millijoules_and_a_fine_one_is_exact() {
        assert_eq!(View::Coarse.energy(Microjoules(1_000_400)), Microjoules(1_000_000));
        assert_eq!(View::Fine.energy(Microjoules(1_000_400)), Microjoules(1_000_400));
    }

    proptest! {
        #[test]
        fn coarse_figures_never_fall_where_fine_ones_rise(base in 0.0..1e9_f64, step in 0.0..1e3_f64) {
            prop_assert!(View::Coarse.grams(base + step) >= View::Coarse.grams(base));
            prop_assert!(View::Coarse.joules(base + step) >= View::Coarse.joules(base));
            prop_assert!((View::Coarse.grams(base) - base).abs() <= 1e-6 + base * 1e-15);
        }
    }
}
