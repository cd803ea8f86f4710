//! What a PMU says of itself below `bus/event_source/devices/<pmu>`: parsers, and the events that it lists.

use std::path::{Path, PathBuf};

use crate::text::{self, parse_cpu_list, parse_u64};
use crate::{Error, Scale};

/// Where the PMUs lie below the root of sysfs.
const DEVICES: &str = "bus/event_source/devices";

/// Bits of `config` that an event's number fills: `config:0-7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// The lowest bit.
    pub low: u8,
    /// The highest bit.
    pub high: u8,
}

impl Bits {
    /// The number at its place; `None` where it does not fit.
    pub fn place(self, number: u64) -> Option<u64> {
        let width = self.high - self.low + 1;
        (width == 64 || number >> width == 0).then_some(number << self.low)
    }
}

/// Parses `format/event`: `config:0-7` or `config:3`; any bytes.
pub fn parse_format(bytes: &[u8]) -> Option<Bits> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let range = text.strip_prefix("config:")?;
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    let number = |digits: &str| parse_u64(digits.as_bytes()).and_then(|n| u8::try_from(n).ok());
    let bits = Bits { low: number(low)?, high: number(high)? };
    (bits.low <= bits.high && bits.high < 64).then_some(bits)
}

/// Parses an event file: `event=0x02`, hexadecimal or decimal; any bytes.
pub fn parse_event(bytes: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(bytes).ok()?.trim().strip_prefix("event=")?;
    match number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None => parse_u64(number.as_bytes()),
    }
}

/// Parses a `.unit` file: nothing but `Joules` is energy; any bytes.
pub fn parse_unit(bytes: &[u8]) -> Option<()> {
    (bytes.trim_ascii() == b"Joules").then_some(())
}

/// One PMU as its files describe it.
#[derive(Debug)]
pub(crate) struct Pmu {
    pub(crate) folder: PathBuf,
    pub(crate) kind: u32,
    pub(crate) cpus: Vec<u32>,
    pub(crate) events: Vec<Event>,
}

/// One `events/energy-*` file.
#[derive(Debug)]
pub(crate) struct Event {
    /// What follows `energy-`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// `config` and scale, or what is wrong with the files.
    pub(crate) spec: Result<(u64, Scale), Error>,
}

impl Pmu {
    /// Reads the files of a PMU; an event whose files are wrong does not hide the others.
    pub(crate) fn read(sysfs: &Path, pmu: &str) -> Result<Self, Error> {
        let folder = sysfs.join(DEVICES).join(pmu);
        let number = |bytes: &[u8]| parse_u64(bytes).and_then(|n| u32::try_from(n).ok());
        let kind = text::parse_file(&folder.join("type"), number, "the number of a PMU")?;
        let cpus = text::parse_file(&folder.join("cpumask"), parse_cpu_list, "a list of CPUs")?;
        let bits = text::parse_file(&folder.join("format/event"), parse_format, "a range of bits of config")?;
        let names = folder.join("events");
        let entries = std::fs::read_dir(&names).map_err(|source| Error::io(&names, source))?;
        let mut events: Vec<Event> = entries
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .filter(|file| !file.contains('.'))
            .filter_map(|file| Some(Event::read(names.join(&file), file.strip_prefix("energy-")?, bits)))
            .collect();
        events.sort_by_key(|e| (e.spec.as_ref().map_or(u64::MAX, |(config, _)| *config), e.name.clone()));
        Ok(Self { folder, kind, cpus, events })
    }
}

impl Event {
    fn read(path: PathBuf, name: &str, bits: Bits) -> Self {
        let beside = |ending: &str| PathBuf::from(format!("{}.{ending}", path.display()));
        let spec = || {
            let config = |bytes: &[u8]| parse_event(bytes).and_then(|number| bits.place(number));
            let config = text::parse_file(&path, config, "the number of an event")?;
            text::parse_file(&beside("unit"), parse_unit, "the unit Joules")?;
            Ok((config, text::parse_file(&beside("scale"), Scale::parse, "a scale in joules")?))
        };
        Self { name: name.to_owned(), spec: spec(), path }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_files_of_the_kernel_parse() {
        assert_eq!(parse_format(b"config:0-7\n"), Some(Bits { low: 0, high: 7 }));
        assert_eq!(parse_event(b"event=0x02\n"), Some(2));
        assert_eq!(parse_event(b"event=5"), Some(5));
        assert_eq!(parse_unit(b"Joules\n"), Some(()));
        assert_eq!(Bits { low: 8, high: 15 }.place(0x0a), Some(0x0a00));
        assert_eq!(Bits { low: 0, high: 63 }.place(u64::MAX), Some(u64::MAX));
        assert_eq!(Bits { low: 0, high: 7 }.place(256), None);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["config1:0-7", "config:7-0", "config:0-64", "config:", "0-7", "config:0-7,32-35", "config:-1"] {
            assert_eq!(parse_format(bad.as_bytes()), None, "{bad:?}");
        }
        for bad in ["event=", "event=0x", "umask=0x1", "event=0x1,umask=1", "event=-1", "event=0x+1", "2"] {
            assert_eq!(parse_event(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_unit(b"Watts"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(text in "(config:|event=|0x|[0-9a-f]{1,20}|-|,){0,6}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for bytes in [text.as_bytes(), &bytes] {
                let event = parse_event(bytes);
                let _ = parse_format(bytes).and_then(|bits| bits.place(event.unwrap_or(u64::MAX)));
                let _ = parse_unit(bytes);
            }
        }
    }
}
