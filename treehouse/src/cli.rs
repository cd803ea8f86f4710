//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

const EXAMPLES: &str = "\
Examples:
  treehouse run -- make -j2                 energy, carbon and time of one command
  treehouse serve                           metrics, API and web page on http://127.0.0.1:9464/
  treehouse sources                         what this machine can measure, and what to do where it cannot
  treehouse record DIR --duration 60        what the meters show, to be played with --replay DIR
  treehouse decide shift --example          a valid input for a scheduling decision

Exit status: 0 success; 2 bad usage, configuration or input; 3 nothing to answer with; `run` passes the command's own on.";

/// Watts and grams of this machine and of what runs on it.
#[derive(Clone, Debug, Parser)]
#[command(name = "treehouse", version, about, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    /// Configuration file (TOML); default: treehouse/config.toml in the XDG configuration folder, where there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Root of sysfs
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) sysfs: Option<PathBuf>,
    /// Root of procfs
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) procfs: Option<PathBuf>,
    /// Root of the cgroup file systems
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cgroupfs: Option<PathBuf>,
    /// Play a recording of `treehouse record` in place of this machine's meters
    #[arg(long, global = true, value_name = "DIR", conflicts_with_all = ["sysfs", "procfs"])]
    pub(crate) replay: Option<PathBuf>,
    /// Library of NVIDIA's management interface to load instead of the system's
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) nvml: Option<PathBuf>,
    /// Zone of the grid, such as GB, FR or US-CISO
    #[arg(long, global = true, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// A fixed intensity instead of the table, in gCO2e per kWh
    #[arg(long, global = true, value_name = "G_PER_KWH", allow_negative_numbers = true)]
    pub(crate) intensity: Option<f64>,
    /// Without a meter give no figure (exit 3) rather than a modelled one
    #[arg(long, global = true)]
    pub(crate) no_model: bool,
    /// Folder of the ledger; default: treehouse in the XDG state folder
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Format of the answer
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Say more on stderr
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// What to do
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: one object
    Json,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Verb {
    /// Every source tried: what answers, what contains what, and what to do where one does not
    Sources,
    /// Run a command and report its energy, power, carbon and time
    Run(RunOptions),
    /// The daemon: metrics, API, web page and ledger
    Serve(ServeOptions),
    /// Record what the meters show, to be played again with --replay
    Record(RecordOptions),
    /// Print the configuration in force
    Config,
    /// One scheduling decision from a JSON view
    Decide(DecideOptions),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Options of `run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunOptions {
    /// How often to run the command; the report then gives median, minimum and maximum
    #[arg(short = 'n', long = "runs", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Runs before the ones that count
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) warmup: u32,
    /// Write the JSON object to a file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) export_json: Option<PathBuf>,
    /// Write one line a run as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) export_csv: Option<PathBuf>,
    /// Write a Markdown table
    #[arg(long, value_name = "FILE")]
    pub(crate) export_markdown: Option<PathBuf>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// Options of `serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeOptions {
    /// Address to listen on
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Unix socket for callers of this machine, who see their own energy there: a path, `off`, or `auto` (default):
    /// treehouse.sock in the state folder
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<String>,
    /// Listen on an address that others can reach, without TLS or a token
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Keep nothing: no ledger
    #[arg(long)]
    pub(crate) no_ledger: bool,
    /// Push host metrics to an OpenTelemetry collector (http://HOST:4317 for gRPC, http://HOST:4318 for HTTP)
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
}

/// Options of `record`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RecordOptions {
    /// An empty folder, or a new one
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// How long: seconds, or 90s, 10m, 2h; without it until Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Time between two readings: seconds, or 100ms, 1s
    #[arg(long, value_name = "TIME", value_parser = period, default_value = "1s")]
    pub(crate) period: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_or_else(|_| text.parse().map(|d: SignedDuration| d.as_secs_f64()), Ok);
    let longest = 40.0 * 86_400.0;
    match seconds {
        Ok(s) if s > 0.0 && s <= longest => Ok(Duration::from_secs_f64(s)),
        _ => Err("a time from above 0 to 40 days, such as 30, 90s, 10m or 2h".into()),
    }
}

fn period(text: &str) -> Result<Duration, String> {
    let most = Duration::from_secs(3600);
    let fits = |d: &Duration| (Duration::from_millis(1)..=most).contains(d);
    duration(text).ok().filter(fits).ok_or_else(|| "a time from 1ms to 1h, such as 100ms or 1s".into())
}

/// Options of `decide`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DecideOptions {
    /// Which policy
    pub(crate) policy: String,
    /// The input; `-` is stdin
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(crate) input: PathBuf,
    /// Print the JSON Schemas of input and output instead
    #[arg(long, conflicts_with = "example")]
    pub(crate) schema: bool,
    /// Print a valid input instead
    #[arg(long)]
    pub(crate) example: bool,
}
