//! Laws of both formats, checked by a strict parser and by promtool.

use std::io::Write;
use std::process::Stdio;

use carbon_api::snapshot::Snapshot;
use carbon_api::units::Microjoules;
use carbon_api::usage::WorkloadKind;
use exporters::accept::Format;
use exporters::catalogue::{CATALOGUE, Kind};
use exporters::scrape::Scrape;
use exporters::{Context, View};
use proptest::prelude::*;

use crate::machine::{at, context, machine, with_workloads, workload, workloads};
use crate::parser::{self, Families, Sample};
use crate::programs;

const WORKLOADS: &str = "treehouse_workload_energy_joules";
const HOST: &str = "hw_host_energy_joules";

fn body(format: Format, snapshot: &Snapshot, view: View) -> Vec<u8> {
    let mut body = Vec::new();
    Scrape::new().exporter(format).write(snapshot, view, &context(), &mut body);
    body
}

fn text(snapshot: &Snapshot, view: View) -> Families {
    parser::text(&body(Format::Text, snapshot, view))
}

fn openmetrics(snapshot: &Snapshot, view: View) -> Families {
    parser::openmetrics(&body(Format::OpenMetrics, snapshot, view))
}

fn sum(families: &Families, name: &str) -> u64 {
    families[name].samples.iter().map(Sample::micro).sum()
}

#[test]
fn openmetrics_family_names() {
    let families = openmetrics(&machine(), View::Fine);
    let seen: Vec<(&str, &str, Option<&str>)> =
        families.iter().map(|(name, f)| (name.as_str(), f.kind.as_str(), f.unit.as_deref())).collect();
    assert_eq!(
        seen,
        [
            ("hw_energy_joules", "counter", Some("joules")),
            ("hw_host_energy_joules", "counter", Some("joules")),
            ("treehouse_build", "info", None),
            ("treehouse_carbon_emissions_grams", "counter", Some("grams")),
            ("treehouse_collector_success", "gauge", None),
            ("treehouse_decisions", "counter", None),
            ("treehouse_energy_uncertainty_joules", "gauge", Some("joules")),
            ("treehouse_grid_intensity_age_seconds", "gauge", Some("seconds")),
            ("treehouse_grid_intensity_grams_per_kilowatt_hour", "gauge", Some("grams_per_kilowatt_hour")),
            ("treehouse_late_ticks", "counter", None),
            ("treehouse_meter_errors", "counter", None),
            ("treehouse_meter_gap_seconds", "counter", Some("seconds")),
            ("treehouse_meter_resets", "counter", None),
            ("treehouse_sample_age_seconds", "gauge", Some("seconds")),
            ("treehouse_scrape_duration_seconds", "gauge", Some("seconds")),
            ("treehouse_self_energy_joules", "counter", Some("joules")),
            ("treehouse_workload_energy_joules", "counter", Some("joules")),
            ("treehouse_workload_series", "gauge", None),
        ]
    );
}

