//! The choice: each zone's plan by the rule, the best of them, and whether it is worth the wait.

use carbon_api::policy::{Basis, CarbonSignal, Decision};
use carbon_api::shifting::{Plan, Segment, noise};
use carbon_api::units::GramsPerKwh;
use jiff::{SignedDuration, Timestamp};

use super::job::Job;
use super::site::{Candidate, Site};
use super::way::{Way, saved};
use super::{Action, Outcome, Settings, Verdict};

/// Running at once, and what was chosen instead.
struct Choice {
    verdict: Verdict,
    now: Way,
    instead: Option<Way>,
    fallback: Option<&'static str>,
    /// The end of the step in force at the release.
    step_end: Option<Timestamp>,
}

pub(super) fn decide(
    job: &Job,
    settings: &Settings,
    signal: Option<&CarbonSignal>,
    decision_id: String,
) -> Decision<Action, Outcome> {
    let mut why = Vec::new();
    if job.length_is_assumed {
        why.push(format!("length unknown: planned with {:#}, the mean of its queue", job.length));
    }
    let choice = choose(job, settings, signal, &mut why);
    let taken = choice.instead.as_ref().unwrap_or(&choice.now);
    let (baseline, predicted) = (choice.now.outcome(job), taken.outcome(job));
    let hour = job.release.saturating_add(SignedDuration::from_hours(1)).ok();
    let expires_at = match choice.verdict {
        Verdict::Wait => taken.plan.start(),
        Verdict::Now | Verdict::Decline => choice.step_end.or(hour),
    };
    Decision {
        decision_id,
        policy: "shift",
        action: Action { verdict: choice.verdict, segments: taken.segments(), wait_s: predicted.wait_s },
        saved_g: saved(job, &baseline, &predicted),
        predicted,
        baseline,
        why,
        intensity: signal.map(|signal| basis(job, signal)),
        expires_at: expires_at.unwrap_or(Timestamp::MAX),
        fallback: choice.fallback,
    }
}

fn choose(job: &Job, settings: &Settings, signal: Option<&CarbonSignal>, why: &mut Vec<String>) -> Choice {
    let mut at_once = |fallback, reason: String| {
        why.push(format!("{reason}: it runs at once"));
        Choice { verdict: Verdict::Now, now: run_at_once(job, signal), instead: None, fallback, step_end: None }
    };
    if job.is_late {
        return at_once(None, "it comes too late to be done by its deadline".to_owned());
    }
    if settings.carbon_weight <= 0.0 {
        return at_once(None, "carbon weight 0, as without carbon".to_owned());
    }
    let Some(signal) = signal else {
        return at_once(Some("no-signal"), "no intensity is known".to_owned());
    };
    let compared = signal.blended(settings.carbon_weight);
    let zones = job.zones.iter();
    let sites: Vec<Site<'_>> = zones.filter_map(|name| Site::new(job, name, signal, &compared)).collect();
    let Some((home, others)) = sites.split_first() else {
        return at_once(Some("no-signal"), "no zone is known".to_owned());
    };
    if home.signal.stale {
        return at_once(Some("stale-signal"), format!("the signal of {} is stale", home.name));
    }
    if home.told.is_empty() {
        return at_once(Some("no-forecast"), format!("no forecast for {} at that time", home.name));
    }
    let priced = home.run_now(job).and_then(|plan| {
        let way = home.way(job, plan.clone(), GramsPerKwh::default())?;
        Some((plan, way))
    });
    let Some((plan, now)) = priced else {
        return at_once(Some("gap"), format!("the forecast for {} does not cover a run at once", home.name));
    };
    why.extend(home.signal.warnings.iter().cloned());
    let usable = others.iter().filter(|site| is_usable(site, why)).collect::<Vec<_>>();
    let best = std::iter::once(home)
        .chain(usable)
        .filter_map(|site| {
            why.extend(site.lacks(job));
            site.best(job, settings, plan.g_per_kwh, why)
        })
        .reduce(|best, other| if other.beats(&best) { other } else { best });
    let (verdict, instead) = judge(job, home, &plan, best, why);
    Choice { verdict, now, instead, fallback: None, step_end: home.step_end(job.release) }
}

/// Is the best plan better than running at once, by more than the forecast may be off?
fn judge(
    job: &Job,
    home: &Site<'_>,
    now: &Plan,
    best: Option<Candidate<'_, '_>>,
    why: &mut Vec<String>,
) -> (Verdict, Option<Way>) {
    let rule = job.rule.name();
    let Some(Candidate { site, plan, .. }) = best else {
        why.push(format!("{rule}: no plan fits what is known, so it runs at once"));
        return (Verdict::Now, None);
    };
    let at_once = home.cost(job, now);
    let gain = GramsPerKwh::new(at_once - site.cost(job, &plan));
    if gain.value() <= at_once * 1e-9 {
        why.push(if home.told.is_flat() {
            "the forecast is flat: waiting gains nothing".to_owned()
        } else {
            format!("{rule}: its plan is no cleaner than a run at once")
        });
        return (Verdict::Now, None);
    }
    let noise = noise::of_difference(home.side(now, job), site.side(&plan, job));
    let figures = format!("gain {:.1} g/kWh, noise {:.1} g/kWh", gain.value(), noise.value());
    if !job.always && noise::hides(gain, noise) {
        let z = noise::Z;
        why.push(format!("{rule}: {figures} (x {z}): the error of the forecast may be all of it, so it runs at once"));
        return (Verdict::Decline, None);
    }
    let verdict = if plan.start() > Some(job.release) { Verdict::Wait } else { Verdict::Now };
    let Some(way) = site.way(job, plan, noise) else {
        return (Verdict::Now, None);
    };
    why.push(format!(
        "{rule}: {:.1} g/kWh in {} instead of {:.1} at once, if the forecast holds; {figures}",
        way.plan.g_per_kwh.value(),
        site.name,
        home.told.mean(job.release, now.end().unwrap_or(job.release)).unwrap_or_default().value(),
    ));
    (verdict, Some(way))
}

fn is_usable(site: &Site<'_>, why: &mut Vec<String>) -> bool {
    let lack = if site.signal.stale {
        "its signal is stale"
    } else if site.told.is_empty() {
        "no forecast at that time"
    } else {
        return true;
    };
    why.push(format!("{}: {lack}: left out", site.name));
    false
}

/// The system's own rule, priced by the forecast, else by the present intensity, else not at all.
fn run_at_once(job: &Job, signal: Option<&CarbonSignal>) -> Way {
    let until = job.release.saturating_add(job.length).unwrap_or(Timestamp::MAX);
    let zone = job.zones.first().cloned();
    let own = signal.and_then(|signal| signal.of_zone(zone.as_deref()?));
    let mean = own.map(|own| {
        let ahead = carbon_api::grid::forecast::mean(&own.forecast, job.release, until);
        ahead.unwrap_or(own.now_g_per_kwh)
    });
    let from = job.release;
    Way {
        zone,
        plan: Plan { segments: vec![Segment { from, until }], g_per_kwh: mean.unwrap_or_default() },
        is_priced: mean.is_some(),
        pause_g_per_kwh: GramsPerKwh::default(),
        noise: GramsPerKwh::default(),
    }
}

/// The intensity at home.
fn basis(job: &Job, signal: &CarbonSignal) -> Basis {
    let home = job.zones.first().map_or(signal.zone.as_str(), String::as_str);
    let own = signal.of_zone(home).unwrap_or(signal);
    Basis { zone: home.to_owned(), ..Basis::from(own) }
}
