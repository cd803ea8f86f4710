//! `cargo xtask`: everything a developer of this repository runs beside cargo itself.
#![expect(clippy::print_stdout, reason = "a developer's tool talks on the terminal")]

mod bench;
mod cargo_deny;
mod dashboards;
mod fuzz;
mod generated;
mod guest;
mod network;
mod packages;
mod report;
mod setting;
mod skips;
mod step;
mod suite;
mod tally;
mod test;
mod venv;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::setting::Setting;
use crate::step::Step;
use crate::workspace::Workspace;

/// Checks, tests and measures this repository.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
enum Task {
    /// Runs every check, then every test: what CI runs.
    ///
    /// Looks first for what the tests need. As root, or with CI=true, it installs what is missing;
    /// otherwise it prints the one line that would, and tests that need it are skipped. Every step
    /// runs even after one has failed. The last line is `N passed, N failed, N skipped`.
    Test {
        /// Installs nothing: what is missing is named, and what needs it is not run.
        #[arg(long)]
        no_install: bool,
        /// Runs this step alone; may be given more than once.
        #[arg(long, value_name = "NAME", value_enum)]
        only: Vec<Step>,
        /// Passed on to `cargo test` (after `--`), such as `-p carbon-api counter`, in place of
        /// `--workspace`.
        #[arg(last = true, value_name = "ARGUMENT")]
        cargo_test: Vec<OsString>,
    },
    /// Runs the checks without the tests: formatting, lints, the pure half alone, documentation,
    /// licences. For before a commit.
    Check {
        /// Installs nothing: without cargo-deny the licences are not checked.
        #[arg(long)]
        no_install: bool,
    },
    /// Builds the program for release, then runs the benchmarks; each prints ratios to floors
    /// measured in the same run.
    Bench {
        /// The benchmarks to run; all of them if none is named.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Passed on to each benchmark (after `--`).
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
    /// Writes the Grafana dashboard, the Prometheus rules and the provisioning files from the catalogue of metrics.
    Dashboards {
        /// Writes nothing: fails where a file is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Gives any bytes to every parser and any readings to every counter, for a while; `test` replays what is in `fuzz/corpus`.
    Fuzz {
        /// How long each target runs.
        #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// The targets to run; all of them if none is named.
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
    },
    /// Boots Debian's kernel in an emulated machine, with meters whose true energy is known, and checks
    /// there what the program measures.
    ///
    /// Debian's packages are fetched by name into target/guest, once, and unpacked there: nothing is
    /// installed. The last line is `N passed, N failed, N skipped`.
    GuestTest(guest::Options),
    /// Shows a machine that does not exist, with a known true power; `--help` tells its options.
    #[command(disable_help_flag = true)]
    FakeMachine {
        /// Options and the directory, as `fake-machine` takes them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => complain(&error),
    }
}

/// Does what was asked for.
fn run(task: Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::Test { no_install, only, cargo_test } => {
            let setting = Setting::find(!no_install)?;
            let steps = if only.is_empty() { Step::ALL.to_vec() } else { only };
            test::run(&Workspace::find()?, setting, &steps, &cargo_test)
        }
        Task::Check { no_install } => {
            let setting = Setting::find(!no_install)?;
            test::run(&Workspace::find()?, setting, &Step::QUICK, &[])
        }
        Task::Bench { names, arguments } => bench::run(&Workspace::find()?, &names, &arguments),
        Task::Dashboards { check } => dashboards::run(check).map(|()| ExitCode::SUCCESS),
        Task::Fuzz { seconds, targets } => fuzz::run(&Workspace::find()?, seconds, &targets),
        Task::GuestTest(options) => guest::run(&Workspace::find()?, &options),
        Task::FakeMachine { arguments } => {
            let name = OsString::from("fake-machine");
            Ok(fake_machine::cli::run(std::iter::once(name).chain(arguments)))
        }
    }
}

/// Says on one line why there is no result.
#[expect(clippy::print_stderr, reason = "a developer's tool talks on the terminal")]
fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_fake_machine_gets_every_argument_even_help() {
        let arguments = Arguments::parse_from(["xtask", "fake-machine", "--watts", "80", "--help", "here"]);
        let Task::FakeMachine { arguments } = arguments.task else {
            panic!("not the fake machine: {arguments:?}");
        };
        assert_eq!(arguments, ["--watts", "80", "--help", "here"]);
    }

    #[test]
    fn what_follows_two_dashes_goes_to_cargo_test() {
        let arguments = Arguments::parse_from(["xtask", "test", "--only", "test", "--", "-p", "carbon-api"]);
        let Task::Test { only, cargo_test, .. } = arguments.task else {
            panic!("not a test: {arguments:?}");
        };
        assert_eq!(only, [Step::Test]);
        assert_eq!(cargo_test, ["-p", "carbon-api"]);
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_names_of_all() {
        let error = Arguments::try_parse_from(["xtask", "test", "--only", "everything"]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("clippy") && text.contains("deny"), "{text}");
    }
}
