//! The steps of `test` and `check`: what each runs, and what mends it.

use std::fmt;
use std::process::Command;

use clap::ValueEnum;

use crate::workspace::Workspace;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Formatting.
    Fmt,
    /// Lints, of tests, examples and benchmarks too.
    Clippy,
    /// The pure half of carbon-api builds alone.
    Pure,
    /// Documentation, with its links.
    Doc,
    /// Licences, banned crates and sources.
    Deny,
    /// Generated files are up to date.
    Generated,
    /// Every test.
    Test,
}

impl Step {
    /// What CI runs. The tests come last, so that their totals close the output.
    pub(crate) const ALL: [Self; 7] = [Self::Fmt, Self::Clippy, Self::Pure, Self::Doc, Self::Deny, Self::Generated, Self::Test];

    /// What a developer runs before a commit.
    pub(crate) const QUICK: [Self; 5] = [Self::Fmt, Self::Clippy, Self::Pure, Self::Doc, Self::Deny];

    /// The name that `--only` takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Pure => "pure",
            Self::Doc => "doc",
            Self::Deny => "deny",
            Self::Generated => "generated",
            Self::Test => "test",
        }
    }

    /// The cargo command that is the step.
    pub(crate) fn line(self) -> Line {
        match self {
            Self::Fmt => Line::new(&["fmt", "--all", "--check"]),
            Self::Clippy => Line::new(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
            Self::Pure => Line::new(&["check", "-p", "carbon-api", "--no-default-features"]),
            Self::Doc => Line { variables: &[("RUSTDOCFLAGS", "-D warnings")], arguments: &["doc", "--no-deps", "--workspace"] },
            Self::Deny => Line::new(&["deny", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"]),
            Self::Generated => Line::new(&["xtask", "test", "--only", "generated"]),
            // One failing test program must not hide the others.
            Self::Test => Line::new(&["test", "--workspace", "--no-fail-fast"]),
        }
    }

    /// What a developer does about a failure.
    pub(crate) fn mend(self) -> &'static str {
        match self {
            Self::Fmt => "cargo fmt --all",
            Self::Clippy | Self::Doc => "see the warnings above",
            Self::Pure => "the pure half of carbon-api uses something behind a feature; see above",
            Self::Deny => "see above, and deny.toml for what is agreed",
            Self::Generated => "write the files again; see above",
            Self::Test => "see the failures above",
        }
    }
}

/// A cargo command as data, to be shown and to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    variables: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
}

impl Line {
    const fn new(arguments: &'static [&'static str]) -> Self {
        Self { variables: &[], arguments }
    }

    /// The command, ready to start.
    pub(crate) fn command(self, workspace: &Workspace) -> Command {
        let mut command = workspace.cargo();
        command.envs(self.variables.iter().copied()).args(self.arguments);
        command
    }
}

impl fmt::Display for Line {
    /// As one would type it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.variables {
            write!(formatter, "{name}='{value}' ")?;
        }
        write!(formatter, "cargo {}", self.arguments.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_chosen_by_the_name_it_is_shown_with() {
        for step in Step::ALL {
            assert_eq!(Step::from_str(step.name(), false), Ok(step));
        }
    }

    #[test]
    fn the_tests_come_last_and_the_quick_steps_have_none() {
        assert_eq!(Step::ALL.last(), Some(&Step::Test));
        assert!(!Step::QUICK.contains(&Step::Test));
    }

    #[test]
    fn a_line_is_shown_as_one_would_type_it() {
        assert_eq!(Step::Doc.line().to_string(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --workspace");
    }
}
