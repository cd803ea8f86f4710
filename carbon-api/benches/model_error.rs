//! How far the power models are from what RAPL showed, on load profiles of five machines.
//!
//! Data: CodeCarbon's `cpu_load_profiling` of January 2025 (MIT), as `codecarbon_cpu_load_rapl.csv`. It is not part of the
//! repository: `TREEHOUSE_DATA` names its folder (default: `shared/data` beside the workspace). Without it this says so and ends.
//!
//! Two columns of the file tell the power, and they differ: `rapl_w` of a row is the energy of the row *before* it over time
//! (equal within 1 % from the second row of each profile on, and 0.2 to 1.4 W in the first). The energy of the row itself,
//! `rapl_kwh` over `duration_s`, is therefore the truth here; figures by `rapl_w` are printed beside it.
//!
//! `-- --markdown` prints tables for BENCHMARKS.md.
#![expect(clippy::print_stdout, reason = "a benchmark talks on the terminal")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use carbon_api::meter::model::{Calibration, Coefficients, Load, MachineKey, Processor, Rule};

const FILE: &str = "codecarbon_cpu_load_rapl.csv";

/// What the file does not say of its machines: numbers of the processor, as in `/proc/cpuinfo`, and packages (24 processors of a
/// kind that has 12).
const MACHINES: [(&str, u32, &str); 5] = [
    ("AMD_EPYC_8024P_8C", 1, "vendor_id: AuthenticAMD\ncpu family: 25\nmodel: 160\nstepping: 2\n"),
    ("AMD_Threadripper", 1, "vendor_id: AuthenticAMD\ncpu family: 23\nmodel: 1\nstepping: 1\n"),
    ("E3-1240", 1, "vendor_id: GenuineIntel\ncpu family: 6\nmodel: 58\nstepping: 9\n"),
    ("E5-1240", 1, "vendor_id: GenuineIntel\ncpu family: 6\nmodel: 58\nstepping: 9\n"),
    ("E5-2620", 2, "vendor_id: GenuineIntel\ncpu family: 6\nmodel: 63\nstepping: 2\n"),
];

/// Machines whose meter is doubtful: one never passes 51 W of 90 W; the other shows 93 W for a processor of 69 W that shows 49 W
/// in another folder, as if package and cores were added.
const DOUBTFUL: [&str; 2] = ["AMD_EPYC_8024P_8C", "E5-1240"];

fn main() -> Result<(), Box<dyn Error>> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let file = std::env::var_os("TREEHOUSE_DATA").map_or(beside, PathBuf::from).join(FILE);
    let Ok(text) = std::fs::read_to_string(&file) else {
        println!("skipped: {} is absent (TREEHOUSE_DATA names its folder)", file.display());
        return Ok(());
    };
    let markdown = std::env::args().any(|argument| argument == "--markdown");
    for truth in [Truth::Energy, Truth::Power, Truth::PowerUnderLoad] {
        let machines = read(&text, truth)?;
        let estimates = estimate(&machines);
        println!("\nAgainst {}; {} points\n", truth.words(), machines.iter().map(|m| m.rows.len()).sum::<usize>());
        let table = Table { markdown };
        table.head();
        for machine in &machines {
            table.rows(machine.name, &estimates, |e| e.machine == machine.name);
        }
        table.rows("all five", &estimates, |_| true);
        table.rows("the three not doubtful", &estimates, |e| !DOUBTFUL.contains(&e.machine));
    }
    println!("\ndoubtful: {} (see the head of this program)", DOUBTFUL.join(", "));
    Ok(())
}

/// Which column is believed.
#[derive(Clone, Copy)]
enum Truth {
    Energy,
    Power,
    PowerUnderLoad,
}

impl Truth {
    const fn words(self) -> &'static str {
        match self {
            Self::Energy => "energy of the row over its time (rapl_kwh / duration_s)",
            Self::Power => "the column rapl_w, which lags by a row",
            Self::PowerUnderLoad => "the column rapl_w without its rows of 0.2 to 1.4 W",
        }
    }
}

struct Machine {
    name: &'static str,
    cpuinfo: String,
    /// Design power of all packages, watts.
    tdp_w: f64,
    cpus: u32,
    rows: Vec<Row>,
}

