//! The report for people.

use std::fmt::Write;

use super::report::Report;
use super::statistics::{Spread, Summary};
use crate::output::{seconds, si};

/// A few lines: the command's own share and the machine's total side by side, each with its provenance.
pub(super) fn text(summary: &Summary) -> String {
    let r = &summary.report;
    let mut out = format!("\ntreehouse: {}\n", r.command.join(" "));
    let _ = writeln!(out, "  time      {:<12} CPU {}", seconds(r.wall_s), seconds(r.cpu_s));
    energy(&mut out, "command", r.energy_j, r.uncertainty_j, r.power_w, r.provenance.map_or("unknown", |p| p.name()));
    let modelled = r.domains.iter().any(|d| d.in_host && d.provenance.name() == "modelled");
    let host = if modelled { "modelled" } else { "measured" };
    energy(&mut out, "machine", r.host_energy_j, r.host_uncertainty_j, r.host_power_w, host);
    carbon(&mut out, r);
    if let Some(s) = &summary.statistics {
        let _ = writeln!(out, "  {} runs    median (least … most)", s.n);
        spread(&mut out, "time", Some(s.wall_s), "s");
        spread(&mut out, "command", s.energy_j, "J");
        spread(&mut out, "machine", s.host_energy_j, "J");
        spread(&mut out, "carbon", s.operational_g, "g");
    }
    for warning in &r.warnings {
        let _ = writeln!(out, "  note      {warning}");
    }
    out.truncate(out.trim_end().len());
    out
}

fn energy(out: &mut String, name: &str, joules: Option<f64>, half: Option<f64>, watts: Option<f64>, provenance: &str) {
    let _ = match (joules, half) {
        (Some(joules), Some(half)) => {
            let power = watts.map_or_else(String::new, |w| format!("   {}", si(w, "W")));
            writeln!(out, "  {name:<9} {} ± {}{power}   {provenance}", si(joules, "J"), si(half, "J"))
        }
        _ => writeln!(out, "  {name:<9} unknown (see the notes)"),
    };
}

fn carbon(out: &mut String, r: &Report) {
    let grams = |g: Option<f64>| g.map_or_else(|| "unknown".to_owned(), |g| si(g, "gCO2e"));
    let _ = writeln!(out, "  carbon    {} operational", grams(r.carbon_g.operational));
    let _ = writeln!(out, "            {} embodied (modelled)", grams(r.carbon_g.embodied));
    let _ = writeln!(out, "            {} in total", grams(r.carbon_g.total));
    if let Some(i) = &r.intensity {
        let age = if i.provider == "fixed" { "as told".to_owned() } else { format!("as of {}", i.as_of.strftime("%Y-%m-%d")) };
        let _ = writeln!(
            out,
            "  intensity {:.0} gCO2e/kWh, {}, {} ({}, {}, {age})",
            i.g_per_kwh, i.kind, i.zone, i.provider, i.method
        );
    }
}

fn spread(out: &mut String, name: &str, spread: Option<Spread>, unit: &str) {
    if let Some(s) = spread {
        let _ = writeln!(out, "  {name:<9} {} ({} … {})", si(s.median, unit), si(s.min, unit), si(s.max, unit));
    }
}
