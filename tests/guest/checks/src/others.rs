//! What the program measures through sensors, batteries and rails, as far as it knows them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::checks::Checks;
use crate::daemon::{Daemon, eventually};
use crate::modules::set;
use crate::program::{self, Sources, User};

/// What these nodes say: 5 V x 250 mA, 5 V x 160 mA, and the power register of the same chip as the first.
pub(crate) const SENSORS: [(&str, f64); 3] = [("ina226@0-0040", 1.25), ("ina3221-in1", 0.8), ("ina226@0-0042", 1.25)];
/// Some rails of both monitors; see `known_odpm.c`. The third was put on its channel while the monitor ran.
pub(crate) const RAILS: [(&str, f64); 5] =
    [("S2M_VDD_CPUCL2", 1.5), ("S1M_VDD_MIF", 0.9), ("S10M_VDD_TPU", 0.333), ("S2S_VDD_G3D", 1.5), ("L9S_GNSS_CORE", 0.01)];

/// Compares each kind that `sources` lists with what its nodes say.
pub(crate) fn all(checks: &mut Checks) {
    let sources = match program::sources(User::Root) {
        Ok(sources) => sources,
        Err(error) => return checks.record("the program lists its sources", Err(error)),
    };
    let daemon = match Daemon::start() {
        Ok(daemon) => daemon,
        Err(error) => return checks.record("the daemon runs beside every meter", Err(error)),
    };
    let kinds: [(&str, &[(&str, Test)]); 3] = [
        (
            "hwmon",
            &[
                ("every sensor is listed once, without the battery's twin", sensors),
                ("a sensor's power is what its chip says", sensor_power),
            ],
        ),
        (
            "odpm",
            &[
                ("every rail of a phone is listed, of both monitors", rails),
                ("a rail's power is its energy over the monitor's own time", rail_power),
                ("a rail that is put on another's channel counts from there on", rail_swap),
            ],
        ),
        (
            "fuel_gauge",
            &[
                ("the battery is listed once", battery),
                ("what a battery loses is what was used", battery_energy),
                ("what a battery gains is a gap", battery_charging),
            ],
        ),
    ];
    for (source, tests) in kinds {
        for (name, test) in tests {
            if sources.status(source).is_none() {
                checks.skip(name, &format!("this program lists no {source}"));
            } else {
                checks.check(name, || test(&sources, &daemon));
            }
        }
    }
}

type Test = fn(&Sources, &Daemon) -> Result<String>;

fn sensors(sources: &Sources, _: &Daemon) -> Result<String> {
    let devices = devices(sources, "hwmon")?;
    let of = |part: &str| devices.iter().filter(|device| device.contains(part)).count();
    // The INA3221 has three channels.
    ensure!((of("0-0040"), of("0-0041"), of("0-0042")) == (1, 3, 1) && devices.len() == 5, "{devices:?}");
    Ok(devices.join(", "))
}

fn sensor_power(_: &Sources, daemon: &Daemon) -> Result<String> {
    powers(daemon, "hwmon", &SENSORS, 0.02)
}

fn rails(sources: &Sources, _: &Daemon) -> Result<String> {
    let devices = devices(sources, "odpm")?;
    let of = |name: &str| devices.iter().filter(|device| *device == name).count();
    ensure!((of("s2mpg10-odpm"), of("s2mpg11-odpm")) == (8, 8), "{devices:?}");
    Ok("8 of each".into())
}

fn rail_power(_: &Sources, daemon: &Daemon) -> Result<String> {
    powers(daemon, "odpm", &RAILS, 0.001)
}

/// The channel's energy falls to zero: neither what the old rail used nor a wrap may show up with the new one.
fn rail_swap(_: &Sources, daemon: &Daemon) -> Result<String> {
    let folder = crate::nodes::iio("s2mpg10-odpm")?;
    let ms = || -> Result<f64> {
        let text = crate::nodes::text(&folder.join("energy_value"))?;
        text.lines().next().and_then(|line| line.strip_prefix("t=")?.parse().ok()).context("no time in energy_value")
    };
    let start = ms()?;
    daemon.catch_up()?;
    let before = daemon.total("odpm")?;
    std::fs::write(folder.join("enabled_rails"), "CH0=VSYS_PWR1").context("cannot write enabled_rails")?;
    std::fs::write(folder.join("enabled_rails"), "CH1=BUCK3M").context("cannot write enabled_rails")?;
    let swapped = ms()?;
    eventually("the rails are counted again", || {
        let gained = daemon.total("odpm")? - before;
        let now = ms()?;
        let (since_start, seconds) = ((now - start) / 1000.0, (now - swapped) / 1000.0);
        // All rails together take 7.2 W; what they used before would be far more.
        ensure!(gained <= 7.5 * since_start, "{gained:.3} J in {since_start:.1} s");
        Ok((seconds > 4.0).then(|| format!("{gained:.3} J in {seconds:.1} s")))
    })
}

