//! Programs of others on top: a real Prometheus, the node exporter beside us, a receiver of OpenTelemetry, a browser.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that meets what it does not expect has failed")]

mod browser;
mod node_exporter;
mod otlp;
mod prometheus;
mod proxy;
mod support;
