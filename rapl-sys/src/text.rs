//! Small files of numbers and names: parsing split from reading, so that any bytes can be tried.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Error;

/// Longest number of 64 bits with sign, blanks and newline.
const NUMBER: usize = 64;

/// More CPUs than any kernel is built for; a list that claims more is nonsense.
const MOST_CPUS: usize = 1 << 16;

/// Parses an unsigned decimal that may end in blanks, newlines or zero bytes. A sign, an empty text and any other byte are refused.
pub fn parse_u64(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().rposition(|b| !matches!(b, b'\n' | b' ' | b'\t' | b'\0'))? + 1;
    bytes[..end].iter().try_fold(0_u64, |value, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Parses a list of CPUs, `0,24` or `0-3,8`, into their numbers in order, each once; an empty list is none.
///
/// ```
/// assert_eq!(rapl_sys::text::parse_cpu_list(b"0-2,8\n"), Some(vec![0, 1, 2, 8]));
/// ```
pub fn parse_cpu_list(bytes: &[u8]) -> Option<Vec<u32>> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches(['\n', ' ', '\t', '\0']);
    let mut cpus = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |digits: &str| parse_u64(digits.as_bytes()).and_then(|n| u32::try_from(n).ok());
        let (first, last) = (number(first)?, number(last)?);
        if last < first || (last - first) as usize >= MOST_CPUS - cpus.len() {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

/// Reads an unsigned decimal at the beginning of an open file; one system call.
pub(crate) fn pread_u64(file: &File, path: &Path) -> Result<u64, Error> {
    let mut buffer = [0_u8; NUMBER];
    let length = file.read_at(&mut buffer, 0).map_err(|source| Error::io(path, source))?;
    parse_u64(&buffer[..length]).ok_or_else(|| malformed(path, &buffer[..length], "a count of microjoules"))
}

/// Reads a whole small file as text.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a whole small file as an unsigned decimal.
pub(crate) fn read_u64(path: &Path) -> Result<u64, Error> {
    parse_file(path, parse_u64, "a number")
}

/// Reads a whole small file and parses it; `expected` names what belongs there.
pub(crate) fn parse_file<T>(path: &Path, parse: impl Fn(&[u8]) -> Option<T>, expected: &'static str) -> Result<T, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    parse(&bytes).ok_or_else(|| malformed(path, &bytes, expected))
}

pub(crate) fn malformed(path: &Path, found: &[u8], expected: &'static str) -> Error {
    let found = String::from_utf8_lossy(&found[..found.len().min(24)]).into_owned();
    Error::Malformed { path: path.into(), found, expected }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_whole_unsigned_numbers_parse() {
        assert_eq!(parse_u64(b"18446744073709551615\n"), Some(u64::MAX));
        assert_eq!(parse_u64(b"12   \n"), Some(12));
        for bad in [&b""[..], b"\n", b"-12345\n", b"+1", b"1 2", b"18446744073709551616", b"not-a-number\n", b"0x10"] {
            assert_eq!(parse_u64(bad), None, "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_cpu_list_has_ranges_and_single_ones() {
        assert_eq!(parse_cpu_list(b"0,24\n"), Some(vec![0, 24]));
        assert_eq!(parse_cpu_list(b"8,0-3,2\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse_cpu_list(b"\n"), Some(vec![]));
        for bad in ["3-1", "a", "0,,1", "0-", "-3", "0-1-2", "0-4294967295", "4294967296", "0 1"] {
            assert_eq!(parse_cpu_list(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_cpu_list_or_are_refused(text in "[0-9,\\-\n]{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for bytes in [text.as_bytes(), &bytes] {
                if let Some(cpus) = parse_cpu_list(bytes) {
                    prop_assert!(cpus.is_sorted_by(|a, b| a < b) && cpus.len() <= MOST_CPUS);
                }
            }
        }

        #[test]
        fn any_bytes_parse_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_u64(&bytes);
        }

        #[test]
        fn every_number_reads_back(value in any::<u64>()) {
            prop_assert_eq!(parse_u64(format!("{value}\n").as_bytes()), Some(value));
        }
    }
}
