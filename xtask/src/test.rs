//! `cargo xtask test` and `check`: gets ready, runs the steps, sums up.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cargo_deny;
use crate::generated;
use crate::packages;
use crate::report::{Outcome, Report};
use crate::setting::Setting;
use crate::step::Step;
use crate::suite::{self, Finished};
use crate::venv::{self, Venv};
use crate::workspace::Workspace;

/// What the steps found ready.
#[derive(Debug, Default)]
struct Tools {
    venv: Option<Venv>,
    cargo_deny: bool,
}

/// Runs the steps in the order given, all of them, and says how each went; what failed decides the exit code.
///
/// # Errors
/// When something was to be installed and could not be, or `cargo_test` is given without the step that takes
/// it: then no step is run.
pub(crate) fn run(workspace: &Workspace, setting: Setting, steps: &[Step], cargo_test: &[OsString]) -> Result<ExitCode> {
    ensure!(
        cargo_test.is_empty() || steps.contains(&Step::Test),
        "arguments for cargo test, but the step test is not run; add --only test"
    );
    let tools = prepare(workspace, setting, steps)?;
    let mut report = Report::default();
    let mut finished = None;
    for step in steps {
        match step {
            Step::Test => {
                let what = what_is_tested(cargo_test);
                report.run(step.name(), &what, || {
                    let result = suite::run(workspace, setting, tools.venv.as_ref(), cargo_test)?;
                    let outcome = result.outcome.clone();
                    finished = Some(result);
                    Ok(outcome)
                });
            }
            Step::Generated => {
                for (name, verify) in generated::checks() {
                    report.run(name, "generated files are up to date", || verify(workspace).map(|()| Outcome::Passed));
                }
            }
            Step::Fmt | Step::Clippy | Step::Pure | Step::Doc | Step::Deny => {
                let line = step.line().to_string();
                report.run(step.name(), &line, || run_cargo(workspace, *step, &tools));
            }
        }
    }
    report.print();
    if let Some(Finished { totals, skips, .. }) = finished {
        skips.print();
        println!("{totals}");
    }
    Ok(if report.holds(setting.ci) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Finds or installs what these steps need.
fn prepare(workspace: &Workspace, setting: Setting, steps: &[Step]) -> Result<Tools> {
    let mut tools = Tools::default();
    let tests = steps.contains(&Step::Test);
    let deny = steps.contains(&Step::Deny);
    if !tests && !deny {
        return Ok(tools);
    }
    println!("== prepare: what the steps need");
    let start = Instant::now();
    if tests {
        packages::prepare(workspace, setting)?;
        tools.venv = venv::prepare(workspace, setting)?;
    }
    if deny {
        tools.cargo_deny = cargo_deny::prepare(workspace, setting)?;
    }
    println!("   ready, {:.1} s", start.elapsed().as_secs_f64());
    Ok(tools)
}

/// Runs a step that is one cargo command.
fn run_cargo(workspace: &Workspace, step: Step, tools: &Tools) -> Result<Outcome> {
    if step == Step::Deny && !tools.cargo_deny {
        let mend = "cargo-deny is not there; cargo install cargo-deny --locked";
        return Ok(Outcome::NotRun(mend.into()));
    }
    let line = step.line();
    let status = line.command(workspace).status().with_context(|| format!("cannot start {line}"))?;
    Ok(if status.success() { Outcome::Passed } else { Outcome::Failed(step.mend().into()) })
}

/// The header of the test step.
fn what_is_tested(cargo_test: &[OsString]) -> String {
    if cargo_test.is_empty() {
        return Step::Test.line().to_string();
    }
    let arguments: Vec<_> = cargo_test.iter().map(|argument| argument.to_string_lossy()).collect();
    format!("cargo test --no-fail-fast {}", arguments.join(" "))
}