#[test]
fn the_text_format_names_the_samples_in_its_comments() {
    let families = text(&machine(), View::Fine);
    for metric in &CATALOGUE {
        let family = &families[&metric.sample_name()];
        let kind = if metric.kind == Kind::Sum { "counter" } else { "gauge" };
        assert_eq!(family.kind, kind, "{}", metric.name);
        let labels: Vec<String> = metric.label_names().collect();
        for sample in &family.samples {
            assert_eq!(sample.labels.iter().map(|(n, _)| n).collect::<Vec<_>>(), labels.iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn both_formats_give_one_series() {
    for view in [View::Fine, View::Coarse] {
        let (text, openmetrics) = (text(&machine(), view), openmetrics(&machine(), view));
        assert_eq!(parser::samples(&text), parser::samples(&openmetrics));
        assert_eq!(text.len(), CATALOGUE.len());
    }
}

#[test]
fn two_formats_one_snapshot() {
    // what one scraper sees does not depend on another that came before it
    let (scrape, snapshot) = (Scrape::new(), machine());
    let answer = |accept| {
        let mut out = Vec::new();
        let content_type = scrape.answer(accept, &snapshot, View::Coarse, &context(), &mut out);
        (content_type, out)
    };
    let first = answer(None);
    let other = answer(Some("application/openmetrics-text"));
    assert_eq!(answer(None), first);
    assert_eq!(answer(Some("application/openmetrics-text")), other);
    assert_eq!(first.0, scrape.exporter(Format::Text).content_type());
    assert_eq!(other.0, scrape.exporter(Format::OpenMetrics).content_type());
    assert_ne!(first.1, other.1);
}

#[test]
fn the_buffer_is_appended_to_and_kept() {
    let scrape = Scrape::new();
    let mut out = b"before\n".to_vec();
    scrape.answer(None, &machine(), View::Fine, &context(), &mut out);
    assert!(out.starts_with(b"before\n# HELP hw_host_energy_joules_total "));
    let (length, capacity) = (out.len(), out.capacity());
    out.truncate(7);
    scrape.answer(None, &machine(), View::Fine, &context(), &mut out);
    assert_eq!((out.len(), out.capacity()), (length, capacity));
}

#[test]
fn the_family_sums_to_the_host_to_the_microjoule() {
    let families = openmetrics(&machine(), View::Fine);
    assert_eq!(sum(&families, WORKLOADS), machine().host_energy().0);
    assert_eq!(sum(&families, HOST), machine().host_energy().0);
}

#[test]
fn the_coarse_snapshot_sums_too() {
    let two = with_workloads(vec![
        workload(WorkloadKind::Process, "a:1", 1_000_400),
        workload(WorkloadKind::Process, "b:2", 2_000_700),
    ]);
    let families = openmetrics(&two, View::Coarse);
    let values: Vec<&str> = families[WORKLOADS].samples.iter().map(|s| s.value.as_str()).collect();
    assert_eq!(values, ["1", "2"]);
    assert_eq!(families[HOST].samples[0].value, "3", "not 3.001");
    assert_eq!(sum(&openmetrics(&machine(), View::Coarse), WORKLOADS), machine().host_coarse().0);
}

#[test]
fn a_coarse_view_shows_nothing_finer_than_a_millijoule() {
    let families = text(&machine(), View::Coarse);
    for (name, family) in &families {
        for sample in &family.samples {
            if name.contains("joules") {
                assert_eq!(sample.micro() % 1000, 0, "{name} {}", sample.value);
            } else if name.contains("grams_total") {
                assert!(sample.value.split_once('.').is_none_or(|(_, part)| part.len() <= 6), "{}", sample.value);
            }
        }
    }
}

#[test]
fn no_counter_is_ever_nan() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
        let mut snapshot = machine();
        snapshot.carbon.operational_g = bad;
        snapshot.carbon.embodied_g = Some(bad);
        snapshot.gap_seconds[0].amount = bad;
        for view in [View::Fine, View::Coarse] {
            let families = text(&snapshot, view);
            assert!(!families.contains_key("treehouse_carbon_emissions_grams_total"), "{bad}");
            assert!(!families.contains_key("treehouse_meter_gap_seconds_total"), "{bad}");
            assert_eq!(families.len(), CATALOGUE.len() - 2);
        }
    }
}

#[test]
fn what_is_not_known_has_no_sample() {
    let empty = Snapshot::empty(at(0), 1.0);
    let mut body = Vec::new();
    let context = Context::new("0.1.0", at(0));
    Scrape::new().exporter(Format::OpenMetrics).write(&empty, View::Fine, &context, &mut body);
    let families = parser::openmetrics(&body);
    assert_eq!(
        families.keys().collect::<Vec<_>>(),
        ["treehouse_build", "treehouse_late_ticks", "treehouse_workload_series"],
        "no zero for an energy, an age or an intensity that nobody knows"
    );
}

#[test]
fn before_the_first_interval_is_closed_no_energy_has_a_sample() {
    let mut begun = Snapshot { ready: false, workloads: Vec::new(), ..machine() };
    begun.carbon.operational_g = 0.0;
    for view in [View::Fine, View::Coarse] {
        let families = text(&begun, view);
        let told: Vec<_> = families.keys().filter(|name| name.contains("_joules") || name.contains("_grams_total")).collect();
        assert!(told.is_empty(), "{told:?}");
    }
}

#[test]
fn the_help_of_an_energy_says_how_it_is_sampled() {
    let mut slow = machine();
    slow.period_s = 0.5;
    for families in [text(&slow, View::Fine), openmetrics(&slow, View::Fine)] {
        for (name, family) in &families {
            let said = family.help.ends_with(" Sampled every 0.5 s, counted since process start.");
            assert_eq!(said, name.contains("energy_joules"), "{name}: {}", family.help);
        }
    }
}

#[test]
fn component_ids_are_unique_and_only_leaves_are_shown() {
    let families = text(&machine(), View::Fine);
    let ids: Vec<Option<&str>> = families["hw_energy_joules_total"].samples.iter().map(|s| s.label("hw_id")).collect();
    assert_eq!(ids, [Some("socket0/package-0"), Some("socket0/dram-0")]);
    let host = families["hw_host_energy_joules_total"].samples.iter().map(Sample::micro).sum::<u64>();
    assert_eq!(families["hw_energy_joules_total"].samples.iter().map(Sample::micro).sum::<u64>(), host);
}

#[test]
fn promtool_finds_nothing_to_say_about_the_text() {
    let Some(mut promtool) = programs::promtool("promtool_finds_nothing_to_say_about_the_text") else {
        return;
    };
    let pipes = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.stderr(Stdio::piped()).spawn().unwrap();
    let golden = body(Format::Text, &machine(), View::Coarse);
    child.stdin.take().unwrap().write_all(&golden).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.is_empty(), "{said}");
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\\\\\"\n\r{}=, #\u{0}-\u{20}]{0,40}",
        prop::sample::select(vec!["\\n", "\\", "\"", "\n", "a=\"b\"} 1\n# EOF", "\u{1f332}\u{2028}"]).prop_map(String::from),
    ]
}

