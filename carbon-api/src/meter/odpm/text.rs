//! The texts of an on-device power monitor: energy of each channel, and which rail feeds what.

/// What `energy_value` holds: the device's time, and below it one channel a line.
///
/// New form: `t=<ms>`, then `CH<n>(T=<ms>)[<schematic rail>], <uWs>`. Old form: `<ms>`, then `<rail>, <uWs>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnergyText<'a> {
    /// When the energies were taken: milliseconds of `CLOCK_BOOTTIME`.
    pub t_ms: u64,
    lines: &'a [u8],
}

impl<'a> EnergyText<'a> {
    /// Reads the first line; `None` where it is no time.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.trim_ascii_start();
        let (first, lines) = split_once(bytes, b'\n').unwrap_or((bytes, &[]));
        let t_ms = number(first.strip_prefix(b"t=").unwrap_or(first))?;
        Some(Self { t_ms, lines })
    }

    /// Its channels in order; a line that is none comes as it is, and the others stay.
    pub fn channels(self) -> impl Iterator<Item = Result<Channel<'a>, &'a [u8]>> {
        let lines = self.lines.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        lines.enumerate().map(|(place, line)| Channel::parse(line, place).ok_or(line))
    }
}

/// The energy of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel<'a> {
    /// Its number; its place in the text in the old form.
    pub number: usize,
    /// Milliseconds that it has been measuring since it was set to this rail; not told in the old form.
    pub active_ms: Option<u64>,
    /// The rail's name in the schematic.
    pub rail: &'a [u8],
    /// Microwatt-seconds since then, which are microjoules.
    pub energy_uj: u64,
}

impl<'a> Channel<'a> {
    fn parse(line: &'a [u8], place: usize) -> Option<Self> {
        let comma = line.iter().rposition(|&b| b == b',')?;
        let (head, energy_uj) = (line[..comma].trim_ascii(), number(&line[comma + 1..])?);
        let Some((channel, rest)) = channel_number(head) else {
            return (!head.is_empty()).then_some(Self { number: place, active_ms: None, rail: head, energy_uj });
        };
        let (active_ms, rest) = match rest.strip_prefix(b"(T=") {
            Some(rest) => {
                let (ms, rest) = split_once(rest, b')')?;
                (Some(number(ms)?), rest)
            }
            None => (None, rest),
        };
        let rail = rest.strip_prefix(b"[")?.strip_suffix(b"]")?;
        (!rail.is_empty()).then_some(Self { number: channel, active_ms, rail, energy_uj })
    }
}

/// A rail as `enabled_rails` (`CH<n>[<rail>]:<subsystem>`) and `available_rails` (`<name>(<schematic>):<subsystem>`) tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rail<'a> {
    /// The channel that measures it, where one does.
    pub channel: Option<usize>,
    /// The rail's name at the regulator; the schematic's where the list has only that.
    pub name: &'a [u8],
    /// The rail's name in the schematic.
    pub rail: &'a [u8],
    /// What it feeds: `CPU(BIG)`, `Memory`, `Display`; may be empty.
    pub subsystem: &'a [u8],
}

/// The rails of either list; lines of another form are left out.
pub fn rails(bytes: &[u8]) -> impl Iterator<Item = Rail<'_>> {
    bytes.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter_map(|line| {
        let (channel, rest, [open, close]) = match channel_number(line) {
            Some((channel, rest)) => (Some(channel), rest, [b'[', b']']),
            None => (None, line, [b'(', b')']),
        };
        let (before, rest) = split_once(rest, open)?;
        let (rail, rest) = split_once(rest, close)?;
        let name = if channel.is_some() { rail } else { before.trim_ascii() };
        let subsystem = rest.trim_ascii().strip_prefix(b":").unwrap_or(&[]).trim_ascii();
        (!rail.is_empty()).then_some(Rail { channel, name, rail, subsystem })
    })
}

/// True for the names of the power monitors that speak this language: `s2mpg10-odpm` to `s2mpg19-odpm`.
pub fn is_monitor(name: &[u8]) -> bool {
    let digit = name.trim_ascii().strip_prefix(b"s2mpg1").and_then(|rest| rest.strip_suffix(b"-odpm"));
    matches!(digit, Some([b'0'..=b'9']))
}

/// Samples a second, off `sampling_rate` (`125.000000`).
pub fn sampling_rate(bytes: &[u8]) -> Option<f64> {
    let rate: f64 = std::str::from_utf8(bytes).ok()?.trim().parse().ok()?;
    (rate.is_finite() && rate > 0.0).then_some(rate)
}

/// `CH<n>` and what follows it, which begins with a bracket.
fn channel_number(line: &[u8]) -> Option<(usize, &[u8])> {
    let rest = line.strip_prefix(b"CH")?;
    let (digits, rest) = rest.split_at(rest.iter().position(|b| matches!(b, b'(' | b'['))?);
    Some((usize::try_from(number(digits)?).ok()?, rest))
}

fn number(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes.trim_ascii()).ok()?;
    text.starts_with(|c: char| c.is_ascii_digit()).then(|| text.parse().ok())?
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|&b| b == at)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}
