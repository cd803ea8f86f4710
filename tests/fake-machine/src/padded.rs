//! A file whose text is replaced without ever being cut short.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Width of a file that holds one number, in bytes.
const NUMBER_WIDTH: usize = 24;
/// Files with more text are as wide as the next multiple of this, in bytes.
const TEXT_STEP: usize = 512;

/// A file of fixed width: its text is followed by newlines, and replaced by one `pwrite`.
///
/// The width only ever grows. A truncation would show as an empty read to whoever reads just then;
/// it is used for no text at all, where an empty read is what is meant.
#[derive(Debug)]
pub(crate) struct PaddedFile {
    file: File,
    width: usize,
}

impl PaddedFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file, width: 0 }
    }

    pub(crate) fn put(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return self.file.set_len(0);
        }
        let needed = if text.len() <= NUMBER_WIDTH { NUMBER_WIDTH } else { text.len().next_multiple_of(TEXT_STEP) };
        self.width = self.width.max(needed);
        let padded = format!("{text:\n<width$}", width = self.width);
        let written = self.file.write_at(padded.as_bytes(), 0)?;
        if written < padded.len() {
            let message = format!("only {written} of {} bytes were written", padded.len());
            return Err(io::Error::new(io::ErrorKind::WriteZero, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_width_never_shrinks_and_nothing_is_left_of_a_longer_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        let mut padded = PaddedFile::new(File::create(&path).unwrap());
        padded.put("12345\n").unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), NUMBER_WIDTH);
        padded.put(&"x".repeat(30)).unwrap();
        padded.put("7\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.trim(), text.len()), ("7", TEXT_STEP));
        padded.put("").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        padded.put("8\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), "8");
    }
}
