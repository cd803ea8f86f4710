//! Where the built library is, and copies of it with scripts of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::FakeError;
use crate::script::Script;

const FILE: &str = "libfake_nvml.so";
const INSTALLED: &str = "libnvidia-ml.so.1";

/// The built library: beside the running program, where cargo leaves it for whoever depends on this package, else built there now.
///
/// # Errors
/// Cargo could not build the library.
pub fn library() -> Result<PathBuf, FakeError> {
    let program = std::env::current_exe().map_err(|e| FakeError::file("/proc/self/exe", e))?;
    // A test lies in `deps` of its profile, an example in `examples`, a program in the profile itself.
    let profile = program.ancestors().skip(1).find(|d| d.join("deps").is_dir()).map_or_else(usual_profile, Path::to_owned);
    let candidates = [profile.join("deps").join(FILE), profile.join(FILE)];
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    build(&profile)?
        .into_iter()
        .chain(candidates)
        .find(|path| path.is_file())
        .ok_or_else(|| FakeError::Build { target: profile.clone(), detail: format!("no {FILE}") })
}

/// Where a build goes by default, for programs that lie elsewhere, such as those of documentation.
fn usual_profile() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")).join("debug")
}

/// Builds into the target directory and profile that `profile` (`target/debug`, `target/TRIPLE/release` …) belongs to.
fn build(profile: &Path) -> Result<Option<PathBuf>, FakeError> {
    let name = profile.file_name().and_then(|n| n.to_str()).unwrap_or("debug");
    let target = profile.parent().unwrap_or(profile);
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--package", "fake-nvml", "--lib", "--profile", if name == "debug" { "dev" } else { name }])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .output()
        .map_err(|e| FakeError::file("cargo", e))?;
    if output.status.success() {
        return Ok(Some(target.join(name).join(FILE)));
    }
    let detail = String::from_utf8_lossy(&output.stderr).trim_end().lines().last().unwrap_or_default().to_owned();
    Err(FakeError::Build { target: target.into(), detail })
}

/// A copy of the library with a script beside it.
///
/// A copy is a library of its own to the loader, so that many can live in one process. It is for the
/// caller's directory to outlive whoever loads it.
#[derive(Debug)]
pub struct Fake {
    library: PathBuf,
    script: PathBuf,
}

impl Fake {
    /// Copies the library into a directory as `libnvidia-ml.so.1` and writes its script beside it.
    ///
    /// # Errors
    /// There is no library, or the directory cannot be written.
    pub fn install(directory: &Path, script: &Script) -> Result<Self, FakeError> {
        Self::install_without(directory, script, &[])
    }

    /// The same, lacking some symbols as an older library does.
    ///
    /// Their names in the table of symbols are overwritten, so that the loader really does not find them.
    ///
    /// # Errors
    /// As [`install`](Self::install); a symbol that the library does not have.
    pub fn install_without(directory: &Path, script: &Script, symbols: &[&str]) -> Result<Self, FakeError> {
        let built = library()?;
        let mut bytes = std::fs::read(&built).map_err(|e| FakeError::file(&built, e))?;
        for symbol in symbols {
            erase(&mut bytes, symbol).ok_or_else(|| FakeError::Symbol { library: built.clone(), symbol: (*symbol).into() })?;
        }
        let library = directory.join(INSTALLED);
        std::fs::write(&library, bytes).map_err(|e| FakeError::file(&library, e))?;
        let fake = Self { script: beside(&library), library };
        script.save(&fake.script)?;
        Ok(fake)
    }

    /// The file to load.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The file of the script.
    pub fn script_file(&self) -> &Path {
        &self.script
    }

    /// The script as it stands.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn script(&self) -> Result<Script, FakeError> {
        Script::load(&self.script)
    }

    /// Changes the script; whoever has loaded the library sees it at the next call.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn change(&self, change: impl FnOnce(&mut Script)) -> Result<(), FakeError> {
        let mut script = self.script()?;
        change(&mut script);
        script.save(&self.script)
    }
}

/// The script that belongs to a library: its name with `.json` behind it.
pub(crate) fn beside(library: &Path) -> PathBuf {
    let mut name = library.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

/// Overwrites every mention of a whole name in a string table; `None` if there is none.
fn erase(bytes: &mut [u8], symbol: &str) -> Option<()> {
    let name = [b"\0", symbol.as_bytes(), b"\0"].concat();
    let mut from = 0;
    let mut found = None;
    while let Some(at) = bytes[from..].windows(name.len()).position(|w| w == name) {
        bytes[from + at + 1] = b'_';
        from += at + 1;
        found = Some(());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_erased() {
        let mut bytes = b"\0nvmlInit\0nvmlInit_v2\0nvmlInit\0".to_vec();
        assert_eq!(erase(&mut bytes, "nvmlInit"), Some(()));
        assert_eq!(bytes, b"\0_vmlInit\0nvmlInit_v2\0_vmlInit\0");
        assert_eq!(erase(&mut bytes, "nvmlInit"), None);
    }
}
