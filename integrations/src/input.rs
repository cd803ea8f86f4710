//! Reading an input so that every error names the key at fault: unknown keys with the nearest known one, then types.

use carbon_api::grid::zone::nearest;
use carbon_api::policy::PolicyError;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A key that one would expect and that is refused, with the reason and the mend.
pub(crate) type Reserved = (&'static str, &'static str, &'static str);

/// The three parts of an input.
pub(crate) struct Envelope<'a> {
    pub(crate) view: &'a Value,
    pub(crate) signal: Option<&'a Value>,
    pub(crate) settings: Option<&'a Value>,
}

/// Takes an input apart; `null` is absent.
pub(crate) fn envelope(input: &Value) -> Result<Envelope<'_>, PolicyError> {
    const KEYS: [&str; 3] = ["view", "signal", "settings"];
    const SHAPE: &str = "give {\"view\":…,\"signal\":…,\"settings\":…}; the last two may be left out";
    let Value::Object(parts) = input else {
        return Err(PolicyError::malformed("input", "it is no JSON object", SHAPE));
    };
    if let Some(key) = parts.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(unknown_key(key, "", KEYS.iter().copied()));
    }
    let part = |key| parts.get(key).filter(|part| !part.is_null());
    let view = part("view").ok_or_else(|| PolicyError::malformed("view", "it is missing", SHAPE))?;
    Ok(Envelope { view, signal: part("signal"), settings: part("settings") })
}

/// Reads one part of an input as `T`.
pub(crate) fn read<T: DeserializeOwned + JsonSchema>(value: &Value, part: &str, reserved: &[Reserved]) -> Result<T, PolicyError> {
    let Value::Object(keys) = value else {
        return Err(PolicyError::malformed(part, "it is no JSON object", "give {…}"));
    };
    if let Some((key, problem, mend)) = reserved.iter().find(|(key, ..)| keys.contains_key(*key)) {
        return Err(PolicyError::refused(format!("{part}.{key}"), *problem, *mend));
    }
    let schema = Value::from(SchemaGenerator::default().into_root_schema_for::<T>());
    check_keys(value, &schema, &schema, part)?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let key = match error.path().to_string().as_str() {
            "." => part.to_owned(),
            path => format!("{part}.{path}"),
        };
        PolicyError::malformed(key, error.inner().to_string(), "--schema prints what belongs there")
    })
}

/// Walks a value along its schema and finds the first key that the schema does not know.
fn check_keys(value: &Value, schema: &Value, root: &Value, path: &str) -> Result<(), PolicyError> {
    let schema = resolved(schema, root);
    for branch in ["anyOf", "oneOf", "allOf"] {
        for part in schema[branch].as_array().into_iter().flatten() {
            check_keys(value, part, root, path)?;
        }
    }
    match value {
        Value::Object(keys) => check_object(keys, schema, root, path),
        Value::Array(items) if schema["items"].is_object() => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check_keys(item, &schema["items"], root, &format!("{path}[{index}]"))),
        _ => Ok(()),
    }
}

fn check_object(keys: &Map<String, Value>, schema: &Value, root: &Value, path: &str) -> Result<(), PolicyError> {
    let known = schema["properties"].as_object();
    for (key, value) in keys {
        let below = format!("{path}.{key}");
        if let Some(property) = known.and_then(|known| known.get(key)) {
            check_keys(value, property, root, &below)?;
        } else if schema["additionalProperties"].is_object() {
            check_keys(value, &schema["additionalProperties"], root, &below)?;
        } else if let Some(known) = known {
            return Err(unknown_key(key, path, known.keys().map(String::as_str)));
        }
    }
    Ok(())
}

/// Follows `"$ref": "#"` and `"$ref": "#/$defs/Name"`.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap_or(schema),
        None => schema,
    }
}

fn unknown_key<'a>(key: &str, path: &str, known: impl Iterator<Item = &'a str>) -> PolicyError {
    // a key may hold a line break, and a message is one line; or nothing, and a message names it
    let key = &if key.is_empty() { "\"\"".to_owned() } else { key.escape_debug().to_string() };
    let known: Vec<&str> = known.collect();
    let place = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let meant = nearest(key, known.iter().copied(), 1);
    let mend = format!("did you mean `{}`? known are {}", meant.join(""), known.join(", "));
    PolicyError::malformed(place, "there is no such key", mend)
}

#[cfg(test)]
mod tests {
    use carbon_api::policy::CarbonSignal;
    use serde_json::json;

    use super::*;

    fn error_of(signal: &Value) -> PolicyError {
        read::<CarbonSignal>(signal, "signal", &[]).unwrap_err()
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_known_one() {
        for (signal, key, meant) in [
            (json!({"zone": "GB", "now_g_per_kwh": 1, "forcast": []}), "signal.forcast", "`forecast`"),
            (
                json!({"zone": "GB", "now_g_per_kwh": 1, "zones": {"FR": {"now_g_per_kwh": 1, "stail": true}}}),
                "signal.zones.FR.stail",
                "`stale`",
            ),
            (json!({"zone": "GB", "now_g_per_kwh": 1, "forecast": [{"from": "", "to": ""}]}), "signal.forecast[0].to", "`from`"),
        ] {
            let error = error_of(&signal);
            assert_eq!(error.key(), key);
            assert!(error.to_string().contains(meant), "{error}");
        }
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        for (signal, key) in [
            (json!({"zone": "GB", "now_g_per_kwh": "1"}), "signal.now_g_per_kwh"),
            (json!({"zone": "GB", "now_g_per_kwh": 1, "as_of": "yesterday"}), "signal.as_of"),
            (json!({"zone": "GB", "now_g_per_kwh": 1, "kind": "medium"}), "signal.kind"),
            (
                json!({"zone": "GB", "now_g_per_kwh": 1, "forecast": [{"from": "2026-01-01T00:00:00Z", "until": 3, "g_per_kwh": 1}]}),
                "signal.forecast[0].until",
            ),
            (json!({"zone": "GB"}), "signal"),
            (json!([]), "signal"),
        ] {
            let error = error_of(&signal);
            assert_eq!(error.key(), key, "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        assert!(error_of(&json!({"zone": "GB"})).to_string().contains("now_g_per_kwh"));
    }

    #[test]
    fn an_envelope_has_a_view() {
        let key = |input: Value| envelope(&input).map(|_| ()).unwrap_err().key().to_owned();
        assert_eq!(key(json!([])), "input");
        assert_eq!(key(json!({})), "view");
        assert_eq!(key(json!({"view": null})), "view");
        assert_eq!(key(json!({"view": {}, "signals": {}})), "signals");
        assert_eq!(key(json!({"view": {}, "two\nlines": {}})), "two\\nlines");
        assert_eq!(key(json!({"view": {}, "": {}})), "\"\"");
        assert!(envelope(&json!({"view": {}, "signal": null})).unwrap().signal.is_none());
    }
}
