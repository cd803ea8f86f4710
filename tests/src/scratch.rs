//! A folder of a test's own, with a home in it: nothing of the user's is read or written.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A temporary folder; removed with everything in it.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// Makes the folder.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self(TempDir::with_prefix("treehouse-test-")?))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the ledger and the daemon's address lie.
    pub fn state(&self) -> PathBuf {
        self.path().join("state/treehouse")
    }

    /// Writes a file and returns its path.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, name: &str, content: &str) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::write(&path, content)?;
        Ok(path)
    }

    /// Makes an empty folder and returns its path.
    ///
    /// # Errors
    /// The system refuses.
    pub fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A program with this folder as its home, whose state and configuration lie here.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("HOME", self.path());
        command.env("XDG_STATE_HOME", self.path().join("state")).env("XDG_CONFIG_HOME", self.path().join("config"));
        for inherited in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] {
            command.env_remove(inherited);
        }
        command
    }
}
