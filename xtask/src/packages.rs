//! Debian packages that the tests need: which are missing, and what is done about it.

use std::env;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::network;
use crate::setting::Setting;
use crate::venv;
use crate::workspace::Workspace;

/// One package and how to see that it is there.
struct Need {
    /// Its name in Debian.
    package: &'static str,
    /// What it brings.
    brings: Brings,
    /// Whether root can do without it.
    only_without_root: bool,
}

/// What a package brings.
enum Brings {
    /// Programs on the path.
    Programs(&'static [&'static str]),
    /// A Python that can make a virtual environment.
    PythonEnvironments,
}

/// Everything the tests use of the system beyond Rust and a C linker.
const NEEDS: [Need; 5] = [
    // The scrape endpoint is read by the real server, and its text and rules are checked by promtool.
    Need { package: "prometheus", brings: Brings::Programs(&["prometheus", "promtool"]), only_without_root: false },
    // What most machines run already is asked about the same counters as we are.
    Need {
        package: "prometheus-node-exporter",
        brings: Brings::Programs(&["prometheus-node-exporter"]),
        only_without_root: false,
    },
    // The web page is looked at in a real browser.
    Need { package: "chromium", brings: Brings::Programs(&["chromium"]), only_without_root: false },
    // For receivers and parsers written by others; see `venv`.
    Need { package: "python3-venv", brings: Brings::PythonEnvironments, only_without_root: false },
    // The fake machine mounts by itself as root, and through this set-uid helper otherwise.
    Need { package: "fuse3", brings: Brings::Programs(&["fusermount3"]), only_without_root: true },
];

/// What to do about the packages that are missing.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Nothing is missing.
    Nothing,
    /// Install these, through sudo if not root.
    Install { packages: Vec<&'static str>, sudo: bool },
    /// Print this line for a person, and go on without.
    Print(String),
}

/// Installs what the tests need, or says how to.
///
/// # Errors
/// When something was to be installed and is still not there.
pub(crate) fn prepare(workspace: &Workspace, setting: Setting) -> Result<()> {
    let missing = missing(workspace, setting.root);
    match plan(&missing, setting) {
        Plan::Nothing => println!("   packages: all there"),
        Plan::Install { packages, sudo } => {
            install(workspace, &packages, sudo)?;
            let still = self::missing(workspace, setting.root);
            ensure!(
                still.is_empty(),
                "apt-get reported success, but what these packages bring is still not found: {}",
                still.join(" ")
            );
        }
        Plan::Print(line) => {
            println!("   packages: tests that need {} will be skipped; to install:", missing.join(", "));
            println!("   {line}");
        }
    }
    Ok(())
}

/// The packages that are not there, in the order of the table.
fn missing(workspace: &Workspace, root: bool) -> Vec<&'static str> {
    NEEDS
        .iter()
        .filter(|need| !(root && need.only_without_root))
        .filter(|need| match need.brings {
            Brings::Programs(programs) => !programs.iter().all(|program| is_on_path(program)),
            Brings::PythonEnvironments => venv::python(workspace).is_none(),
        })
        .map(|need| need.package)
        .collect()
}

/// Whether to install, to print, or neither.
fn plan(missing: &[&'static str], setting: Setting) -> Plan {
    if missing.is_empty() {
        Plan::Nothing
    } else if setting.install && (setting.root || setting.ci) {
        Plan::Install { packages: missing.to_vec(), sudo: !setting.root }
    } else {
        Plan::Print(format!("sudo apt-get install --no-install-recommends {}", missing.join(" ")))
    }
}

/// Installs packages without asking anything.
fn install(workspace: &Workspace, packages: &[&str], sudo: bool) -> Result<()> {
    ensure!(
        is_on_path("apt-get"),
        "this machine has no apt-get; install {} in its own way, or pass --no-install",
        packages.join(", ")
    );
    println!("   packages: installing {}", packages.join(" "));
    // An old list may still do, so only the second command decides.
    network::insist(&format!("apt-get install {}", packages.join(" ")), || {
        let _updated = apt_get(workspace, sudo, &["update"])?;
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(packages);
        apt_get(workspace, sudo, &arguments)
    })
    .and_then(|installed| {
        ensure!(installed, "apt-get install {} failed; see above, or pass --no-install", packages.join(" "));
        Ok(())
    })
}

/// Runs apt-get; true if it succeeded.
fn apt_get(workspace: &Workspace, sudo: bool, arguments: &[&str]) -> Result<bool> {
    // sudo clears the environment; env puts back what keeps apt-get from asking.
    let words: &[&str] = if sudo { &["sudo", "--non-interactive", "env"] } else { &["env"] };
    let status = workspace
        .command(words[0])
        .args(&words[1..])
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"])
        .args(network::APT)
        .args(arguments)
        // Hundreds of lines of unpacking; what goes wrong is said on the other stream.
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}; be root, or pass --no-install", words[0]))?;
    Ok(status.success())
}

/// Whether a program of this name is in one of the folders of the path.
pub(crate) fn is_on_path(program: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| is_executable(&folder.join(program)))
}

/// Whether a file can be run.
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Setting = Setting { root: false, ci: false, install: true };

    #[test]
    fn nothing_missing_means_nothing_to_do_for_anyone() {
        for setting in [NOBODY, Setting { root: true, ..NOBODY }, Setting { ci: true, ..NOBODY }] {
            assert_eq!(plan(&[], setting), Plan::Nothing);
        }
    }

    #[test]
    fn root_installs_what_is_missing_itself() {
        let setting = Setting { root: true, ..NOBODY };
        let packages = vec!["prometheus", "chromium"];
        assert_eq!(plan(&packages, setting), Plan::Install { packages, sudo: false });
    }

    #[test]
    fn ci_installs_through_sudo_when_it_is_not_root() {
        let setting = Setting { ci: true, ..NOBODY };
        let packages = vec!["chromium"];
        assert_eq!(plan(&packages, setting), Plan::Install { packages, sudo: true });
    }

    #[test]
    fn a_person_gets_one_line_to_run() {
        let line = "sudo apt-get install --no-install-recommends prometheus fuse3";
        assert_eq!(plan(&["prometheus", "fuse3"], NOBODY), Plan::Print(line.into()));
    }

    #[test]
    fn no_install_only_prints_even_for_root_in_ci() {
        let setting = Setting { root: true, ci: true, install: false };
        assert!(matches!(plan(&["chromium"], setting), Plan::Print(line) if line.ends_with(" chromium")));
    }

    #[test]
    fn a_program_is_on_the_path_only_if_it_can_be_run() {
        assert!(is_on_path("sh"));
        assert!(!is_on_path("no-program-has-this-name"));
        assert!(!is_executable(Path::new("/etc/passwd")));
        assert!(!is_executable(Path::new("/")));
    }
}
