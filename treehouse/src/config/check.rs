//! Reads the text of a configuration and says in one line what is wrong with it, where, and what was probably meant.

use std::ops::Range;

use carbon_api::attribution::IdlePolicy;
use toml::de::{DeTable, DeValue};

use super::{Config, Serve};

/// Providers that this version can ask.
const PROVIDERS: [&str; 1] = ["static"];
/// Providers that the configuration will know, so that the message can tell a later one from a wrong one.
const LATER: [&str; 7] = ["uk-carbon-intensity", "electricity-maps", "watttime", "energy-charts", "entsoe", "eia", "file"];

/// Parses, or says `:LINE: what is wrong; the mend`.
pub(crate) fn parse(text: &str) -> Result<Config, String> {
    let at = |span: Option<Range<usize>>| span.map_or_else(String::new, |s| format!(":{}", line_of(text, s.start)));
    let table = DeTable::parse(text).map_err(|e| format!("{}: {}", at(e.span()), one_line(e.message())))?;
    let known = toml::Value::try_from(Config::complete()).map_err(|e| format!(": {e}"))?;
    let mut unknown = None;
    find_unknown(table.get_ref(), &known, "", &mut unknown);
    if let Some((span, problem)) = unknown {
        return Err(format!("{}: {problem}", at(Some(span))));
    }
    let config: Config = toml::from_str(text).map_err(|e| format!("{}: {}", at(e.span()), one_line(e.message())))?;
    check_values(&config).map_err(|(key, problem)| {
        let line = line_of_key(text, key).map_or_else(String::new, |l| format!(":{l}"));
        format!("{line}: {key}: {problem}")
    })?;
    Ok(config)
}

fn find_unknown(table: &DeTable<'_>, known: &toml::Value, path: &str, found: &mut Option<(Range<usize>, String)>) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match (known.get(name), value.get_ref()) {
            // the keys of this table are names of the machine, not ours
            (Some(_), _) if full == "meter.contains" => {}
            (Some(inner @ toml::Value::Table(_)), DeValue::Table(table)) => find_unknown(table, inner, &full, found),
            (None, _) if found.as_ref().is_none_or(|(span, _)| key.span().start < span.start) => {
                *found = Some((key.span(), unknown_key(&full, name, known)));
            }
            (Some(_) | None, _) => {}
        }
    }
}

fn unknown_key(full: &str, name: &str, known: &toml::Value) -> String {
    let names: Vec<&str> = known.as_table().into_iter().flat_map(|t| t.keys()).map(String::as_str).collect();
    let distance = |k: &&&str| strsim::damerau_levenshtein(name, k);
    match names.iter().min_by_key(distance).filter(|k| distance(k) <= k.len().max(name.len()) / 2) {
        Some(near) => format!("unknown key {full:?}; did you mean {near:?}?"),
        None => format!("unknown key {full:?}; known here: {}", names.join(", ")),
    }
}

fn check_values(c: &Config) -> Result<(), (&'static str, String)> {
    let within = |key, value: f64, low: f64, high: f64| {
        let ok = value.is_finite() && (low..=high).contains(&value);
        if ok { Ok(()) } else { Err((key, format!("{value} is not between {low} and {high}"))) }
    };
    check_serve(&c.serve)?;
    within("attribution.period_s", c.attribution.period_s, 0.001, 3600.0)?;
    within("serve.unprivileged_min_interval_s", c.serve.unprivileged_min_interval_s, 0.1, 3600.0)?;
    within("attribution.min_energy_j", c.attribution.min_energy_j, 0.0, 1e9)?;
    within("attribution.keep_gone_s", c.attribution.keep_gone_s, 0.0, 1e7)?;
    within("meter.accuracy", c.meter.accuracy, 0.0, 1.0)?;
    if let Some(watts) = c.meter.max_power_w {
        within("meter.max_power_w", watts, 0.1, 1e6)?;
    }
    if let Some(watts) = c.meter.tdp_w {
        within("meter.tdp_w", watts, 0.1, 1e6)?;
    }
    let sensors = [
        ("meter.hwmon.accuracy", &c.meter.hwmon),
        ("meter.odpm.accuracy", &c.meter.odpm),
        ("meter.fuel_gauge.accuracy", &c.meter.fuel_gauge),
    ];
    within("meter.nvml.accuracy", c.meter.nvml.accuracy.unwrap_or(0.0), 0.0, 1.0)?;
    for (key, sensor) in sensors {
        within(key, sensor.accuracy.unwrap_or(0.0), 0.0, 1.0)?;
    }
    within("embodied.life_years", c.embodied.life_years, 0.1, 100.0)?;
    if let Some(grams) = c.embodied.total_g {
        within("embodied.total_g", grams, 0.0, 1e12)?;
    }
    within("ledger.commit_s", c.ledger.commit_s, 0.01, 3600.0)?;
    within("otlp.interval_s", c.otlp.interval_s, 0.1, 86_400.0)?;
    if let policy @ (IdlePolicy::Equal | IdlePolicy::ByReservation) = c.attribution.idle.policy {
        let problem = format!("{:?} is not in this version; it has separate and by_activity", policy.name());
        return Err(("attribution.idle.policy", problem));
    }
    if c.attribution.max_workloads == 0 {
        return Err(("attribution.max_workloads", "0 is no series at all; give 1 or more".into()));
    }
    if c.ledger.keep_days == 0 {
        return Err(("ledger.keep_days", "0 keeps nothing; give 1 or more, or set ledger.enabled = false".into()));
    }
    match c.grid.providers.iter().find(|p| !PROVIDERS.contains(&p.as_str())) {
        Some(later) if LATER.contains(&later.as_str()) => {
            Err(("grid.providers", format!("{later:?} is not in this version; it has {PROVIDERS:?}")))
        }
        Some(other) => Err(("grid.providers", format!("unknown provider {other:?}; known: {PROVIDERS:?}"))),
        None if c.grid.providers.is_empty() => {
            Err(("grid.providers", "an empty list has nobody to ask; give [\"static\"]".into()))
        }
        None => Ok(()),
    }
}