fn battery(sources: &Sources, _: &Daemon) -> Result<String> {
    let devices = devices(sources, "fuel_gauge")?;
    ensure!(devices == ["test_battery"], "{devices:?}");
    Ok(devices.join(", "))
}

/// 10 µAh at 3.8 V are 0.1368 J.
fn battery_energy(_: &Sources, daemon: &Daemon) -> Result<String> {
    let energy = || daemon.domain("fuel_gauge", "test_battery")?["energy_j"].as_f64().context("no energy of the battery");
    let before = energy()?;
    set("test_power", "battery_capacity", "40")?;
    let gained = eventually("the battery's loss is counted", || Ok(Some(energy()? - before).filter(|gained| *gained > 0.0)))?;
    ensure!((gained - 0.1368).abs() < 0.003, "{gained:.4} J, not 0.1368 J");
    Ok(format!("{gained:.3} J for 10 µAh at 3.8 V"))
}

fn battery_charging(_: &Sources, daemon: &Daemon) -> Result<String> {
    let energy = || daemon.domain("fuel_gauge", "test_battery")?["energy_j"].as_f64().context("no energy of the battery");
    set("test_power", "battery_status", "charging")?;
    let gap = eventually("a gap is told", || {
        let answer = daemon.energy()?;
        let mut gaps = answer["gaps"].as_array().into_iter().flatten();
        Ok(gaps.find(|gap| gap["domain"] == "test_battery" && gap["reason"] == "charging").cloned())
    })?;
    let before = energy()?;
    set("test_power", "battery_capacity", "45")?;
    daemon.ticks(3)?;
    let gained = energy()? - before;
    ensure!(gained.abs() < 1e-9, "{gained:.4} J while it is charged");
    Ok(format!("{} since {}", gap["reason"].as_str().unwrap_or_default(), gap["from"].as_str().unwrap_or_default()))
}

/// Every one of these domains draws what it should, or is off by no more than this part of it.
fn powers(daemon: &Daemon, source: &str, expected: &[(&str, f64)], tolerance: f64) -> Result<String> {
    let read = || -> Result<Vec<(String, f64, f64)>> {
        let power = |(name, watts): &(&str, f64)| {
            let domain = daemon.domain(source, name)?;
            ensure!(domain["provenance"] == "measured", "{domain}");
            Ok(((*name).to_owned(), domain["power_w"].as_f64().unwrap_or_default(), *watts))
        };
        expected.iter().map(power).collect()
    };
    // A tick shows whole milliwatts, and the first one may have seen a part of its second only.
    let right =
        |powers: &[(String, f64, f64)]| powers.iter().all(|(_, found, watts)| (found - watts).abs() <= tolerance * watts + 0.001);
    let text = |powers: &[(String, f64, f64)]| {
        powers.iter().map(|(name, found, _)| format!("{name} {found:.3} W")).collect::<Vec<_>>().join(", ")
    };
    let mut last = Vec::new();
    let found = eventually("every power is right", || {
        last = read()?;
        Ok(right(&last).then(|| text(&last)))
    });
    found.with_context(|| format!("last seen: {}, and not {expected:?}", text(&last)))
}

/// The device of every domain of a source.
fn devices(sources: &Sources, source: &str) -> Result<Vec<String>> {
    let report = sources.source(source).with_context(|| format!("{source} is not listed"))?;
    ensure!(report["status"] == "ok", "{report}");
    let domains = report["domains"].as_array().context("no domains")?;
    let device = |domain: &Value| Some(domain["device"].as_str()?.to_owned());
    domains.iter().map(device).collect::<Option<_>>().with_context(|| format!("a domain without a device: {report}"))
}
