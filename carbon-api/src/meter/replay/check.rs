//! What a recording must hold to be played: places that exist, time that moves on, numbers that can be counted with.

use super::format::{Head, Tick};
use crate::counter::Wrap;

/// The longest recording, in nanoseconds: 40 days.
const LONGEST_NS: u64 = 40 * 86_400 * 1_000_000_000;
/// The most domains.
const MOST_DOMAINS: usize = 4096;
/// The most that all domains may hold together, in joules: sums of microjoules stay far inside 64 bits.
const MOST_J: f64 = 4e12;

/// Checks what was metered.
pub(super) fn head(head: &Head) -> Result<(), String> {
    let count = head.domains.len();
    if count == 0 || count > MOST_DOMAINS {
        return Err(format!("{count} domains; a recording has 1 to {MOST_DOMAINS}"));
    }
    within("period_s", head.period_s, 0.0001, 86_400.0)?;
    for (i, d) in head.domains.iter().enumerate() {
        let named = |problem: String| format!("domain {}: {problem}", d.name);
        let check = || {
            within("accuracy", d.accuracy, 0.0, 10.0)?;
            within("update_s", d.update_s, 0.0, 86_400.0)?;
            within("counter.resolution_j", d.counter.resolution_j, 0.0, 1e9)?;
            within("counter.max_power_w", d.counter.max_power_w, 0.001, 1e9)
        };
        check().map_err(named)?;
        if d.contained_in.is_some_and(|p| p >= count || p == i) {
            return Err(named("contained_in names no other domain".into()));
        }
        let wrap_is_sound = match d.counter.wrap {
            Wrap::Never => true,
            Wrap::Units { unit_nj } => (1..=10_000_000_000).contains(&unit_nj),
            Wrap::Modulus { modulus } => modulus > 0,
            Wrap::Register { esu } => esu < 32,
        };
        if !wrap_is_sound {
            return Err(named(format!("no counter wraps like {:?}", d.counter.wrap)));
        }
        if head.domains[..i].iter().any(|o| (o.source, &o.name) == (d.source, &d.name)) {
            return Err(named("it is there twice".into()));
        }
    }
    Ok(())
}

/// Checks one line against the line before it.
pub(super) fn tick(head: &Head, before: Option<&Tick>, tick: &Tick) -> Result<(), String> {
    let (values, domains) = (tick.values.len(), head.domains.len());
    if values != domains {
        return Err(format!("{values} values for {domains} domains"));
    }
    let moves_on = match before {
        None if (tick.boottime_ns, tick.monotonic_ns) != (0, 0) => return Err("the first line is at 0".into()),
        None => true,
        Some(before) => tick.monotonic_ns > before.monotonic_ns && tick.boottime_ns > before.boottime_ns,
    };
    if !moves_on {
        return Err("time does not move on from the line before".into());
    }
    if tick.boottime_ns > LONGEST_NS || tick.monotonic_ns > LONGEST_NS {
        return Err("more than 40 days after the first line".into());
    }
    let near = |ns: i64| ns.unsigned_abs() <= LONGEST_NS;
    if !tick.values.iter().flatten().all(|v| near(v.at.0) && near(v.at.1)) {
        return Err("a value is more than 40 days away from the first line".into());
    }
    match tick.host {
        Some(host) if host.cpus == 0 || u128::from(host.cpus) * u128::from(tick.boottime_ns) > u128::from(u64::MAX / 4) => {
            Err(format!("host: no machine has {} processors for so long", host.cpus))
        }
        Some(host) if host.at_ns > LONGEST_NS => Err("host: more than 40 days after the first line".into()),
        Some(host) if host.busy_ns > u64::MAX / 2 || host.steal_ns > u64::MAX / 2 => Err("host: CPU time is out of range".into()),
        _ => Ok(()),
    }
}

/// Checks that there is something, and that it can be counted.
pub(super) fn whole(head: &Head, ticks: &[Tick]) -> Result<(), String> {
    if ticks.is_empty() {
        return Err("no reading".into());
    }
    // what a counter may rise by goes with the time that its own stamps say has passed
    let passed_s = |i: usize| {
        let stamps = ticks.iter().filter_map(|t| Some(t.values[i].as_ref().ok()?.at.0));
        let mut last = None;
        stamps.map(|at| last.replace(at).map_or(0.0, |before| at.saturating_sub(before).max(0) as f64 / 1e9)).sum::<f64>()
    };
    let slack_j = 16.0 * ticks.len() as f64;
    let most = head.domains.iter().enumerate().map(|(i, d)| 1.5 * d.counter.max_power_w * passed_s(i) + slack_j);
    let most_j: f64 = most.sum();
    if most_j > MOST_J {
        return Err(format!("{most_j:.1e} J at most are more than can be counted; see max_power_w and the instants"));
    }
    Ok(())
}

fn within(what: &str, value: f64, low: f64, high: f64) -> Result<(), String> {
    if (low..=high).contains(&value) { Ok(()) } else { Err(format!("{what} = {value} is not within {low} and {high}")) }
}
