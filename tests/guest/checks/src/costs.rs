//! What one read costs, way by way, in this guest: under emulation, so only their order means something.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rapl_sys::{Backend, Domain, Options};

use crate::checks::Checks;

const READS: u32 = 2000;

/// Reads each back end's package, and prints a line each.
pub(crate) fn compare(checks: &mut Checks) {
    checks
        .check("a package is read through perf and through powercap", || Ok(format!("{READS} times each, µs a read under TCG")));
    for (name, cost) in [
        ("perf: rapl-sys, event kept open", backend(Backend::Perf)),
        ("powercap: rapl-sys, file kept open", backend(Backend::Powercap)),
        ("powercap: opened, read and closed", opened_anew()),
    ] {
        match cost {
            Ok((median, p99)) => checks.note(&format!("{name:<36} median {median:8.2}   p99 {p99:8.2}")),
            Err(error) => checks.record(&format!("{name} can be read"), Err(error)),
        }
    }
}

fn backend(backend: Backend) -> Result<(f64, f64)> {
    let cpuinfo = fs::read("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let options = Options { order: vec![backend], ..Options::new("/sys", "/dev", &cpuinfo) };
    let choice = rapl_sys::open(&options);
    let package = choice.domains.into_iter().find(|domain| domain.name == "package-0");
    let mut package: Domain = package.context("no package-0")?;
    time(|| Ok(package.read().map(|_| ())?))
}

fn opened_anew() -> Result<(f64, f64)> {
    time(|| Ok(fs::read_to_string("/sys/class/powercap/intel-rapl:0/energy_uj")?.trim().parse::<u64>().map(|_| ())?))
}

/// Median and 99th percentile in microseconds.
fn time(mut read: impl FnMut() -> Result<()>) -> Result<(f64, f64)> {
    let mut costs = Vec::new();
    for _ in 0..READS {
        let start = Instant::now();
        read()?;
        costs.push(start.elapsed().as_secs_f64() * 1e6);
    }
    ensure!(!costs.is_empty(), "nothing was read");
    costs.sort_by(f64::total_cmp);
    Ok((costs[costs.len() / 2], costs[costs.len() * 99 / 100]))
}
