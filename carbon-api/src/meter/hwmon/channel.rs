//! The channels of a chip, each with the ways to its energy in order of preference.

use std::collections::BTreeSet;
use std::path::Path;

use super::chip::{Chip, Home, read_label};
use super::parse::{Quantity, attribute, trailing_number};
use super::table::chip_type;

/// What a figure in a file must be multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scale {
    /// By this.
    Is(f64),
    /// By what another file says, times this.
    In(String, f64),
}

/// A file with a figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) file: String,
    pub(super) scale: Scale,
}

/// How energy or power comes out of files.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Recipe {
    /// Microjoules.
    Energy(Part),
    /// Microwatts.
    Power(Part),
    /// Millivolts and milliamperes.
    Product(Part, Part),
}

/// One way to the energy of a channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Way {
    pub(super) recipe: Recipe,
    /// Files that switch it off by a zero, where they are there.
    pub(super) switches: Vec<String>,
    /// The file with its averaging interval in milliseconds.
    pub(super) interval: Option<String>,
}

/// Something that a chip meters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Channel {
    /// `power1`, `in2`: unique on its chip.
    pub(super) id: String,
    pub(super) label: Option<String>,
    pub(super) number: u32,
    /// The best first.
    pub(super) ways: Vec<Way>,
}

/// The channels of `chip`, whose folder holds `files`.
pub(super) fn channels(chip: &Chip, files: &BTreeSet<String>) -> Vec<Channel> {
    match chip.key.home {
        Home::Hwmon => hwmon_channels(&chip.key.name, files, &|file| read_label(&chip.base.join(file))),
        Home::Iio => iio_channels(files, &|file| read_label(&chip.base.join(file))),
        Home::Rails => rail_channels(&chip.base, files),
    }
}

/// Channels of hwmon: energy before averaged power before power before voltage times current.
pub(super) fn hwmon_channels(chip: &str, files: &BTreeSet<String>, read: &dyn Fn(&str) -> Option<String>) -> Vec<Channel> {
    let numbers = |quantity: Quantity, items: &[&str]| -> BTreeSet<u32> {
        let parts = files.iter().filter_map(|f| attribute(f));
        parts.filter(|(q, _, item)| *q == quantity && items.contains(item)).map(|(_, n, _)| n).collect()
    };
    let file = |quantity: Quantity, n: u32, item: &str| format!("{}{n}_{item}", quantity.prefix());
    let label = |quantity: Quantity, n: u32| {
        let of = |item: &str| read(&file(quantity, n, item));
        // the firmware of Grace names its meters in a field of its own
        of("label").or_else(|| of("oem_info").filter(|text| super::table::grace_meter(text).is_some()))
    };
    let mut list: Vec<Channel> = Vec::new();
    let mut add = |quantity: Quantity, n: u32, ways: Vec<Way>| {
        let label = label(quantity, n);
        let of = |way: &Way| attribute(way.recipe.first()).map(|(q, ..)| q);
        let same = |c: &&mut Channel| {
            let alike = match (&c.label, &label) {
                (Some(a), Some(b)) => a == b,
                _ => c.number == n,
            };
            // two counters of one label are two channels
            alike && c.ways.iter().all(|w| of(w) != Some(quantity))
        };
        match list.iter_mut().find(same) {
            Some(channel) => channel.ways.extend(ways),
            None => list.push(Channel { id: format!("{}{n}", quantity.prefix()), label, number: n, ways }),
        }
    };
    for n in numbers(Quantity::Energy, &["input"]) {
        add(Quantity::Energy, n, vec![plain(Recipe::Energy, &file(Quantity::Energy, n, "input"), 1.0)]);
    }
    for n in numbers(Quantity::Power, &["average", "input"]) {
        let average = Way {
            interval: Some(file(Quantity::Power, n, "average_interval")),
            ..plain(Recipe::Power, &file(Quantity::Power, n, "average"), 1.0)
        };
        let ways = [average, plain(Recipe::Power, &file(Quantity::Power, n, "input"), 1.0)];
        add(Quantity::Power, n, ways.into_iter().filter(|w| files.contains(w.recipe.first())).collect());
    }
    let voltages = numbers(Quantity::Voltage, &["input"]);
    let currents = numbers(Quantity::Current, &["input"]);
    let pairs: Vec<(u32, u32)> = if let Some(known) = chip_type(chip) {
        known.pairs.iter().copied().filter(|(v, c)| voltages.contains(v) && currents.contains(c)).collect()
    } else {
        let labelled = |quantity: Quantity, n: u32| read(&file(quantity, n, "label"));
        let partner = |v: u32| {
            let name = labelled(Quantity::Voltage, v)?;
            currents.iter().copied().find(|&c| labelled(Quantity::Current, c).as_ref() == Some(&name))
        };
        voltages.iter().filter_map(|&v| Some((v, partner(v)?))).collect()
    };
    for (v, c) in pairs {
        let part = |quantity: Quantity, n: u32| Part { file: file(quantity, n, "input"), scale: Scale::Is(1.0) };
        let recipe = Recipe::Product(part(Quantity::Voltage, v), part(Quantity::Current, c));
        let switches = vec![file(Quantity::Voltage, v, "enable"), file(Quantity::Current, c, "enable")];
        add(Quantity::Voltage, v, vec![Way { recipe, switches, interval: None }]);
    }
    list
}

