//! One long measurement by `treehouse run`, compared with the truth.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::checks::Checks;
use crate::modules::set;
use crate::program::{self, User};
use crate::truth::Truth;

/// What a measurement may be off by.
const TOLERANCE: f64 = 0.01;
/// How long the program may take to start the command.
const START: Duration = Duration::from_secs(180);
/// The domains that are compared.
const DOMAINS: [&str; 3] = ["package-0", "core-0", "dram-0"];

/// The moment at which every register has so much left until it comes back to zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wraps {
    armed: Truth,
    joules: [u64; 3],
}

impl Wraps {
    /// Sets the registers so that each comes back to zero in the middle of a measurement of this length that starts
    /// soon: the package idles at 10 W, memory takes 3 W, and each of two workloads adds 20 W for a sixth of the time. Both
    /// must have started by then, however slow the guest, and neither may be over.
    pub(crate) fn arm(seconds: u64) -> Result<Self> {
        let joules = [seconds * 10, seconds * 2 * 20 / 6 * 8 / 10, seconds * 3 / 2];
        let [package, core, dram] = joules.map(|joules| joules * 1000);
        set("known_energy", "wrap_in_mj", &format!("{package},{core},{dram},0"))?;
        Ok(Self { armed: Truth::now()?, joules })
    }

    /// Whether a domain's register came back to zero between two moments.
    fn lies_between(&self, domain: &str, start: &Truth, end: &Truth) -> bool {
        let left = DOMAINS.iter().position(|name| *name == domain).map(|at| self.joules[at] as f64);
        let used = |moment: &Truth| moment.joules_since(&self.armed, domain);
        left.zip(used(start)).zip(used(end)).is_some_and(|((left, start), end)| start < left && left < end)
    }
}

/// A `treehouse run` that runs.
#[derive(Debug)]
pub(crate) struct Measurement {
    door: &'static str,
    child: Child,
    start: Truth,
}

/// What came out of it, and the truth when the program read the meters first and last.
#[derive(Debug)]
pub(crate) struct Measured {
    source: String,
    answer: Value,
    start: Truth,
    end: Truth,
}

impl Measurement {
    /// Starts it and waits until the command runs: by then the program has chosen its meters, through `powercap` or `perf`.
    pub(crate) fn start(door: &'static str, seconds: u64) -> Result<Self> {
        let note = PathBuf::from(format!("/tmp/{door}.note"));
        let mut command = User::Root.command();
        command.args(["run", "--format", "json", "--", "/bin/guest-checks", "workload", &seconds.to_string(), door]).arg(&note);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.context("cannot start the program")?;
        let started = Instant::now();
        while !note.exists() {
            if let Some(status) = child.try_wait().context("cannot wait for the program")? {
                bail!("the program ended before its command ran: {status}");
            }
            ensure!(started.elapsed() < START, "the program does not start its command");
            thread::sleep(Duration::from_millis(20));
        }
        let text = fs::read_to_string(&note).context("cannot read the note")?;
        fs::remove_file(&note).context("cannot remove the note")?;
        let start = Truth::parse(&text).with_context(|| format!("the note is no truth: {text}"))?;
        Ok(Self { door, child, start })
    }

    /// Waits for its end. Nobody else may look through its door meanwhile, at the beginning and at the end.
    pub(crate) fn wait(self) -> Result<Measured> {
        let output = self.child.wait_with_output().context("cannot wait for the program")?;
        let end = Truth::last_seen(self.door)?;
        ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        let source = format!("rapl_{}", self.door);
        Ok(Measured { source, answer: program::answer(&output)?, start: self.start, end })
    }

    /// Waits for its end and compares every domain.
    pub(crate) fn finish(self, checks: &mut Checks, wraps: &Wraps) {
        let door = self.door;
        let measured = match self.wait() {
            Ok(measured) => measured,
            Err(error) => return checks.record(&format!("{door} measures a command"), Err(error)),
        };
        for domain in DOMAINS {
            checks.check(&format!("{door} measures {domain} to 1 % while its register comes back to zero"), || {
                let inside = wraps.lies_between(domain, &measured.start, &measured.end);
                ensure!(inside, "the register did not come back to zero in the measurement: {wraps:?} {measured:?}");
                measured.compare(domain)
            });
        }
        checks.check(&format!("{door} measures the host within its stated uncertainty"), || measured.host());
    }
}

impl Measured {
    /// Energy of a domain against the truth.
    pub(crate) fn compare(&self, domain: &str) -> Result<String> {
        let domains = self.answer["domains"].as_array().context("the report lists no domains")?;
        let found = domains.iter().find(|d| d["source"] == *self.source && d["domain"] == domain);
        let found = found.with_context(|| format!("the report has no {}/{domain}: {}", self.source, self.answer["domains"]))?;
        ensure!(found["provenance"] == "measured", "the provenance is {}", found["provenance"]);
        let measured = found["energy_j"].as_f64().context("there is no energy")?;
        let truth = self.truth(domain)?;
        let seconds = self.end.seconds_since(&self.start);
        let text = format!("measured {measured:.3} J, truth {truth:.3} J in {seconds:.2} s, ratio {:.5}", measured / truth);
        ensure!(truth > 1.0 && (measured - truth).abs() <= TOLERANCE * truth, "{text}");
        Ok(text)
    }

    fn host(&self) -> Result<String> {
        let number = |key: &str| self.answer[key].as_f64().with_context(|| format!("the report has no {key}"));
        let (energy, uncertainty) = (number("host_energy_j")?, number("host_uncertainty_j")?);
        let truth = self.truth("host")?;
        let text = format!("measured {energy:.3} ± {uncertainty:.3} J, truth {truth:.3} J, ratio {:.5}", energy / truth);
        ensure!(uncertainty > 0.0 && (energy - truth).abs() <= uncertainty, "{text}");
        ensure!((energy - truth).abs() <= TOLERANCE * truth, "{text}");
        ensure!(uncertainty < 0.2 * energy, "the uncertainty says nothing: {text}");
        Ok(text)
    }

    fn truth(&self, domain: &str) -> Result<f64> {
        self.end.joules_since(&self.start, domain).context("the truth knows no such domain")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrap_lies_between_two_moments_only_if_its_energy_does() {
        let truth = |package: u64| Truth::parse(&format!("{package} 0 0 0 0")).unwrap();
        let wraps = Wraps { armed: truth(5_000_000), joules: [10, 10, 10] };
        let between = |start: u64, end: u64| wraps.lies_between("package-0", &truth(start), &truth(end));
        assert!(between(6_000_000, 16_000_000));
        assert!(!between(6_000_000, 14_000_000));
        assert!(!between(16_000_000, 26_000_000));
        assert!(!wraps.lies_between("gpu-0", &truth(6_000_000), &truth(16_000_000)));
    }
}
