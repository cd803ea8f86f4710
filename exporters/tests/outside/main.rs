//! How the exporters look from outside: parsers, registries and programs of others judge what is written.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that meets what it does not expect has failed"
)]

mod formats;
mod golden;
mod machine;
mod oracle;
mod parser;
mod programs;

#[cfg(feature = "bridge")]
mod bridge;
#[cfg(feature = "dashboards")]
mod dashboards;
#[cfg(feature = "otlp")]
mod otlp;
