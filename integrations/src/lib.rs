//! Scheduling policies that trade time, place or performance for emissions.
//!
//! Each policy is a pure function ([`carbon_api::policy::Policy`]) in a file or folder of its own, faithful to its system at
//! carbon weight 0. This file is the list of them and the one entrance for JSON: the command line and HTTP both call
//! [`decide_json`], so that a view decides the same wherever it is sent.
//!
//! The envelope is `{"view":…,"signal":…,"settings":…}`; `signal` and `settings` may be left out. A signal in the input always
//! wins, and then the moment of the decision comes from the input as well: such an input is answered alike at any time and
//! anywhere.
//!
//! ```
//! use treehouse_integrations::{decide_json, example_json};
//! let input = example_json("shift")?;
//! let decision = decide_json("shift", &input, None, "2030-01-01T00:00:00Z".parse().unwrap_or_default())?;
//! assert_eq!(decision["action"]["verdict"], "wait");
//! # Ok::<(), carbon_api::policy::PolicyError>(())
//! ```

use carbon_api::policy::{CarbonSignal, Decision, Policy, PolicyError};
use jiff::Timestamp;
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

mod input;
#[cfg(test)]
mod laws;
pub mod shift;

use input::Reserved;

/// A policy that is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// What it decides, in one line.
    pub about: &'static str,
}

/// Every policy that is built.
pub fn policies() -> Vec<Listed> {
    ENTRIES.iter().map(|entry| Listed { name: entry.name, about: entry.about }).collect()
}

/// Decides on a JSON input. `default_signal` is what the configured grid says, for an input without a signal; `now` is the
/// time for such an input.
///
/// # Errors
/// An unknown policy (the error lists what is built), an input of another shape or with unknown keys (the nearest known key is
/// named), and values that cannot be.
pub fn decide_json(
    name: &str,
    input: &Value,
    default_signal: Option<CarbonSignal>,
    now: Timestamp,
) -> Result<Value, PolicyError> {
    let entry = find(name)?;
    (entry.decide)(entry, input, default_signal, now)
}

/// The JSON Schemas of `view`, `signal`, `settings`, `action` and of the whole `decision`.
///
/// # Errors
/// An unknown policy.
pub fn schema_json(name: &str) -> Result<Value, PolicyError> {
    find(name).map(|entry| (entry.schema)())
}

/// A valid input with its own signal, so that it is answered alike everywhere.
///
/// # Errors
/// An unknown policy.
pub fn example_json(name: &str) -> Result<Value, PolicyError> {
    let example = find(name)?.example;
    serde_json::from_str(example).map_err(|error| PolicyError::malformed("example", error.to_string(), "report this"))
}

/// What an input asks of the grid, for who makes the default signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The zones it names; empty for the configured one.
    pub zones: Vec<String>,
    /// How far ahead it looks, where it says so.
    pub until: Option<Timestamp>,
}

impl Wanted {
    /// Reads what is readable; whatever is wrong with the input is for [`decide_json`] to say.
    pub fn of(input: &Value) -> Self {
        let view = &input["view"];
        let zones = view["zones"].as_array().into_iter().flatten();
        Self {
            zones: zones.filter_map(|zone| zone.as_str().map(str::to_owned)).collect(),
            until: view["deadline_at"].as_str().and_then(|at| at.parse().ok()),
        }
    }
}

/// One policy with its types erased.
struct Entry {
    name: &'static str,
    about: &'static str,
    decide: fn(&Entry, &Value, Option<CarbonSignal>, Timestamp) -> Result<Value, PolicyError>,
    schema: fn() -> Value,
    example: &'static str,
    reserved: &'static [Reserved],
}

const ENTRIES: &[Entry] = &[Entry {
    name: "shift",
    about: "when a job starts, pauses and resumes before its deadline",
    decide: decide::<shift::Shift>,
    schema: schema::<shift::Shift>,
    example: include_str!("../examples/shift.json"),
    reserved: shift::RESERVED,
}];

fn find(name: &str) -> Result<&'static Entry, PolicyError> {
    let wanted = name.trim().to_ascii_lowercase().replace('_', "-");
    let found = ENTRIES.iter().find(|entry| entry.name == wanted);
    found.ok_or_else(|| PolicyError::UnknownPolicy {
        asked: name.to_owned(),
        known: ENTRIES.iter().map(|entry| entry.name).collect(),
    })
}

fn decide<P: Policy>(
    entry: &Entry,
    input: &Value,
    default_signal: Option<CarbonSignal>,
    now: Timestamp,
) -> Result<Value, PolicyError> {
    let envelope = input::envelope(input)?;
    let view: P::View = input::read(envelope.view, "view", entry.reserved)?;
    let settings = envelope.settings.map(|settings| input::read(settings, "settings", &[]));
    let own: Option<CarbonSignal> = envelope.signal.map(|signal| input::read(signal, "signal", &[])).transpose()?;
    let policy = P::new(settings.transpose()?.unwrap_or_default())?;
    let (signal, now) = match own {
        Some(signal) => {
            let moment = P::moment(&view, &signal).unwrap_or(now);
            (Some(signal), moment)
        }
        None => (default_signal, now),
    };
    let decision = policy.decide(&view, signal.as_ref(), now)?;
    serde_json::to_value(&decision).map_err(|error| PolicyError::refused("decision", error.to_string(), "report this"))
}

fn schema<P: Policy>() -> Value {
    let schema_of = |make: fn(&mut SchemaGenerator) -> Schema| Value::from(make(&mut SchemaGenerator::default()));
    let parts = [
        ("view", schema_of(SchemaGenerator::root_schema_for::<P::View>)),
        ("signal", schema_of(SchemaGenerator::root_schema_for::<CarbonSignal>)),
        ("settings", schema_of(SchemaGenerator::root_schema_for::<P::Settings>)),
        ("action", schema_of(SchemaGenerator::root_schema_for::<P::Action>)),
        ("decision", schema_of(SchemaGenerator::root_schema_for::<Decision<P::Action, P::Outcome>>)),
    ];
    let parts: Map<String, Value> = parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect();
    json!(parts)
}

#[cfg(test)]
mod tests;
