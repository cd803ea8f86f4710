//! Debian's packages by name, fetched and unpacked into a folder: nothing is installed, and root is not needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{make_anew, succeed};
use crate::network;
use crate::workspace::Workspace;

/// apt with lists of its own, below a folder.
#[derive(Debug)]
pub(super) struct Apt<'a> {
    workspace: &'a Workspace,
    folder: PathBuf,
}

/// What apt takes for already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// What this machine has installed.
    ThisMachine,
    /// Nothing: every package is named that is needed.
    Nothing,
}

impl<'a> Apt<'a> {
    /// Prepares the folder and gets the lists.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn new(workspace: &'a Workspace, folder: PathBuf) -> Result<Self> {
        for below in ["lists/partial", "archives/partial"] {
            let path = folder.join(below);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let apt = Self { workspace, folder };
        fs::write(apt.nothing(), "").with_context(|| format!("cannot write {}", apt.nothing().display()))?;
        apt.update()?;
        Ok(apt)
    }

    /// One unreachable source of many is no reason to stop: whether a package is found decides.
    fn update(&self) -> Result<()> {
        self.get(&["update"]).stdout(Stdio::null()).status().map(drop).context("cannot start apt-get")
    }

    /// The names of what would be installed for these packages.
    ///
    /// # Errors
    /// apt-get does not know one of them.
    pub(super) fn needed(&self, packages: &[&str], beside: Beside) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let found = network::insist(&format!("apt-get with its lists for {}", packages.join(" ")), || {
            let mut command = self.get(&["--simulate", "--no-install-recommends", "install"]);
            command.args(packages).stderr(Stdio::inherit());
            if beside == Beside::Nothing {
                command.arg("--option").arg(option("Dir::State::status", &self.nothing()));
            }
            let output = command.output().context("cannot start apt-get")?;
            names = installed_names(&String::from_utf8_lossy(&output.stdout));
            if !output.status.success() {
                // Lists that are not there are the reason, as a rule.
                self.update()?;
            }
            Ok(output.status.success())
        })?;
        ensure!(found, "apt-get knows no way to get {}; see above", packages.join(", "));
        Ok(names)
    }

    /// Fetches packages and unpacks each below `root`.
    ///
    /// # Errors
    /// One cannot be fetched or unpacked.
    pub(super) fn unpack(&self, packages: &[String], root: &Path) -> Result<()> {
        let archives = self.folder.join("debs");
        make_anew(&archives)?;
        fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
        let line = format!("apt-get download {}", packages.join(" "));
        let fetched = network::insist(&line, || {
            let mut fetch = self.get(&["download"]);
            fetch.args(packages).current_dir(&archives).stdout(Stdio::null());
            Ok(fetch.status().context("cannot start apt-get")?.success())
        })?;
        ensure!(fetched, "{line} failed; see above");
        for entry in fs::read_dir(&archives).with_context(|| format!("cannot read {}", archives.display()))? {
            let archive = entry?.path();
            let mut unpack = self.workspace.command("dpkg-deb");
            unpack.arg("--extract").args([&archive, root]);
            succeed(unpack, &format!("dpkg-deb --extract {}", archive.display()))?;
        }
        fs::remove_dir_all(&archives).with_context(|| format!("cannot remove {}", archives.display()))
    }

    /// A list of installed packages in which there is none.
    fn nothing(&self) -> PathBuf {
        self.folder.join("nothing-installed")
    }

    fn get(&self, arguments: &[&str]) -> Command {
        let mut command = self.workspace.command("apt-get");
        command.env("LC_ALL", "C").arg("--quiet=2").args(network::APT);
        for setting in [
            option("Dir::State::lists", &self.folder.join("lists")),
            option("Dir::Cache", &self.folder),
            // The lists are ours alone, and whoever apt would become as root may not be able to reach them.
            "APT::Sandbox::User=".into(),
            "Debug::NoLocking=1".into(),
        ] {
            command.args(["--option", &setting]);
        }
        command.args(arguments);
        command
    }
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// The names in the lines `Inst name [old version] (new version …)`.
fn installed_names(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_what_apt_would_do() {
        let text = "NOTE: This is only a simulation!\nRemv old-thing [1.0]\n\
            Inst liblzma5 [5.4.1-1] (5.4.1-1+deb12u2 Debian-Security:12/oldstable-security [amd64])\n\
            Inst seabios (1.16.2-1 Debian:12.15/oldstable [all])\nConf seabios (1.16.2-1 Debian:12.15/oldstable [all])\n";
        assert_eq!(installed_names(text), ["liblzma5", "seabios"]);
        assert!(installed_names("").is_empty());
    }
}
