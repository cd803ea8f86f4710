//! From OpenTelemetry names to Prometheus names, by the stable part of OpenTelemetry's compatibility rules.
//!
//! What is not allowed becomes `_`, runs of `_` become one; the unit's word is appended unless the name ends with it, then
//! `_total` to a sum unless it is there. Parts of a unit in `{}` are dropped. A collector that receives our OTLP does the same,
//! so one dashboard serves both ways in.

use crate::catalogue::Kind;

/// The name of the samples: `treehouse_workload_energy_joules_total`.
pub(crate) fn of_samples(name: &str, unit: &str, kind: Kind) -> String {
    let mut sample = with_unit(name, unit);
    if kind == Kind::Sum && !sample.ends_with("_total") {
        sample.push_str("_total");
    }
    sample
}

/// The name of the family in OpenMetrics, which drops what the type adds: `treehouse_workload_energy_joules`.
pub(crate) fn of_family(name: &str, unit: &str, kind: Kind) -> String {
    let sample = of_samples(name, unit, kind);
    let suffix = match kind {
        Kind::Sum => "_total",
        Kind::Info => "_info",
        Kind::Gauge => "",
    };
    match sample.strip_suffix(suffix) {
        Some(family) => family.to_owned(),
        None => sample,
    }
}

/// The name of a label: `hw.id` is `hw_id`.
pub(crate) fn of_label(key: &str) -> String {
    sanitise(key)
}

/// The words of a UCUM unit: `J` is `joules`, `g/s` is `grams_per_second`; empty where nothing is left to say.
pub(crate) fn unit_words(unit: &str) -> String {
    let bare = without_braces(unit);
    match bare.split_once('/') {
        Some((above, below)) if !below.is_empty() => {
            let below = word(below).trim_end_matches('s').to_owned();
            if above.is_empty() { format!("per_{below}") } else { format!("{}_per_{below}", word(above)) }
        }
        _ => word(bare.trim_end_matches('/')).to_owned(),
    }
}

fn with_unit(name: &str, unit: &str) -> String {
    let mut sample = sanitise(name);
    let words = unit_words(unit);
    if !words.is_empty() && !sample.ends_with(&words) {
        sample.push('_');
        sample.push_str(&words);
    }
    sample
}

fn word(symbol: &str) -> &str {
    match symbol {
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "s" => "seconds",
        "By" => "bytes",
        other => other,
    }
}

fn without_braces(unit: &str) -> String {
    let mut bare = String::with_capacity(unit.len());
    let mut depth = 0_u32;
    for c in unit.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    bare
}

fn sanitise(name: &str) -> String {
    let mut clean = String::with_capacity(name.len());
    for c in name.chars() {
        let allowed = c.is_ascii_alphanumeric() || c == ':';
        if allowed {
            clean.push(c);
        } else if !clean.ends_with('_') {
            clean.push('_');
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_appended_once_and_total_last() {
        assert_eq!(of_samples("hw.energy", "J", Kind::Sum), "hw_energy_joules_total");
        assert_eq!(of_samples("power.joules", "J", Kind::Gauge), "power_joules");
        assert_eq!(of_samples("seen.total", "", Kind::Sum), "seen_total");
    }

    #[test]
    fn braces_are_dropped_and_rates_are_spelled() {
        assert_eq!(unit_words("{gCO2e/kWh}"), "");
        assert_eq!(unit_words("{error}"), "");
        assert_eq!(unit_words("g/s"), "grams_per_second");
        assert_eq!(unit_words("{request}/s"), "per_second");
    }

    #[test]
    fn runs_of_what_is_not_allowed_become_one_underscore() {
        assert_eq!(of_label("hw.id"), "hw_id");
        assert_eq!(of_samples("a.-_b", "", Kind::Gauge), "a_b");
    }

    #[test]
    fn a_family_lacks_what_its_type_adds() {
        assert_eq!(of_family("treehouse.build_info", "", Kind::Info), "treehouse_build");
        assert_eq!(of_family("hw.energy", "J", Kind::Sum), "hw_energy_joules");
        assert_eq!(of_family("treehouse.sample.age", "s", Kind::Gauge), "treehouse_sample_age_seconds");
    }
}
