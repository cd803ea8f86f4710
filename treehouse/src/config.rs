//! The configuration: TOML, a default for every key, unknown keys refused with the nearest known one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use carbon_api::attribution::IdlePolicy;
use carbon_api::cover::{Containment, HostCover};
use serde::{Deserialize, Serialize};

use crate::cli::{Cli, Format};
use crate::failure::Failure;
use crate::output;

pub(crate) mod check;

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub(crate) serve: Serve,
    pub(crate) meter: Meter,
    pub(crate) attribution: Attribution,
    pub(crate) grid: Grid,
    pub(crate) embodied: Embodied,
    pub(crate) ledger: Ledger,
    pub(crate) otlp: Otlp,
}

/// The daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Serve {
    /// Address to listen on.
    pub(crate) listen: String,
    /// Whether anybody may read the coarsened figures over TCP.
    pub(crate) public_metrics: bool,
    /// Unix socket: a path, `auto` (`treehouse.sock` in the state folder) or `off`.
    pub(crate) socket: String,
    /// Group whose members see every figure over the socket, to the microjoule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trusted_group: Option<String>,
    /// File of a token whose bearer sees every figure, to the microjoule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) raw_token_file: Option<PathBuf>,
    /// Least seconds between two new values: not below 0.1 for the trusted group, and not below 1 for those without a privilege.
    pub(crate) unprivileged_min_interval_s: f64,
}

/// The meters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub(crate) struct Meter {
    /// Whether the model may stand in for a meter.
    pub(crate) model: bool,
    /// `auto`, `packages`, or a list of `source/domain`.
    pub(crate) host_cover: HostCover,
    /// What lies inside what where the machine does not tell: `"odpm/VSYS" = ["odpm/L1"]`.
    pub(crate) contains: Containment,
    /// Ways to RAPL, in order of preference.
    pub(crate) rapl: Vec<RaplWay>,
    /// Whether the processor's registers may be read where nothing better opens.
    pub(crate) msr: bool,
    /// Whether the registers of a virtual machine are believed.
    pub(crate) msr_in_guest: bool,
    /// Whether single cores are read where each has a counter (AMD).
    pub(crate) rapl_cores: bool,
    /// Relative accuracy of RAPL, 0 to 1.
    pub(crate) accuracy: f64,
    /// The most that one domain can draw, in watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_power_w: Option<f64>,
    /// Thermal design power of all processors together, for the model, in watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tdp_w: Option<f64>,
    /// A phone's `power_profile.xml`, for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) power_profile: Option<PathBuf>,
    /// Whether the model learns this machine beside a meter and keeps what it learned in the state folder.
    pub(crate) calibrate: bool,
    pub(crate) nvml: Nvml,
    pub(crate) hwmon: Sensor,
    pub(crate) odpm: Sensor,
    pub(crate) fuel_gauge: Sensor,
}

/// NVIDIA GPUs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Nvml {
    /// Whether they are looked for.
    pub(crate) enabled: bool,
    /// The library to load instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) library: Option<PathBuf>,
    /// Relative accuracy, 0 to 1, instead of the source's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy: Option<f64>,
}

impl Default for Nvml {
    fn default() -> Self {
        Self { enabled: true, library: None, accuracy: None }
    }
}

/// One kind of meter beside RAPL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sensor {
    /// Whether it is looked for.
    pub(crate) enabled: bool,
    /// Relative accuracy, 0 to 1, instead of the source's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy: Option<f64>,
}

impl Default for Sensor {
    fn default() -> Self {
        Self { enabled: true, accuracy: None }
    }
}

/// A way to RAPL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RaplWay {
    /// The kernel's perf events.
    Perf,
    /// The powercap tree.
    Powercap,
    /// The processor's registers; only with `msr = true`.
    Msr,
}

/// Who used it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attribution {
    /// Seconds between two samples.
    pub(crate) period_s: f64,
    /// Most series of the workload family.
    pub(crate) max_workloads: usize,
    /// Joules below which a consumer has no series.
    pub(crate) min_energy_j: f64,
    /// Seconds that an ended series stays.
    pub(crate) keep_gone_s: f64,
    /// `auto` (groups and containers are rows) or `process` (every process is).
    pub(crate) view: View,
    pub(crate) idle: Idle,
}

/// What is a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum View {
    #[default]
    Auto,
    Process,
}

/// Idle energy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Idle {
    /// `separate` or `by_activity`.
    pub(crate) policy: IdlePolicy,
}

/// The grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Grid {
    /// Zone of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// A fixed intensity, in gCO2e per kWh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) intensity: Option<f64>,
    /// Providers in order of fallback.
    pub(crate) providers: Vec<String>,
}

/// The making of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Embodied {
    /// `table` (modelled) or `off`.
    pub(crate) source: EmbodiedSource,
    /// Grams of the whole machine, instead of the table's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_g: Option<f64>,
    /// Expected life in years.
    pub(crate) life_years: f64,
}

