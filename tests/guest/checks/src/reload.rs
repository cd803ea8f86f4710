//! The driver of powercap goes and comes back while the daemon measures; then the board gets a meter of its own.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::checks::Checks;
use crate::daemon::{Daemon, eventually};
use crate::measure::Measurement;
use crate::modules::{load, set, unload};
use crate::program::{self, User};
use crate::truth::Truth;

/// How long the driver stays away: longer than a check begins before what it counts, so that counting this twice is seen.
const AWAY: Duration = Duration::from_secs(8);
/// How many reads of memory fail at least, one a second: longer than that, too.
const FAILED: f64 = 8.0;
const EIO: &str = "5";
/// The bit of memory in `error_zones`.
const DRAM: &str = "4";
const SOURCE: &str = "rapl_powercap";
/// The kernel shows memory's register in units that are 0.27 % too large.
const UNITS: f64 = 1.003;

/// A read that fails, a driver that comes back, and one that comes back with its registers cleared.
pub(crate) fn driver(checks: &mut Checks) {
    let daemon = match start() {
        Ok(daemon) => daemon,
        Err(error) => return checks.record("the daemon measures through powercap", Err(error)),
    };
    checks.check("an I/O error of memory's counter costs the package nothing", || io_error(&daemon));
    checks.check("a suspend is a gap, not kilowatts", || suspended(&daemon));
    checks.check("a driver that comes back costs no energy where its registers went on", || reloaded(&daemon));
    checks.check("a driver that comes back with cleared registers is a reset, not 262 kJ", || cleared(&daemon));
}

/// The machine sleeps for some seconds and is woken by its clock; its registers come back at zero.
fn suspended(daemon: &Daemon) -> Result<String> {
    let start = Start::of(daemon)?;
    let alarm = "/sys/class/rtc/rtc0/wakealarm";
    std::fs::write(alarm, "+6").with_context(|| format!("cannot write {alarm}"))?;
    std::fs::write("/sys/power/state", "mem").context("cannot suspend")?;
    let gap = eventually("a gap is told", || {
        let answer = daemon.energy()?;
        let mut gaps = answer["gaps"].as_array().into_iter().flatten();
        let ours = |gap: &&Value| gap["source"] == SOURCE && gap["domain"] == "package-0";
        Ok(gaps.find(|gap| ours(gap) && gap["reason"] == "suspend").cloned())
    })?;
    daemon.ticks(2)?;
    let (counted, most) = (start.counted(daemon)?, start.most()?);
    let (used, seconds) = used_since(&start.late, "host")?;
    let text = format!("counted {counted:.3} J of {used:.3} J in {seconds:.1} s awake");
    ensure!(counted <= most, "{text}, at most {most:.3} J");
    Ok(format!("{text}, gap from {} until {}", gap["from"], gap["until"]))
}

/// The whole board: the host is then the platform's meter alone.
pub(crate) fn platform(checks: &mut Checks) {
    checks.check("with a platform meter the host is that alone", || {
        unload("known_powercap")?;
        load("known_powercap", &["psys=1", "mmio=1"])?;
        let sources = program::sources(User::Root)?;
        let cover = sources.host_cover();
        ensure!(cover == ["rapl_powercap/psys"], "{cover:?}");
        Ok(cover.join(" + "))
    });
    checks.check("a second door to a package is told as that, and not counted", || {
        let sources = program::sources(User::Root)?;
        let domains = sources.source(SOURCE).and_then(|report| report["domains"].as_array());
        let twins = domains.into_iter().flatten().filter(|domain| !domain["duplicate_of"].is_null());
        let twins: Vec<String> = twins.map(|domain| format!("{} is {}", domain["domain"], domain["duplicate_of"])).collect();
        ensure!(twins.len() == 1 && twins[0].contains("package-0"), "{twins:?}: {sources}");
        Ok(twins.join(", "))
    });
    checks.check("powercap measures psys to 1 %", || Measurement::start("powercap", 10)?.wait()?.compare("psys"));
}

/// A daemon whose host is seen through powercap alone.
fn start() -> Result<Daemon> {
    let daemon = Daemon::start()?;
    let energy = daemon.energy()?;
    let mut host = energy["domains"].as_array().into_iter().flatten().filter(|domain| domain["in_host"] == true);
    ensure!(host.all(|domain| domain["source"] == SOURCE), "{energy}");
    Ok(daemon)
}

