//! Runs `cargo test`, passes its output on, and counts.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::Command;

use anyhow::{Context, Result};

use crate::report::Outcome;
use crate::setting::Setting;
use crate::skips::{self, SkipLog, Skips};
use crate::step::Step;
use crate::tally::{Counts, Tally, Totals};
use crate::venv::Venv;
use crate::workspace::Workspace;

/// What came out of a run of the tests.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Whether the step holds.
    pub(crate) outcome: Outcome,
    /// For the closing line.
    pub(crate) totals: Totals,
    /// Tests that skipped themselves.
    pub(crate) skips: Skips,
}

/// Runs the tests of the whole workspace, or those that `arguments` choose.
///
/// # Errors
/// When cargo cannot be started or the skip log cannot be used.
pub(crate) fn run(workspace: &Workspace, setting: Setting, venv: Option<&Venv>, arguments: &[OsString]) -> Result<Finished> {
    let log = SkipLog::start(workspace.target())?;
    let mut command = if arguments.is_empty() {
        Step::Test.line().command(workspace)
    } else {
        let mut command = workspace.cargo();
        command.args(["test", "--no-fail-fast"]).args(arguments);
        command
    };
    command.env(skips::VARIABLE, log.path());
    if let Some(venv) = venv {
        command.envs(venv.variables());
    }
    let (succeeded, counts) = stream(command, &mut io::stdout().lock())?;
    let skips = log.read()?;
    let (outcome, counts) = judge(succeeded, counts, &skips, setting.ci);
    Ok(Finished { outcome, totals: Totals::new(counts, skips.count()), skips })
}

/// Runs a command, copying both its streams to `out` in the order they were written.
fn stream(mut command: Command, out: &mut impl Write) -> Result<(bool, Counts)> {
    let (mut reader, writer) = io::pipe().context("cannot make a pipe")?;
    let errors = writer.try_clone().context("cannot copy a pipe")?;
    let mut child = command.stdout(writer).stderr(errors).spawn().context("cannot start cargo test")?;
    // The command holds the ends for writing; as long as we do too, reading never ends.
    drop(command);
    let mut tally = Tally::default();
    let mut buffer = [0; 8192];
    loop {
        let length = reader.read(&mut buffer).context("cannot read the output of cargo test")?;
        if length == 0 {
            break;
        }
        tally.read(&buffer[..length]);
        out.write_all(&buffer[..length]).and_then(|()| out.flush()).context("cannot pass on the output of cargo test")?;
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    Ok((status.success(), tally.finish()))
}

/// Decides whether the step holds. Failures that no result line tells of count as one.
fn judge(succeeded: bool, mut counts: Counts, skips: &Skips, ci: bool) -> (Outcome, Counts) {
    let required = skips.required();
    let outcome = if !succeeded && counts.failed == 0 {
        counts.failed = 1;
        let why = "something did not build or a test program crashed; see above (counted as one failure)";
        Outcome::Failed(why.into())
    } else if !succeeded || counts.failed > 0 {
        Outcome::Failed(Step::Test.mend().into())
    } else if counts == Counts::default() {
        Outcome::Failed("no test ran".into())
    } else if ci && required > 0 {
        Outcome::Failed(format!("CI must be able to run these skipped tests ({required}); see below"))
    } else {
        Outcome::Passed
    };
    (outcome, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn skips_of(text: &str) -> Skips {
        let target = tempfile::tempdir().unwrap();
        let log = SkipLog::start(target.path()).unwrap();
        std::fs::write(log.path(), text).unwrap();
        log.read().unwrap()
    }

    const GOOD: Counts = Counts { passed: 3, failed: 0, ignored: 1 };

    #[test]
    fn both_streams_are_passed_on_in_order_and_counted() {
        let script = "echo first; echo second >&2; echo 'test result: ok. 3 passed; 0 failed; 1 ignored'; exit 3";
        let mut out = Vec::new();
        let (succeeded, counts) = stream(shell(script), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("first\nsecond\ntest result: ok."), "{text}");
        assert_eq!((succeeded, counts), (false, GOOD));
    }

    #[test]
    fn good_tests_pass_with_ignored_and_optional_ones_left_out() {
        let skips = skips_of("optional: guest: no image\n");
        assert_eq!(judge(true, GOOD, &skips, true), (Outcome::Passed, GOOD));
    }

    #[test]
    fn a_required_test_may_be_skipped_by_a_person_but_not_by_ci() {
        let skips = skips_of("required: page: no chromium\n");
        assert_eq!(judge(true, GOOD, &skips, false).0, Outcome::Passed);
        assert!(matches!(judge(true, GOOD, &skips, true).0, Outcome::Failed(_)));
    }

    #[test]
    fn a_crash_that_left_no_result_counts_as_one_failure() {
        let (outcome, counts) = judge(false, GOOD, &Skips::default(), false);
        assert!(matches!(outcome, Outcome::Failed(why) if why.contains("crashed")));
        assert_eq!(counts.failed, 1);
    }

    #[test]
    fn failures_are_not_counted_twice() {
        let counts = Counts { failed: 2, ..GOOD };
        let (outcome, judged) = judge(false, counts, &Skips::default(), false);
        assert!(matches!(outcome, Outcome::Failed(_)));
        assert_eq!(judged, counts);
    }

    #[test]
    fn a_run_without_any_test_is_no_success() {
        let (outcome, _) = judge(true, Counts::default(), &Skips::default(), false);
        assert_eq!(outcome, Outcome::Failed("no test ran".into()));
    }
}
