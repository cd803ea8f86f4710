//! Tests that could not run here and said so.
//!
//! A test that lacks something appends one line to the file named by `TREEHOUSE_SKIP_LOG` and returns:
//! `optional: NAME: why` if it may be left out anywhere, `required: NAME: why` if CI must be able to run it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The variable that names the file to the tests.
pub(crate) const VARIABLE: &str = "TREEHOUSE_SKIP_LOG";
/// Begins the line of a test that may be left out anywhere.
const OPTIONAL: &str = "optional:";

/// The file, empty when a run starts.
#[derive(Debug)]
pub(crate) struct SkipLog {
    path: PathBuf,
}

impl SkipLog {
    /// Makes the file under the target folder, or empties it.
    pub(crate) fn start(target: &Path) -> Result<Self> {
        let path = target.join("skips.log");
        fs::create_dir_all(target).with_context(|| format!("cannot make {}", target.display()))?;
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the tests wrote, once they are over.
    pub(crate) fn read(&self) -> Result<Skips> {
        let bytes = fs::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(Skips::parse(&String::from_utf8_lossy(&bytes)))
    }
}

/// The lines of tests that skipped themselves, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Skips {
    lines: Vec<String>,
}

impl Skips {
    fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        Self { lines }
    }

    /// How many tests, one line each.
    pub(crate) fn count(&self) -> u64 {
        self.lines.len() as u64
    }

    /// How many CI must not skip. A line that does not say `optional:` is one of them, or a slip of the
    /// pen would hide a test for good.
    pub(crate) fn required(&self) -> usize {
        self.lines.iter().filter(|line| !line.starts_with(OPTIONAL)).count()
    }

    /// Prints one line a test.
    pub(crate) fn print(&self) {
        if self.lines.is_empty() {
            return;
        }
        println!("== skipped");
        for line in &self.lines {
            println!("   {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_one_test_and_empty_lines_are_none() {
        let skips = Skips::parse("required: page: no chromium\n\n  \noptional: guest: no image\n");
        assert_eq!(skips.count(), 2);
        assert_eq!(skips.lines, ["optional: guest: no image", "required: page: no chromium"]);
    }

    #[test]
    fn only_optional_tests_may_be_left_out_of_ci() {
        assert_eq!(Skips::parse("optional: guest: no image\n").required(), 0);
        assert_eq!(Skips::parse("required: page: no chromium\n").required(), 1);
    }

    #[test]
    fn a_line_that_does_not_say_optional_is_required() {
        assert_eq!(Skips::parse("page: no chromium\noptionally: page: no chromium\n").required(), 2);
    }

    #[test]
    fn a_new_run_starts_with_an_empty_file() {
        let folder = tempfile::tempdir().unwrap();
        // made where it is missing
        let target = folder.path().join("target");
        let log = SkipLog::start(&target).unwrap();
        fs::write(log.path(), "required: page: no chromium\n").unwrap();
        let before = log.read().unwrap();
        let after = SkipLog::start(&target).unwrap().read().unwrap();
        assert_eq!(before.count(), 1);
        assert_eq!(after, Skips::default());
    }
}
