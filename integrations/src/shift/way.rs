//! One way to run the job, with what it is expected to cost.

use carbon_api::policy::Saved;
use carbon_api::shifting::Plan;
use carbon_api::units::{Grams, GramsPerKwh, JOULES_PER_KWH, Joules};

use super::job::Job;
use super::{Outcome, Segment};

/// Where and when the job runs, priced by the intensities as they were told.
pub(super) struct Way {
    pub(super) zone: Option<String>,
    /// The plan, with the told mean while it runs.
    pub(super) plan: Plan,
    /// The mean is known.
    pub(super) is_priced: bool,
    /// What the joules of a pause are priced at: the mean of the time that it may lie in.
    pub(super) pause_g_per_kwh: GramsPerKwh,
    /// Standard deviation of the difference to running at once.
    pub(super) noise: GramsPerKwh,
}

impl Way {
    pub(super) fn segments(&self) -> Vec<Segment> {
        let segment =
            |own: &carbon_api::shifting::Segment| Segment { zone: self.zone.clone(), from: own.from, until: own.until, scale: 1 };
        self.plan.segments.iter().map(segment).collect()
    }

    pub(super) fn outcome(&self, job: &Job) -> Outcome {
        let running = job.length.as_secs_f64();
        let wait_s = self.plan.wait(job.release, job.length).as_secs_f64().max(0.0);
        let pauses = self.plan.pauses();
        let run = job.power_w.map(|power| Joules::new(power * running));
        let pausing = Joules::new(job.pause_j * pauses as f64);
        let price = |run: Joules| -> f64 {
            let grams: Grams = self.plan.g_per_kwh.price(run);
            let pausing: Grams = self.pause_g_per_kwh.price(pausing);
            (grams + pausing).value()
        };
        Outcome {
            energy_j: run.map(|run| run + pausing),
            uncertainty_j: None,
            provenance: "modelled",
            carbon_g: run.filter(|_| self.is_priced).map(price),
            g_per_kwh: self.is_priced.then_some(self.plan.g_per_kwh),
            slowdown: wait_s / running,
            wait_s,
            pauses,
            noise_g_per_kwh: self.noise,
        }
    }
}

/// The difference of two ways, with its 95 % interval.
pub(super) fn saved(job: &Job, baseline: &Outcome, predicted: &Outcome) -> Saved {
    let (Some(before), Some(after), Some(power)) = (baseline.carbon_g, predicted.carbon_g, job.power_w) else {
        return Saved::default();
    };
    let kwh = power * job.length.as_secs_f64() / JOULES_PER_KWH;
    Saved::within(before - after, 1.96 * predicted.noise_g_per_kwh.value() * kwh)
}
