//! A view that was checked: every number can be, the deadline can be met, the rule has what it needs.

use carbon_api::policy::{CarbonSignal, PolicyError};
use jiff::{SignedDuration, Timestamp};

use super::{Rule, Settings, View};

/// Longer than this is a mistake of unit, not a job: ten years.
const LONGEST_S: f64 = 3.2e8;

/// A job that can be planned.
pub(super) struct Job {
    /// It may start from here on.
    pub(super) release: Timestamp,
    /// It must be done by then, where it says so.
    pub(super) deadline: Option<Timestamp>,
    /// How long it runs, or is taken to run.
    pub(super) length: SignedDuration,
    /// The length is the mean of its queue.
    pub(super) length_is_assumed: bool,
    pub(super) rule: Rule,
    /// Where it may run, its own zone first; never empty where there is a signal.
    pub(super) zones: Vec<String>,
    pub(super) power_w: Option<f64>,
    pub(super) pause_j: f64,
    pub(super) always: bool,
    /// It comes too late for its own deadline: nothing is left but to run.
    pub(super) is_late: bool,
}

impl Job {
    pub(super) fn new(
        view: &View,
        settings: &Settings,
        signal: Option<&CarbonSignal>,
        now: Timestamp,
    ) -> Result<Self, PolicyError> {
        let told = view.duration_s.map(|told| seconds("view.duration_s", told)).transpose()?;
        let mean = seconds("settings.mean_duration_s", settings.mean_duration_s)?;
        let (length, length_is_assumed) = told.map_or((mean, true), |told| (told, false));
        let earliest = view.earliest_at.unwrap_or(now);
        check_deadline(view.deadline_at, earliest, told)?;
        let release = earliest.max(now);
        let is_late = view.deadline_at.is_some_and(|at| at.duration_since(release) < length);
        let power_w = view.power_w.map(carbon_api::units::Watts::value);
        if let Some(power) = power_w.filter(|power| !(power.is_finite() && *power > 0.0)) {
            let problem = format!("{power} W cannot be");
            return Err(PolicyError::refused("view.power_w", problem, "give watts above 0, or leave it out"));
        }
        let pause_j = view.pause_cost_j.map_or(0.0, carbon_api::units::Joules::value);
        if !(pause_j.is_finite() && pause_j >= 0.0) {
            let problem = format!("{pause_j} J cannot be");
            return Err(PolicyError::refused("view.pause_cost_j", problem, "give joules from 0 on"));
        }
        Ok(Self {
            release,
            deadline: view.deadline_at,
            length,
            length_is_assumed,
            rule: rule(view)?,
            zones: zones(view, signal)?,
            power_w,
            pause_j,
            always: view.always,
            is_late,
        })
    }

    /// The joules of a pause as a share of those of the run; 0 where the power is unknown.
    pub(super) fn pause_share(&self) -> f64 {
        let run = self.power_w.map(|power| power * self.length.as_secs_f64());
        run.map_or(0.0, |run| self.pause_j / run)
    }
}

/// Checks what can be wrong with settings.
pub(super) fn check_settings(settings: &Settings) -> Result<(), PolicyError> {
    let weight = settings.carbon_weight;
    if !(0.0..=1.0).contains(&weight) {
        let problem = format!("{weight} is outside 0 to 1");
        let mend = "give 0 (run at once) to 1 (carbon counts in full)";
        return Err(PolicyError::refused("settings.carbon_weight", problem, mend));
    }
    seconds("settings.mean_duration_s", settings.mean_duration_s)?;
    if !(0.0..=LONGEST_S).contains(&settings.dwell_s) {
        let problem = format!("{} s cannot be", settings.dwell_s);
        return Err(PolicyError::refused("settings.dwell_s", problem, "give seconds from 0 on"));
    }
    Ok(())
}

/// A duration above 0.
fn seconds(key: &str, told: f64) -> Result<SignedDuration, PolicyError> {
    let problem = if told.is_nan() || told <= 0.0 {
        "is not above 0"
    } else if told > LONGEST_S {
        "is more than ten years"
    } else {
        let length = SignedDuration::try_from_secs_f64(told).unwrap_or_default();
        if length.is_positive() {
            return Ok(length);
        }
        "is less than a nanosecond"
    };
    Err(PolicyError::refused(key, format!("{told} s {problem}"), "give the seconds that the job runs"))
}

fn check_deadline(deadline: Option<Timestamp>, earliest: Timestamp, length: Option<SignedDuration>) -> Result<(), PolicyError> {
    let Some(deadline) = deadline else { return Ok(()) };
    let refused = |mend: String| {
        let problem = format!("{deadline} is before the job can be done");
        Err(PolicyError::refused("view.deadline_at", problem, mend))
    };
    match length {
        Some(length) => {
            let soonest = earliest.saturating_add(length).unwrap_or(Timestamp::MAX);
            if deadline < soonest {
                return refused(format!("the shortest deadline is {soonest}"));
            }
        }
        None if deadline <= earliest => return refused(format!("give one after {earliest}")),
        None => {}
    }
    Ok(())
}

fn rule(view: &View) -> Result<Rule, PolicyError> {
    let default = if view.duration_s.is_some() { Rule::Window } else { Rule::SavingPerWait };
    let rule = view.policy.unwrap_or(default);
    let name = rule.name();
    if view.duration_s.is_none() && !matches!(rule, Rule::SavingPerWait | Rule::LowestSlot) {
        let problem = format!("policy {name} needs it");
        let mend = "give the seconds that the job runs, or policy saving_per_wait";
        return Err(PolicyError::refused("view.duration_s", problem, mend));
    }
    if rule.pauses() && view.interruptible == Some(false) {
        let problem = format!("policy {name} pauses the job");
        let mend = "give true, or policy window";
        return Err(PolicyError::refused("view.interruptible", problem, mend));
    }
    if rule == Rule::SlotsCost && view.power_w.is_none() {
        let problem = "policy slots_cost weighs the joules of a pause against it";
        return Err(PolicyError::refused("view.power_w", problem, "give the watts that the job draws"));
    }
    Ok(rule)
}

/// The zones of the view as the signal spells them; without any, the signal's own.
fn zones(view: &View, signal: Option<&CarbonSignal>) -> Result<Vec<String>, PolicyError> {
    let asked = view.zones.as_deref().unwrap_or_default();
    let Some(signal) = signal else { return Ok(asked.to_vec()) };
    if asked.is_empty() {
        return Ok(vec![signal.zone.clone()]);
    }
    let mut zones: Vec<String> = Vec::new();
    for (index, name) in asked.iter().enumerate() {
        let name = name.trim();
        if signal.of_zone(name).is_none() {
            let told: Vec<&str> = std::iter::once(&signal.zone).chain(signal.zones.keys()).map(String::as_str).collect();
            let problem = format!("the signal says nothing of zone {name:?}");
            let mend = format!("it tells of {}", told.join(", "));
            return Err(PolicyError::refused(format!("view.zones[{index}]"), problem, mend));
        }
        let mut keys = signal.zones.keys().chain([&signal.zone]);
        let spelt = keys.find(|key| key.eq_ignore_ascii_case(name)).cloned().unwrap_or_default();
        if !zones.contains(&spelt) {
            zones.push(spelt);
        }
    }
    Ok(zones)
}
