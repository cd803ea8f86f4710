//! `treehouse record`: what the meters show, line by line, and the small files that they were found by.
//!
//! Each line is written whole, so that whatever ends the recording, what was written until then can be played with `--replay`.
//! Nothing is kept that tells which machine it was: no host name, no serial number, no process, no command line.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use carbon_api::bank::{Bank, Observed};
use carbon_api::cover::host_cover;
use carbon_api::detect::{Machine, Options, host_reader};
use carbon_api::meter::replay::{HEAD, Head, MachineFacts, READINGS, RecordedSource, Tick, TreeFacts, VERSION};
use carbon_api::probe::HostReader;
use carbon_api::stamp::{Clock, Stamp};
use carbon_api::system::SystemClock;
use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use self::scrub::Scrub;
use crate::cli::{Cli, Format, RecordOptions};
use crate::config::Config;
use crate::failure::Failure;
use crate::{output, wiring};

mod scrub;
mod tree;

/// Records until the time is over or a signal comes.
pub(crate) fn record(cli: &Cli, config: &Config, options: &RecordOptions) -> Result<ExitCode, Failure> {
    if cli.replay.is_some() {
        return Err(Failure::Input("record reads the meters of this machine: leave --replay out".into()));
    }
    let roots = wiring::options(cli, config);
    let mut machine = Machine::detect(&roots);
    if machine.bank.domains().is_empty() {
        return Err(machine.no_meter().into());
    }
    let stop = Stop::listen().map_err(|e| Failure::system("signals", e))?;
    prepare(&options.folder)?;
    let scrub = Scrub::new(&roots, &machine.bank.domain_list());
    let tree = tree::copy(&roots, &options.folder.join("tree"))?;
    // read before the first line, so that meters with a thread of their own have something to show
    machine.bank.settle();
    write(&options.folder.join(HEAD), &head(&machine, &roots, options, &scrub, tree)?)?;
    let path = options.folder.join(READINGS);
    let file = File::create_new(&path).map_err(|e| Failure::system(path.display(), e))?;
    let members = host_cover(&machine.bank.domain_list(), &roots.cover);
    let recorder = Recorder { bank: machine.bank, host: host_reader(&roots), members, scrub, file, start: None, lines: 0 };
    let (seconds, lines) = recorder.run(options, &stop).map_err(|e| Failure::system(path.display(), e))?;
    report(cli, &options.folder, seconds, lines)?;
    Ok(ExitCode::SUCCESS)
}

fn report(cli: &Cli, folder: &Path, seconds: f64, lines: u64) -> Result<(), Failure> {
    let folder = folder.display();
    output::print(&match cli.format {
        Format::Json => {
            format!("{}\n", serde_json::json!({ "folder": folder.to_string(), "readings": lines, "seconds": seconds }))
        }
        Format::Text => format!("{lines} readings in {}: play them with --replay {folder}\n", output::seconds(seconds)),
    })
}

/// Makes the folder; one that holds something already is left alone.
fn prepare(folder: &Path) -> Result<(), Failure> {
    let wrong = |e: std::io::Error| Failure::Input(format!("{}: {e}; name an empty folder or a new one", folder.display()));
    std::fs::create_dir_all(folder).map_err(wrong)?;
    if std::fs::read_dir(folder).map_err(wrong)?.next().is_some() {
        return Err(Failure::Input(format!("{} is not empty: name an empty folder or a new one", folder.display())));
    }
    Ok(())
}

fn head(machine: &Machine, roots: &Options, options: &RecordOptions, scrub: &Scrub, tree: TreeFacts) -> Result<String, Failure> {
    let cpuinfo = std::fs::read_to_string(roots.procfs.join("cpuinfo")).unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|l| l.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let kernel = std::fs::read_to_string(roots.procfs.join("sys/kernel/osrelease")).unwrap_or_default();
    let now = SystemClock.utc();
    let sources = machine.reports.iter().map(RecordedSource::from);
    let head = Head {
        version: VERSION,
        tool: format!("treehouse {}", env!("CARGO_PKG_VERSION")),
        recorded_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
        period_s: options.period.as_secs_f64(),
        machine: MachineFacts {
            cpus: machine.cpus,
            memory_gb: machine.memory_gb,
            kernel: kernel.trim().to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            processor: field("model name").or_else(|| field("Processor")).unwrap_or_default(),
        },
        domains: machine.bank.domains().iter().map(|d| scrub.domain(d)).collect(),
        sources: sources.map(|s| scrub.source(s)).collect(),
        tree,
    };
    Ok(serde_json::to_string_pretty(&head).map_err(|e| Failure::system("the recording", e))? + "\n")
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|e| Failure::system(path.display(), e))
}

/// Everything that one line needs.
struct Recorder {
    bank: Bank,
    host: HostReader,
    members: Vec<usize>,
    scrub: Scrub,
    file: File,
    start: Option<Stamp>,
    lines: u64,
}

impl Recorder {
    /// Writes a line every period; returns how long that took, and how many lines.
    fn run(mut self, options: &RecordOptions, stop: &Stop) -> std::io::Result<(f64, u64)> {
        let shows = std::io::stderr().is_terminal();
        let begun = Instant::now();
        let end = options.duration.map(|d| begun + d);
        let mut due = begun;
        let seconds = loop {
            let (seconds, watts) = self.line()?;
            if shows {
                let power = watts.map_or_else(String::new, |w| format!(", {}", output::si(w, "W")));
                let _ = write!(std::io::stderr(), "\r\x1b[K{} readings, {}{power}", self.lines, output::seconds(seconds));
            }
            let now = Instant::now();
            while due <= now {
                due += options.period;
            }
            // the last line is at the end of the time that was asked for
            let next = end.map_or(due, |end| due.min(end));
            if end.is_some_and(|end| now >= end) || stop.wait(next) {
                break seconds;
            }
        };
        if shows {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        self.file.sync_all()?;
        Ok((seconds, self.lines))
    }

    /// Writes one line; returns seconds since the first, and the power of the machine since the line before, where known.
    fn line(&mut self) -> std::io::Result<(f64, Option<f64>)> {
        let clock = SystemClock;
        let at = clock.stamp();
        let start = *self.start.get_or_insert(at);
        let host = (self.host)(&clock).ok();
        let observed = self.bank.read(&clock).1;
        let power = |&i: &usize| match &observed[i] {
            Observed::Read(outcome) => outcome.step().map(|s| s.energy.joules().value() / s.until.seconds_since(s.from)),
            Observed::Failed(_) => None,
        };
        let watts = self.members.iter().map(power).sum::<Option<f64>>().filter(|w| w.is_finite() && !self.members.is_empty());
        let mut tick = Tick::of(at, start, self.bank.values(), host);
        tick.values.iter_mut().filter_map(|v| v.as_mut().err()).for_each(|error| self.scrub.error(error));
        self.file.write_all(tick.line().map_err(std::io::Error::other)?.as_bytes())?;
        self.lines += 1;
        Ok((at.seconds_since(start), watts))
    }
}

/// SIGINT and SIGTERM end a recording; they do not cut a line.
struct Stop(UnixStream);

impl Stop {
    fn listen() -> std::io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        for signal in [nix::libc::SIGINT, nix::libc::SIGTERM] {
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(Self(wake))
    }

    /// Sleeps until then; true where a signal came before.
    fn wait(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let _ = ppoll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], Some(TimeSpec::from(left)), None);
            match (&self.0).read(&mut [0; 8]) {
                Ok(1..) => return true,
                _ if left < Duration::from_nanos(1) => return false,
                _ => {}
            }
        }
    }
}
