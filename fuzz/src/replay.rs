//! A recording: its head on the first line, then one reading a line. Refused with file and line, or played twice alike.

use std::path::Path;

use carbon_api::meter::replay::Recording;
use carbon_api::meter::replay::format::parse_tick;

/// Plays one input.
pub fn run(data: &[u8]) {
    let end = data.iter().position(|b| *b == b'\n').unwrap_or(data.len());
    let (head, lines) = data.split_at(end);
    for line in lines.split(|b| *b == b'\n') {
        if let Ok(tick) = parse_tick(line) {
            let again = tick.line().expect("a tick has a form in JSON");
            assert_eq!(parse_tick(again.trim_end().as_bytes()), Ok(tick));
        }
    }
    match Recording::parse(Path::new("rec"), head, lines) {
        Ok(recording) => check(&recording),
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("rec/") && !text.contains('\n'), "{text}");
        }
    }
}

/// No more energy than the highest power over the time of the readings, and 16 J a reading, allow.
fn check(recording: &Recording) {
    let totals = recording.replay();
    assert_eq!(totals, recording.replay());
    for (i, (told, domain)) in totals.domains.iter().zip(&recording.head().domains).enumerate() {
        let stamps = recording.ticks().iter().filter_map(|tick| Some(tick.values[i].as_ref().ok()?.at.0));
        let passed_s: Vec<f64> =
            stamps.clone().zip(stamps.skip(1)).map(|(a, b)| b.saturating_sub(a).max(0) as f64 / 1e9).collect();
        let most_j = 1.5 * domain.counter.max_power_w * passed_s.iter().sum::<f64>() + 16.0 * passed_s.len() as f64;
        assert!(told.energy.joules().value() <= most_j * (1.0 + 1e-9) + 1e-6, "{told:?} is more than {most_j} J");
        assert!(told.metered_s >= 0.0 && told.lost_s >= 0.0 && told.uncertainty_j >= 0.0, "{told:?}");
    }
}
