//! The laws that every policy passes, on random views and signals.
//!
//! 1. **Guard first**: no action breaks the stated limit, whatever the intensity.
//! 2. **Weight 0 is the system's own rule**, decision for decision.
//! 3. **Monotone**: a dirtier interval never draws more joules; scaling all intensities changes no choice (by powers of two, so
//!    that no rounding breaks a tie).
//! 4. **Honest baseline**: under one intensity everywhere the energy-only rule and the carbon-aware one are the same to the bit.
//! 5. **Stale or absent signal**: the system's own rule, and `why` and `fallback` say so.
//! 6. **No thrash**: at most one switch in a dwell time.
//!
//! A policy implements [`Lawful`] and names itself to the macro `laws!`.

use std::fmt::Debug;

use carbon_api::grid::Point;
use carbon_api::policy::{CarbonSignal, Decision, Policy};
use carbon_api::units::GramsPerKwh;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// What the laws need to know of a policy.
pub(crate) trait Lawful: Policy<View: Clone, Action: PartialEq + Clone> {
    /// Views that are valid at [`start`], beside any signal of [`signals`].
    fn views() -> BoxedStrategy<Self::View>;

    /// Settings with that carbon weight.
    fn settings(carbon_weight: f64) -> Self::Settings;

    /// The system's own rule, written apart from the policy.
    fn own_rule(view: &Self::View, signal: Option<&CarbonSignal>) -> Self::Action;

    /// The limit that holds whatever the intensity; an error says how it was broken.
    fn guard(view: &Self::View, decision: &Decided<Self>) -> Result<(), String>;

    /// Joules predicted within `[from, until)` in a zone.
    fn joules(view: &Self::View, action: &Self::Action, zone: &str, at: (Timestamp, Timestamp)) -> f64;

    /// A view and settings with a dwell time for which an oscillating grid would switch all the time.
    fn tempted(dwell: SignedDuration) -> (Self::View, Self::Settings);

    /// The instants at which an action switches, but for what the guard forces.
    fn switches(view: &Self::View, action: &Self::Action) -> Vec<Timestamp>;
}

/// A decision of that policy.
pub(crate) type Decided<P> = Decision<<P as Policy>::Action, <P as Policy>::Outcome>;

/// The time of all decisions under test, and the start of all forecasts.
pub(crate) fn start() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

/// Names the laws as tests of a policy.
macro_rules! laws {
    ($policy:ty) => {
        mod laws {
            #[test]
            fn the_guard_comes_first() {
                crate::laws::guard_first::<$policy>();
            }
            #[test]
            fn weight_0_is_the_own_rule() {
                crate::laws::weight_0_is_the_own_rule::<$policy>();
            }
            #[test]
            fn a_dirtier_interval_never_draws_more() {
                crate::laws::monotone::<$policy>();
            }
            #[test]
            fn scaling_all_intensities_changes_no_choice() {
                crate::laws::scaling::<$policy>();
            }
            #[test]
            fn with_one_intensity_everywhere_carbon_is_energy() {
                crate::laws::honest_baseline::<$policy>();
            }
            #[test]
            fn a_stale_or_absent_signal_falls_back() {
                crate::laws::stale_or_absent::<$policy>();
            }
            #[test]
            fn an_oscillating_grid_switches_once() {
                crate::laws::no_thrash::<$policy>();
            }
        }
    };
}
pub(crate) use laws;

pub(crate) fn guard_first<P: Lawful>() {
    check((P::views(), signals(), 0.0..=1.0), |(view, signal, weight)| {
        let decision = decide::<P>(&view, Some(&signal), weight);
        P::guard(&view, &decision).map_err(TestCaseError::fail)
    });
}

pub(crate) fn weight_0_is_the_own_rule<P: Lawful>() {
    check((P::views(), signals()), |(view, signal)| {
        let stale = CarbonSignal { stale: true, ..signal.clone() };
        for signal in [Some(&signal), Some(&stale), None] {
            let decision = decide::<P>(&view, signal, 0.0);
            prop_assert_eq!(&decision.action, &P::own_rule(&view, signal));
            // Nothing is missed, so nothing is fallen back from.
            prop_assert_eq!(decision.fallback, None);
        }
        Ok(())
    });
}

pub(crate) fn monotone<P: Lawful>() {
    let cases = (P::views(), signals(), any::<prop::sample::Index>(), any::<bool>(), 0.0..2000.0);
    check(cases, |(view, signal, index, elsewhere, more)| {
        let mut dirtier = signal.clone();
        let raised = if elsewhere { dirtier.zones.values_mut().next().unwrap() } else { &mut dirtier };
        let (zone, slot) = (raised.zone.clone(), index.index(raised.forecast.len()));
        let point: &mut Point = &mut raised.forecast[slot];
        point.g_per_kwh += GramsPerKwh::new(more);
        let interval = (point.from, point.until);
        let joules = |signal| P::joules(&view, &decide::<P>(&view, Some(signal), 1.0).action, &zone, interval);
        let (before, after) = (joules(&signal), joules(&dirtier));
        prop_assert!(after <= before + 1e-6, "{zone} {interval:?}: {before} J, then {after} J");
        Ok(())
    });
}

pub(crate) fn scaling<P: Lawful>() {
    check((P::views(), signals(), -4i32..=2), |(view, signal, power)| {
        let scaled = changed(&signal, &|value| value * 2f64.powi(power));
        let action = |signal| decide::<P>(&view, Some(signal), 1.0).action;
        prop_assert_eq!(action(&signal), action(&scaled));
        Ok(())
    });
}

