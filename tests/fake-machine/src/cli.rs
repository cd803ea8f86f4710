//! The command line: `fake-machine [options] DIR`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};

use crate::control;
use crate::error::ModelError;
use crate::model::{TrueMachine, Vendor};
use crate::server::Server;
use crate::units::Units;
use crate::usage::Process;
use crate::watch::Watch;

/// Exit status when the arguments cannot be used.
const USAGE_ERROR: u8 = 2;
/// Watts of what is on the board beside packages and memory.
const BOARD_WATTS: f64 = 5.0;
/// The share of a package's power that its cores draw.
const CORE_SHARE: f64 = 0.75;

/// Shows a machine with a known true power in DIR: a sysfs with powercap counters, a procfs and a
/// cgroupfs. Prints the flags that point a program at them, then `ready`.
///
/// Commands go to DIR/ctl, one a line; the truth is read from DIR/truth. It ends at SIGTERM, SIGINT,
/// SIGHUP, and with whoever started it, unless that was nohup or setsid.
#[derive(Clone, Debug, Parser)]
#[command(name = "fake-machine", after_help = format!("Commands of DIR/ctl: {}", control::USAGE))]
pub struct Arguments {
    /// An empty directory, or one that does not exist yet.
    directory: PathBuf,
    /// True power of each package.
    #[arg(long, value_name = "WATTS", default_value = "40", value_parser = watts, allow_negative_numbers = true)]
    watts: f64,
    /// True power of the memory of each package; without it there is no such zone.
    #[arg(long, value_name = "WATTS", value_parser = watts, allow_negative_numbers = true)]
    dram_watts: Option<f64>,
    /// Power of a package with nothing to do: it then draws this, and the busy fraction of the rest.
    #[arg(long, value_name = "WATTS", value_parser = watts, allow_negative_numbers = true)]
    idle_watts: Option<f64>,
    /// Adds a zone for the whole platform: packages, memory and 5 W more.
    #[arg(long)]
    psys: bool,
    /// Number of packages.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    packages: u32,
    /// Number of CPUs.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=4096))]
    cpus: u32,
    /// The fraction of all CPUs that the processes of the fake procfs use.
    #[arg(long, value_name = "FRACTION", default_value = "0.5", value_parser = fraction, allow_negative_numbers = true)]
    busy: f64,
    /// How the counters count.
    #[arg(long, value_enum, default_value_t = Range::Intel)]
    range: Range,
    /// What the counters show at the start, in microjoules (in smaller counters, what is left of it).
    #[arg(long, value_name = "UJ", conflicts_with = "near_wrap")]
    start_uj: Option<u64>,
    /// Starts every counter so that it wraps after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    near_wrap: Option<f64>,
    /// Uses plain files, renewed every 20 ms, even where FUSE can be used.
    #[arg(long)]
    plain: bool,
    /// Ends when standard input does.
    #[arg(long)]
    until_stdin_closes: bool,
}

/// Counters that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Range {
    /// 262143328850 uJ, memory 65712999613 uJ.
    Intel,
    /// 65532610987 uJ.
    Amd,
    /// 137438953471 uJ.
    Atom,
}

/// Why nothing was served, or no more.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("{0}")]
    Model(#[from] ModelError),
    #[error("{path} {problem}")]
    Directory { path: PathBuf, problem: String },
    #[error("--idle-watts {idle} must not be above --watts {watts}")]
    Idle { idle: f64, watts: f64 },
    #[error("{doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs the program with the given arguments, the first of which is its name.
///
/// Exit status 0 after a regular end, 2 when the arguments cannot be used, 1 for all else.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => serve(&arguments),
        Err(error) if error.use_stderr() => complain(&one_line(&error), USAGE_ERROR),
        Err(help) => {
            let shown = write!(io::stdout().lock(), "{help}");
            shown.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
    }
}

/// Serves until it has to end.
pub fn serve(arguments: &Arguments) -> ExitCode {
    match arguments.serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ ServeError::Io { .. }) => complain(&error.to_string(), 1),
        Err(error) => complain(&error.to_string(), USAGE_ERROR),
    }
}

impl Arguments {
    fn serve(&self) -> Result<(), ServeError> {
        let machine = self.machine()?;
        let directory = prepare(&self.directory)?;
        let watch = Watch::start(self.until_stdin_closes).map_err(doing("cannot watch signals"))?;
        let (mut server, why) = self.start(&directory, machine)?;
        announce(&server, &directory, why.as_deref()).map_err(doing("cannot print"))?;
        let ran = server.run(&watch).map_err(doing("cannot go on"));
        let stopped = server.stop().map_err(doing("cannot clean up"));
        ran.and(stopped)
    }

    /// Starts the form that can be used, and says why it is not FUSE.
    fn start(&self, directory: &Path, machine: TrueMachine) -> Result<(Server, Option<String>), ServeError> {
        let why = if self.plain {
            "asked for".to_owned()
        } else {
            match Server::fuse(directory, machine.clone()) {
                Ok(server) => return Ok((server, None)),
                Err(error) => format!("FUSE cannot be used: {error}"),
            }
        };
        let server = Server::plain(directory, machine).map_err(doing("cannot write plain files"))?;
        Ok((server, Some(why)))
    }

