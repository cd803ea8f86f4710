//! Sensor files of hwmon and IIO: their names, their numbers, their labels, and the channels that they make.
//!
//! Input: tried whole as a number and as a label; its lines are files, `name` or `name=content`, behind the name of the chip.

use std::collections::{BTreeMap, BTreeSet};

use carbon_api::meter::hwmon::parse::{attribute, fraction, label, number, trailing_number};
use carbon_api::meter::hwmon::table::{grace_meter, rail_kind};
use carbon_api::parsers;

/// Plays one input.
pub fn run(data: &[u8]) {
    if let Some(number) = number(data) {
        assert!(number.unsigned_abs() < 1_000_000_000_000_000_000);
    }
    assert!(fraction(data).is_none_or(|f| f.is_finite() && f > 0.0));
    if let Some(label) = label(data) {
        assert!(!label.is_empty() && label.chars().count() <= 64 && !label.chars().any(char::is_control));
        let _ = (rail_kind(&label), grace_meter(&label), trailing_number(&label));
    }
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let chip = lines.next().unwrap_or_default();
    let contents: BTreeMap<&str, &str> = lines.map(|line| line.split_once('=').unwrap_or((line, ""))).collect();
    for name in contents.keys() {
        if let Some((quantity, n, item)) = attribute(name) {
            assert_eq!(format!("{}{n}_{item}", quantity.prefix()), **name);
        }
    }
    let files: BTreeSet<String> = contents.keys().map(ToString::to_string).collect();
    let read = |name: &str| contents.get(name).and_then(|content| label(content.as_bytes()));
    let names = parsers::hwmon_channels(chip, &files, &read);
    let unique: BTreeSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "one name, one channel: {names:?}");
    assert!(parsers::iio_channels(&files, &read).len() <= 1);
}
