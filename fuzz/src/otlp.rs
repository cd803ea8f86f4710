//! The `OTEL_…` variables: lines of `NAME=value`, as a process finds them in its environment.

use std::collections::BTreeMap;

/// Plays one input.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let variables: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let environment = |name: &str| variables.get(name).map(ToString::to_string);
    if let Err(error) = exporters::otlp::check_environment(&environment) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