/// Where embodied carbon comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EmbodiedSource {
    #[default]
    Table,
    Off,
}

/// Durable totals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ledger {
    /// Whether there is one.
    pub(crate) enabled: bool,
    /// Seconds between two commits.
    pub(crate) commit_s: f64,
    /// Days that slots are kept; totals stay for ever.
    pub(crate) keep_days: u32,
}

/// OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Otlp {
    /// Endpoint of a collector; nothing is pushed without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    /// `grpc` or `http/protobuf`; by the endpoint's port where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<String>,
    /// Seconds between two pushes.
    pub(crate) interval_s: f64,
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9464".into(),
            public_metrics: true,
            socket: "auto".into(),
            trusted_group: None,
            raw_token_file: None,
            unprivileged_min_interval_s: 1.0,
        }
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            model: true,
            host_cover: HostCover::Auto,
            contains: Containment::new(),
            rapl: vec![RaplWay::Perf, RaplWay::Powercap, RaplWay::Msr],
            msr: false,
            msr_in_guest: false,
            rapl_cores: false,
            accuracy: 0.05,
            max_power_w: None,
            tdp_w: None,
            power_profile: None,
            calibrate: true,
            nvml: Nvml::default(),
            hwmon: Sensor::default(),
            odpm: Sensor::default(),
            fuel_gauge: Sensor::default(),
        }
    }
}

impl Default for Attribution {
    fn default() -> Self {
        Self {
            period_s: 1.0,
            max_workloads: 1000,
            min_energy_j: 1.0,
            keep_gone_s: 300.0,
            view: View::Auto,
            idle: Idle::default(),
        }
    }
}

impl Default for Grid {
    fn default() -> Self {
        Self { zone: None, intensity: None, providers: vec!["static".into()] }
    }
}

impl Default for Embodied {
    fn default() -> Self {
        Self { source: EmbodiedSource::Table, total_g: None, life_years: 4.0 }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self { enabled: true, commit_s: 10.0, keep_days: 90 }
    }
}

impl Default for Otlp {
    fn default() -> Self {
        Self { endpoint: None, protocol: None, interval_s: 10.0 }
    }
}

impl Config {
    /// Reads the file that the command line names (or the default one, where there is one), and lays the flags over it.
    pub(crate) fn load(cli: &Cli) -> Result<Self, Failure> {
        Self::load_with(cli.config.as_deref(), cli.zone.clone(), cli.intensity, cli.no_model)
    }

    /// The same from single flags.
    pub(crate) fn load_with(
        path: Option<&Path>,
        zone: Option<String>,
        intensity: Option<f64>,
        no_model: bool,
    ) -> Result<Self, Failure> {
        let default = default_path().filter(|p| p.exists());
        let mut config = path.or(default.as_deref()).map_or_else(|| Ok(Self::default()), Self::read)?;
        config.grid.zone = zone.or(config.grid.zone);
        config.grid.intensity = intensity.or(config.grid.intensity);
        config.meter.model &= !no_model;
        Ok(config)
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::Input(format!("{}: {e}; name a readable file with --config", path.display())))?;
        check::parse(&text).map_err(|problem| Failure::Input(format!("{}{problem}", path.display())))
    }

    /// A configuration with every key set, to know all keys from.
    fn complete() -> Self {
        let mut config = Self::default();
        config.serve.trusted_group = Some(String::new());
        config.serve.raw_token_file = Some(PathBuf::new());
        config.meter.max_power_w = Some(1000.0);
        config.meter.tdp_w = Some(0.0);
        config.meter.power_profile = Some(PathBuf::new());
        for sensor in [&mut config.meter.hwmon, &mut config.meter.odpm, &mut config.meter.fuel_gauge] {
            sensor.accuracy = Some(0.0);
        }
        config.meter.nvml = Nvml { enabled: true, library: Some(PathBuf::new()), accuracy: Some(0.0) };
        config.grid.zone = Some(String::new());
        config.grid.intensity = Some(0.0);
        config.embodied.total_g = Some(0.0);
        config.otlp.endpoint = Some(String::new());
        config.otlp.protocol = Some(String::new());
        config
    }
}

/// Prints the configuration in force.
pub(crate) fn show(cli: &Cli, config: &Config) -> Result<ExitCode, Failure> {
    let text = match cli.format {
        Format::Json => serde_json::to_string(config).map_err(|e| Failure::system("configuration", e))? + "\n",
        Format::Text => toml::to_string(config).map_err(|e| Failure::system("configuration", e))?,
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn default_path() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".config"));
    let folder = std::env::var_os("XDG_CONFIG_HOME").filter(|v| !v.is_empty()).map(PathBuf::from).or_else(home)?;
    Some(folder.join("treehouse/config.toml"))
}
