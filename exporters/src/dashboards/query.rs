//! PromQL from the catalogue: selectors that always name job and instance, counters only under a rate.

use crate::catalogue::{Id, Kind, metric};

/// What every selector of a board says.
const VARIABLES: &str = "job=~\"$job\", instance=~\"$instance\"";

/// The name of the samples.
pub(super) fn name(id: Id) -> String {
    metric(id).sample_name()
}

/// A gauge of the chosen hosts; `matchers` are further ones, or empty.
pub(super) fn gauge(id: Id, matchers: &str) -> String {
    debug_assert!(metric(id).kind != Kind::Sum, "a counter is only shown under a rate");
    format!("{}{{{}}}", name(id), chosen(id, matchers))
}

/// How fast a counter of the chosen hosts grows: watts of joules.
pub(super) fn rate(id: Id, matchers: &str) -> String {
    format!("rate({}{{{}}}[$__rate_interval])", name(id), chosen(id, matchers))
}

/// How much a counter of the chosen hosts grew between two points of a graph.
pub(super) fn step(id: Id, matchers: &str) -> String {
    format!("increase({}{{{}}}[$__rate_interval])", name(id), chosen(id, matchers))
}

/// How much a counter of the chosen hosts grew over the shown time; only for single figures and tables.
pub(super) fn over_range(id: Id, matchers: &str) -> String {
    format!("increase({}{{{}}}[$__range])", name(id), chosen(id, matchers))
}

/// A selector for rules, which have no variables.
pub(super) fn series(id: Id, matchers: &str) -> String {
    let matchers = without_gone(id, matchers);
    if matchers.is_empty() { name(id) } else { format!("{}{{{matchers}}}", name(id)) }
}

fn chosen(id: Id, matchers: &str) -> String {
    let matchers = without_gone(id, matchers);
    if matchers.is_empty() { VARIABLES.to_owned() } else { format!("{VARIABLES}, {matchers}") }
}

/// `gone` takes the total of a workload that ended, all at once: under a rate that would be a peak of energy that nobody used.
fn without_gone(id: Id, matchers: &str) -> String {
    const NOT_GONE: &str = "workload!=\"gone\"";
    match (id, matchers) {
        (Id::WorkloadEnergy, "") => NOT_GONE.to_owned(),
        (Id::WorkloadEnergy, _) => format!("{matchers}, {NOT_GONE}"),
        _ => matchers.to_owned(),
    }
}
