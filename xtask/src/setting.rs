//! Who runs us, and what may therefore be installed.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// What decides whether something missing is installed or only named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Whether we are root.
    pub(crate) root: bool,
    /// Whether a machine without a person runs us: then nothing may be left out silently.
    pub(crate) ci: bool,
    /// Whether anything may be installed at all.
    pub(crate) install: bool,
}

impl Setting {
    /// Looks at the user and at the variable `CI`.
    pub(crate) fn find(install: bool) -> Result<Self> {
        let output = Command::new("id")
            .arg("-u")
            .stdin(Stdio::null())
            .output()
            .context("cannot start id to learn whether this is root")?;
        Ok(Self { root: output.stdout.trim_ascii() == b"0", ci: env::var("CI").is_ok_and(|value| means_yes(&value)), install })
    }
}

/// Whether a variable is set to something other than no.
fn means_yes(value: &str) -> bool {
    !matches!(value, "" | "0" | "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_is_on_when_set_to_anything_but_no() {
        assert!(means_yes("true"));
        assert!(means_yes("1"));
        assert!(!means_yes("false"));
        assert!(!means_yes("0"));
        assert!(!means_yes(""));
    }
}