#[derive(Clone, Copy)]
struct Row {
    utilisation: f64,
    watts: f64,
    codecarbon_w: f64,
}

fn read(text: &str, truth: Truth) -> Result<Vec<Machine>, Box<dyn Error>> {
    let mut lines = text.lines();
    let head: BTreeMap<&str, usize> = lines.next().ok_or("the file is empty")?.split(',').zip(0..).collect();
    let column = |name: &str| head.get(name).copied().ok_or_else(|| format!("{FILE} has no column {name}"));
    let (folder, name, tdp, cores, load) =
        (column("machine_dir")?, column("cpu_name")?, column("tdp_w")?, column("cores_used")?, column("load_percent")?);
    let (power, energy, seconds, own) =
        (column("rapl_w")?, column("rapl_kwh")?, column("duration_s")?, column("codecarbon_estimate_w")?);
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let mut machines = Vec::new();
    for (machine, packages, cpuinfo) in MACHINES {
        let own_rows: Vec<&Vec<&str>> = rows.iter().filter(|row| row[folder] == machine).collect();
        let first = own_rows.first().ok_or_else(|| format!("{FILE} has no rows of {machine}"))?;
        let mut cpus = 0;
        let mut points = Vec::new();
        for row in &own_rows {
            let figure = |at: usize| row[at].parse::<f64>().map_err(|error| format!("{FILE}: {:?}: {error}", row[at]));
            cpus = cpus.max(row[cores].parse()?);
            let watts = match truth {
                Truth::Energy => figure(energy)? * 3.6e6 / figure(seconds)?,
                Truth::PowerUnderLoad if figure(power)? < 2.0 => continue,
                Truth::Power | Truth::PowerUnderLoad => figure(power)?,
            };
            points.push(Row { utilisation: figure(load)? / 100.0, watts, codecarbon_w: figure(own)? });
        }
        machines.push(Machine {
            name: machine,
            cpuinfo: format!("{cpuinfo}model name: {}\n", first[name]),
            tdp_w: first[tdp].parse::<f64>()? * f64::from(packages),
            cpus,
            rows: points,
        });
    }
    Ok(machines)
}

/// One point under one model.
struct Estimate {
    model: &'static str,
    machine: &'static str,
    watts: f64,
    truth: f64,
    /// Relative half width that the model states.
    band: Option<f64>,
}

const MODELS: [&str; 7] = [
    "TDP x load",
    "line in TDP, of the others",
    "CodeCarbon's estimate",
    "tdp-curve/1",
    "vcpu-linear/1, mean of AWS",
    "vcpu-linear/1, by family",
    "calibrated-line/1",
];

fn estimate(machines: &[Machine]) -> Vec<Estimate> {
    let mut estimates = Vec::new();
    for machine in machines {
        let mut add = |model: &'static str, row: &Row, watts: f64, band: Option<f64>| {
            estimates.push(Estimate { model, machine: machine.name, watts, truth: row.watts, band });
        };
        for row in &machine.rows {
            add(MODELS[0], row, machine.tdp_w * row.utilisation, None);
            add(MODELS[2], row, row.codecarbon_w, None);
        }
        let (idle, rise) = line_of_others(machines, machine.name);
        for row in &machine.rows {
            add(MODELS[1], row, machine.tdp_w * (idle + rise * row.utilisation), None);
        }
        let family = Coefficients::of(&Processor::parse(&machine.cpuinfo), None);
        let mut rules =
            vec![(MODELS[3], Rule::tdp_curve(machine.tdp_w, "the file")), (MODELS[4], Rule::vcpu_linear(Coefficients::UNKNOWN))];
        if family != Coefficients::UNKNOWN {
            rules.push((MODELS[5], Rule::vcpu_linear(family)));
        }
        for (model, mut rule) in rules {
            for row in &machine.rows {
                add(model, row, watts(&mut rule, machine, row), Some(rule.uncertainty()));
            }
        }
        // each half is judged by what the other half taught
        for half in 0..2 {
            let (taught, judged): (Vec<_>, Vec<_>) = machine.rows.iter().enumerate().partition(|(i, _)| i % 2 == half);
            let mut calibration = Calibration::new(MachineKey::new(&machine.cpuinfo, machine.cpus), "rapl");
            for (_, row) in taught {
                calibration.observe(row.utilisation, row.watts, 60.0);
            }
            let Some(mut rule) = Rule::calibrated(&calibration) else { continue };
            for (_, row) in judged {
                add(MODELS[6], row, watts(&mut rule, machine, row), Some(rule.uncertainty()));
            }
        }
    }
    estimates
}

