//! The driver of powercap goes and comes back while the daemon measures; then the board gets a meter of its own.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::checks::Checks;
use crate::daemon::Daemon;
use crate::measure::Measurement;
use crate::modules::{load, set, unload};
use crate::program::{self, User};
use crate::truth::Truth;

/// Ticks of the daemon's usual period.
const THREE_TICKS: Duration = Duration::from_millis(3200);
const EIO: &str = "5";
/// The bit of memory in `error_zones`.
const DRAM: &str = "4";

/// A read that fails, a driver that comes back, and one that comes back with its registers cleared.
pub(crate) fn driver(checks: &mut Checks) {
    let watch = match Watch::start() {
        Ok(watch) => watch,
        Err(error) => return checks.record("the daemon measures through powercap", Err(error)),
    };
    checks.check("an I/O error of memory's counter costs the package nothing", || watch.io_error());
    checks.check("a driver that comes back costs no energy where its registers went on", || watch.reloaded());
    checks.check("a driver that comes back with cleared registers is a reset, not 262 kJ", || watch.cleared());
}

/// The whole board: the host is then the platform's meter alone.
pub(crate) fn platform(checks: &mut Checks) {
    checks.check("with a platform meter the host is that alone", || {
        unload("known_powercap")?;
        load("known_powercap", &["psys=1", "mmio=1"])?;
        let sources = program::sources(User::Root)?;
        let cover = sources.host_cover();
        ensure!(cover == ["rapl_powercap/psys"], "{cover:?}");
        let domains = sources.source("rapl_powercap").and_then(|report| report["domains"].as_array());
        let twins = domains
            .into_iter()
            .flatten()
            .filter(|domain| domain["duplicate_of"] == "rapl_powercap/package-0" || domain["duplicate_of"] == "package-0");
        let twins = twins.count();
        ensure!(twins == 1, "{twins} second views of package-0 are marked, not 1: {sources}");
        Ok(cover.join(" + "))
    });
    checks.check("the platform's energy is that of command and program", || {
        Measurement::start("powercap", 10)?.wait()?.compare("psys")
    });
}

/// A daemon and the truth when it was first asked.
struct Watch {
    daemon: Daemon,
}

/// The host's energy so far, with the truth just before and after it was asked for.
struct Look {
    host: f64,
    before: Truth,
    after: Truth,
}

impl Watch {
    fn start() -> Result<Self> {
        let daemon = Daemon::start()?;
        let energy = daemon.energy()?;
        let through = |d: &serde_json::Value| d["source"] == "rapl_powercap";
        ensure!(energy["domains"].as_array().is_some_and(|all| all.iter().all(through)), "{energy}");
        Ok(Self { daemon })
    }

    fn look(&self) -> Result<Look> {
        let before = Truth::now()?;
        let energy = self.daemon.energy()?;
        let host = energy["host_energy_j"].as_f64().with_context(|| format!("no energy: {energy}"))?;
        Ok(Look { host, before, after: Truth::now()? })
    }

    fn domain(&self, name: &str) -> Result<f64> {
        let energy = self.daemon.energy()?;
        let mut domains = energy["domains"].as_array().into_iter().flatten();
        let found = domains.find(|d| d["domain"] == name).and_then(|d| d["energy_j"].as_f64());
        found.with_context(|| format!("no energy of {name}: {energy}"))
    }

    fn io_error(&self) -> Result<String> {
        let errors = |domain: &str| self.daemon.metric("treehouse_meter_errors_total", &[&format!("domain=\"{domain}\"")]);
        let fail = |errno: &str| set("known_powercap", "error", errno);
        set("known_powercap", "error_zones", DRAM)?;
        let before = (errors("dram-0")?, errors("package-0")?, self.domain("package-0")?, self.domain("dram-0")?);
        fail(EIO)?;
        thread::sleep(THREE_TICKS);
        let during = (errors("dram-0")?, errors("package-0")?, self.domain("package-0")?);
        fail("0")?;
        thread::sleep(THREE_TICKS);
        let dram = self.domain("dram-0")? - before.3;
        ensure!(during.0 - before.0 >= 2.0, "{} errors of dram-0 were counted in three ticks", during.0 - before.0);
        ensure!((during.1 - before.1).abs() < 0.5, "errors of package-0 were counted: {}", during.1 - before.1);
        let package = during.2 - before.2;
        ensure!((20.0..200.0).contains(&package), "package-0 counted {package:.3} J in three seconds of 10 W and more");
        // It uses 3 W; what it used in between is counted when it can be read again.
        ensure!((12.0..30.0).contains(&dram), "dram-0 counted {dram:.3} J in 6.4 s of 3 W");
        Ok(format!("{} errors of dram-0, none of package-0", during.0 - before.0))
    }

    fn reloaded(&self) -> Result<String> {
        let (start, reloads) = (self.look()?, self.resets()?);
        unload("known_powercap").context("the daemon holds the driver")?;
        thread::sleep(Duration::from_millis(1500));
        load("known_powercap", &[])?;
        thread::sleep(THREE_TICKS);
        let end = self.look()?;
        let text = within(&start, &end, 1.5)?;
        Ok(format!("{text}, {} resets", self.resets()? - reloads))
    }

    fn cleared(&self) -> Result<String> {
        let (start, resets) = (self.look()?, self.resets()?);
        unload("known_powercap")?;
        set("known_energy", "wrap_in_mj", "0,0,0,0")?;
        load("known_powercap", &[])?;
        thread::sleep(THREE_TICKS);
        let end = self.look()?;
        ensure!(self.resets()? > resets, "no reset was counted");
        // What was used around the reset is not known, and nothing is made up for it.
        within(&start, &end, 3.5)
    }

    fn resets(&self) -> Result<f64> {
        self.daemon.metric("treehouse_meter_resets_total", &["source=\"rapl_powercap\""])
    }
}

/// The daemon counted no more than was used, and no less than that without this many seconds.
fn within(start: &Look, end: &Look, missing_s: f64) -> Result<String> {
    let joules = |after: &Truth, before: &Truth| after.joules_since(before, "host").unwrap_or_default();
    let counted = end.host - start.host;
    let truth = joules(&end.after, &start.before);
    let power = truth / end.after.seconds_since(&start.before);
    // The answer is of the last tick: at the start up to a period old, which adds to what is counted later.
    let (low, high) = (truth - (missing_s + 1.2) * power, truth + 1.2 * power);
    let text = format!("counted {counted:.3} J, truth {truth:.3} J");
    ensure!((low..=high).contains(&counted), "{text}: not between {low:.3} J and {high:.3} J");
    Ok(text)
}
