//! A strict parser of both formats: anything that the grammar does not allow panics with the line.

use std::collections::{BTreeMap, HashSet};

/// One sample, its labels in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: String,
}

impl Sample {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The value in millionths, exactly.
    pub(crate) fn micro(&self) -> u64 {
        let (whole, part) = self.value.split_once('.').unwrap_or((&self.value, ""));
        assert!(part.len() <= 6, "{} has more than six decimals", self.value);
        whole.parse::<u64>().unwrap() * 1_000_000 + format!("{part:0<6}").parse::<u64>().unwrap()
    }
}

/// One family: what its comments say, and its samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

/// All families by the name in their comments.
pub(crate) type Families = BTreeMap<String, Family>;

/// Parses text 0.0.4.
pub(crate) fn text(body: &[u8]) -> Families {
    parse(body, false)
}

/// Parses OpenMetrics 1.0.0.
pub(crate) fn openmetrics(body: &[u8]) -> Families {
    let body = body.strip_suffix(b"# EOF\n").expect("ends with # EOF");
    parse(body, true)
}

/// Every sample of a parsed body, sorted.
pub(crate) fn samples(families: &Families) -> Vec<Sample> {
    let mut all: Vec<Sample> = families.values().flat_map(|f| f.samples.clone()).collect();
    all.sort();
    all
}

fn parse(body: &[u8], openmetrics: bool) -> Families {
    let body = std::str::from_utf8(body).expect("UTF-8");
    assert!(body.is_empty() || body.ends_with('\n'), "the last line ends");
    let mut families = Families::new();
    let mut current: Option<String> = None;
    let mut seen = HashSet::new();
    for line in body.split_terminator('\n') {
        assert!(!line.is_empty(), "an empty line");
        if let Some(comment) = line.strip_prefix("# ") {
            let (word, rest) = comment.split_once(' ').expect(line);
            let (name, rest) = rest.split_once(' ').expect(line);
            if current.as_deref() != Some(name) {
                assert!(!families.contains_key(name), "{name} interleaves: {line}");
                current = Some(name.to_owned());
            }
            let family = families.entry(name.to_owned()).or_default();
            assert!(family.samples.is_empty(), "a comment after samples: {line}");
            match word {
                "TYPE" if family.kind.is_empty() => rest.clone_into(&mut family.kind),
                "UNIT" if openmetrics && family.unit.is_none() => family.unit = Some(rest.to_owned()),
                "HELP" if family.help.is_empty() => rest.clone_into(&mut family.help),
                _ => panic!("{line}"),
            }
            continue;
        }
        let sample = parse_sample(line);
        let name = current.clone().expect("a sample before any comment");
        let family = families.get_mut(&name).unwrap();
        assert!(!family.kind.is_empty() && !family.help.is_empty(), "TYPE and HELP come first: {line}");
        let expected = match (openmetrics, family.kind.as_str()) {
            (true, "counter") => format!("{name}_total"),
            (true, "info") => format!("{name}_info"),
            _ => name,
        };
        assert_eq!(sample.name, expected, "{line}");
        assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "twice: {line}");
        assert!(sample.value.parse::<f64>().is_ok(), "{line}");
        family.samples.push(sample);
    }
    families
}

fn parse_sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect(line);
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after, line);
            labels.push((label.to_owned(), value));
            if let Some(after) = after.strip_prefix(',') {
                rest = after;
            } else {
                rest = after.strip_prefix('}').expect(line);
                break;
            }
        }
    }
    let value = rest.strip_prefix(' ').expect(line);
    assert!(!value.contains(' '), "{line}");
    Sample { name: name.to_owned(), labels, value: value.to_owned() }
}

/// The value up to its closing quote, unescaped, and what follows.
fn quoted<'a>(text: &'a str, line: &str) -> (String, &'a str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().map(|(_, c)| c) {
                Some('n') => '\n',
                Some(c @ ('"' | '\\')) => c,
                other => panic!("escape {other:?}: {line}"),
            }),
            c => value.push(c),
        }
    }
    panic!("no closing quote: {line}");
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}
