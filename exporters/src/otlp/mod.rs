//! Host metrics through the OpenTelemetry SDK, by gRPC or by HTTP with protobuf.
//!
//! Only series that hardware and zones bound go this way: energy of the host and of its components, grams, intensity. The SDK
//! keeps at most 2 000 series of a stream and drops the rest without an error, so workloads never pass through one of its
//! instruments. `hw.host.energy` is a double, where the semantic conventions say an integer: whole joules would lose the microjoules.
//! Sums are cumulative; their start is that of this exporter, since the SDK takes no other, and their time is that of the push.
//!
//! **Threads.** The transports need a tokio runtime that is driven at all times, the SDK's periodic reader is a thread that is in
//! none. So the exporter owns two threads: the reader's, and one that drives a current-thread runtime. The application needs no
//! runtime of its own; [`OtlpExporter::start`] may be called inside one, [`OtlpExporter::shutdown`] blocks (five seconds at most) and
//! belongs into `spawn_blocking` or behind the end of the runtime.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use carbon_api::snapshot::SnapshotCell;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::View;

use self::runtime::Runtime;
use self::settings::Settings;
use self::transport::Transport;

pub use self::transport::OtlpStatus;

mod instruments;
mod resource;
mod runtime;
mod settings;
mod transport;

/// What the operator chose; each field that is set beats its environment variable.
#[derive(Clone, Default)]
pub struct OtlpConfig {
    /// The collector: `http://localhost:4318`. Over HTTP `/v1/metrics` is appended unless it is there.
    /// `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` (as it is), `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `grpc` or `http/protobuf` (the default). `OTEL_EXPORTER_OTLP_METRICS_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub protocol: Option<String>,
    /// Headers of each request, such as a token; each beats the one of the same name in `OTEL_EXPORTER_OTLP_METRICS_HEADERS` or
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: Vec<(String, String)>,
    /// Longest time of one export with its retries; 10 s by default. `OTEL_EXPORTER_OTLP_METRICS_TIMEOUT`,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT` (milliseconds).
    pub timeout: Option<Duration>,
    /// Time between two exports; 60 s by default. `OTEL_METRIC_EXPORT_INTERVAL` (milliseconds).
    pub interval: Option<Duration>,
    /// `service.name`; `treehouse` by default. `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// Further attributes of the resource; each beats the one of the same key in `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource: Vec<(String, String)>,
    /// How fine the figures are that leave the machine.
    pub view: View,
}

impl OtlpConfig {
    /// True where an endpoint is set, here or in the environment, and the environment does not switch the SDK off
    /// (`OTEL_SDK_DISABLED=true`, `OTEL_METRICS_EXPORTER=none`): only then is an exporter worth its memory.
    pub fn is_wanted(&self) -> bool {
        settings::is_wanted(self, &environment)
    }
}

/// Headers hold tokens: their values are never shown.
impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("interval", &self.interval)
            .field("service_name", &self.service_name)
            .field("resource", &self.resource)
            .field("view", &self.view)
            .finish()
    }
}

/// Why nothing is, or was, exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Neither the configuration nor the environment names a collector.
    #[error("no OTLP endpoint: set otlp.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT")]
    NoEndpoint,
    /// A value that cannot be read.
    #[error("{name}: {problem}")]
    Malformed {
        /// The key or variable at fault.
        name: String,
        /// What is wrong with it, and the mend.
        problem: String,
    },
    /// A protocol that is not spoken.
    #[error("{name}: protocol {protocol:?} is not spoken: use \"grpc\" or \"http/protobuf\"")]
    Protocol {
        /// The key or variable at fault.
        name: String,
        /// What it asked for.
        protocol: String,
    },
    /// A collector behind TLS.
    #[error("{name}: {endpoint} needs TLS, which is not built in: send to a collector on this machine by http://")]
    Tls {
        /// The key or variable at fault.
        name: String,
        /// Where it points.
        endpoint: String,
    },
    /// The thread or the runtime of the exporter could not be started.
    #[error("the thread of the OTLP exporter does not start: {0}")]
    Thread(#[from] std::io::Error),
    /// The SDK refused the settings.
    #[error("the OTLP exporter cannot be built: {0}")]
    Build(String),
    /// The last figures did not reach the collector.
    #[error("the last OTLP export failed: {0}")]
    Flush(String),
}

/// Pushes host metrics until it is shut down.
#[derive(Debug)]
pub struct OtlpExporter {
    provider: SdkMeterProvider,
    transport: Transport,
    warnings: Vec<String>,
}

impl OtlpExporter {
    /// Starts to push what the snapshots in `cell` hold; `version` is that of the program.
    ///
    /// # Errors
    /// Where the configuration or the environment cannot be followed. A collector that does not answer is no error: see
    /// [`status`](Self::status).
    pub fn start(config: &OtlpConfig, cell: &Arc<SnapshotCell>, version: &str) -> Result<Self, ExportError> {
        let settings = Settings::resolve(config, &environment)?;
        let resource = resource::build(&settings, version, &resource::Host::read());
        let transport = Transport::build(&settings, Runtime::start()?)?;
        let provider = instruments::provider(transport.clone(), settings.interval, resource, cell, settings.view);
        Ok(Self { provider, transport, warnings: settings.warnings })
    }

    /// What was read from the configuration or the environment and is not followed, in plain words.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How the exports went so far.
    pub fn status(&self) -> OtlpStatus {
        self.transport.status()
    }

    /// Exports now, and waits for it.
    ///
    /// # Errors
    /// [`ExportError::Flush`] with the reason.
    pub fn flush(&self) -> Result<(), ExportError> {
        self.told(self.provider.force_flush())
    }

    /// Exports a last time and ends; blocks for one timeout, and for five seconds at most.
    ///
    /// # Errors
    /// [`ExportError::Flush`] where the last export failed.
    pub fn shutdown(self) -> Result<(), ExportError> {
        self.told(self.provider.shutdown())
    }

    /// The SDK only says that it failed; the transport knows why.
    fn told(&self, result: OTelSdkResult) -> Result<(), ExportError> {
        result.map_err(|error| {
            let known = self.transport.status().last_error;
            // while the last export is still under way, what is known is about an earlier one
            let reason = known.filter(|_| !matches!(error, OTelSdkError::Timeout(_)));
            ExportError::Flush(reason.unwrap_or_else(|| error.to_string()))
        })
    }
}

/// True where the environment, as `read` shows it, asks for an export that can be set up: for fuzz targets.
///
/// # Errors
/// As [`OtlpExporter::start`], apart from those of the system.
#[doc(hidden)]
pub fn check_environment(read: &dyn Fn(&str) -> Option<String>) -> Result<bool, ExportError> {
    let config = OtlpConfig::default();
    Settings::resolve(&config, read).map(|_| settings::is_wanted(&config, read))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}