proptest! {
    #[test]
    fn labels_round_trip_through_two_parsers(names in prop::collection::btree_set(hostile(), 1..6)) {
        let rows = names.iter().map(|n| workload(WorkloadKind::Process, n, 1)).collect();
        let snapshot = with_workloads(rows);
        for families in [text(&snapshot, View::Fine), openmetrics(&snapshot, View::Fine)] {
            let family = families.iter().find(|(name, _)| name.starts_with(WORKLOADS)).unwrap().1;
            let read: std::collections::BTreeSet<String> =
                family.samples.iter().map(|s| s.label("workload").unwrap().to_owned()).collect();
            prop_assert_eq!(&read, &names);
        }
    }

    #[test]
    fn the_sum_holds_in_both_views(energies in prop::collection::vec(0..1_u64 << 40, 1..30)) {
        let rows = energies.iter().enumerate().map(|(i, &e)| workload(WorkloadKind::Process, &format!("p:{i}"), e));
        let snapshot = with_workloads(rows.collect());
        let exact: Microjoules = energies.iter().map(|&e| Microjoules(e)).sum();
        let coarse: u64 = energies.iter().map(|e| e / 1000 * 1000).sum();
        for (view, expected) in [(View::Fine, exact.0), (View::Coarse, coarse)] {
            let families = openmetrics(&snapshot, view);
            prop_assert_eq!(sum(&families, WORKLOADS), expected);
            prop_assert_eq!(sum(&families, HOST), expected);
        }
    }
}

#[test]
fn the_fixed_machine_has_hostile_names() {
    assert!(workloads().iter().any(|w| w.workload.contains('"') && w.workload.contains('\n')));
}