/// Leave one machine out: least squares through what the others draw, as shares of their design power.
fn line_of_others(machines: &[Machine], left_out: &str) -> (f64, f64) {
    let others = || machines.iter().filter(|machine| machine.name != left_out);
    let points = || others().flat_map(|m| m.rows.iter().map(|row| (row.utilisation, row.watts / m.tdp_w)));
    let count = points().count() as f64;
    let (mean_u, mean_s) = (points().map(|(u, _)| u).sum::<f64>() / count, points().map(|(_, s)| s).sum::<f64>() / count);
    let rise = points().map(|(u, s)| (u - mean_u) * (s - mean_s)).sum::<f64>()
        / points().map(|(u, _)| (u - mean_u).powi(2)).sum::<f64>();
    (mean_s - rise * mean_u, rise)
}

fn watts(rule: &mut Rule, machine: &Machine, row: &Row) -> f64 {
    let load = Load { cpus: machine.cpus, utilisation: row.utilisation, seconds: 60.0 };
    rule.watts(load).unwrap_or(f64::NAN)
}

struct Table {
    markdown: bool,
}

impl Table {
    fn head(&self) {
        if self.markdown {
            println!(
                "| machine | model | points | mean absolute error, W | mean absolute error, % | bias, W | inside the stated band |"
            );
            println!("| --- | --- | --- | --- | --- | --- | --- |");
        } else {
            println!(
                "machine                   model                        points     MAE W   MAPE %   bias W   inside the band"
            );
        }
    }

    fn rows(&self, name: &str, estimates: &[Estimate], wanted: impl Fn(&Estimate) -> bool) {
        for model in MODELS {
            let of: Vec<&Estimate> = estimates.iter().filter(|e| e.model == model && wanted(e)).collect();
            if of.is_empty() {
                self.line(name, model, "0", ["-"; 4].map(String::from));
                continue;
            }
            let mean = |figure: &dyn Fn(&Estimate) -> f64| of.iter().map(|e| figure(e)).sum::<f64>() / of.len() as f64;
            let absolute = mean(&|e| (e.watts - e.truth).abs());
            let relative = mean(&|e| 100.0 * (e.watts - e.truth).abs() / e.truth);
            let bias = mean(&|e| e.watts - e.truth);
            let inside = mean(&|e| e.band.map_or(0.0, |band| f64::from(u8::from((e.watts - e.truth).abs() <= band * e.watts))));
            let bands: Vec<f64> = of.iter().filter_map(|e| e.band).collect();
            let (least, most) = (bands.iter().copied().fold(f64::INFINITY, f64::min), bands.iter().copied().fold(0.0, f64::max));
            let inside = match () {
                () if bands.is_empty() => "states none".to_owned(),
                () if most - least < 0.005 => format!("{:.0} % (± {:.0} %)", 100.0 * inside, 100.0 * most),
                () => format!("{:.0} % (± {:.0}-{:.0} %)", 100.0 * inside, 100.0 * least, 100.0 * most),
            };
            let figures = [format!("{absolute:.1}"), format!("{relative:.0}"), format!("{bias:+.1}"), inside];
            self.line(name, model, &of.len().to_string(), figures);
        }
    }

    fn line(&self, name: &str, model: &str, points: &str, [absolute, relative, bias, inside]: [String; 4]) {
        if self.markdown {
            println!("| {name} | {model} | {points} | {absolute} | {relative} | {bias} | {inside} |");
        } else {
            println!("{name:<26}{model:<28}{points:>7}{absolute:>10}{relative:>9}{bias:>9}   {inside}");
        }
    }
}