fn io_error(daemon: &Daemon) -> Result<String> {
    let errors = |domain: &str| daemon.metric("treehouse_meter_errors_total", &[&format!("domain=\"{domain}\"")]);
    let energy = |domain: &str| daemon.domain(SOURCE, domain)?["energy_j"].as_f64().context("no energy");
    set("known_powercap", "error_zones", DRAM)?;
    let (dram_errors, package_errors) = (errors("dram-0")?, errors("package-0")?);
    let start = Start::of(daemon)?;
    let (package, dram) = (energy("package-0")?, energy("dram-0")?);
    set("known_powercap", "error", EIO)?;
    let failed =
        eventually("reads of memory fail", || Ok(Some(errors("dram-0")? - dram_errors).filter(|failed| *failed >= FAILED)));
    // Whatever was found, the counter is put right again.
    set("known_powercap", "error", "0")?;
    let failed = failed?;
    ensure!((errors("package-0")? - package_errors).abs() < 0.5, "errors of package-0 were counted too");
    // While memory failed, the package went on: half of what it used until then is counted, if not at once.
    let used = used_since(&start.late, "package-0")?.0;
    eventually("the package's energy", || Ok((energy("package-0")? - package > 0.5 * used).then_some(())))?;
    let dram = eventually("memory's energy is whole again", || {
        let gained = energy("dram-0")? - dram;
        let (used, most) = (used_since(&start.late, "dram-0")?.0, used_since(&start.early, "dram-0")?.0);
        // Memory takes 3 W, and a tick and a half may be to come.
        ensure!(gained <= UNITS * most, "dram-0 gained {gained:.3} J of {used:.3} J, at most {most:.3} J");
        Ok((gained >= used - 4.5).then(|| format!("{gained:.3} J of {used:.3} J")))
    })?;
    Ok(format!("{failed} reads of dram-0 failed, none of package-0; dram-0 counted {dram}"))
}

fn reloaded(daemon: &Daemon) -> Result<String> {
    let (start, resets) = (Start::of(daemon)?, resets(daemon)?);
    unload("known_powercap").context("the daemon holds the driver")?;
    let gone = Truth::now()?;
    thread::sleep(AWAY);
    load("known_powercap", &[])?;
    let away = used_since(&gone, "host")?.0;
    let text = eventually("the energy of the time without a driver is counted", || {
        let (counted, used, most) = (start.counted(daemon)?, used_since(&start.late, "host")?.0, start.most()?);
        ensure!(counted <= most, "counted {counted:.3} J of {used:.3} J, at most {most:.3} J");
        Ok((counted >= used - away / 2.0).then(|| format!("counted {counted:.3} J of {used:.3} J")))
    })?;
    Ok(format!("{text}, {away:.3} J without a driver, {} resets", self::resets(daemon)? - resets))
}

fn cleared(daemon: &Daemon) -> Result<String> {
    let (start, resets) = (Start::of(daemon)?, resets(daemon)?);
    unload("known_powercap")?;
    set("known_energy", "wrap_in_mj", "0,0,0,0")?;
    load("known_powercap", &[])?;
    let back = daemon.host()?;
    let resets = eventually("a reset is counted", || Ok(Some(self::resets(daemon)? - resets).filter(|resets| *resets > 0.0)))?;
    eventually("energy is counted again", || Ok((daemon.host()? > back + 20.0).then_some(())))?;
    let (counted, used, most) = (start.counted(daemon)?, used_since(&start.late, "host")?.0, start.most()?);
    let text = format!("counted {counted:.3} J of {used:.3} J");
    ensure!(counted <= most, "{text}, at most {most:.3} J");
    Ok(format!("{text}, {resets} resets"))
}

fn resets(daemon: &Daemon) -> Result<f64> {
    daemon.metric("treehouse_meter_resets_total", &[&format!("source=\"{SOURCE}\"")])
}

/// Where a check begins: what the daemon told then, and the truth on either side of it. However slow the host is, what is told
/// holds everything up to `early` and nothing after `late`.
struct Start {
    early: Truth,
    host: f64,
    late: Truth,
}

impl Start {
    fn of(daemon: &Daemon) -> Result<Self> {
        let early = Truth::now()?;
        daemon.catch_up()?;
        Ok(Self { early, host: daemon.host()?, late: Truth::now()? })
    }

    /// What the daemon counted since.
    fn counted(&self, daemon: &Daemon) -> Result<f64> {
        Ok(daemon.host()? - self.host)
    }

    /// What it may have counted by now, at most.
    fn most(&self) -> Result<f64> {
        Ok(UNITS * used_since(&self.early, "host")?.0)
    }
}

/// Joules and seconds since a moment.
fn used_since(since: &Truth, domain: &str) -> Result<(f64, f64)> {
    let now = Truth::now()?;
    Ok((now.joules_since(since, domain).context("the truth knows no such domain")?, now.seconds_since(since)))
}
