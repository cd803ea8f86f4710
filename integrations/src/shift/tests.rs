//! `shift` under the laws, its verdicts, and what it refuses.

use carbon_api::grid::fixed::FixedGrid;
use carbon_api::grid::table::StaticGrid;
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::laws::{Decided, Lawful, laws, start};

laws!(crate::shift::Shift);

const HOUR: SignedDuration = SignedDuration::from_hours(1);

impl Lawful for Shift {
    fn views() -> BoxedStrategy<View> {
        let rules = vec![
            None,
            Some(Rule::Window),
            Some(Rule::LowestSlot),
            Some(Rule::SavingPerWait),
            Some(Rule::Slots),
            Some(Rule::SlotsCost),
            Some(Rule::Threshold),
        ];
        let zones = vec![None, Some(vec!["GB".to_owned()]), Some(vec!["FR".to_owned(), "gb".to_owned()])];
        let parts = (
            1i32..=12,
            prop::option::of(0i32..=30),
            0i32..=4,
            prop::sample::select(rules),
            prop::sample::select(zones),
            0.0..100_000.0,
            any::<bool>(),
        );
        parts
            .prop_map(|(hours, slack, late, policy, zones, pause, always)| {
                let earliest = start() + HOUR * late;
                View {
                    duration_s: Some(f64::from(hours) * 3600.0),
                    earliest_at: Some(earliest).filter(|_| late > 0),
                    deadline_at: slack.map(|slack| earliest + HOUR * (hours + slack)),
                    zones,
                    policy,
                    power_w: Some(Watts::new(300.0)),
                    pause_cost_j: Some(Joules::new(pause)),
                    always,
                    ..View::default()
                }
            })
            .boxed()
    }

    fn settings(carbon_weight: f64) -> Settings {
        Settings { carbon_weight, ..Settings::default() }
    }

    fn own_rule(view: &View, signal: Option<&CarbonSignal>) -> Action {
        let from = view.earliest_at.unwrap_or(start());
        let until = from + SignedDuration::from_secs_f64(view.duration_s.unwrap());
        let first = view.zones.as_ref().and_then(|zones| zones.first().cloned());
        let zone = first.or_else(|| signal.map(|signal| signal.zone.clone()));
        Action { verdict: Verdict::Now, segments: vec![Segment { zone, from, until, scale: 1 }], wait_s: 0.0 }
    }

    fn guard(view: &View, decision: &Decided<Self>) -> Result<(), String> {
        let segments = &decision.action.segments;
        let (first, last) = (segments.first().unwrap(), segments.last().unwrap());
        if view.deadline_at.is_some_and(|deadline| last.until > deadline) {
            return Err(format!("done at {}, after the deadline", last.until));
        }
        if view.earliest_at.is_some_and(|earliest| first.from < earliest) {
            return Err(format!("starts at {}, too early", first.from));
        }
        let ran: f64 = segments.iter().map(|s| s.until.duration_since(s.from).as_secs_f64()).sum();
        if (ran - view.duration_s.unwrap()).abs() > 1e-6 {
            return Err(format!("runs for {ran} s"));
        }
        Ok(())
    }

    fn joules(view: &View, action: &Action, zone: &str, (from, until): (Timestamp, Timestamp)) -> f64 {
        let own = action.segments.iter().filter(|s| s.zone.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(zone)));
        let inside = own.map(|s| s.until.min(until).duration_since(s.from.max(from)).as_secs_f64().max(0.0));
        inside.sum::<f64>() * view.power_w.unwrap().value()
    }

    fn tempted(dwell: SignedDuration) -> (View, Settings) {
        let view = View {
            duration_s: Some(6.0 * 3600.0),
            deadline_at: Some(start() + HOUR * 24),
            policy: Some(Rule::Threshold),
            ..View::default()
        };
        (view, Settings { dwell_s: dwell.as_secs_f64(), ..Settings::default() })
    }

    fn switches(view: &View, action: &Action) -> Vec<Timestamp> {
        let mut switches: Vec<Timestamp> = action.segments.iter().flat_map(|s| [s.from, s.until]).collect();
        // The end of the work is no switch; nor is the start that leaves no slack, which the deadline forces.
        switches.pop();
        let last = action.segments.last().unwrap();
        if Some(last.until) == view.deadline_at {
            switches.pop();
        }
        switches
    }
}

