//! A battery's gauges: their texts, and any readings of a level or of a flow turned into energy.
//!
//! Input: which gauge with its settings, then one reading after the other. The whole input is tried as a text as well.

use carbon_api::counter::Epoch;
use carbon_api::meter::battery::{Calibration, Direction, Flow, Held, Stored, integer, is_discharging};
use carbon_api::stamp::Stamp;

use crate::bytes::Bytes;

/// Plays one input.
pub fn run(data: &[u8]) {
    if let Some(number) = integer(data) {
        assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        assert!(!is_discharging(data));
    }
    let mut bytes = Bytes::new(data);
    match bytes.byte() % 4 {
        0 => level(Held::Energy, bytes),
        1 => level(Held::Charge, bytes),
        2 => flow(bytes.number(), None, bytes),
        _ => {
            let (full, most_w) = (Some(bytes.number()).filter(|full| *full > 0), bytes.number() as f64 / 1e3);
            flow(bytes.number(), Some(Calibration::new(full, most_w)), bytes);
        }
    }
}

/// Levels: what is told is at most what the level fell by since the epoch began, however it goes up and down in between.
fn level(held: Held, mut bytes: Bytes<'_>) {
    let mut stored = Stored::new(held, bytes.number());
    let (mut at, mut level) = (Stamp::at(0), 0_i64);
    // epoch, energy at its beginning, level at its beginning, highest voltage, lowest level
    let mut began: Option<(Epoch, u64, i64, u64, i64)> = None;
    while !bytes.is_empty() {
        let how = bytes.byte();
        at = bytes.stamp(at, how);
        let by = bytes.number().cast_signed();
        level = if how & 4 == 0 { by } else { level.wrapping_add(by) };
        let volts = if held == Held::Charge { bytes.number() } else { 1_000_000 };
        if how & 8 != 0 {
            stored.forget();
        }
        let value = stored.take(level, volts, how & 0x10 != 0, at);
        let (energy, top, highest, lowest) = match began {
            Some((epoch, energy, top, highest, lowest)) if epoch == value.epoch => {
                (energy, top, highest.max(volts), lowest.min(level))
            }
            _ => (value.shown, level, volts, level),
        };
        began = Some((value.epoch, energy, top, highest, lowest));
        // microwatt-hours, or microampere-hours times volts
        let most_uj = 3600.0 * top.abs_diff(lowest) as f64 * (highest as f64 / 1e6);
        let told = value.shown - energy;
        assert!(told as f64 <= most_uj * (1.0 + 1e-9) + 1.0, "{told} of at most {most_uj} uJ");
    }
}

/// Flows: any, with the sign learned beside them; energy never falls.
fn flow(period_ns: u64, calibration: Option<Calibration>, mut bytes: Bytes<'_>) {
    let (mut flow, mut direction) = (Flow::new(period_ns, calibration), Direction::default());
    let (mut at, mut shown) = (Stamp::at(0), 0);
    while !bytes.is_empty() {
        let how = bytes.byte();
        at = bytes.stamp(at, how);
        let (raw, volts) = (bytes.number().cast_signed(), bytes.number());
        let percent = (how & 8 != 0).then(|| bytes.number());
        let charging = how & 0x10 != 0 || direction.flows_in(raw);
        assert!(matches!(direction.drain_sign(), -1..=1));
        let _ = flow.can_settle(raw, volts, percent);
        if let Ok(value) = flow.take(raw, volts, percent, charging, at) {
            assert!(value.shown >= shown, "energy falls");
            shown = value.shown;
        }
    }
}
