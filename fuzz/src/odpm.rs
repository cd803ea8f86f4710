//! The texts of an on-device power monitor, in the new form and in the old.

use carbon_api::meter::odpm::{EnergyText, is_monitor, rails, sampling_rate};

/// Plays one input.
pub fn run(data: &[u8]) {
    let is_part = |part: &[u8]| part.is_empty() || data.windows(part.len()).any(|window| window == part);
    if let Some(text) = EnergyText::parse(data) {
        let mut told = 0;
        for channel in text.channels() {
            told += 1;
            match channel {
                Ok(channel) => {
                    assert!(!channel.rail.is_empty() && is_part(channel.rail));
                    assert!(is_part(b"CH") || channel.number < told, "the old form counts its lines");
                }
                Err(line) => assert!(!line.is_empty() && is_part(line)),
            }
        }
        assert!(told < data.len());
    }
    for rail in rails(data) {
        assert!(!rail.rail.is_empty() && is_part(rail.name) && is_part(rail.subsystem));
        assert!(rail.channel.is_none() || rail.name == rail.rail);
    }
    assert!(sampling_rate(data).is_none_or(|rate| rate.is_finite() && rate > 0.0));
    assert!(!is_monitor(data) || data.trim_ascii().len() == "s2mpg10-odpm".len());
}
