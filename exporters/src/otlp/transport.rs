//! The OTLP exporter of the SDK, run where its timers and sockets find their runtime, with one time limit over all.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Request, Response};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{MetricExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use tonic::metadata::MetadataMap;

use super::ExportError;
use super::runtime::Runtime;
use super::settings::{Protocol, Settings};

/// How the exports went so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpStatus {
    /// Exports that the collector took.
    pub exported: u64,
    /// Exports that were lost; cumulative sums make up for them with the next.
    pub failed: u64,
    /// Why the latest failure was one.
    pub last_error: Option<String>,
}

/// Sends what the SDK collected.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    exporter: Arc<MetricExporter>,
    /// Shared, so that it lives until the last export has ended, wherever that is under way: a timer that is asked for after the end
    /// of its runtime panics.
    runtime: Arc<Runtime>,
    timeout: Duration,
    status: Arc<Mutex<OtlpStatus>>,
}

impl Transport {
    pub(super) fn build(settings: &Settings, runtime: Runtime) -> Result<Self, ExportError> {
        // a channel of tonic spawns its tasks while it is built
        let _inside = runtime.handle().enter();
        let builder = MetricExporter::builder().with_temporality(Temporality::Cumulative);
        let built = match settings.protocol {
            Protocol::Grpc => builder
                .with_tonic()
                .with_endpoint(&settings.endpoint)
                .with_timeout(settings.timeout)
                .with_interceptor(interceptor(settings.headers.clone()))
                .build(),
            Protocol::HttpProtobuf => builder
                .with_http()
                .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                .with_endpoint(&settings.endpoint)
                .with_timeout(settings.timeout)
                .with_http_client(Client::new(settings))
                .build(),
        };
        Ok(Self {
            exporter: Arc::new(built.map_err(|error| ExportError::Build(error.to_string()))?),
            runtime: Arc::new(runtime),
            timeout: settings.timeout,
            status: Arc::default(),
        })
    }

    pub(super) fn status(&self) -> OtlpStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, result: &OTelSdkResult) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => status.exported += 1,
            Err(error) => {
                status.failed += 1;
                status.last_error = Some(error.to_string());
            }
        }
    }

    async fn send(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let sent = tokio::time::timeout(self.timeout, self.exporter.export(metrics));
        sent.await.unwrap_or(Err(OTelSdkError::Timeout(self.timeout)))
    }
}

impl PushMetricExporter for Transport {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut sending = pin!(async { self.send(metrics).await });
        // the reader's thread is in no runtime: each poll steps into ours
        let result = poll_fn(|waker| {
            let _inside = self.runtime.handle().enter();
            sending.as_mut().poll(waker)
        })
        .await;
        self.note(&result);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// Puts our headers over those that the SDK took from the environment.
fn interceptor(headers: HeaderMap) -> impl FnMut(tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> + Clone {
    move |mut request| {
        let mut all = std::mem::take(request.metadata_mut()).into_headers();
        all.extend(headers.clone());
        *request.metadata_mut() = MetadataMap::from_headers(all);
        Ok(request)
    }
}

/// The HTTP client, with our headers over those that the SDK took from the environment.
#[derive(Debug)]
struct Client {
    hyper: HyperClient,
    headers: HeaderMap,
}

impl Client {
    fn new(settings: &Settings) -> Self {
        let hyper = HyperClient::with_default_connector(settings.timeout, None);
        Self { hyper, headers: settings.headers.clone() }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        request.headers_mut().extend(self.headers.clone());
        self.hyper.send_bytes(request).await
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use http::HeaderValue;

    use super::*;
    use crate::otlp::OtlpConfig;

    #[test]
    fn the_runtime_lives_until_the_last_export_has_ended() {
        for protocol in ["grpc", "http/protobuf"] {
            let silent = TcpListener::bind("127.0.0.1:0").unwrap();
            let config = OtlpConfig {
                endpoint: Some(format!("http://{}", silent.local_addr().unwrap())),
                protocol: Some(protocol.into()),
                timeout: Some(Duration::from_millis(300)),
                ..OtlpConfig::default()
            };
            let settings = Settings::resolve(&config, &|_| None).unwrap();
            let transport = Transport::build(&settings, Runtime::start().unwrap()).unwrap();
            let reader = transport.clone();
            let export = std::thread::spawn(move || {
                let elsewhere = tokio::runtime::Builder::new_current_thread().build().unwrap();
                elsewhere.block_on(reader.export(&ResourceMetrics::default()))
            });
            std::thread::sleep(Duration::from_millis(100));
            drop(transport);
            assert!(export.join().unwrap().is_err(), "{protocol}");
        }
    }

    #[test]
    fn our_header_replaces_the_one_of_the_same_name() {
        let ours = HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static("strong"))]);
        let mut request = tonic::Request::new(());
        let weak = HeaderMap::from_iter([
            (http::header::AUTHORIZATION, HeaderValue::from_static("weak")),
            (http::header::USER_AGENT, HeaderValue::from_static("sdk")),
        ]);
        *request.metadata_mut() = MetadataMap::from_headers(weak);
        let request = interceptor(ours)(request).unwrap();
        let values: Vec<_> = request.metadata().get_all("authorization").iter().collect();
        assert_eq!(values, ["strong"]);
        assert_eq!(request.metadata().get("user-agent").unwrap(), "sdk");
    }
}
