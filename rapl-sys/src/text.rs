//! Small files of numbers and names: parsing split from reading, so that any bytes can be tried.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Error;

/// Longest number of 64 bits with sign, blanks and newline.
const NUMBER: usize = 64;

/// Parses an unsigned decimal that may end in blanks, newlines or zero bytes. A sign, an empty text and any other byte are refused.
pub(crate) fn parse_u64(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().rposition(|b| !matches!(b, b'\n' | b' ' | b'\t' | b'\0'))? + 1;
    bytes[..end].iter().try_fold(0_u64, |value, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads an unsigned decimal at the beginning of an open file; one system call.
pub(crate) fn pread_u64(file: &File, path: &Path) -> Result<u64, Error> {
    let mut buffer = [0_u8; NUMBER];
    let length = file.read_at(&mut buffer, 0).map_err(|source| Error::Io { path: path.into(), source })?;
    parse_u64(&buffer[..length]).ok_or_else(|| malformed(path, &buffer[..length], "a count of microjoules"))
}

/// Reads a whole small file as text.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a whole small file as an unsigned decimal.
pub(crate) fn read_u64(path: &Path) -> Result<u64, Error> {
    let text = read(path)?;
    parse_u64(text.as_bytes()).ok_or_else(|| malformed(path, text.as_bytes(), "a number"))
}

fn malformed(path: &Path, found: &[u8], expected: &'static str) -> Error {
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

    proptest! {
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
