//! What the program says of sensors, batteries and rails, as far as it knows them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::checks::Checks;
use crate::program::{self, Sources, User};

/// Compares each kind that `sources` lists with what its nodes say.
pub(crate) fn sources(checks: &mut Checks) {
    let sources = match program::sources(User::Root) {
        Ok(sources) => sources,
        Err(error) => return checks.record("the program lists its sources", Err(error)),
    };
    let kinds: [(&str, &str, Test); 3] = [
        ("hwmon", "sensors are listed once each, without the battery's twin", sensors),
        ("fuel_gauge", "the battery is listed once", battery),
        ("odpm", "every rail of a phone is listed, of both monitors", rails),
    ];
    for (source, name, test) in kinds {
        if sources.status(source).is_none() {
            checks.skip(name, &format!("this program lists no {source}"));
        } else {
            checks.check(name, || test(&sources));
        }
    }
}

type Test = fn(&Sources) -> Result<String>;

fn sensors(sources: &Sources) -> Result<String> {
    let devices = devices(sources, "hwmon")?;
    let of = |part: &str| devices.iter().filter(|device| device.contains(part)).count();
    ensure!(of("0040") == 1 && of("0041") == 1, "{devices:?}");
    ensure!(of("test_battery") == 0, "the battery's twin is a sensor: {devices:?}");
    Ok(devices.join(", "))
}

fn battery(sources: &Sources) -> Result<String> {
    let devices = devices(sources, "fuel_gauge")?;
    ensure!(devices == ["test_battery"], "{devices:?}");
    Ok(devices.join(", "))
}

fn rails(sources: &Sources) -> Result<String> {
    let devices = devices(sources, "odpm")?;
    ensure!(devices.len() == 16, "{} rails, not 16: {devices:?}", devices.len());
    Ok(format!("{} rails", devices.len()))
}

/// The device of every domain of a source.
fn devices(sources: &Sources, source: &str) -> Result<Vec<String>> {
    let report = sources.source(source).with_context(|| format!("{source} is not listed"))?;
    ensure!(report["status"] == "ok", "{report}");
    let domains = report["domains"].as_array().context("no domains")?;
    let device = |domain: &Value| Some(domain["device"].as_str()?.to_owned());
    domains.iter().map(device).collect::<Option<_>>().with_context(|| format!("a domain without a device: {report}"))
}
