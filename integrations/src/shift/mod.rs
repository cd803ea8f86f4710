//! `shift`: when a job runs.
//!
//! A job with slack starts, pauses and resumes so that it runs while the grid is clean, and is done by its deadline. The knob is
//! the start (and the pauses, where the job may pause); the trade is waiting time for carbon; the hook is whatever holds jobs
//! back: a queue, `at`, a suspended Kubernetes job. Rules from Let's Wait Awhile (Middleware'21, arXiv 2110.13234: `window`,
//! `slots`, `threshold`) and GAIA (ASPLOS'24: `saving_per_wait`, `lowest_slot`); see [`carbon_api::shifting`].
//!
//! The system's own rule, which is carbon weight 0 and every fallback, is to run at once. Shifting saves no joules: with one
//! intensity at all times it runs at once as well. A weight between 0 and 1 moves every intensity towards the mean before they
//! are compared, so that less is gained by waiting and the noise hides more of it.
//!
//! With an average signal a saving is a difference of shares of the average mix, not emissions avoided; only a marginal one
//! speaks of those. All savings rest on the forecast: "up to".

use carbon_api::policy::{CarbonSignal, Decision, Policy, PolicyError};
use carbon_api::units::{GramsPerKwh, Joules, Watts};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod choice;
mod job;
mod site;
mod way;

use crate::input::Reserved;

/// What is known of the job. Everything may be left out: then it is a job of unknown length that may start now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// How long it runs, in seconds; without it the mean of its queue is used (`settings.mean_duration_s`).
    #[serde(default)]
    pub duration_s: Option<f64>,
    /// It may not start before; default now.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub earliest_at: Option<Timestamp>,
    /// It must be done by then; default the end of the forecast.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub deadline_at: Option<Timestamp>,
    /// Where it may run, its own zone first; default the zone of the signal. Moving costs nothing here.
    #[serde(default)]
    pub zones: Option<Vec<String>>,
    /// Which rule; default `window` with a duration, `saving_per_wait` without one.
    #[serde(default)]
    pub policy: Option<Rule>,
    /// What it draws while it runs, in watts; without it there are no joules and no grams in the answer.
    #[serde(default)]
    pub power_w: Option<Watts>,
    /// It may pause; `false` refuses the rules that pause.
    #[serde(default)]
    pub interruptible: Option<bool>,
    /// Energy of one pause (checkpoint and restore together), in joules; default 0.
    #[serde(default)]
    pub pause_cost_j: Option<Joules>,
    /// Wait even for a gain that the error of the forecast may hide.
    #[serde(default)]
    pub always: bool,
    /// Part of the input's fingerprint; nothing in this policy is drawn at random.
    #[serde(default)]
    pub seed: Option<u64>,
}

/// Keys of jobs whose planners are not built.
pub(crate) const RESERVED: &[Reserved] = &[
    ("profile", "scaling a job is not built in shift", "leave it out: the job runs at one scale"),
    ("work", "scaling a job is not built in shift", "give duration_s"),
    ("capacity_w", "a capacity shared with other jobs is not built in shift", "leave it out"),
    ("kind", "it belongs to the signal", "give it as signal.kind"),
];

/// How the time is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// One run, at the start with the lowest mean.
    Window,
    /// One run, from the start of the cleanest slot.
    #[serde(alias = "lowest-slot")]
    LowestSlot,
    /// One run, at the start that saves most for each hour until it is done.
    #[serde(alias = "saving-per-wait")]
    SavingPerWait,
    /// The cleanest slots, with free pauses.
    Slots,
    /// The cleanest slots, with pauses that cost energy.
    #[serde(alias = "slots-cost")]
    SlotsCost,
    /// Runs while the grid is below a low value of the day.
    Threshold,
}

impl Rule {
    fn pauses(self) -> bool {
        matches!(self, Self::Slots | Self::SlotsCost | Self::Threshold)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::LowestSlot => "lowest_slot",
            Self::SavingPerWait => "saving_per_wait",
            Self::Slots => "slots",
            Self::SlotsCost => "slots_cost",
            Self::Threshold => "threshold",
        }
    }
}

/// When the job runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Action {
    /// What to do at the earliest start.
    pub verdict: Verdict,
    /// Where and when it runs, in time order.
    pub segments: Vec<Segment>,
    /// How much later it is done than if it ran at once, in seconds.
    pub wait_s: f64,
}

/// What to do at the earliest start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Start.
    Now,
    /// Hold the job until the first segment.
    Wait,
    /// Start: a gain is in sight, but the error of the forecast may be all there is to it.
    Decline,
}

/// A stretch of running.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Segment {
    /// Where; `null` where neither the view nor a signal names a zone.
    pub zone: Option<String>,
    /// It starts or resumes …
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub from: Timestamp,
    /// … and ends or pauses.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub until: Timestamp,
    /// Always 1: the job as it is.
    pub scale: u32,
}

/// What a way to run is expected to cost.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Outcome {
    /// Power times running time, and the pauses; `null` without `power_w`.
    pub energy_j: Option<Joules>,
    /// Its error: `null`, since the power is told and nobody measured it.
    pub uncertainty_j: Option<Joules>,
    /// Always `modelled`.
    pub provenance: &'static str,
    /// Grams by the forecast; `null` without energy or intensity.
    pub carbon_g: Option<f64>,
    /// The mean intensity while it runs; `null` where nothing is known.
    pub g_per_kwh: Option<GramsPerKwh>,
    /// Time from the earliest start until it is done over the running time, minus 1.
    pub slowdown: f64,
    /// How much later it is done than if it ran at once, in seconds.
    pub wait_s: f64,
    /// How often it is stopped and resumed.
    pub pauses: usize,
    /// Standard deviation of the difference to the baseline's mean intensity, by the error of the forecast.
    pub noise_g_per_kwh: GramsPerKwh,
}

/// What the owner of the policy sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How much carbon counts, from 0 (run at once) to 1.
    pub carbon_weight: f64,
    /// The length that a job of unknown length is planned with, in seconds: the mean of its queue.
    pub mean_duration_s: f64,
    /// `threshold` starts and stops at most once in this time, in seconds; 0 is the published rule.
    pub dwell_s: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { carbon_weight: 1.0, mean_duration_s: 3600.0, dwell_s: 300.0 }
    }
}

/// The policy.
#[derive(Clone, Debug)]
pub struct Shift {
    settings: Settings,
}

impl Policy for Shift {
    type View = View;
    type Action = Action;
    type Settings = Settings;
    type Outcome = Outcome;

    fn name() -> &'static str {
        "shift"
    }

    fn new(settings: Settings) -> Result<Self, PolicyError> {
        job::check_settings(&settings)?;
        Ok(Self { settings })
    }

    fn moment(view: &View, signal: &CarbonSignal) -> Option<Timestamp> {
        view.earliest_at.or_else(|| signal.moment())
    }

    fn decide(
        &self,
        view: &View,
        signal: Option<&CarbonSignal>,
        now: Timestamp,
    ) -> Result<Decision<Action, Outcome>, PolicyError> {
        if let Some(signal) = signal {
            signal.validate()?;
        }
        let job = job::Job::new(view, &self.settings, signal, now)?;
        let id = carbon_api::policy::decision_id(Self::name(), view, signal, &self.settings, now);
        Ok(choice::decide(&job, &self.settings, signal, id))
    }
}

#[cfg(test)]
mod tests;
