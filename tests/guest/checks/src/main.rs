//! Runs as root in the guest of `cargo xtask guest-test`: sets up meters whose true energy is known and compares what the
//! program measures with it. One line a check on standard output, `end` at the end.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod checks;
mod complaints;
mod costs;
mod daemon;
mod measure;
mod modules;
mod nodes;
mod others;
mod permissions;
mod program;
mod record;
mod recording;
mod reload;
mod truth;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::checks::Checks;
use crate::measure::{Measurement, Wraps};
use crate::program::User;

/// Compares what the program measures with the truth of its meters.
#[derive(Debug, Parser)]
struct Arguments {
    /// Length of the measurements.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where the archive of the kernel's nodes goes.
    #[arg(long, default_value = "/tmp/recorded.tar")]
    recorded: PathBuf,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What else it can be.
#[derive(Debug, Subcommand)]
enum Role {
    /// The command that the program measures: works a sixth of the time.
    Workload {
        /// How long.
        seconds: u64,
        /// Through which door the program looks, `powercap` or `perf`.
        door: String,
        /// Where what it saw last goes.
        note: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::Workload { seconds, door, note }) => match workload::run(Duration::from_secs(seconds), &door, &note) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("{error:#}");
                ExitCode::FAILURE
            }
        },
        None => {
            let mut checks = Checks::new();
            if let Err(error) = all(&mut checks, arguments.seconds, &arguments.recorded) {
                checks.record("the meters of the guest can be set up", Err(error));
            }
            checks.end();
            ExitCode::SUCCESS
        }
    }
}

/// Everything, in an order in which each has the meters that it needs.
fn all(checks: &mut Checks, seconds: u64, recorded: &std::path::Path) -> anyhow::Result<()> {
    modules::load("known_energy", &[])?;
    modules::load("known_powercap", &[])?;
    permissions::powercap(checks);
    let wraps = Wraps::arm(seconds)?;
    // The program chooses its way once, at the start: this one finds no perf events, the next one does.
    let powercap = Measurement::start("powercap", seconds)?;
    modules::load("known_pmu", &[])?;
    let perf = match program::sources(User::Root)?.status("rapl_perf") {
        Some(_) => Some(Measurement::start("perf", seconds)?),
        None => None,
    };
    permissions::perf(checks, perf.is_some());
    nodes::set_up(checks)?;
    powercap.finish(checks, &wraps);
    match perf {
        Some(perf) => perf.finish(checks, &wraps),
        None => checks.skip("perf measures what was used", "this program knows no perf events"),
    }
    costs::compare(checks);
    match program::sources(User::Root)?.status("rapl_perf") {
        Some(_) => recording::all(checks),
        None => checks.skip("the meters are recorded", "this program knows no perf events"),
    }
    record::machine(checks);
    others::all(checks);
    for module in ["known_odpm", "known_pmu"] {
        modules::unload(module)?;
    }
    reload::driver(checks);
    reload::platform(checks);
    record::platform(checks);
    record::send(checks, recorded);
    complaints::none(checks);
    Ok(())
}