/// Channels of an INA monitor in IIO: `raw * scale` of power (milliwatts), else of the bus voltage and the current. Voltage 0 is
/// the shunt's.
pub(super) fn iio_channels(files: &BTreeSet<String>, read: &dyn Fn(&str) -> Option<String>) -> Vec<Channel> {
    let raw = |kind: &str, factor: f64| {
        let is_raw = |f: &&String| f.starts_with(kind) && f.ends_with("_raw") && **f != "in_voltage0_raw";
        let file = files.iter().find(is_raw)?;
        let scale = format!("{}_scale", file.trim_end_matches("_raw"));
        files.contains(&scale).then(|| Part { file: file.clone(), scale: Scale::In(scale, factor) })
    };
    let power = raw("in_power", 1000.0).map(Recipe::Power);
    let product = raw("in_voltage", 1.0).zip(raw("in_current", 1.0)).map(|(v, c)| Recipe::Product(v, c));
    let ways: Vec<Way> =
        [power, product].into_iter().flatten().map(|recipe| Way { recipe, switches: Vec::new(), interval: None }).collect();
    let label = ["in_power2_label", "label"].into_iter().find_map(read);
    if ways.is_empty() { Vec::new() } else { vec![Channel { id: "power".into(), label, number: 0, ways }] }
}

/// Channels of the monitors of old Jetson kernels: milliwatts beside the name of the rail.
fn rail_channels(base: &Path, files: &BTreeSet<String>) -> Vec<Channel> {
    let channel = |name: &String| {
        let number = trailing_number(name.strip_prefix("rail_name_")?)?;
        let label = read_label(&base.join(name));
        let file = |quantity: &str| format!("in_{quantity}{number}_input");
        let part = |file: String| Part { file, scale: Scale::Is(1.0) };
        let ways = [
            plain(Recipe::Power, &file("power"), 1000.0),
            Way { recipe: Recipe::Product(part(file("voltage")), part(file("current"))), switches: Vec::new(), interval: None },
        ];
        let ways: Vec<Way> = ways.into_iter().filter(|w| files.contains(w.recipe.first())).collect();
        (!ways.is_empty()).then(|| Channel { id: format!("rail{number}"), label, number, ways })
    };
    files.iter().filter_map(channel).collect()
}

impl Recipe {
    /// The file that is read first.
    pub(super) fn first(&self) -> &str {
        match self {
            Self::Energy(part) | Self::Power(part) | Self::Product(part, _) => &part.file,
        }
    }
}

