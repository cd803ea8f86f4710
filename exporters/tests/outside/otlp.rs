//! OTLP to receivers that others wrote: `oteltap` by HTTP, `rotel` by gRPC and by HTTP; and to none at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::iter;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use carbon_api::snapshot::SnapshotCell;
use exporters::View;
use exporters::accept::Format;
use exporters::catalogue::{CATALOGUE, Kind};
use exporters::otlp::{OtlpConfig, OtlpExporter};
use exporters::scrape::Scrape;

use crate::machine::{context, machine};
use crate::parser::{self, Sample};
use crate::programs;

/// How long something may take that takes a moment on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A receiver of our own making: ended by its id when the test ends.
struct Collector {
    child: Child,
    lines: Receiver<String>,
}

impl Collector {
    /// Starts a program that listens on the ports it is told, the last of which is the one that counts.
    fn start<const N: usize>(program: &Path, arguments: impl Fn([u16; N]) -> Vec<String>) -> (Self, [u16; N]) {
        // a port that was free may be taken by the time the program wants it: it ends then
        for _ in 0..3 {
            let ports = [(); N].map(|()| free_port());
            let mut command = Command::new(program);
            // output of Python is only seen at once when it is told so
            command.args(arguments(ports)).env("PYTHONUNBUFFERED", "1").stdin(Stdio::null());
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let (sender, lines) = mpsc::channel();
            let reader = BufReader::new(child.stdout.take().unwrap());
            std::thread::spawn(move || reader.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
            let mut collector = Self { child, lines };
            if collector.listens(ports[N - 1]) {
                return (collector, ports);
            }
        }
        panic!("{} does not listen", program.display());
    }

    fn listens(&mut self, port: u16) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && self.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return self.child.try_wait().unwrap().is_none();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// All output up to the moment at which every word was seen.
    fn read_until(&self, words: &[&str]) -> String {
        let begun = Instant::now();
        let mut seen = String::new();
        while !words.iter().all(|word| seen.contains(word)) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => seen += &(line + "\n"),
                Err(error) => panic!("{error}: never saw all of {words:?} in:\n{seen}"),
            }
        }
        seen
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A port that nobody listens on now; whoever it is for tries again where another took it.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn config(port: u16, protocol: &str) -> OtlpConfig {
    OtlpConfig {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        protocol: Some(protocol.into()),
        headers: vec![("x-tenant".into(), "test".into())],
        interval: Some(Duration::from_secs(3600)),
        resource: vec![("service.instance.id".into(), "node-7".into())],
        view: View::Fine,
        timeout: Some(PATIENCE),
        ..OtlpConfig::default()
    }
}

/// Starts, ends, and thereby flushes.
fn export(config: &OtlpConfig) {
    let cell = Arc::new(SnapshotCell::new(machine()));
    let exporter = OtlpExporter::start(config, &cell, "1.2.3").unwrap();
    exporter.shutdown().unwrap();
}

/// What a scrape of the same snapshot shows, by name, labels sorted.
fn scraped() -> Vec<Sample> {
    let mut body = Vec::new();
    Scrape::new().exporter(Format::OpenMetrics).write(&machine(), View::Fine, &context(), &mut body);
    let mut samples = parser::samples(&parser::openmetrics(&body));
    for sample in &mut samples {
        sample.labels.sort();
    }
    samples.sort();
    samples
}

/// The samples of one line of oteltap, as a collector would name them for Prometheus.
fn translated(line: &str) -> Vec<Sample> {
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    let entry = CATALOGUE.iter().find(|m| m.name == json["name"]).unwrap();
    assert_eq!((json["unit"].as_str().unwrap(), json["description"].as_str().unwrap()), (entry.unit, entry.help));
    let data = if entry.kind == Kind::Sum { &json["sum"] } else { &json["gauge"] };
    if entry.kind == Kind::Sum {
        assert_eq!((data["isMonotonic"].as_bool(), data["aggregationTemporality"].as_u64()), (Some(true), Some(2)));
    }
    let points = data["dataPoints"].as_array().unwrap().iter();
    points
        .map(|point| {
            let attributes = point["attributes"].as_array().unwrap().iter();
            let mut labels: Vec<(String, String)> = attributes
                .map(|a| {
                    let value = a["value"]["stringValue"].as_str().unwrap();
                    (a["key"].as_str().unwrap().replace('.', "_"), value.to_owned())
                })
                .collect();
            labels.sort();
            let value = point["asDouble"].as_f64().unwrap().to_string();
            Sample { name: entry.sample_name(), labels, value }
        })
        .collect()
}

#[test]
fn otlp_and_scrape_give_the_same_series() {
    let name = "otlp_and_scrape_give_the_same_series";
    let Some(oteltap) = programs::receiver(name, "TREEHOUSE_TEST_OTELTAP", "bin/oteltap") else {
        return;
    };
    let (collector, [port]) = Collector::start(&oteltap, |[port]| vec!["--port".into(), port.to_string()]);
    export(&config(port, "http/protobuf"));
    let seen = collector.read_until(&["treehouse.grid.intensity.age"]);
    let mut received: Vec<Sample> = seen.lines().filter(|l| l.starts_with('{')).flat_map(translated).collect();
    received.sort();
    // a push has no present: the age is told as of the figures, a second before the scrape
    received.retain(|sample| sample.name != "treehouse_grid_intensity_age_seconds");
    let sent = ["hw_", "treehouse_carbon_emissions", "treehouse_grid_intensity_grams"];
    let expected: Vec<Sample> = scraped().into_iter().filter(|s| sent.iter().any(|prefix| s.name.starts_with(prefix))).collect();
    assert_eq!(received.len(), 6);
    assert_eq!(received, expected);
}

#[test]
fn rotel_gets_them_by_grpc_and_by_http() {
    let name = "rotel_gets_them_by_grpc_and_by_http";
    let Some(rotel) = programs::receiver(name, "TREEHOUSE_TEST_ROTEL", "lib/*/site-packages/rotel/rotel-agent") else {
        return;
    };
    for protocol in ["grpc", "http/protobuf"] {
        let flags = if protocol == "grpc" { ["http", "grpc"] } else { ["grpc", "http"] };
        let (collector, [_, port]) = Collector::start(&rotel, |ports| {
            let endpoints =
                flags.iter().zip(ports).flat_map(|(flag, port)| [format!("--otlp-{flag}-endpoint"), format!("127.0.0.1:{port}")]);
            let rest = ["--exporter=blackhole", "--debug-log", "metrics", "--debug-log-verbosity", "detailed"];
            iter::once("start".to_owned()).chain(endpoints).chain(rest.map(str::to_owned)).collect()
        });
        export(&config(port, protocol));
        let seen = collector.read_until(&["-> Name: treehouse.grid.intensity.age", "Value: 660"]);
        for word in [
            "-> service.name: Str(treehouse)",
            "-> service.version: Str(1.2.3)",
            "-> service.instance.id: Str(node-7)",
            "-> os.type: Str(linux)",
            "InstrumentationScope treehouse ",
            "-> Name: hw.host.energy",
            "-> AggregationTemporality: AGGREGATION_TEMPORALITY_CUMULATIVE",
            "Value: 414.248012",
            "-> Unit: {gCO2e/kWh}",
        ] {
            assert!(seen.contains(word), "{protocol}: no {word} in\n{seen}");
        }
        assert!(!seen.contains("workload") && !seen.contains("hw.power"), "{seen}");
    }
}

/// Takes one request by HTTP, answers that all is well, and tells what stood before the body.
fn take_one(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    stream.read_exact(&mut vec![0; length]).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    head
}

#[test]
fn a_request_has_the_path_the_headers_and_the_type_of_the_protocol() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(listener.local_addr().unwrap().port(), "http/protobuf");
    let server = std::thread::spawn(move || take_one(&listener));
    export(&config);
    let head = server.join().unwrap();
    assert!(head.starts_with("post /v1/metrics http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-tenant: test\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-protobuf\r\n"), "{head}");
}