    fn machine(&self) -> Result<TrueMachine, ServeError> {
        let watts = match self.idle_watts {
            Some(idle) if idle > self.watts => {
                let watts = self.watts;
                return Err(ServeError::Idle { idle, watts });
            }
            Some(idle) => idle + (self.watts - idle) * self.busy,
            None => self.watts,
        };
        let units = self.range.units();
        if let Some(uj) = self.start_uj {
            units.count_of(uj)?;
        }
        let boot = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut builder = TrueMachine::builder()
            .cpus(self.cpus)
            .vendor(self.range.vendor())
            .boot_unix_s(boot.map_or(0, |since| since.as_secs()))
            .default_units(units);
        // Each closure is run right after its zone was added.
        let begin = |builder: crate::Builder, units: Units| match (self.start_uj, self.near_wrap) {
            (Some(uj), _) => builder.start_uj(uj % (units.range_uj() + 1)),
            (None, Some(seconds)) => builder.wraps_at((seconds * 1e9) as u64),
            (None, None) => builder,
        };
        for package in 0..self.packages {
            builder = builder.package(package, watts).max_power(self.watts.max(125.0));
            builder = begin(builder, units);
            builder = begin(builder.core_share(CORE_SHARE), units);
            if let Some(watts) = self.dram_watts {
                let units = self.range.dram_units();
                builder = begin(builder.dram(watts).units(units), units);
            }
        }
        if self.psys {
            builder = begin(builder.psys(BOARD_WATTS), units);
        }
        for process in self.processes() {
            builder = builder.process(process);
        }
        Ok(builder.build()?)
    }

    /// A service and a batch job that share the busy time, and what every machine has.
    fn processes(&self) -> [Process; 4] {
        let busy = self.busy * f64::from(self.cpus);
        let job = "/user.slice/user-1000.slice/batch.scope";
        [
            Process::new(1, "init"),
            Process::new(2, "kthreadd"),
            Process::new(100, "web").uid(33).cgroup("/system.slice/web.service").rate(0, 0.5 * busy, 0.1 * busy),
            Process::new(200, "batch").uid(1000).cgroup(job).rate(0, 0.38 * busy, 0.02 * busy),
        ]
    }
}

impl Range {
    fn units(self) -> Units {
        match self {
            Self::Intel => Units::ESU_14,
            Self::Amd => Units::ESU_16,
            Self::Atom => Units::ATOM,
        }
    }

    fn dram_units(self) -> Units {
        match self {
            Self::Intel => Units::SERVER_DRAM,
            other => other.units(),
        }
    }

    fn vendor(self) -> Vendor {
        match self {
            Self::Amd => Vendor::Amd,
            Self::Intel | Self::Atom => Vendor::Intel,
        }
    }
}

/// Makes sure that the directory is there and empty, and returns its absolute path.
fn prepare(path: &Path) -> Result<PathBuf, ServeError> {
    let wrong = |problem: String| ServeError::Directory { path: path.to_owned(), problem };
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(path).and_then(|()| fs::read_dir(path)),
        entries => entries,
    };
    let mut entries = entries.map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => wrong("is not a directory".to_owned()),
        io::ErrorKind::NotConnected => wrong(format!("is a mount whose server has died: run umount -l {}", quote(path))),
        _ => wrong(format!("cannot be used: {error}")),
    })?;
    if entries.next().is_some() {
        let problem = "is not empty: give an empty directory or a new one";
        return Err(wrong(problem.to_owned()));
    }
    path.canonicalize().map_err(|error| wrong(format!("cannot be used: {error}")))
}

/// Says which form it is and how to use it; the last line is `ready`.
fn announce(server: &Server, directory: &Path, why_plain: Option<&str>) -> io::Result<()> {
    let flag = |name: &str, part: &str| format!("--{name} {}", quote(&directory.join(part)));
    let mut out = io::stdout().lock();
    match why_plain {
        None => writeln!(out, "form: {} (computed at every read)", server.form())?,
        Some(why) => writeln!(out, "form: {} (renewed every 20 ms; {why})", server.form())?,
    }
    writeln!(out, "flags: {} {} {}", flag("sysfs", "sys"), flag("procfs", "proc"), flag("cgroupfs", "cgroup"))?;
    writeln!(out, "control: {}", quote(&directory.join("ctl")))?;
    writeln!(out, "truth: {}", quote(&directory.join("truth")))?;
    writeln!(out, "ready")?;
    out.flush()
}

/// A path as a shell wants it.
fn quote(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:,@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The message of a usage error without its hints.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or(&text);
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let words: Vec<&str> = message.split_whitespace().collect();
    words.join(" ")
}

fn complain(message: &str, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "fake-machine: {message}");
    ExitCode::from(status)
}

fn doing(doing: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::Io { doing, source }
}

fn watts(text: &str) -> Result<f64, String> {
    number(text, 0.0..=100_000.0, "watts")
}

fn fraction(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1.0, "a fraction")
}

fn seconds(text: &str) -> Result<f64, String> {
    number(text, 0.001..=1e7, "seconds")
}

fn number(text: &str, range: std::ops::RangeInclusive<f64>, what: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    let (low, high) = (range.start(), range.end());
    number.ok_or_else(|| format!("{what} must be a number from {low} to {high}"))
}
