//! Meters and the measuring loop as the program wires them, without a ledger.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use carbon_api::bank::Bank;
use carbon_api::detect::own_cpu_ns;
use carbon_api::grid::table::StaticGrid;
use carbon_api::meter::rapl::RaplMeter;
use carbon_api::monitor::{Parts, Sampler, Settings};
use carbon_api::stamp::Clock;
use carbon_api::usage::UsageSource;

/// The meters below a root of sysfs, as the program wires them.
pub(crate) fn bank(sysfs: &Path) -> Result<Bank, Box<dyn Error>> {
    let (meter, report) = RaplMeter::powercap(sysfs);
    let meter = meter.ok_or_else(|| format!("no meter: {}", report.detail))?;
    Ok(Bank::new(vec![Box::new(meter)]))
}

/// A sampler on these meters and sources.
pub(crate) fn sampler(
    clock: Box<dyn Clock + Send>,
    bank: Bank,
    usage: Vec<Box<dyn UsageSource>>,
    period: Duration,
) -> Result<Sampler, Box<dyn Error>> {
    let grid = Arc::new(StaticGrid::new(None)?);
    let parts = Parts { clock, bank, usage, grid, embodied: None, own_cpu: Box::new(own_cpu_ns), learn: None, ledger: None };
    Ok(Sampler::new(parts, Settings { period, ..Settings::default() }))
}