fn check_serve(serve: &Serve) -> Result<(), (&'static str, String)> {
    if serve.socket.is_empty() {
        return Err(("serve.socket", "an empty path is no socket; give a path, \"auto\" or \"off\"".into()));
    }
    if serve.trusted_group.as_deref() == Some("") {
        return Err(("serve.trusted_group", "an empty name is no group; name one, or leave the key out".into()));
    }
    if serve.raw_token_file.as_ref().is_some_and(|p| p.as_os_str().is_empty()) {
        return Err(("serve.raw_token_file", "an empty path is no file; name one, or leave the key out".into()));
    }
    Ok(())
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|&&b| b == b'\n').count()
}

/// The line of the last part of a dotted key, as far as a plain search finds it.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let last = key.rsplit('.').next()?;
    let begins = |l: &str| l.trim_start().strip_prefix(last).is_some_and(|r| r.trim_start().starts_with('='));
    text.lines().position(begins).map(|i| i + 1)
}

fn one_line(message: &str) -> String {
    message.split('\n').map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        parse(text).unwrap_err()
    }

    #[test]
    fn an_unknown_key_names_its_neighbour() {
        assert_eq!(
            problem("[grid]\nzone = \"GB\"\nprovders = []\n"),
            ":3: unknown key \"grid.provders\"; did you mean \"providers\"?"
        );
        assert!(problem("grd = 1\n").contains("did you mean \"grid\"?"));
        assert!(problem("[attribution.idle]\npolcy = \"equal\"\n").contains(":2: unknown key \"attribution.idle.polcy\""));
        assert!(problem("[grid]\nxyzzy_nothing_like_it = 1\n").contains("known here: "));
    }

    #[test]
    fn a_value_out_of_range_names_key_and_line() {
        assert_eq!(problem("[attribution]\nperiod_s = -1\n"), ":2: attribution.period_s: -1 is not between 0.001 and 3600");
        for (text, key) in [
            ("[serve]\nunprivileged_min_interval_s = 0.05\n", ":2: serve.unprivileged_min_interval_s: 0.05 is not between 0.1"),
            ("[serve]\nunprivileged_min_interval_s = nan\n", ":2: serve.unprivileged_min_interval_s"),
            ("[serve]\nsocket = \"\"\n", ":2: serve.socket"),
            ("[serve]\ntrusted_group = \"\"\n", ":2: serve.trusted_group"),
            ("[serve]\nraw_token_file = \"\"\n", ":2: serve.raw_token_file"),
            ("[serve]\nraw_token = \"x\"\n", ":2: unknown key \"serve.raw_token\"; did you mean \"raw_token_file\"?"),
        ] {
            assert!(problem(text).starts_with(key), "{}", problem(text));
        }
        assert!(problem("[ledger]\ncommit_s = nan\n").contains("ledger.commit_s"));
        assert!(problem("[grid]\nproviders = [\"watttime\"]\n").contains("not in this version"));
        assert!(problem("[grid]\nproviders = [\"nobody\"]\n").contains("unknown provider"));
        assert!(
            problem("[attribution.idle]\npolicy = \"equal\"\n")
                .starts_with(":2: attribution.idle.policy: \"equal\" is not in this version")
        );
    }

    #[test]
    fn a_wrong_type_and_a_broken_text_name_their_line() {
        assert!(problem("[serve]\nlisten = 9464\n").starts_with(":2: "), "{}", problem("[serve]\nlisten = 9464\n"));
        assert!(problem("[serve\n").starts_with(":1: "), "{}", problem("[serve\n"));
        assert!(problem("[attribution.idle]\npolicy = \"fair\"\n").contains("separate"));
        for text in ["[serve]\nlisten = 9464\n", "[serve\n"] {
            assert!(!problem(text).contains('\n'));
        }
    }

    #[test]
    fn what_is_printed_reads_back_as_it_was() {
        let mut config = Config::default();
        config.grid.zone = Some("FR".into());
        assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
        assert_eq!(parse("").unwrap(), Config::default());
    }
}
