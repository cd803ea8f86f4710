//! From the configuration to the parts: where to look, which grid, which making, which state folder.

use std::path::PathBuf;
use std::sync::Arc;

use carbon_api::carbon::EmbodiedModel;
use carbon_api::detect::{Machine, Options};
use carbon_api::grid::IntensityProvider;
use carbon_api::grid::fixed::FixedGrid;
use carbon_api::grid::table::StaticGrid;
use carbon_api::meter::battery::BatteryOptions;
use carbon_api::meter::hwmon::HwmonOptions;
use carbon_api::meter::nvml::NvmlOptions;
use carbon_api::meter::odpm::OdpmOptions;
use carbon_api::meter::rapl::{Backend, RaplOptions};
use carbon_api::meter::replay::Recording;

use crate::cli::Cli;
use crate::config::{Config, EmbodiedSource, RaplWay, Sensor, View};
use crate::failure::Failure;

/// Seconds of a year of 365 days, as the table of expected lives counts them.
const YEAR_S: f64 = 31_536_000.0;

/// Where to look, and what may be used.
pub(crate) fn options(cli: &Cli, config: &Config) -> Options {
    let default = Options::default();
    Options {
        sysfs: cli.sysfs.clone().unwrap_or(default.sysfs),
        procfs: cli.procfs.clone().unwrap_or(default.procfs),
        cgroupfs: cli.cgroupfs.clone().unwrap_or(default.cgroupfs),
        model: config.meter.model,
        group_rows: config.attribution.view == View::Auto,
        cover: config.meter.host_cover.clone(),
        contains: config.meter.contains.clone(),
        rapl: RaplOptions {
            accuracy: config.meter.accuracy,
            max_power_w: config.meter.max_power_w,
            order: config.meter.rapl.iter().map(|&way| backend(way)).collect(),
            msr: config.meter.msr,
            msr_in_guest: config.meter.msr_in_guest,
            cores: config.meter.rapl_cores,
        },
        nvml: config.meter.nvml.enabled.then(|| nvml(cli, config)),
        hwmon: sensor(&config.meter.hwmon, |own: HwmonOptions, a| HwmonOptions { accuracy: a.unwrap_or(own.accuracy), ..own }),
        odpm: sensor(&config.meter.odpm, |own: OdpmOptions, a| OdpmOptions { accuracy: a.unwrap_or(own.accuracy), ..own }),
        battery: sensor(&config.meter.fuel_gauge, |own: BatteryOptions, a| BatteryOptions { accuracy: a, ..own }),
        tdp_w: config.meter.tdp_w,
        power_profile: config.meter.power_profile.clone(),
        calibration: state(cli).ok().filter(|_| config.meter.calibrate).map(|folder| folder.join("calibration.json")),
        dev: default.dev,
    }
}

fn nvml(cli: &Cli, config: &Config) -> NvmlOptions {
    NvmlOptions {
        library: cli.nvml.clone().or_else(|| config.meter.nvml.library.clone()),
        accuracy: config.meter.nvml.accuracy,
        ..NvmlOptions::default()
    }
}

fn sensor<O: Default>(setting: &Sensor, with: impl FnOnce(O, Option<f64>) -> O) -> Option<O> {
    setting.enabled.then(|| with(O::default(), setting.accuracy))
}

const fn backend(way: RaplWay) -> Backend {
    match way {
        RaplWay::Perf => Backend::Perf,
        RaplWay::Powercap => Backend::Powercap,
        RaplWay::Msr => Backend::Msr,
    }
}

/// This machine, or the recording that is played in its place.
pub(crate) fn machine(cli: &Cli, config: &Config) -> Result<Machine, Failure> {
    let options = options(cli, config);
    let machine = match &cli.replay {
        Some(folder) => Machine::replay(&Recording::open(folder)?, &options),
        None => Machine::detect(&options),
    };
    machine.cover_problem().map_or(Ok(machine), |problem| Err(Failure::Input(problem)))
}

/// Who tells the intensity.
pub(crate) fn grid(config: &Config) -> Result<Arc<dyn IntensityProvider>, Failure> {
    let zone = config.grid.zone.as_deref();
    Ok(match config.grid.intensity {
        Some(intensity) => Arc::new(FixedGrid::new(intensity, zone)?),
        None => Arc::new(StaticGrid::new(zone)?),
    })
}

/// The making of the machine, where it is counted.
pub(crate) fn embodied(config: &Config, machine: &Machine) -> Option<EmbodiedModel> {
    if config.embodied.source == EmbodiedSource::Off {
        return None;
    }
    let table = EmbodiedModel::by_table(machine.cpus, machine.memory_gb.unwrap_or(0.0));
    Some(EmbodiedModel { total_g: config.embodied.total_g.unwrap_or(table.total_g), life_s: config.embodied.life_years * YEAR_S })
}

/// The state folder: by flag, or by XDG.
pub(crate) fn state(cli: &Cli) -> Result<PathBuf, Failure> {
    let home = || std::env::var_os("HOME").filter(|v| !v.is_empty()).map(|h| PathBuf::from(h).join(".local/state"));
    let xdg = std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = cli.state.clone().or_else(|| xdg.or_else(home).map(|f| f.join("treehouse")));
    folder.ok_or_else(|| Failure::Input("neither HOME nor XDG_STATE_HOME is set: name a folder with --state".into()))
}
