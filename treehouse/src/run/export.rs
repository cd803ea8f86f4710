//! The result as files: JSON, CSV, Markdown.

use std::fmt::Write;
use std::path::Path;

use super::report::Report;
use super::statistics::Summary;
use crate::cli::RunOptions;
use crate::failure::Failure;

/// Column names of the CSV file, in order.
const COLUMNS: &str = "schema,command,exit_code,wall_s,cpu_s,energy_j,uncertainty_j,provenance,host_energy_j,operational_g,embodied_g,zone,g_per_kwh,provider";

/// Writes every file that was asked for.
pub(super) fn write(options: &RunOptions, summary: &Summary, object: &str) -> Result<(), Failure> {
    let runs: &[Report] = if summary.runs.is_empty() { std::slice::from_ref(&summary.report) } else { &summary.runs };
    if let Some(path) = &options.export_json {
        put(path, &format!("{object}\n"))?;
    }
    if let Some(path) = &options.export_csv {
        put(path, &csv(runs))?;
    }
    if let Some(path) = &options.export_markdown {
        put(path, &markdown(runs))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|e| Failure::Input(format!("{}: {e}; name a file that can be written", path.display())))
}

fn csv(runs: &[Report]) -> String {
    let mut out = format!("{COLUMNS}\n");
    for r in runs {
        let quoted = format!("\"{}\"", r.command.join(" ").replace('"', "\"\""));
        let (zone, g, provider) = r
            .intensity
            .as_ref()
            .map_or((String::new(), String::new(), ""), |i| (i.zone.clone(), i.g_per_kwh.to_string(), i.provider));
        let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
        let _ = writeln!(
            out,
            "1,{quoted},{},{},{},{},{},{},{},{},{},{zone},{g},{provider}",
            r.exit_code,
            r.wall_s,
            r.cpu_s,
            number(r.energy_j),
            number(r.uncertainty_j),
            r.provenance.map_or("", |p| p.name()),
            number(r.host_energy_j),
            number(r.carbon_g.operational),
            number(r.carbon_g.embodied),
        );
    }
    out
}

fn markdown(runs: &[Report]) -> String {
    let mut out =
        "| command | time [s] | CPU [s] | energy [J] | ± [J] | provenance | machine [J] | carbon [g] |\n|:--|--:|--:|--:|--:|:--|--:|--:|\n"
            .to_owned();
    for r in runs {
        let number = |v: Option<f64>| v.map_or_else(|| "unknown".to_owned(), |v| format!("{v:.3}"));
        let grams = r.carbon_g.operational.map_or_else(|| "unknown".to_owned(), |v| format!("{v:.6}"));
        let command = r.command.join(" ").replace('|', "\\|").replace('`', "'");
        let _ = writeln!(
            out,
            "| `{command}` | {:.3} | {:.3} | {} | {} | {} | {} | {grams} |",
            r.wall_s,
            r.cpu_s,
            number(r.energy_j),
            number(r.uncertainty_j),
            r.provenance.map_or("unknown", |p| p.name()),
            number(r.host_energy_j),
        );
    }
    out
}
