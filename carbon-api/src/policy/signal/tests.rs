//! What a signal accepts, refuses and turns into.

use super::*;
use crate::grid::fixed::FixedGrid;
use crate::grid::table::StaticGrid;

type Spoil = fn(&mut CarbonSignal);

fn signal(text: &str) -> CarbonSignal {
    serde_json::from_str(text).unwrap()
}

fn full() -> CarbonSignal {
    signal(
        r#"{"zone":"GB","kind":"average","now_g_per_kwh":200,"as_of":"2026-01-01T00:10:00Z","stale":false,
            "forecast":[{"from":"2026-01-01T00:00:00Z","until":"2026-01-01T01:00:00Z","g_per_kwh":200},
                        {"from":"2026-01-01T01:00:00Z","until":"2026-01-01T01:30:00Z","g_per_kwh":100}],
            "zones":{"FR":{"zone":"FR","kind":"average","now_g_per_kwh":60,"as_of":"2026-01-01T00:10:00Z","stale":false}}}"#,
    )
}

#[test]
fn a_signal_needs_only_a_zone_and_a_value() {
    let least = signal(r#"{"zone":"GB","now_g_per_kwh":200}"#);
    least.validate().unwrap();
    assert_eq!((least.kind, least.stale, least.moment()), (IntensityKind::Average, false, None));
    full().validate().unwrap();
    let back: CarbonSignal = serde_json::from_value(serde_json::to_value(full()).unwrap()).unwrap();
    assert_eq!(back, full());
}

#[test]
fn what_cannot_be_is_refused_by_its_key() {
    let number = |value| GramsPerKwh::new(value);
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let cases: [(&str, Spoil); 9] = [
        ("signal.zone", |s| s.zone = " ".into()),
        ("signal.now_g_per_kwh", |s| s.now_g_per_kwh = GramsPerKwh::new(-1.0)),
        ("signal.now_g_per_kwh", |s| s.now_g_per_kwh = GramsPerKwh::new(f64::NAN)),
        ("signal.uncertainty_rel", |s| s.uncertainty_rel = Some(1.5)),
        ("signal.uncertainty_rel", |s| s.uncertainty_rel = Some(f64::NAN)),
        ("signal.zones.FR", |s| s.zones.get_mut("FR").unwrap().kind = IntensityKind::Marginal),
        ("signal.zones.FR", |s| s.zones.get_mut("FR").unwrap().zone = "DE".into()),
        ("signal.zones.FR", |s| s.zones.get_mut("FR").unwrap().zones = full().zones),
        ("signal.zones.FR.now_g_per_kwh", |s| s.zones.get_mut("FR").unwrap().now_g_per_kwh = GramsPerKwh::new(9e9)),
    ];
    for (key, spoil) in cases {
        let mut spoilt = full();
        spoil(&mut spoilt);
        let error = spoilt.validate().unwrap_err();
        assert_eq!(error.key(), key, "{error}");
        assert!(!error.to_string().contains('\n'));
    }
    for (key, index, from, until, value) in [
        ("signal.forecast[1].g_per_kwh", 1, None, None, Some(f64::INFINITY)),
        ("signal.forecast[0].g_per_kwh", 0, None, None, Some(5001.0)),
        ("signal.forecast[1].until", 1, None, Some("2026-01-01T01:00:00Z"), None),
        ("signal.forecast[1].from", 1, Some("2026-01-01T00:59:59Z"), None, None),
        ("signal.forecast[1].from", 1, Some("2025-01-01T00:00:00Z"), None, None),
    ] {
        let mut spoilt = full();
        let point = &mut spoilt.forecast[index];
        point.from = from.map_or(point.from, at);
        point.until = until.map_or(point.until, at);
        point.g_per_kwh = value.map_or(point.g_per_kwh, number);
        assert_eq!(spoilt.validate().unwrap_err().key(), key);
    }
}

#[test]
fn energy_only_is_the_mean_everywhere_and_leaves_a_uniform_signal_alone() {
    let flat = full().energy_only();
    // Two values now, two ahead.
    let mean = (200.0 + 200.0 + 100.0 + 60.0) / 4.0;
    for value in flat.values() {
        assert!((value - mean).abs() < 1e-12);
    }
    let mut uniform = full().replaced(&|_| 0.1);
    uniform.uncertainty_rel = Some(0.3);
    assert_eq!(uniform.energy_only(), uniform);
}

#[test]
fn a_weight_moves_every_intensity_towards_the_mean_of_the_forecasts() {
    assert_eq!(full().blended(1.0), full());
    let half = full().blended(0.5);
    // The mean of the forecast is 150.
    assert_eq!(half.forecast[1].g_per_kwh, GramsPerKwh::new(125.0));
    assert_eq!(half.zones["FR"].now_g_per_kwh, GramsPerKwh::new(105.0));
    let none = full().blended(0.0);
    assert!(none.values().iter().all(|v| (v - 150.0).abs() < 1e-12));
}

#[test]
fn a_provider_becomes_a_signal() {
    let (now, until) = ("2025-06-01T12:20:00Z".parse().unwrap(), "2025-06-02T12:00:00Z".parse().unwrap());
    let area = CarbonSignal::from_provider(&StaticGrid::new(Some("US-CISO")).unwrap(), now, until).unwrap();
    area.validate().unwrap();
    assert_eq!((area.forecast.len(), area.method.as_deref()), (24, Some("diurnal")));
    assert!((area.uncertainty_rel.unwrap() - 0.30).abs() < 1e-12);
    assert_eq!(area.moment(), Some(now));
    let fixed = CarbonSignal::from_provider(&FixedGrid::new(0.0, None).unwrap(), now, until).unwrap();
    assert_eq!((fixed.forecast.len(), fixed.uncertainty_rel), (1, None));
    let both = area.and(fixed);
    assert_eq!(both.of_zone("world").unwrap().provider.as_deref(), Some("fixed"));
    assert_eq!(both.of_zone("us-ciso").unwrap().zone, "US-CISO");
    assert!(both.of_zone("GB").is_none());
}
