//! An application that owns a `prometheus::Registry` shows its machine's energy beside its own metrics.
//!
//! `cargo run --release -p treehouse-examples --example collector`

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use carbon_api::detect::{Machine, Options, own_cpu_ns};
use carbon_api::grid::table::StaticGrid;
use carbon_api::monitor::{Monitor, Parts, Sampler, Settings};
use carbon_api::system::SystemClock;
use exporters::View;
use exporters::bridge::Bridge;
use prometheus::{Encoder, IntCounter, Registry, TextEncoder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let machine = Machine::detect(&Options::default());
    let parts = Parts {
        clock: Box::new(SystemClock),
        bank: machine.bank,
        usage: machine.usage,
        grid: Arc::new(StaticGrid::new(Some("FR"))?),
        embodied: None,
        own_cpu: Box::new(own_cpu_ns),
        learn: None,
        ledger: None,
    };
    let monitor = Monitor::start(Sampler::new(parts, Settings { period: Duration::from_millis(500), ..Settings::default() }))?;

    let registry = Registry::new();
    let requests = IntCounter::new("myapp_requests_total", "Requests answered.")?;
    registry.register(Box::new(requests.clone()))?;
    registry.register(Box::new(Bridge::new(monitor.cell(), 10, View::Coarse)?))?;

    for _ in 0..3 {
        requests.inc();
        std::thread::sleep(Duration::from_millis(600));
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    std::io::stdout().write_all(&text)?;
    Ok(())
}