#[test]
fn a_collector_that_comes_later_gets_the_next_export() {
    // a refused connection needs no timeout, and the second export gets all the time it needs
    let cell = Arc::new(SnapshotCell::new(machine()));
    let (exporter, listener) = (0..10).find_map(|_| later(&cell)).unwrap();
    let server = std::thread::spawn(move || take_one(&listener));
    exporter.flush().unwrap();
    server.join().unwrap();
    assert_eq!(exporter.status().exported, 1);
}

/// An exporter that found no collector, and a listener that came then; `None` where another took the port meanwhile.
fn later(cell: &Arc<SnapshotCell>) -> Option<(OtlpExporter, TcpListener)> {
    let port = free_port();
    let config = OtlpConfig { timeout: Some(PATIENCE), ..config(port, "http/protobuf") };
    let exporter = OtlpExporter::start(&config, cell, "1.2.3").unwrap();
    let error = exporter.flush().unwrap_err().to_string();
    assert!(error.starts_with("the last OTLP export failed: "), "{error}");
    let status = exporter.status();
    assert_eq!((status.exported, status.failed), (0, 1));
    Some((exporter, TcpListener::bind(("127.0.0.1", port)).ok()?))
}

#[test]
fn a_collector_that_never_answers_costs_one_timeout() {
    for protocol in ["grpc", "http/protobuf"] {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let config = OtlpConfig { timeout: Some(Duration::from_millis(200)), ..config(port, protocol) };
        let cell = Arc::new(SnapshotCell::new(machine()));
        // on a machine that stands still it takes longer, but not every time
        let quick = (0..5).any(|_| {
            let exporter = OtlpExporter::start(&config, &cell, "1.2.3").unwrap();
            let begun = Instant::now();
            let error = exporter.shutdown().unwrap_err().to_string();
            assert!(error.contains("export failed"), "{protocol}: {error}");
            begun.elapsed() < Duration::from_secs(5)
        });
        assert!(quick, "{protocol}");
    }
}

#[test]
fn it_starts_and_ends_inside_a_current_thread_runtime() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(listener.local_addr().unwrap().port(), "http/protobuf");
    let server = std::thread::spawn(move || take_one(&listener));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let cell = Arc::new(SnapshotCell::new(machine()));
        let exporter = OtlpExporter::start(&config, &cell, "1.2.3").unwrap();
        tokio::task::spawn_blocking(move || exporter.shutdown()).await.unwrap().unwrap();
    });
    server.join().unwrap();
}

#[test]
fn what_cannot_be_followed_is_told_at_the_start() {
    let start = |config: &OtlpConfig| {
        let cell = Arc::new(SnapshotCell::new(machine()));
        OtlpExporter::start(config, &cell, "1.2.3").map(drop).unwrap_err().to_string()
    };
    assert!(start(&config(1, "http/json")).contains("use \"grpc\" or \"http/protobuf\""));
    let tls = OtlpConfig { endpoint: Some("https://127.0.0.1:4318".into()), ..OtlpConfig::default() };
    assert!(start(&tls).contains("needs TLS, which is not built in"));
}