pub(crate) fn honest_baseline<P: Lawful>() {
    check((P::views(), signals(), 0.0..900.0), |(view, signal, constant)| {
        let uniform = changed(&signal, &|_| constant);
        let carbon_aware = decide::<P>(&view, Some(&uniform), 1.0);
        let energy_only = decide::<P>(&view, Some(&uniform.energy_only()), 1.0);
        prop_assert_eq!(json(&carbon_aware), json(&energy_only));
        // Elsewhere energy alone sees no difference between places and times.
        let energy_only = decide::<P>(&view, Some(&signal.energy_only()), 1.0);
        prop_assert_eq!(&energy_only.action, &carbon_aware.action);
        Ok(())
    });
}

pub(crate) fn stale_or_absent<P: Lawful>() {
    check((P::views(), signals()), |(view, mut signal)| {
        signal.stale = true;
        for zone in signal.zones.values_mut() {
            zone.stale = true;
        }
        for (signal, label) in [(Some(&signal), "stale-signal"), (None, "no-signal")] {
            let decision = decide::<P>(&view, signal, 1.0);
            prop_assert_eq!(&decision.action, &P::own_rule(&view, signal));
            prop_assert_eq!(decision.fallback, Some(label));
            prop_assert!(!decision.why.is_empty());
        }
        Ok(())
    });
}

pub(crate) fn no_thrash<P: Lawful>() {
    let minutes = prop::sample::select(vec![5i64, 10, 30]);
    check((minutes, 1i64..12, 100.0..200.0), |(step, dwell, swing)| {
        let dwell = SignedDuration::from_mins(dwell * 10);
        let (view, settings) = P::tempted(dwell);
        let wave = (0..24 * 60 / step).map(|i| if i % 2 == 0 { 300.0 + swing } else { 300.0 - swing });
        let mut signal = signal("GB", 300.0, series(step, wave));
        // No error, so that nothing but the dwell time holds it back.
        signal.uncertainty_rel = Some(0.0);
        let policy = P::new(settings).unwrap();
        let action = policy.decide(&view, Some(&signal), start()).unwrap().action;
        let switches = P::switches(&view, &action);
        prop_assert!(switches.len() > 1, "nothing tempts it");
        for pair in switches.windows(2) {
            prop_assert!(pair[1].duration_since(pair[0]) >= dwell, "{switches:?}");
        }
        Ok(())
    });
}

/// Signals of two zones with hourly forecasts for two days.
pub(crate) fn signals() -> BoxedStrategy<CarbonSignal> {
    let hours = || prop::collection::vec((0u32..9000).prop_map(|v| f64::from(v) / 10.0), 48);
    let uncertainty = prop::option::of(0.0..=0.5);
    (hours(), hours(), uncertainty)
        .prop_map(|(home, other, uncertainty_rel)| {
            let [home, other] = [("GB", home), ("FR", other)].map(|(zone, values)| {
                let mut signal = signal(zone, values[0], series(60, values.into_iter()));
                signal.uncertainty_rel = uncertainty_rel;
                signal
            });
            home.and(other)
        })
        .boxed()
}

fn signal(zone: &str, now: f64, forecast: Vec<Point>) -> CarbonSignal {
    let text = format!("{{\"zone\":\"{zone}\",\"now_g_per_kwh\":{now},\"as_of\":\"{}\"}}", start());
    let signal: CarbonSignal = serde_json::from_str(&text).unwrap();
    CarbonSignal { forecast, ..signal }
}

fn series(minutes: i64, values: impl Iterator<Item = f64>) -> Vec<Point> {
    let step = SignedDuration::from_mins(minutes);
    let mut from = start();
    let point = |value| {
        let until = from + step;
        let point = Point { from, until, g_per_kwh: GramsPerKwh::new(value) };
        from = until;
        point
    };
    values.map(point).collect()
}

fn changed(signal: &CarbonSignal, change: &impl Fn(f64) -> f64) -> CarbonSignal {
    let mut changed = signal.clone();
    for signal in changed.zones.values_mut() {
        *signal = self::changed(signal, change);
    }
    let new = |value: GramsPerKwh| GramsPerKwh::new(change(value.value()));
    changed.now_g_per_kwh = new(changed.now_g_per_kwh);
    for point in &mut changed.forecast {
        point.g_per_kwh = new(point.g_per_kwh);
    }
    changed
}

fn decide<P: Lawful>(view: &P::View, signal: Option<&CarbonSignal>, weight: f64) -> Decided<P> {
    let policy = P::new(P::settings(weight)).unwrap();
    policy.decide(view, signal, start()).unwrap()
}

/// Everything but the id, which names the input.
fn json(decision: &impl serde::Serialize) -> serde_json::Value {
    let mut json = serde_json::to_value(decision).unwrap();
    json["decision_id"].take();
    json
}

fn check<T: Debug>(cases: impl Strategy<Value = T>, law: impl Fn(T) -> Result<(), TestCaseError>) {
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    if let Err(broken) = TestRunner::new_with_rng(config, rng()).run(&cases, law) {
        panic!("{broken}");
    }
}

/// The same cases in every run.
fn rng() -> proptest::test_runner::TestRng {
    proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha)
}
