//! `treehouse run`: energy, carbon and time of one command and its whole process tree.
//!
//! Usage, meters, spawn … exit, meters, usage: nothing waits for a tick, so a task of 50 ms is whole. Whatever fails on our
//! side, the command goes on and is waited for. The report goes to stderr, the object to stdout, after whatever the command wrote.

mod child;
mod export;
mod group;
mod report;
mod statistics;
mod text;
mod tree;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use carbon_api::carbon::EmbodiedModel;
use carbon_api::grid::IntensityProvider;
use carbon_api::ledger::LedgerError;
use carbon_api::ledger::store::Ledger;
use carbon_api::probe::{Probe, Used};
use carbon_api::units::GramsPerKwh;
use jiff::Timestamp;

use self::child::{Child, Ended, Event};
use self::report::{Priced, Report};
use self::tree::Tree;
use crate::cli::{Cli, Format, RunOptions};
use crate::config::Config;
use crate::failure::Failure;
use crate::{output, wiring};

/// Longest time between two readings while the command runs.
const PERIOD: Duration = Duration::from_secs(1);

/// What every run of the command shares.
struct Bench {
    probe: Option<Probe>,
    grid: Arc<dyn IntensityProvider>,
    embodied: Option<(EmbodiedModel, u32)>,
    cgroupfs: std::path::PathBuf,
    period: Duration,
    warnings: Vec<String>,
}

/// Runs the command as often as asked, reports, and passes its status on.
pub(crate) fn run(cli: &Cli, config: &Config, options: &RunOptions) -> Result<ExitCode, Failure> {
    let mut bench = Bench::new(cli, config)?;
    for round in 0..options.warmup {
        progress(options, "warm-up", round, options.warmup);
        measure(&mut bench, options)?;
    }
    let mut reports: Vec<Report> = Vec::new();
    for round in 0..options.runs {
        progress(options, "run", round, options.runs);
        let report = measure(&mut bench, options)?;
        if cli.verbose {
            output::error(&format!("treehouse: {}", report.counted_by));
        }
        let failed = report.exit_code != 0;
        reports.push(report);
        if failed {
            break; // further runs of a failing command say nothing about it
        }
    }
    let summary = statistics::summary(reports);
    record(cli, config, &summary);
    let object = serde_json::to_string(&summary).map_err(|e| Failure::system("the report", e))?;
    match cli.format {
        Format::Json => output::print(&(object.clone() + "\n"))?,
        // a command that never ran has nothing to report
        Format::Text if summary.report.not_run => {}
        Format::Text => output::error(&text::text(&summary)),
    }
    export::write(options, &summary, &object)?;
    Ok(ExitCode::from(u8::try_from(summary.report.exit_code.clamp(0, 255)).unwrap_or(255)))
}

impl Bench {
    fn new(cli: &Cli, config: &Config) -> Result<Self, Failure> {
        let options = wiring::options(cli, config);
        let machine = wiring::machine(cli, config)?;
        let grid = wiring::grid(config)?;
        let mut warnings = machine.warnings();
        // the command runs here: the making of the machine that is played is not its own
        let embodied = wiring::embodied(config, &machine).filter(|_| cli.replay.is_none());
        let embodied = embodied.map(|m| (m, machine.cpus.max(1)));
        if !machine.can_measure() && !config.meter.model {
            return Err(machine.no_meter().into());
        }
        let probe = match machine.into_probe() {
            Ok(probe) => Some(probe),
            Err(error) => {
                warnings.push(error.to_string());
                None
            }
        };
        let longest = probe.as_ref().and_then(Probe::longest_period_s).unwrap_or(f64::MAX);
        let period = PERIOD.min(Duration::from_secs_f64(longest.clamp(0.01, 3600.0)));
        Ok(Self { probe, grid, embodied, cgroupfs: options.cgroupfs, period, warnings })
    }
}

