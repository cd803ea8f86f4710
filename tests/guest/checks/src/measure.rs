//! One long measurement by `treehouse run`, compared with the truth.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::checks::Checks;
use crate::program::{self, User};
use crate::truth::Truth;
use crate::workload::Notes;

/// What a measurement may be off by.
const TOLERANCE: f64 = 0.01;
/// How long the program may take to start the command.
const START: Duration = Duration::from_secs(60);
/// Domains, and the folders of their zones.
const DOMAINS: [(&str, &str); 3] = [("package-0", "intel-rapl:0"), ("core-0", "intel-rapl:0:0"), ("dram-0", "intel-rapl:0:1")];

/// A `treehouse run` that runs.
#[derive(Debug)]
pub(crate) struct Measurement {
    source: &'static str,
    child: Child,
    notes: PathBuf,
    outer: Truth,
}

/// What came out of it.
#[derive(Debug)]
pub(crate) struct Measured {
    answer: Value,
    notes: Notes,
    /// The truth before and after the whole program ran.
    outer: (Truth, Truth),
}

impl Measurement {
    /// Starts it and waits until the command runs: by then the program has chosen its meters.
    pub(crate) fn start(source: &'static str, seconds: u64) -> Result<Self> {
        let notes = PathBuf::from(format!("/tmp/notes-{source}"));
        let outer = Truth::read()?;
        let mut command = User::Root.command();
        command.args(["run", "--format", "json", "--", "/bin/guest-checks", "workload", &seconds.to_string()]).arg(&notes);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.context("cannot start the program")?;
        let start = Instant::now();
        while !notes.exists() {
            if let Some(status) = child.try_wait().context("cannot wait for the program")? {
                bail!("the program ended before its command ran: {status}");
            }
            ensure!(start.elapsed() < START, "the program does not start its command");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { source, child, notes, outer })
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Result<Measured> {
        let output = self.child.wait_with_output().context("cannot wait for the program")?;
        let outer = (self.outer, Truth::read()?);
        ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        let measured = Measured { answer: program::answer(&output)?, notes: Notes::read(&self.notes)?, outer };
        std::fs::remove_file(&self.notes).context("cannot remove the notes")?;
        Ok(measured)
    }

    /// Waits for its end and compares every domain.
    pub(crate) fn finish(self, checks: &mut Checks) {
        let source = self.source;
        let way = source.trim_start_matches("rapl_");
        let measured = match self.wait() {
            Ok(measured) => measured,
            Err(error) => return checks.record(&format!("{way} measures a command"), Err(error)),
        };
        for (domain, zone) in DOMAINS {
            let name = format!("{way} measures {domain} to 1 % across a wrap of its register");
            checks.check(&name, || {
                ensure!(measured.notes.fell(zone) == Some(true), "{zone}/energy_uj did not wrap in the measurement");
                measured.compare(source, domain)
            });
        }
        checks.check(&format!("{way} measures the host within its stated uncertainty"), || measured.host(source));
    }
}

impl Measured {
    /// Energy of a domain against the truth.
    pub(crate) fn compare(&self, source: &str, domain: &str) -> Result<String> {
        let domains = self.answer["domains"].as_array().context("the report lists no domains")?;
        let found = domains.iter().find(|d| d["source"] == source && d["domain"] == domain);
        let found = found.with_context(|| format!("the report has no {source}/{domain}: {}", self.answer["domains"]))?;
        ensure!(found["provenance"] == "measured", "the provenance is {}", found["provenance"]);
        let measured = found["energy_j"].as_f64().context("there is no energy")?;
        let (before, after) = self.notes.truths()?;
        let truth = after.joules_since(&before, domain).context("the truth knows no such domain")?;
        let seconds = after.seconds_since(&before);
        let text = format!("measured {measured:.3} J, truth {truth:.3} J in {seconds:.1} s, ratio {:.5}", measured / truth);
        ensure!((measured - truth).abs() <= TOLERANCE * truth, "{text}");
        self.is_between(domain, measured).with_context(|| text.clone())?;
        Ok(text)
    }

    /// No less than while the command ran, no more than while the program ran.
    fn is_between(&self, domain: &str, measured: f64) -> Result<()> {
        let (before, after) = self.notes.truths()?;
        let inner = after.joules_since(&before, domain).unwrap_or_default();
        let outer = self.outer.1.joules_since(&self.outer.0, domain).unwrap_or_default();
        // The kernel shows memory's register in units that are 0.27 % too large, and others a millionth too small.
        let (low, high) = (inner * (1.0 - 1e-5) - 0.001, outer * 1.003 + 0.001);
        ensure!((low..=high).contains(&measured), "not between {low:.3} J and {high:.3} J, the truth of command and program");
        Ok(())
    }

    fn host(&self, source: &str) -> Result<String> {
        let number = |key: &str| self.answer[key].as_f64().with_context(|| format!("the report has no {key}"));
        let (energy, uncertainty) = (number("host_energy_j")?, number("host_uncertainty_j")?);
        let (before, after) = self.notes.truths()?;
        let truth = after.joules_since(&before, "host").unwrap_or_default();
        let text = format!("measured {energy:.3} ± {uncertainty:.3} J, truth {truth:.3} J, {source}");
        ensure!(uncertainty > 0.0 && (energy - truth).abs() <= uncertainty, "{text}");
        ensure!(uncertainty < 0.2 * energy, "the uncertainty says nothing: {text}");
        Ok(text)
    }
}
