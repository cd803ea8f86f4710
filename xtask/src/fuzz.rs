//! `cargo xtask fuzz`: any bytes against the parsers and counters, for a while, with cargo-fuzz on the nightly compiler.
//!
//! New inputs are kept in `fuzz/found/`, which git ignores; an input that breaks something stays in `fuzz/artifacts/` until it
//! is mended, and then belongs in `fuzz/corpus/`, which ordinary tests replay.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;

/// What a person types where the tools are missing.
const INSTALL: &str = "rustup toolchain install nightly --profile minimal && cargo install cargo-fuzz --locked";
/// The folder of the targets, below the root.
const FOLDER: &str = "fuzz";

/// Runs the named targets, or all, each for so many seconds; one line a target.
///
/// # Errors
/// When the tools are missing, a name is unknown, or the targets do not build.
pub(crate) fn run(workspace: &Workspace, seconds: u32, names: &[String]) -> Result<ExitCode> {
    let folder = workspace.root().join(FOLDER);
    let chosen = choose(&targets(&folder.join("fuzz_targets"))?, names)?;
    ensure!(is_there(workspace), "cargo-fuzz or the nightly compiler is missing; to install: {INSTALL}");
    println!("== build: {} targets", chosen.len());
    let built = cargo_fuzz(workspace, "build").status().context("cannot start cargo fuzz")?;
    ensure!(built.success(), "the targets do not build; see above");
    let mut broken = 0;
    for name in &chosen {
        let found = folder.join("found").join(name);
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let mut command = cargo_fuzz(workspace, "run");
        // new inputs go to the first folder
        command.arg(name).arg(&found).arg(folder.join("corpus").join(name)).arg("--");
        command.args([&format!("-max_total_time={seconds}"), "-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048"]);
        let start = Instant::now();
        let output = command.output().with_context(|| format!("cannot start {name}"))?;
        let result = Finished::of(&output, start.elapsed());
        println!("   {name:14} {result}");
        if result.crashes > 0 {
            broken += 1;
            println!("{}", result.report);
        }
    }
    println!("{} targets, {broken} with a crash", chosen.len());
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of one target.
#[derive(Debug, PartialEq, Eq)]
struct Finished {
    runs: u64,
    seconds: u64,
    new: u64,
    /// libFuzzer ends at the first.
    crashes: u64,
    /// What went wrong, and with which input.
    report: String,
}

impl Finished {
    fn of(output: &Output, took: Duration) -> Self {
        let text = String::from_utf8_lossy(&output.stderr);
        let figure = |name: &str| {
            let line = text.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|figure| figure.trim().parse().ok()).unwrap_or(0)
        };
        let lines: Vec<&str> = text.lines().collect();
        let tells =
            |line: &str| line.contains("panicked at ") || line.contains("ERROR: ") || line.contains("Test unit written");
        let told = |i: &usize| tells(lines[*i]) || (*i > 0 && lines[*i - 1].contains("panicked at "));
        let report: Vec<&str> = (0..lines.len()).filter(told).map(|i| lines[i]).collect();
        let crashes = u64::from(!output.status.success());
        let (runs, new) = (figure("number_of_executed_units"), figure("new_units_added"));
        Self { runs, seconds: took.as_secs(), new, crashes, report: report.join("\n") }
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>9} runs, {:>4} s, {:>5} new inputs, crashes: {}", self.runs, self.seconds, self.new, self.crashes)
    }
}

/// The names of all targets, sorted.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".rs")?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// The targets to run, in the order they were named, or all.
fn choose(there: &[String], named: &[String]) -> Result<Vec<String>> {
    if named.is_empty() {
        return Ok(there.to_vec());
    }
    if let Some(unknown) = named.iter().find(|name| !there.contains(name)) {
        bail!("no fuzz target is named {unknown}; there are: {}", there.join(", "));
    }
    Ok(named.to_vec())
}

/// Whether the nightly compiler is there and finds cargo-fuzz.
fn is_there(workspace: &Workspace) -> bool {
    let mut command = nightly(workspace);
    command.args(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn cargo_fuzz(workspace: &Workspace, verb: &str) -> Command {
    let mut command = nightly(workspace);
    command.args(["fuzz", verb, "--fuzz-dir", FOLDER]);
    command
}

/// Cargo of the nightly compiler. `cargo +nightly` is understood by rustup's cargo alone, and we were started by another.
fn nightly(workspace: &Workspace) -> Command {
    let mut command = workspace.command("rustup");
    command.args(["run", "nightly", "cargo"]).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn finished(code: i32, stderr: &str) -> Finished {
        Finished::of(
            &Output { status: ExitStatus::from_raw(code << 8), stdout: Vec::new(), stderr: stderr.into() },
            Duration::from_secs(61),
        )
    }

    #[test]
    fn the_figures_are_those_at_the_end() {
        let text = "#2 INITED cov: 9\nstat::number_of_executed_units: 120345\n\
            stat::average_exec_per_sec:     1972\nstat::new_units_added:          77\n";
        let result = finished(0, text);
        assert_eq!((result.runs, result.seconds, result.new, result.crashes), (120_345, 61, 77, 0));
        assert_eq!(result.to_string(), "   120345 runs,   61 s,    77 new inputs, crashes: 0");
    }

    #[test]
    fn a_target_that_ends_badly_has_crashed_and_says_how() {
        let result =
            finished(77, "#9 NEW\nthread 'a' panicked at src/counter.rs:1:\ntoo much\n0: main\nTest unit written to ./crash-1\n");
        assert_eq!((result.crashes, result.runs), (1, 0));
        assert_eq!(result.report, "thread 'a' panicked at src/counter.rs:1:\ntoo much\nTest unit written to ./crash-1");
    }

    #[test]
    fn an_unknown_target_is_refused_with_the_names_of_all() {
        let there = ["accept".to_owned(), "counter".to_owned()];
        assert_eq!(choose(&there, &[]).unwrap(), there);
        let error = choose(&there, &["count".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "no fuzz target is named count; there are: accept, counter");
    }

    #[test]
    fn every_target_of_the_repository_is_found() {
        let folder = Workspace::find().unwrap().root().join("fuzz/fuzz_targets");
        assert!(targets(&folder).unwrap().contains(&"counter".to_owned()));
    }
}