/// Hourly values from 2026-03-01T00:00Z as a signal.
fn signal(values: &[f64]) -> Value {
    let hour = |hours: usize| (start() + HOUR * i32::try_from(hours).unwrap()).to_string();
    let points = values.iter().enumerate();
    let points: Vec<Value> =
        points.map(|(i, value)| json!({"from": hour(i), "until": hour(i + 1), "g_per_kwh": value})).collect();
    json!({"zone": "GB", "kind": "average", "now_g_per_kwh": values.first(), "as_of": hour(0), "stale": false, "forecast": points})
}

const SMALL: [f64; 8] = [300.0, 200.0, 100.0, 150.0, 400.0, 50.0, 250.0, 350.0];

fn ask(view: Value, signal: Value, settings: Value) -> Result<Value, carbon_api::policy::PolicyError> {
    let parts = [("view", view), ("signal", signal), ("settings", settings)];
    let input: Value = parts.into_iter().map(|(key, part)| (key.to_owned(), part)).collect();
    crate::decide_json("shift", &input, None, Timestamp::UNIX_EPOCH)
}

fn decide(view: Value, signal: Value, settings: Value) -> Value {
    ask(view, signal, settings).unwrap()
}

fn refused(view: Value, signal: Value, settings: Value) -> carbon_api::policy::PolicyError {
    ask(view, signal, settings).unwrap_err()
}

/// The hours in which the job runs.
fn hours(decision: &Value) -> Vec<i64> {
    let at = |text: &Value| text.as_str().unwrap().parse::<Timestamp>().unwrap().duration_since(start()).as_hours();
    let segments = decision["action"]["segments"].as_array().unwrap();
    segments.iter().flat_map(|s| at(&s["from"])..at(&s["until"])).collect()
}

fn says(decision: &Value, what: &str) -> bool {
    decision["why"].as_array().unwrap().iter().any(|why| why.as_str().unwrap().contains(what))
}

#[test]
fn the_small_case_has_its_published_plans() {
    for (rule, expected) in [
        (json!(null), vec![2, 3]),
        (json!("window"), vec![2, 3]),
        (json!("lowest_slot"), vec![5, 6]),
        (json!("saving_per_wait"), vec![1, 2]),
        (json!("saving-per-wait"), vec![1, 2]),
        (json!("slots"), vec![2, 5]),
        (json!("slots_cost"), vec![2, 5]),
        (json!("threshold"), vec![2, 5]),
    ] {
        let view = json!({"duration_s": 7200, "policy": rule, "always": true, "power_w": 100});
        let decision = decide(view, signal(&SMALL), json!({"dwell_s": 0}));
        assert_eq!(hours(&decision), expected, "{rule}");
        assert_eq!(decision["action"]["verdict"], "wait");
        assert_eq!(decision["fallback"], Value::Null);
    }
}

#[test]
fn a_plan_is_priced_against_running_at_once() {
    let view = json!({"duration_s": 7200, "always": true, "power_w": 500});
    let decision = decide(view, signal(&SMALL), Value::Null);
    let number = |pointer: &str| decision.pointer(pointer).unwrap().as_f64().unwrap();
    for (pointer, expected) in [
        ("/predicted/energy_j", 3.6e6),
        ("/baseline/energy_j", 3.6e6),
        ("/predicted/g_per_kwh", 125.0),
        ("/baseline/g_per_kwh", 250.0),
        ("/predicted/carbon_g", 125.0),
        ("/baseline/carbon_g", 250.0),
        ("/saved_g/mid", 125.0),
        ("/action/wait_s", 7200.0),
        ("/predicted/slowdown", 1.0),
        ("/baseline/slowdown", 0.0),
    ] {
        assert!((number(pointer) - expected).abs() < 1e-9, "{pointer}: {}", number(pointer));
    }
    // Two disjoint windows of two hours: sqrt(2 x 2) sigma / 2, at one kilowatt-hour.
    let noise = 1.25 * 15.0 / 150.0 * (1800.0 / 8.0);
    assert!((number("/predicted/noise_g_per_kwh") - noise).abs() < 1e-9);
    assert!((number("/saved_g/high") - 125.0 - 1.96 * noise).abs() < 1e-9);
    assert!((number("/saved_g/low") - 125.0 + 1.96 * noise).abs() < 1e-9);
    assert_eq!(decision["expires_at"], "2026-03-01T02:00:00Z");
    assert_eq!(decision["predicted"]["provenance"], "modelled");
}

