//! Names of zones: one spelling, aliases of other tools, and a helpful answer to a name that nobody knows.
//!
//! A zone is upper-case and ISO-like: `GB`, `FR`, `US-CISO`, `GB-13`, and the two groups `EU` and `WORLD`. Names that other
//! programs use for the same place (`UK`, `DEU`, `DE-LU`, `AUS-NSW`, `PJM`, `US-MIDA-PJM`) are understood, with a note.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

pub mod rows;

use rows::{ZoneRow, row, zones};

/// The name of a zone, trimmed and in upper case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ZoneId(Arc<str>);

impl ZoneId {
    /// Takes a name as people type it; whether the zone exists is the provider's to say.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_ascii_uppercase().into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The two letters of the country, where the name is `XX` or `XX-…` (letters, digits and dashes).
    pub fn country(&self) -> Option<&str> {
        let (country, rest) = match self.0.split_once('-') {
            Some((country, rest)) => (country, Some(rest)),
            None => (&*self.0, None),
        };
        let letters = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
        let parts = rest.is_none_or(|rest| {
            rest.split('-').all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
        });
        (letters && parts).then_some(country)
    }
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A zone that no table or provider knows.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "unknown zone {asked:?}: the nearest names are {}; choose one with --zone, or give --intensity",
    nearest.join(", ")
)]
pub struct UnknownZone {
    /// What was asked for, as it was typed.
    pub asked: String,
    /// The three nearest names, best first.
    pub nearest: Vec<&'static str>,
}

/// A zone as it was asked for and as it is called here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// The name asked for, in our spelling.
    pub asked: ZoneId,
    /// Our name of the place.
    pub zone: ZoneId,
    /// What differs, for people.
    pub notes: Vec<String>,
}

impl Naming {
    /// The world, for who names no zone.
    pub fn world() -> Self {
        let zone = ZoneId::new("WORLD");
        Self { asked: zone.clone(), zone, notes: Vec::new() }
    }

    /// Understands a name: one of the table, an alias, or a part (`XX-…`) of a country that ISO 3166 knows.
    ///
    /// # Errors
    /// [`UnknownZone`], with the three nearest names.
    pub fn of(text: &str) -> Result<Self, UnknownZone> {
        let asked = ZoneId::new(text);
        let (zone, notes) = match alias(&asked) {
            Some(zone) => {
                let note = format!("zone {asked} is called {zone} here");
                (zone, vec![note])
            }
            None => (asked.clone(), Vec::new()),
        };
        let has_country = |c| row(c).is_some() || is_country_without_figure(c);
        if row(zone.as_str()).is_some() || zone.country().is_some_and(has_country) {
            Ok(Self { asked, zone, notes })
        } else {
            Err(unknown(text))
        }
    }
}

/// The zone that another program's name stands for; `None` where the name is already ours, or nobody's.
fn alias(asked: &ZoneId) -> Option<ZoneId> {
    let name = asked.as_str();
    let (head, rest) = match name.split_once('-') {
        Some((head, rest)) => (head, Some(rest)),
        None => (name, None),
    };
    // A balancing area stands alone (`PJM`, EIA) or behind a region (`US-MIDA-PJM`, Electricity Maps).
    let last = name.rsplit('-').next().unwrap_or(name);
    let is_area = |row: &&ZoneRow| row.zone.split_once('-').is_some_and(|(_, area)| area == last);
    if (head == "US" || rest.is_none())
        && let Some(row) = zones().iter().find(is_area)
    {
        return (row.zone != name).then(|| ZoneId::new(row.zone));
    }
    if name == "DE-LU" {
        return Some(ZoneId::new("DE"));
    }
    let country = match head {
        "UK" => "GB",
        _ => zones().iter().find(|row| head.len() == 3 && row.iso3 == head)?.zone,
    };
    Some(match rest {
        Some(rest) => ZoneId::new(&format!("{country}-{rest}")),
        None => ZoneId::new(country),
    })
}

