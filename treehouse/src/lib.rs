//! The program: command line, daemon, web page. The only place that names adapters and wires them together.

mod cli;
mod config;
mod decide;
mod failure;
mod intensity;
mod output;
#[doc(hidden)]
pub mod parsers;
mod record;
mod run;
mod serve;
mod sources;
mod wiring;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Verb};
use crate::failure::Failure;

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(&cli) {
        Ok(code) => code,
        Err(failure) => {
            output::error(&format!("treehouse: {failure}"));
            failure.exit_code()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<ExitCode, Failure> {
    if let Verb::Completions { shell } = &cli.verb {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "treehouse", &mut script);
        return output::print(&String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS);
    }
    let config = config::Config::load(cli)?;
    match &cli.verb {
        Verb::Sources => sources::sources(cli, &config),
        Verb::Run(options) => run::run(cli, &config, options),
        Verb::Serve(options) => serve::serve(cli, config, options),
        Verb::Record(options) => record::record(cli, &config, options),
        Verb::Config => config::show(cli, &config),
        Verb::Decide(options) => decide::decide(cli, &config, options),
        Verb::Completions { .. } => Ok(ExitCode::SUCCESS),
    }
}