#[test]
fn without_power_there_are_no_joules_and_no_grams() {
    let decision = decide(json!({"duration_s": 7200, "always": true}), signal(&SMALL), Value::Null);
    for pointer in ["/predicted/energy_j", "/predicted/carbon_g", "/baseline/carbon_g", "/saved_g/mid", "/saved_g/low"] {
        assert_eq!(decision.pointer(pointer), Some(&Value::Null), "{pointer}");
    }
    assert_eq!(decision["predicted"]["g_per_kwh"], 125.0);
}

#[test]
fn a_gain_inside_the_noise_is_declined() {
    let values = [200.0, 190.0, 190.0, 190.0];
    let view = |always| json!({"duration_s": 3600, "always": always});
    let declined = decide(view(false), signal(&values), Value::Null);
    assert_eq!(declined["action"]["verdict"], "decline");
    assert_eq!(hours(&declined), [0]);
    assert!(says(&declined, "gain 10.0 g/kWh, noise"), "{declined}");
    assert_eq!(decide(view(true), signal(&values), Value::Null)["action"]["verdict"], "wait");
    let mut sure = signal(&values);
    sure["uncertainty_rel"] = json!(0.01);
    assert_eq!(decide(view(false), sure, Value::Null)["action"]["verdict"], "wait");
}

