//! The collector inside a real registry.

use std::sync::Arc;

use carbon_api::snapshot::SnapshotCell;
use carbon_api::usage::WorkloadKind;

use exporters::View;
use exporters::bridge::Bridge;
use prometheus::{Encoder, Registry, TextEncoder};

use crate::machine::{at, machine, with_workloads, workload};
use crate::parser::{self, Families, Sample};

fn scrape(registry: &Registry) -> Families {
    let mut body = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut body).unwrap();
    parser::text(&body)
}

fn sum(families: &Families, name: &str) -> u64 {
    families[name].samples.iter().map(Sample::micro).sum()
}

#[test]
fn a_registry_shows_the_totals_and_the_largest_workloads_and_the_sum_holds() {
    for (view, host) in [(View::Fine, machine().host_energy()), (View::Coarse, machine().host_coarse())] {
        let cell = Arc::new(SnapshotCell::new(machine()));
        let registry = Registry::new();
        registry.register(Box::new(Bridge::new(Arc::clone(&cell), 2, view).unwrap())).unwrap();
        let families = scrape(&registry);
        let workloads = &families["treehouse_workload_energy_joules_total"];
        let mut names: Vec<&str> = workloads
            .samples
            .iter()
            .filter(|s| s.label("kind") == Some("process") || s.label("kind") == Some("container"))
            .filter_map(|s| s.label("workload"))
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["9f2d1c", "gone", "gone", "nginx:812", "other", "other"]);
        assert_eq!(sum(&families, "treehouse_workload_energy_joules_total"), host.0);
        assert_eq!(sum(&families, "hw_host_energy_joules_total"), host.0);
        assert_eq!(families["treehouse_carbon_emissions_grams_total"].kind, "counter");
        assert_eq!(families["treehouse_grid_intensity_grams_per_kilowatt_hour"].samples[0].value, "475.5");
    }
}

#[test]
fn every_counter_of_the_registry_is_monotone_while_the_top_changes() {
    let grown = |tick: u64| {
        with_workloads(vec![
            workload(WorkloadKind::Process, "steady:1", 1_000_000 * tick),
            workload(WorkloadKind::Process, "late:2", 100_000 * tick * tick),
            workload(WorkloadKind::Idle, "idle", 3_000_000 * tick),
        ])
    };
    let cell = Arc::new(SnapshotCell::new(grown(1)));
    let registry = Registry::new();
    registry.register(Box::new(Bridge::new(Arc::clone(&cell), 1, View::Coarse).unwrap())).unwrap();
    let mut before: Vec<Sample> = Vec::new();
    let mut tops = std::collections::BTreeSet::new();
    for tick in 1..30 {
        cell.swap(Arc::new(grown(tick)));
        let families = scrape(&registry);
        let now = families["treehouse_workload_energy_joules_total"].samples.clone();
        for sample in &now {
            let old = before.iter().find(|s| s.labels == sample.labels);
            assert!(old.is_none_or(|old| old.micro() <= sample.micro()), "{sample:?} after {old:?}");
            tops.extend(sample.label("workload").map(str::to_owned));
        }
        assert_eq!(sum(&families, "treehouse_workload_energy_joules_total"), grown(tick).host_coarse().0);
        before = now;
    }
    assert!(tops.contains("steady:1") && tops.contains("late:2"), "{tops:?}");
}

#[test]
fn an_empty_snapshot_shows_no_zero_energy() {
    let cell = Arc::new(SnapshotCell::new(carbon_api::snapshot::Snapshot::empty(at(0), 1.0)));
    let registry = Registry::new();
    registry.register(Box::new(Bridge::new(cell, 5, View::Coarse).unwrap())).unwrap();
    assert_eq!(scrape(&registry).len(), 0);
}