fn plain(recipe: fn(Part) -> Recipe, file: &str, scale: f64) -> Way {
    let switch = file.rsplit_once('_').map(|(channel, _)| format!("{channel}_enable"));
    let recipe = recipe(Part { file: file.into(), scale: Scale::Is(scale) });
    Way { recipe, switches: switch.into_iter().collect(), interval: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(chip: &str, names: &[(&str, &str)]) -> Vec<(String, Option<String>, Vec<String>)> {
        let files = names.iter().map(|(n, _)| (*n).to_owned()).collect();
        let read = |file: &str| names.iter().find(|(n, _)| *n == file).map(|(_, text)| (*text).to_owned());
        let ways = |c: &Channel| c.ways.iter().map(|w| w.recipe.first().to_owned()).collect();
        hwmon_channels(chip, &files, &read).iter().map(|c| (c.id.clone(), c.label.clone(), ways(c))).collect()
    }

    #[test]
    fn energy_comes_before_average_before_power_before_voltage_times_current() {
        let all = [
            ("energy1_input", ""),
            ("power1_average", ""),
            ("power1_average_interval", ""),
            ("power1_input", ""),
            ("power1_max", ""),
            ("in1_input", ""),
            ("curr1_input", ""),
        ];
        let ways = ["energy1_input", "power1_average", "power1_input", "in1_input"].map(str::to_owned).to_vec();
        assert_eq!(found("ina226", &all), [("energy1".to_owned(), None, ways)]);
    }

    #[test]
    fn channels_of_other_chips_pair_by_label_alone() {
        let rails = [
            ("in1_input", ""),
            ("in1_label", "+12V"),
            ("in2_input", ""),
            ("curr1_input", ""),
            ("curr2_input", ""),
            ("curr2_label", "+12V"),
        ];
        assert_eq!(found("psu", &rails), [("in1".to_owned(), Some("+12V".to_owned()), vec!["in1_input".to_owned()])]);
    }

    #[test]
    fn one_label_is_one_channel_and_a_limit_is_none() {
        let card = [
            ("energy1_input", ""),
            ("energy1_label", "card"),
            ("power2_input", ""),
            ("power2_label", "card"),
            ("power3_input", ""),
            ("power3_label", "pkg"),
            ("power4_max", ""),
        ];
        let names: Vec<String> = found("xe", &card).into_iter().map(|(id, ..)| id).collect();
        assert_eq!(names, ["energy1", "power3"]);
    }

    proptest! {
        #[test]
        fn any_files_are_taken(chip in "ina219|ina226|ina3221|other", files in prop::collection::btree_set("(energy|power|in|curr)[0-9]{1,3}_(input|average|label|enable)", 0..40), label in "[ab]?") {
            let read = |file: &str| file.ends_with("label").then(|| label.clone()).filter(|l| !l.is_empty());
            let list = hwmon_channels(&chip, &files, &read);
            let ids: BTreeSet<&String> = list.iter().map(|c| &c.id).collect();
            prop_assert_eq!(ids.len(), list.len());
            let firsts: Vec<&str> = list.iter().flat_map(|c| c.ways.iter().map(|w| w.recipe.first())).collect();
            prop_assert_eq!(firsts.iter().collect::<BTreeSet<_>>().len(), firsts.len(), "one file, one channel");
            let counters = files.iter().filter(|f| f.starts_with("energy") && f.ends_with("_input"));
            let numbers = counters.filter_map(|f| attribute(f)).map(|(_, n, _)| n);
            for n in numbers {
                prop_assert!(ids.contains(&format!("energy{n}")), "no counter is lost");
            }
            prop_assert!(list.iter().all(|c| !c.ways.is_empty() && c.ways.iter().all(|w| files.contains(w.recipe.first()))));
        }
    }
}