#[test]
fn a_smaller_weight_waits_for_less() {
    let view = json!({"duration_s": 7200});
    let verdict = |weight: f64| {
        let decision = decide(view.clone(), signal(&SMALL), json!({"carbon_weight": weight}));
        decision["action"]["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!([verdict(1.0), verdict(0.5), verdict(0.1), verdict(0.0)], ["wait", "wait", "decline", "now"]);
}

#[test]
fn pauses_cost_their_joules() {
    let view =
        |joules: f64| json!({"duration_s": 7200, "policy": "slots_cost", "power_w": 100, "pause_cost_j": joules, "always": true});
    // The run is 720 kJ, the mean 225 g/kWh. A pause saves 100 g/kWh over one of the two hours, which is 360 kJ.
    let worth = 360_000.0 * 100.0 / 225.0;
    let pausing = decide(view(worth * 0.99), signal(&SMALL), Value::Null);
    assert_eq!((hours(&pausing), pausing["predicted"]["pauses"].as_u64()), (vec![2, 5], Some(1)));
    assert!((pausing["predicted"]["energy_j"].as_f64().unwrap() - 720_000.0 - worth * 0.99).abs() < 1e-6);
    let steady = decide(view(worth * 1.01), signal(&SMALL), Value::Null);
    assert_eq!(hours(&steady), [2, 3]);
    let grams = |decision: &Value| decision["predicted"]["carbon_g"].as_f64().unwrap();
    assert!(grams(&pausing) < grams(&steady));
}

#[test]
fn an_unknown_length_is_planned_with_the_mean_of_its_queue() {
    let decision = decide(json!({"always": true}), signal(&SMALL), json!({"mean_duration_s": 7200}));
    assert_eq!(hours(&decision), [1, 2]);
    assert!(says(&decision, "length unknown"));
}

#[test]
fn the_cleanest_of_several_zones_is_taken() {
    let mut signal = signal(&SMALL);
    let mut other = self::signal(&[500.0, 500.0, 500.0, 20.0, 20.0, 500.0]);
    other["zone"] = json!("FR");
    signal["zones"] = json!({"FR": other});
    let view = |zones: Value| json!({"duration_s": 7200, "zones": zones});
    let both = decide(view(json!(["GB", "fr"])), signal.clone(), Value::Null);
    assert_eq!(hours(&both), [3, 4]);
    assert_eq!(both["action"]["segments"][0]["zone"], "FR");
    assert_eq!(both["baseline"]["g_per_kwh"], 250.0);
    let home = decide(view(json!(["GB"])), signal.clone(), Value::Null);
    assert_eq!(home["action"]["segments"][0]["zone"], "GB");
    assert_eq!(hours(&home), [2, 3]);
    signal["zones"]["FR"]["stale"] = json!(true);
    let stale = decide(view(json!(["GB", "FR"])), signal.clone(), Value::Null);
    assert_eq!(hours(&stale), [2, 3]);
    assert!(says(&stale, "FR: its signal is stale"));
    let error = refused(view(json!(["GB", "DE"])), signal, Value::Null);
    assert_eq!(error.key(), "view.zones[1]");
    assert!(error.to_string().contains("GB, FR"), "{error}");
}

#[test]
fn a_forecast_that_does_not_reach_is_said() {
    let view = json!({"duration_s": 7200, "deadline_at": "2026-03-02T00:00:00Z"});
    let short = decide(view, signal(&SMALL), Value::Null);
    assert!(says(&short, "before the deadline"), "{short}");
    assert_eq!(hours(&short), [2, 3]);
    let long = decide(json!({"duration_s": 36_000}), signal(&SMALL), Value::Null);
    assert_eq!((&long["action"]["verdict"], &long["fallback"]), (&json!("now"), &json!("gap")));
    let mut holed = signal(&SMALL);
    holed["forecast"].as_array_mut().unwrap().remove(2);
    let holed = decide(json!({"duration_s": 7200}), holed, Value::Null);
    assert!(says(&holed, "no value from 2026-03-01T02:00:00Z until 2026-03-01T03:00:00Z"), "{holed}");
    assert_eq!(hours(&holed), [5, 6]);
    let mut bare = signal(&SMALL);
    bare["forecast"] = json!([]);
    let bare = decide(json!({"duration_s": 7200, "power_w": 500}), bare, Value::Null);
    assert_eq!((&bare["action"]["verdict"], &bare["fallback"]), (&json!("now"), &json!("no-forecast")));
    assert_eq!(bare["predicted"]["carbon_g"], 300.0);
}

#[test]
fn the_built_in_figures_serve_as_signal() {
    let now: Timestamp = "2025-06-01T02:20:00Z".parse().unwrap();
    let ahead = now + HOUR * 48;
    let ask = |grid: &dyn carbon_api::grid::IntensityProvider| {
        let signal = CarbonSignal::from_provider(grid, now, ahead);
        let input = json!({"view": {"duration_s": 14_400, "deadline_at": (now + HOUR * 24).to_string()}});
        crate::decide_json("shift", &input, signal, now).unwrap()
    };
    let area = ask(&StaticGrid::new(Some("US-CISO")).unwrap());
    assert_eq!((&area["action"]["verdict"], &area["intensity"]["method"]), (&json!("wait"), &json!("diurnal")));
    let country = ask(&StaticGrid::new(Some("GB")).unwrap());
    assert_eq!((&country["action"]["verdict"], &country["fallback"]), (&json!("now"), &json!("no-forecast")));
    let fixed = ask(&FixedGrid::new(250.0, None).unwrap());
    assert_eq!((&fixed["action"]["verdict"], &fixed["fallback"]), (&json!("now"), &Value::Null));
    assert!(says(&fixed, "flat"), "{fixed}");
    assert_eq!(fixed["intensity"]["provider"], "fixed");
}

#[test]
fn a_job_that_comes_too_late_runs_at_once() {
    // With the grid's own signal the time is now, here one hour after the earliest start.
    let own: CarbonSignal = serde_json::from_value(signal(&SMALL)).unwrap();
    let input = json!({"view": {"duration_s": 7200, "earliest_at": start().to_string(), "deadline_at": (start() + HOUR * 2).to_string()}});
    let late = crate::decide_json("shift", &input, Some(own), start() + HOUR).unwrap();
    assert_eq!((&late["action"]["verdict"], hours(&late)), (&json!("now"), vec![1, 2]));
    assert!(says(&late, "too late"));
}

#[test]
fn without_any_signal_it_runs_at_once() {
    let input = json!({"view": {"duration_s": 7200, "zones": ["GB"], "power_w": 100}});
    let decision = crate::decide_json("shift", &input, None, start()).unwrap();
    assert_eq!((&decision["action"]["verdict"], &decision["fallback"]), (&json!("now"), &json!("no-signal")));
    assert_eq!((&decision["intensity"], &decision["predicted"]["carbon_g"]), (&Value::Null, &Value::Null));
    assert_eq!(decision["predicted"]["energy_j"], 720_000.0);
    assert_eq!(decision["expires_at"], "2026-03-01T01:00:00Z");
}

#[test]
fn what_cannot_be_is_refused_by_its_key() {
    let ok = |view: Value| (view, Value::Null);
    for ((view, settings), key, part) in [
        (ok(json!({"duration_s": 0})), "view.duration_s", "not above 0"),
        (ok(json!({"duration_s": -5})), "view.duration_s", "not above 0"),
        (ok(json!({"duration_s": 1e300})), "view.duration_s", "ten years"),
        (ok(json!({"duration_s": 1e-20})), "view.duration_s", "nanosecond"),
        (ok(json!({"duration_s": "4h"})), "view.duration_s", "string"),
        (ok(json!({"duration_s": 7200, "deadline_at": "2026-03-01T01:59:59Z"})), "view.deadline_at", "2026-03-01T02:00:00Z"),
        (ok(json!({"earliest_at": "2026-03-01T05:00:00Z", "deadline_at": "2026-03-01T05:00:00Z"})), "view.deadline_at", "after"),
        (ok(json!({"deadline_at": "tomorrow"})), "view.deadline_at", ""),
        (ok(json!({"duration_s": 60, "policy": "scale"})), "view.policy", "window"),
        (ok(json!({"policy": "window"})), "view.duration_s", "window"),
        (ok(json!({"duration_s": 60, "policy": "slots", "interruptible": false})), "view.interruptible", "slots"),
        (ok(json!({"duration_s": 60, "policy": "slots_cost"})), "view.power_w", "watts"),
        (ok(json!({"power_w": 0})), "view.power_w", "above 0"),
        (ok(json!({"power_w": -1})), "view.power_w", "above 0"),
        (ok(json!({"pause_cost_j": -1})), "view.pause_cost_j", "from 0"),
        (ok(json!({"profile": []})), "view.profile", "not built"),
        (ok(json!({"work": 40})), "view.work", "not built"),
        (ok(json!({"kind": "average"})), "view.kind", "signal.kind"),
        (ok(json!({"durations_s": 1})), "view.durations_s", "`duration_s`"),
        (ok(json!([])), "view", "object"),
        ((json!({}), json!({"carbon_weight": 1.5})), "settings.carbon_weight", "0 to 1"),
        ((json!({}), json!({"carbon_weight": -0.1})), "settings.carbon_weight", "0 to 1"),
        ((json!({}), json!({"mean_duration_s": 0})), "settings.mean_duration_s", "not above 0"),
        ((json!({}), json!({"dwell_s": -1})), "settings.dwell_s", "from 0"),
        ((json!({}), json!({"weight": 1})), "settings.weight", "carbon_weight"),
    ] {
        let error = refused(view.clone(), signal(&SMALL), settings);
        assert_eq!(error.key(), key, "{view}: {error}");
        let text = error.to_string();
        assert!(text.contains(part) && !text.contains('\n'), "{text}");
    }
    let mut negative = signal(&SMALL);
    negative["forecast"][3]["g_per_kwh"] = json!(-1);
    assert_eq!(refused(json!({}), negative, Value::Null).key(), "signal.forecast[3].g_per_kwh");
}
