//! A zone in which the job may run: its forecast over the job's time and its best plan by the rule.

use carbon_api::policy::CarbonSignal;
use carbon_api::shifting::noise::{ForecastError, Side};
use carbon_api::shifting::{Plan, Steps, lowest_slot, saving_per_wait, slots, slots_cost, threshold, window};
use carbon_api::units::GramsPerKwh;
use jiff::{SignedDuration, Timestamp};

use super::job::Job;
use super::way::Way;
use super::{Rule, Settings};

/// A zone with its forecast.
pub(super) struct Site<'a> {
    pub(super) name: &'a str,
    pub(super) signal: &'a CarbonSignal,
    /// The forecast as told: for grams.
    pub(super) told: Steps,
    /// The forecast as compared, by the carbon weight.
    pub(super) steps: Steps,
    compared: &'a CarbonSignal,
}

/// The best plan of a zone with the figure that zones are compared by: the lower, the better.
pub(super) struct Candidate<'s, 'a> {
    pub(super) site: &'s Site<'a>,
    pub(super) plan: Plan,
    pub(super) figure: f64,
}

impl<'a> Site<'a> {
    pub(super) fn new(job: &Job, name: &'a str, told: &'a CarbonSignal, compared: &'a CarbonSignal) -> Option<Self> {
        let (signal, compared) = (told.of_zone(name)?, compared.of_zone(name)?);
        let deadline = job.deadline.unwrap_or(Timestamp::MAX);
        let steps = |signal: &CarbonSignal| Steps::new(&signal.forecast, job.release, deadline);
        Some(Self { name, signal, told: steps(signal), steps: steps(compared), compared })
    }

    /// The run at once, where the forecast covers it.
    pub(super) fn run_now(&self, job: &Job) -> Option<Plan> {
        Plan::run(&self.steps, job.release, job.length)
    }

    /// The best plan by the rule, against running at once at home at a mean of `baseline`; says in `why` what limited it.
    pub(super) fn best(
        &self,
        job: &Job,
        settings: &Settings,
        baseline: GramsPerKwh,
        why: &mut Vec<String>,
    ) -> Option<Candidate<'_, 'a>> {
        let (steps, length) = (&self.steps, job.length);
        let plan = match job.rule {
            Rule::Window => window::window(steps, length),
            Rule::LowestSlot => lowest_slot::lowest_slot(steps, length),
            Rule::Slots => slots::slots(steps, length),
            Rule::SlotsCost => slots_cost::slots_cost(steps, length, self.transition(job)?),
            Rule::Threshold => {
                let limit = threshold::limit(&self.compared.forecast, job.release)?;
                if limit.hours < 24 {
                    why.push(format!("{}: the threshold rests on {} hours instead of 24", self.name, limit.hours));
                }
                let dwell = SignedDuration::try_from_secs_f64(settings.dwell_s).unwrap_or_default();
                threshold::threshold(steps, length, limit.g_per_kwh, dwell)
            }
            Rule::SavingPerWait => {
                let scored = saving_per_wait::saving_per_wait(steps, length, baseline)?;
                return Some(Candidate { site: self, plan: scored.plan, figure: -scored.score.value() });
            }
        }?;
        let figure = match job.rule {
            // The rule looks at the first slot alone.
            Rule::LowestSlot => self.step_at(plan.start()?)?.value(),
            _ => self.cost(job, &plan),
        };
        Some(Candidate { site: self, plan, figure })
    }

    /// The mean of a plan with the joules of its pauses spread over the run, in g/kWh as compared.
    pub(super) fn cost(&self, job: &Job, plan: &Plan) -> f64 {
        let mean = self.steps.mean_of_known().unwrap_or_default().value();
        plan.g_per_kwh.value() + plan.pauses() as f64 * job.pause_share() * mean
    }

    /// A plan priced as told.
    pub(super) fn way(&self, job: &Job, plan: Plan, noise: GramsPerKwh) -> Option<Way> {
        let mut grams = 0.0;
        for segment in &plan.segments {
            let mean = self.told.mean(segment.from, segment.until)?.value();
            grams += mean * segment.until.duration_since(segment.from).as_secs_f64();
        }
        let g_per_kwh = GramsPerKwh::new(grams / job.length.as_secs_f64());
        Some(Way {
            zone: Some(self.name.to_owned()),
            plan: Plan { g_per_kwh, ..plan },
            is_priced: true,
            pause_g_per_kwh: self.told.mean_of_known().unwrap_or_default(),
            noise,
        })
    }

    /// A plan with the error of the forecast that it rests on.
    pub(super) fn side<'s>(&'s self, plan: &'s Plan, job: &Job) -> Side<'s> {
        let mean = self.told.mean_of_known().unwrap_or_default();
        let error = match self.signal.uncertainty_rel {
            Some(share) => ForecastError::from_uncertainty(share, mean),
            None => ForecastError::Typical { mean },
        };
        let issued = self.signal.as_of.filter(|at| *at <= job.release).unwrap_or(job.release);
        Side { steps: &self.steps, plan, error, issued }
    }

    /// The end of the step in force at the release.
    pub(super) fn step_end(&self, at: Timestamp) -> Option<Timestamp> {
        let mut points = self.signal.forecast.iter();
        points.find(|point| point.from <= at && at < point.until).map(|point| point.until)
    }

    /// What keeps the forecast from covering the job's time, in words.
    pub(super) fn lacks(&self, job: &Job) -> Vec<String> {
        let gaps = self.told.gaps().take(3);
        let mut lacks: Vec<String> =
            gaps.map(|(from, until)| format!("{}: no value from {from} until {until}: left out", self.name)).collect();
        if job.deadline.is_some_and(|deadline| deadline > self.told.end()) {
            let end = self.told.end();
            lacks.push(format!("{}: the forecast ends at {end}, before the deadline: planned inside it", self.name));
        }
        lacks
    }

    fn step_at(&self, at: Timestamp) -> Option<GramsPerKwh> {
        let mut points = self.compared.forecast.iter();
        points.find(|point| point.from <= at && at < point.until).map(|point| point.g_per_kwh)
    }

    /// What one stop or start costs, for one slot of the planner: half a pause, at the mean of the job's time.
    fn transition(&self, job: &Job) -> Option<GramsPerKwh> {
        let slot = slots_cost::slot_length(&self.steps, job.length)?;
        let slots = job.length.as_secs_f64() / slot.as_secs_f64();
        Some(self.steps.mean_of_known()? * (job.pause_share() * slots / 2.0))
    }
}

impl Candidate<'_, '_> {
    /// Of equal ones the earlier start wins, then the zone that is named first.
    pub(super) fn beats(&self, other: &Self) -> bool {
        let rounding = 1e-9 * other.figure.abs();
        self.figure < other.figure - rounding
            || (self.figure <= other.figure + rounding && self.plan.start() < other.plan.start())
    }
}
