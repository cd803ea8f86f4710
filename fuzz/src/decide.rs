//! The JSON input of a policy: decided twice alike, or refused in one line that names the key.

use carbon_api::policy::PolicyError;
use integrations::{Wanted, decide_json, policies};
use jiff::Timestamp;
use serde_json::Value;

/// Plays one input.
pub fn run(data: &[u8]) {
    let Ok(input) = serde_json::from_slice::<Value>(data) else { return };
    let _ = Wanted::of(&input);
    for policy in policies() {
        let decide = || decide_json(policy.name, &input, None, Timestamp::UNIX_EPOCH);
        match (decide(), decide()) {
            (Ok(one), Ok(other)) => assert_eq!(one, other),
            (Err(one), Err(other)) => check(&one, &other),
            (one, other) => panic!("decided unalike: {one:?}, {other:?}"),
        }
    }
}

fn check(one: &PolicyError, other: &PolicyError) {
    let text = one.to_string();
    assert_eq!(text, other.to_string());
    assert!(!text.contains('\n') && !one.key().is_empty(), "{text}");
}
