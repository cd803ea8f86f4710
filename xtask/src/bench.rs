//! `cargo xtask bench`: builds for release once, then runs the benchmarks one by one.
//!
//! A benchmark is a program of its own (`harness = false`) that measures a floor and the subject in the
//! same run, prints their ratio and exits non-zero where a goal is missed.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::report::{Outcome, Report};
use crate::workspace::Workspace;

/// Tells the benchmarks where the program is that people run.
const PROGRAM: &str = "TREEHOUSE_BENCH_PROGRAM";

/// Runs the named benchmarks, or all.
///
/// # Errors
/// When a name is unknown, or the release build fails: then none is run.
pub(crate) fn run(workspace: &Workspace, names: &[String], arguments: &[OsString]) -> Result<ExitCode> {
    let chosen = choose(&workspace.benches(), names)?;
    println!("== build: the program and {} benchmarks, for release", chosen.len());
    let mut program = workspace.cargo();
    program.args(["build", "--release", "-p", "treehouse"]);
    succeed(program, "cargo build --release -p treehouse")?;
    let program = set_aside(workspace)?;
    let mut benches = workspace.cargo();
    benches.args(["bench", "--workspace", "--no-run"]);
    for name in &chosen {
        benches.args(["--bench", name]);
    }
    succeed(benches, "cargo bench --no-run")?;
    let mut report = Report::default();
    for (index, name) in chosen.iter().enumerate() {
        let what = format!("benchmark {} of {}", index + 1, chosen.len());
        report.run(name, &what, || {
            let status = workspace
                .cargo()
                // The same selection as for the build, or features differ and it is built again.
                .args(["bench", "--quiet", "--workspace", "--bench", name, "--"])
                .args(arguments)
                .env(PROGRAM, &program)
                .status()
                .context("cannot start cargo bench")?;
            Ok(if status.success() {
                Outcome::Passed
            } else {
                Outcome::Failed("a goal was missed or it could not run; see above".into())
            })
        });
    }
    report.print();
    Ok(if report.holds(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The benchmarks to run, in the order they were named, or all.
fn choose(there: &[String], named: &[String]) -> Result<Vec<String>> {
    ensure!(!there.is_empty(), "the workspace has no benchmark");
    if named.is_empty() {
        return Ok(there.to_vec());
    }
    if let Some(unknown) = named.iter().find(|name| !there.contains(name)) {
        bail!("no benchmark is named {unknown}; there are: {}", there.join(", "));
    }
    Ok(named.to_vec())
}

/// Copies the program away from where `cargo bench` would put one with the features and the panics of a benchmark.
fn set_aside(workspace: &Workspace) -> Result<PathBuf> {
    let built = workspace.target().join("release/treehouse");
    let folder = workspace.target().join("bench-program");
    let program = folder.join("treehouse");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(&built, &program).with_context(|| format!("cannot copy {} to {}", built.display(), program.display()))?;
    Ok(program)
}

/// Runs a command that must succeed.
fn succeed(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {what}"))?;
    ensure!(status.success(), "{what} failed; see above");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_are_run_if_none_is_named() {
        let there = names(&["attribution", "sampler"]);
        assert_eq!(choose(&there, &[]).unwrap(), there);
    }

    #[test]
    fn the_named_ones_are_run_in_that_order() {
        let there = names(&["attribution", "sampler", "scrape"]);
        let named = names(&["scrape", "attribution"]);
        assert_eq!(choose(&there, &named).unwrap(), named);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_names_there_are() {
        let error = choose(&names(&["attribution", "sampler"]), &names(&["simpler"])).unwrap_err();
        assert_eq!(error.to_string(), "no benchmark is named simpler; there are: attribution, sampler");
    }

    #[test]
    fn a_workspace_without_benchmarks_says_so() {
        assert!(choose(&[], &[]).is_err());
    }
}
