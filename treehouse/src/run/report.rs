//! The object that `treehouse run --format json` prints.

use std::ffi::OsString;

use carbon_api::carbon::EmbodiedModel;
use carbon_api::domain::Provenance;
use carbon_api::grid::Intensity;
use carbon_api::probe::Used;
use carbon_api::units::Microjoules;
use jiff::Timestamp;
use serde::Serialize;

use crate::intensity::IntensityNow;

/// Energy, carbon and time of one run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) command: Vec<String>,
    pub(super) exit_code: i32,
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
    /// The command's own: its share of the energy of busy processors.
    pub(super) energy_j: Option<f64>,
    pub(super) uncertainty_j: Option<f64>,
    pub(super) provenance: Option<Provenance>,
    pub(super) power_w: Option<f64>,
    /// The machine's, over the same interval.
    pub(super) host_energy_j: Option<f64>,
    pub(super) host_uncertainty_j: Option<f64>,
    pub(super) host_power_w: Option<f64>,
    pub(super) domains: Vec<DomainRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) below_resolution: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bound_j: Option<[f64; 2]>,
    pub(super) carbon_g: Carbon,
    pub(super) intensity: Option<IntensityNow>,
    pub(super) idle_policy: &'static str,
    /// The command could not be started.
    #[serde(skip)]
    pub(super) not_run: bool,
    /// How the CPU time of the command's tree was told.
    pub(super) counted_by: &'static str,
    pub(super) warnings: Vec<String>,
}

/// One domain of the machine.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DomainRow {
    pub(super) source: &'static str,
    pub(super) domain: String,
    pub(super) energy_j: Option<f64>,
    pub(super) provenance: Provenance,
    pub(super) in_host: bool,
    /// Power integrated over time, not a counter of energy.
    pub(super) integrated: bool,
    /// More than one wrap may lie between two readings.
    pub(super) lower_bound: bool,
}

/// Grams; `null` where something is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Carbon {
    pub(super) operational: Option<f64>,
    pub(super) embodied: Option<f64>,
    pub(super) total: Option<f64>,
}

/// Grams of the stretches of a run, each at its own intensity.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Priced {
    pub(super) grams: f64,
    pub(super) unpriced_uj: u64,
}

impl Report {
    /// Puts one run together; `embodied` is the machine's making and the share of it that the command may use.
    #[expect(clippy::too_many_arguments, reason = "the parts of one report, each from another room")]
    pub(super) fn new(
        command: &[OsString],
        exit_code: i32,
        wall_s: f64,
        cpu_s: f64,
        used: Used,
        priced: &Priced,
        intensity: Option<Intensity>,
        embodied: Option<(EmbodiedModel, f64)>,
        mut warnings: Vec<String>,
    ) -> Self {
        let joules = |e: Option<Microjoules>| e.map(|e| e.joules().value());
        let (own, host) = (joules(used.own), joules(used.host));
        let over = |e: Option<f64>, s: f64| e.filter(|_| s > 0.0).map(|e| e / s);
        for warning in used.warnings {
            // what the meters say and what the choice of meters said may be the same
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        let too_short = !used.domains.is_empty() && own.is_none() && used.seconds < 0.1;
        if too_short {
            warnings.push(format!("the run is shorter than the meter's update: between 0 and {:.3} J", used.bound_j));
        }
        let operational = own.map(|_| priced.grams).filter(|_| priced.unpriced_uj == 0 && intensity.is_some());
        let embodied = embodied.map(|(model, reserved)| {
            warnings.push(format!(
                "embodied from a table (modelled): {:.0} kg over {:.1} years, {:.0} % of the machine for {wall_s:.1} s",
                model.total_g / 1000.0,
                model.life_s / 31_536_000.0,
                reserved * 100.0
            ));
            model.share(wall_s, reserved).value()
        });
        if let Some(i) = &intensity {
            warnings.push("pue not applied: the figures end at the component's meter".into());
            if i.method == "yearly" {
                warnings.push("intensity from the yearly table".into());
            }
            warnings.extend(i.warnings.iter().cloned());
        }
        Self {
            command: command.iter().map(|c| c.to_string_lossy().into_owned()).collect(),
            exit_code,
            wall_s,
            cpu_s,
            energy_j: own,
            uncertainty_j: own.map(|_| used.uncertainty_j),
            provenance: used.provenance,
            power_w: over(own, wall_s),
            host_energy_j: host,
            host_uncertainty_j: host.map(|_| used.host_uncertainty_j),
            host_power_w: over(host, used.seconds),
            domains: used.domains.iter().map(DomainRow::from).collect(),
            below_resolution: too_short.then_some(true),
            bound_j: too_short.then_some([0.0, used.bound_j]),
            carbon_g: Carbon { operational, embodied, total: operational.zip(embodied).map(|(o, m)| o + m) },
            intensity: intensity.map(|i| IntensityNow::of(i, Timestamp::now())),
            idle_policy: "separate",
            not_run: false,
            counted_by: "",
            warnings,
        }
    }
}

impl From<&carbon_api::probe::DomainEnergy> for DomainRow {
    fn from(d: &carbon_api::probe::DomainEnergy) -> Self {
        Self {
            source: d.info.source.name(),
            domain: d.info.name.to_string(),
            energy_j: d.energy.map(|e| e.joules().value()),
            provenance: d.info.provenance(),
            in_host: d.in_host,
            integrated: d.info.integrated,
            lower_bound: d.lower_bound,
        }
    }
}
