//! The cost of a scrape beside floors of the same run: labels rendered beforehand with plainly formatted numbers, and a copy of the
//! bytes.
//!
//! Each figure is the median of many rounds taken in turns. Ratios are the result; nanoseconds belong to the machine of the day.
#![expect(clippy::print_stdout, reason = "a benchmark talks on the terminal")]

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use carbon_api::domain::Provenance;
use carbon_api::snapshot::{Snapshot, WorkloadRow};
use carbon_api::units::Microjoules;
use carbon_api::usage::WorkloadKind;
use exporters::accept::Format;
use exporters::scrape::Scrape;
use exporters::{Context, View};
use jiff::Timestamp;

const ROUNDS: usize = 101;

fn main() {
    println!("series   subject       ns/series   to whole numbers   to doubles   to copy");
    for series in [100, 400, 2_000, 20_000] {
        measure(series);
    }
}

fn measure(series: usize) {
    let snapshot = snapshot(series);
    let scrape = Scrape::new();
    let context = Context::new("0.1.0", Timestamp::UNIX_EPOCH);
    let labels: Vec<String> = snapshot.workloads.iter().map(rendered).collect();
    let mut buffer = Vec::new();
    let write = |format, buffer: &mut Vec<u8>| {
        buffer.clear();
        let exporter = scrape.exporter(format);
        exporter.write(&snapshot, View::Coarse, &context, buffer);
    };
    write(Format::Text, &mut buffer);
    let bytes = buffer.clone();

    let mut times: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(timed(|| {
            buffer.clear();
            buffer.extend_from_slice(black_box(&bytes));
        }));
        times[1].push(timed(|| whole_numbers(&labels, &snapshot.workloads, &mut buffer)));
        times[2].push(timed(|| doubles(&labels, &snapshot.workloads, &mut buffer)));
        times[3].push(timed(|| write(Format::Text, &mut buffer)));
        times[4].push(timed(|| write(Format::OpenMetrics, &mut buffer)));
        black_box(&buffer);
    }
    let [copy, whole, double, text, openmetrics] = times.map(|times| median(times) / series as f64);
    for (subject, time) in
        [("copy", copy), ("whole numbers", whole), ("doubles", double), ("text 0.0.4", text), ("openmetrics", openmetrics)]
    {
        println!("{series:>6}   {subject:<14}{time:>9.1}{:>17.2}{:>12.2}{:>10.1}", time / whole, time / double, time / copy);
    }
    let size = bytes.len() as f64 / series as f64;
    println!("{series:>6}   {size:.0} bytes a series, text in {:.2} ms", text * series as f64 / 1e6);
}

fn timed(run: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    run();
    begun.elapsed().as_nanos() as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A floor: labels that were rendered once, a whole number, a newline.
fn whole_numbers(labels: &[String], rows: &[WorkloadRow], buffer: &mut Vec<u8>) {
    buffer.clear();
    for (label, row) in labels.iter().zip(rows) {
        buffer.extend_from_slice(label.as_bytes());
        buffer.extend_from_slice(itoa::Buffer::new().format(row.energy.0).as_bytes());
        buffer.push(b'\n');
    }
}

/// A floor: the same with joules as the standard library writes a double.
fn doubles(labels: &[String], rows: &[WorkloadRow], buffer: &mut Vec<u8>) {
    buffer.clear();
    for (label, row) in labels.iter().zip(rows) {
        buffer.extend_from_slice(label.as_bytes());
        // writing to a vector does not fail
        let _ = writeln!(buffer, "{}", row.energy.joules().value());
    }
}

fn rendered(row: &WorkloadRow) -> String {
    format!(
        "treehouse_workload_energy_joules_total{{kind=\"{}\",workload=\"{}\",provenance=\"{}\"}} ",
        row.kind.name(),
        row.workload,
        row.provenance.name()
    )
}

fn snapshot(series: usize) -> Snapshot {
    let row = |at: usize| WorkloadRow {
        kind: WorkloadKind::Process,
        workload: format!("systemd-worker:{}", 1000 + at).into(),
        cgroup: None,
        uid: None,
        provenance: Provenance::Attributed,
        energy: Microjoules(123_456_789 + at as u64 * 37_777),
        carbon_g: None,
        power_w: 1.0,
        cpu_s: 1.0,
        uncertainty_j: 0.0,
        started_at: Timestamp::UNIX_EPOCH,
        gone_at: None,
    };
    Snapshot { ready: true, workloads: (0..series).map(row).collect(), ..Snapshot::empty(Timestamp::UNIX_EPOCH, 1.0) }
}
