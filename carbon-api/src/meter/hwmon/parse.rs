//! The texts of sensor files: numbers, scales, labels and the names of the files themselves. Any bytes are taken.

/// What a channel of a chip measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// `energyN`, microjoules.
    Energy,
    /// `powerN`, microwatts.
    Power,
    /// `inN`, millivolts.
    Voltage,
    /// `currN`, milliamperes.
    Current,
}

impl Quantity {
    /// The word that file names begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Energy => "energy",
            Self::Power => "power",
            Self::Voltage => "in",
            Self::Current => "curr",
        }
    }
}

/// Takes the name of a sensor file apart: `power1_average_interval` is the item `average_interval` of power 1.
pub fn attribute(name: &str) -> Option<(Quantity, u32, &str)> {
    let quantities = [Quantity::Energy, Quantity::Power, Quantity::Voltage, Quantity::Current];
    quantities.into_iter().find_map(|quantity| {
        let rest = name.strip_prefix(quantity.prefix())?;
        let (digits, item) = rest.split_once('_')?;
        // the kernel writes no zeros before a number
        let plain = digits == "0" || !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        (plain && !item.is_empty()).then_some(())?;
        Some((quantity, digits.parse().ok()?, item))
    })
}

/// A whole decimal number, blanks around it left out; `None` for anything else, or where it has more than 18 digits.
pub fn number(bytes: &[u8]) -> Option<i64> {
    let text = bytes.trim_ascii();
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_i64, |value, &b| value * 10 + i64::from(b - b'0'));
    Some(if negative { -value } else { value })
}

/// A decimal fraction above zero, such as the scale of an IIO channel; `None` for anything else.
pub fn fraction(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes.trim_ascii()).ok()?;
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    text.parse().ok().filter(|f: &f64| f.is_finite() && *f > 0.0)
}

/// A label or name: the first line, without blanks around it and without control characters, at most 64 characters; `None`
/// where nothing is left.
pub fn label(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|&b| b == b'\n' || b == 0).next().unwrap_or_default();
    let text: String = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).take(64).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The number that ends a label: 12 of `Ecore012`.
pub fn trailing_number(label: &str) -> Option<u32> {
    let digits = label.len() - label.bytes().rev().take_while(u8::is_ascii_digit).count();
    label[digits..].parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_names_of_sensor_files_are_taken_apart() {
        assert_eq!(attribute("power1_average_interval"), Some((Quantity::Power, 1, "average_interval")));
        assert_eq!(attribute("in12_label"), Some((Quantity::Voltage, 12, "label")));
        assert_eq!(attribute("energy128_input"), Some((Quantity::Energy, 128, "input")));
        assert_eq!(attribute("curr4_crit"), Some((Quantity::Current, 4, "crit")));
        for other in [
            "in_power2_raw",
            "intrusion0_alarm",
            "power_",
            "power+1_input",
            "in99999999999_input",
            "temp1_input",
            "in1_",
            "in01_input",
        ] {
            assert_eq!(attribute(other), None, "{other}");
        }
    }

    #[test]
    fn only_whole_numbers_are_numbers() {
        assert_eq!(number(b"5000\n"), Some(5000));
        assert_eq!(number(b" -12 \n"), Some(-12));
        for other in ["", "\n", "-", "+3", "12abc", "1 2", "1.5", "9223372036854775808", "N/A"] {
            assert_eq!(number(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn scales_are_positive_fractions() {
        assert_eq!(fraction(b"0.025000000\n"), Some(0.025));
        assert_eq!(fraction(b"20"), Some(20.0));
        for other in ["0", "-1", "nan", "inf", "1e3", "", ".", "1.2.3"] {
            assert_eq!(fraction(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn labels_are_one_plain_line() {
        assert_eq!(label(b"VDD_IN\n").as_deref(), Some("VDD_IN"));
        assert_eq!(label(b" Module Power Socket 0\0\0").as_deref(), Some("Module Power Socket 0"));
        assert_eq!(label(b"\n"), None);
        assert_eq!(trailing_number("Ecore012"), Some(12));
        assert_eq!(trailing_number("VDD_IN"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (number(&bytes), fraction(&bytes));
            if let Some(label) = label(&bytes) {
                prop_assert!(!label.is_empty() && !label.chars().any(char::is_control));
                let _ = (attribute(&label), trailing_number(&label));
            }
        }

        #[test]
        fn every_number_reads_back(value in -999_999_999_999_999_999_i64..=999_999_999_999_999_999) {
            prop_assert_eq!(number(format!("{value}\n").as_bytes()), Some(value));
        }

        #[test]
        fn every_file_name_reads_back(n in any::<u32>(), item in "[a-z_]{1,12}") {
            for quantity in [Quantity::Energy, Quantity::Power, Quantity::Voltage, Quantity::Current] {
                let name = format!("{}{n}_{item}", quantity.prefix());
                prop_assert_eq!(attribute(&name), Some((quantity, n, item.as_str())));
            }
        }
    }
}