/// True for the ISO 3166 code (two letters) of a country that the yearly table has no figure for.
fn is_country_without_figure(code: &str) -> bool {
    const CODES: &str = "AD AG AI AQ AS AW AX BI BL BM BQ BS BV BZ CC CF CK CV CW CX DJ DM EH FK FM FO GD GF GG GI GL GM \
        GP GQ GS GU GW HM IM IO JE KI KM KN KP KY LC LI LR LS MC MF MH MP MQ MS MV NC NE NF NR NU PF PM PN PW RE SB SC \
        SH SJ SL SM SO SS ST SX SY TC TD TF TG TK TL TO TV UA UM VA VC VG VI VU WF WS YT";
    CODES.split_ascii_whitespace().any(|known| known == code)
}

/// The `count` names nearest to what was typed, by edit distance without regard to case; equal ones in the order given.
pub fn nearest<'a>(asked: &str, names: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let asked = asked.trim().to_ascii_lowercase();
    let mut found: Vec<(usize, &str)> =
        names.into_iter().map(|name| (edit_distance(&asked, &name.to_ascii_lowercase()), name)).collect();
    found.sort_by_key(|(distance, _)| *distance);
    found.into_iter().take(count).map(|(_, name)| name).collect()
}

/// The error for a name, with the three nearest.
pub(crate) fn unknown(asked: &str) -> UnknownZone {
    let nearest = nearest(asked, zones().iter().map(|row| row.zone), 3);
    UnknownZone { asked: asked.trim().to_owned(), nearest }
}

/// Insertions, deletions and replacements of one character that lead from one word to the other (Levenshtein). Only the
/// first 64 characters count, so that no input makes it slow.
fn edit_distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(name: &str) -> Option<String> {
        alias(&ZoneId::new(name)).map(|zone| zone.to_string())
    }

    #[test]
    fn a_name_is_trimmed_and_in_upper_case() {
        assert_eq!(ZoneId::new(" us-ciso\n").as_str(), "US-CISO");
    }

    #[test]
    fn names_of_other_programs_are_understood() {
        for (theirs, ours) in [
            ("UK", "GB"),
            ("UK-13", "GB-13"),
            ("DE-LU", "DE"),
            ("DEU", "DE"),
            ("AUS-NSW", "AU-NSW"),
            ("PJM", "US-PJM"),
            ("US-MIDA-PJM", "US-PJM"),
            ("US-CAL-CISO", "US-CISO"),
        ] {
            assert_eq!(renamed(theirs).as_deref(), Some(ours), "{theirs}");
        }
        for own in ["GB", "US-CISO", "AU-NSW", "XX-PJM", "WORLD"] {
            assert_eq!(renamed(own), None, "{own}");
        }
    }

    #[test]
    fn only_iso_like_names_have_a_country() {
        assert_eq!(ZoneId::new("US-TEX").country(), Some("US"));
        assert_eq!(ZoneId::new("GB-13").country(), Some("GB"));
        assert_eq!(ZoneId::new("gb").country(), Some("GB"));
        for name in ["", "WORLD", "G", "G1", "US-", "US--X", "US_CISO", "Großbritannien", "US-ABCDEFGHI"] {
            assert_eq!(ZoneId::new(name).country(), None, "{name}");
        }
    }

    #[test]
    fn edit_distance_counts_single_characters() {
        for (one, other, distance) in [
            ("", "", 0),
            ("gb", "gb", 0),
            ("gb", "", 2),
            ("", "gb", 2),
            ("kitten", "sitting", 3),
            ("us-ciso", "us-cisp", 1),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(edit_distance(one, other), distance, "{one} {other}");
        }
    }

    #[test]
    fn an_unknown_zone_names_itself_and_the_mend_in_one_line() {
        let error = UnknownZone { asked: "GX".into(), nearest: vec!["GB", "GE", "GH"] };
        let text = error.to_string();
        assert!(!text.contains('\n'));
        for part in ["\"GX\"", "GB, GE, GH", "--zone"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
