//! The list of policies and the entrance for JSON.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn every_policy_has_its_name_schemas_and_a_valid_example() {
    assert_eq!(policies()[0].name, <shift::Shift as Policy>::name());
    for policy in policies() {
        assert!(!policy.about.contains('\n'));
        let schema = schema_json(policy.name).unwrap();
        for part in ["view", "signal", "settings", "action", "decision"] {
            assert!(schema[part]["properties"].is_object(), "{part}");
        }
        let example = example_json(policy.name).unwrap();
        let decision = decide_json(policy.name, &example, None, at("2026-01-01T00:00:00Z")).unwrap();
        let keys: Vec<&str> = decision.as_object().unwrap().keys().map(String::as_str).collect();
        for key in
            ["decision_id", "policy", "action", "predicted", "baseline", "saved_g", "why", "intensity", "expires_at", "fallback"]
        {
            assert!(keys.contains(&key), "{key} is missing");
        }
        assert_eq!(decision["policy"], policy.name);
    }
}

#[test]
fn the_example_is_answered_alike_at_any_time_and_under_any_grid() {
    let example = example_json("shift").unwrap();
    let here = decide_json("shift", &example, None, at("2020-01-01T00:00:00Z")).unwrap();
    let other: CarbonSignal = serde_json::from_value(json!({"zone": "FR", "now_g_per_kwh": 50})).unwrap();
    let there = decide_json("shift", &example, Some(other), at("2040-01-01T00:00:00Z")).unwrap();
    assert_eq!(here, there);
}

/// `UPDATE_GOLDENS=1` writes the file anew.
#[test]
fn the_example_has_its_golden_decision() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/goldens/shift_decision.json");
    let example = example_json("shift").unwrap();
    let decision = decide_json("shift", &example, None, Timestamp::UNIX_EPOCH).unwrap();
    let text = serde_json::to_string_pretty(&decision).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    // As text: a number that is parsed may differ in its last bit.
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(text == golden, "UPDATE_GOLDENS=1 takes the new one:\n{text}");
}

#[test]
fn the_same_input_has_the_same_id() {
    let mut input = example_json("shift").unwrap();
    let id = |input: &Value| decide_json("shift", input, None, Timestamp::UNIX_EPOCH).unwrap()["decision_id"].clone();
    let first = id(&input);
    assert_eq!(first, id(&input));
    input["view"]["seed"] = json!(1);
    assert_ne!(first, id(&input));
}

#[test]
fn an_unknown_policy_is_told_what_is_built() {
    let error = decide_json("shfit", &json!({}), None, Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(matches!(error, PolicyError::UnknownPolicy { .. }));
    assert!(error.to_string().contains("shift"), "{error}");
    assert!(schema_json("").is_err() && example_json("tpp").is_err());
}

#[test]
fn what_an_input_wants_of_the_grid_is_read_without_complaint() {
    let input = json!({"view": {"zones": ["GB", 3, "FR"], "deadline_at": "2026-03-01T00:00:00Z"}});
    let wanted = Wanted::of(&input);
    assert_eq!((wanted.zones.len(), wanted.until), (2, Some(at("2026-03-01T00:00:00Z"))));
    for nonsense in [json!(null), json!([]), json!({"view": 1}), json!({"view": {"zones": {}, "deadline_at": 1}})] {
        assert_eq!(Wanted::of(&nonsense), Wanted::default());
    }
}

/// The pointers to everything in a value.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(keys) => keys.iter().for_each(|(key, below)| places(below, &format!("{path}/{key}"), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, below)| places(below, &format!("{path}/{i}"), found)),
        _ => {}
    }
}

fn odd() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(-1),
        json!(0),
        json!(1e-300),
        json!(1e308),
        json!(3e8),
        json!(u64::MAX),
        json!(true),
        json!(""),
        json!("FR"),
        json!("slots_cost"),
        json!("saving_per_wait"),
        json!("threshold"),
        json!("-009999-01-02T01:59:59Z"),
        json!("9999-12-30T22:00:00Z"),
        json!("2026-03-10T12:34:56.789Z"),
        json!([]),
        json!({}),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_input_is_too_odd_for_an_answer_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), odd()), 1..4),
    ) {
        let mut input = example_json("shift").unwrap();
        for key in ["power_w", "pause_cost_j", "duration_s", "always", "seed", "zones", "interruptible"] {
            input["view"].as_object_mut().unwrap().entry(key).or_insert(Value::Null);
        }
        for (place, value) in changes {
            let mut found = Vec::new();
            places(&input, "", &mut found);
            *input.pointer_mut(&found[place.index(found.len())]).unwrap() = value;
        }
        match decide_json("shift", &input, None, at("2026-03-10T06:30:00Z")) {
            Ok(decision) => prop_assert!(decision["action"]["verdict"].is_string()),
            Err(error) => {
                prop_assert!(!error.key().is_empty());
                prop_assert!(!error.to_string().contains('\n'), "{}", error);
            }
        }
    }
}