/// Runs the command once.
fn measure(bench: &mut Bench, options: &RunOptions) -> Result<Report, Failure> {
    let signals = child::Signals::listen().map_err(|e| Failure::system("signals", e))?;
    let tree = Tree::begin(&bench.cgroupfs);
    let mut meter = Meter { probe: bench.probe.as_mut(), grid: &*bench.grid, priced: Priced::default(), own_before: 0 };
    meter.begin(tree.cpu_ns());
    let started = std::time::Instant::now();
    let mut child = Child::spawn(&options.command).map_err(|error| {
        let (code, text) = error.into_failure();
        output::error(&text);
        code
    });
    let ended = match &mut child {
        Ok(child) => loop {
            match child.wait(&signals, bench.period) {
                Event::Tick => meter.read(tree.cpu_ns()),
                Event::Ended(ended) => break ended,
            }
        },
        Err(code) => Ended { code: *code },
    };
    let wall_s = started.elapsed().as_secs_f64();
    let used = meter.end(|| tree.cpu_ns());
    let priced = meter.priced;
    let cpu_s = tree.cpu_ns() as f64 / 1e9;
    let mut warnings = bench.warnings.clone();
    warnings.extend(tree.survivors());
    let not_run = child.is_err();
    drop(child);
    let counted_by = tree.how();
    tree.end();
    let intensity = bench.grid.at(Timestamp::now());
    let embodied = bench.embodied.map(|(model, cpus)| (model, reserved(cpus)));
    Ok(Report {
        not_run,
        counted_by,
        ..Report::new(&options.command, ended.code, wall_s, cpu_s, used, &priced, intensity, embodied, warnings)
    })
}

/// The share of the machine that the command may use: the processors that it may run on.
fn reserved(cpus: u32) -> f64 {
    let allowed = std::thread::available_parallelism().map_or(cpus, |n| u32::try_from(n.get()).unwrap_or(cpus));
    f64::from(allowed.min(cpus)) / f64::from(cpus)
}

/// The probe, with each stretch priced at the intensity of its own time.
struct Meter<'a> {
    probe: Option<&'a mut Probe>,
    grid: &'a dyn IntensityProvider,
    priced: Priced,
    own_before: u64,
}

impl Meter<'_> {
    fn begin(&mut self, own_ns: u64) {
        if let Some(probe) = &mut self.probe {
            probe.begin(own_ns);
        }
    }

    fn read(&mut self, own_ns: u64) {
        let Some(probe) = &mut self.probe else { return };
        probe.read(own_ns);
        let own = probe.used().own;
        self.price(own.map(|e| e.0));
    }

    fn end(&mut self, own_ns: impl FnOnce() -> u64) -> Used {
        let Some(probe) = &mut self.probe else { return Used::default() };
        let used = probe.end(own_ns);
        self.price(used.own.map(|e| e.0));
        used
    }

    fn price(&mut self, own: Option<u64>) {
        let Some(own) = own else { return };
        let stretch = own.saturating_sub(self.own_before);
        self.own_before = own;
        let intensity = self.grid.at(Timestamp::now());
        self.priced.add(stretch, intensity.as_ref().map(|i| i.g_per_kwh));
    }
}

impl Priced {
    fn add(&mut self, energy: u64, intensity: Option<GramsPerKwh>) {
        match intensity {
            Some(intensity) => {
                let joules = carbon_api::units::Microjoules(energy).joules();
                self.grams += intensity.price::<()>(joules).value();
            }
            None => self.unpriced_uj += energy,
        }
    }
}

/// Keeps the result in the ledger; a daemon that holds the ledger is no reason to fail.
fn record(cli: &Cli, config: &Config, summary: &statistics::Summary) {
    // what another machine drew at another time is nothing that this one did
    if !config.ledger.enabled || cli.replay.is_some() {
        return;
    }
    let Ok(object) = serde_json::to_string(summary) else { return };
    let kept = wiring::state(cli).and_then(|folder| match Ledger::open(&folder) {
        Ok(ledger) => Ok(ledger.record_run(Timestamp::now(), &object)?),
        Err(LedgerError::Busy { .. }) => Err(Failure::System("the daemon holds the ledger: this result was not recorded".into())),
        Err(error) => Err(error.into()),
    });
    if let Err(failure) = kept {
        output::error(&format!("treehouse: {failure}"));
    }
}

fn progress(options: &RunOptions, what: &str, round: u32, of: u32) {
    use std::io::IsTerminal;
    if options.runs + options.warmup > 1 && std::io::stderr().is_terminal() {
        output::error(&format!("treehouse: {what} {} of {of}", round + 1));
    }
}
