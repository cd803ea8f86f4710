//! Reads Prometheus text 0.0.4 and OpenMetrics 1.0, and its numbers without a float in between.

use std::collections::BTreeMap;

/// Name and labels of a series, labels sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The metric.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Series {
    /// The value of a label; empty where there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// One scrape: every series with its value as it was written.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// By series, so that each is there once.
    pub values: BTreeMap<Series, String>,
}

impl Scrape {
    /// Reads a scrape.
    ///
    /// # Errors
    /// A line that is no sample, or a series that is there twice.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (series, value) = sample(line).ok_or_else(|| format!("no sample: {line}"))?;
            if values.insert(series, value).is_some() {
                return Err(format!("twice in one scrape: {line}"));
            }
        }
        Ok(Self { values })
    }

    /// Every series of a metric.
    pub fn family(&self, name: &str) -> impl Iterator<Item = (&Series, &str)> {
        self.values.iter().filter(move |(series, _)| series.name == name).map(|(series, value)| (series, value.as_str()))
    }

    /// The exact sum of a metric in millionths.
    ///
    /// # Errors
    /// A value that is no whole number of millionths, or no series at all.
    pub fn sum_micro(&self, name: &str) -> Result<i128, String> {
        let mut sum = None;
        for (series, value) in self.family(name) {
            let value = micro(value).ok_or_else(|| format!("{value} of {series:?} is not exact"))?;
            sum = Some(sum.unwrap_or(0) + value);
        }
        sum.ok_or_else(|| format!("no series of {name}"))
    }
}

/// A decimal number in millionths; `None` where it is no whole number of them.
pub fn micro(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = mantissa.strip_prefix('-').map_or((1, mantissa), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let shift = 6 + exponent - i32::try_from(fraction.len()).ok()?;
    let value: i128 = all.parse().ok()?;
    let scale = 10_i128.checked_pow(shift.unsigned_abs())?;
    let scaled = if shift >= 0 { value.checked_mul(scale)? } else { Some(value / scale).filter(|_| value % scale == 0)? };
    Some(sign * scaled)
}

/// Series and value of one line; what stands behind (time, exemplar) is let go.
fn sample(line: &str) -> Option<(Series, String)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(key.to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ')?.split(' ').next()?;
    Some((Series { name: name.to_owned(), labels }, value.to_owned()))
}

/// The text up to the closing quote, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_exactly_or_not_at_all() {
        for (text, value) in [
            ("0", Some(0)),
            ("12.345", Some(12_345_000)),
            ("9007199254740993.000001", Some(9_007_199_254_740_993_000_001)),
            ("-0.5", Some(-500_000)),
            ("1.5e-05", Some(15)),
            ("2E3", Some(2_000_000_000)),
            ("1e-7", None),
            ("NaN", None),
            ("+Inf", None),
            (".5", None),
        ] {
            assert_eq!(micro(text), value, "{text}");
        }
    }

    #[test]
    fn a_line_is_taken_apart_whatever_its_labels_hold() {
        let scrape =
            Scrape::parse("# TYPE a counter\na_total{x=\"q\\\"b\\\\s\\nn}\",y=\"2\"} 1.5 1600 # {t=\"1\"} 1 2\nb 2\n# EOF\n")
                .unwrap();
        let (series, value) = scrape.family("a_total").next().unwrap();
        assert_eq!((series.label("x"), series.label("y"), value), ("q\"b\\s\nn}", "2", "1.5"));
        assert_eq!(scrape.sum_micro("b"), Ok(2_000_000));
        assert!(Scrape::parse("b 1\nb 2\n").unwrap_err().contains("twice"));
        assert!(Scrape::parse("nonsense\n").is_err());
        assert!(scrape.sum_micro("c").is_err());
    }
}
