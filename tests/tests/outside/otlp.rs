//! The whole program pushes host metrics to a receiver that others wrote.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::Energy;
use treehouse_tests::exposition::Series;
use treehouse_tests::lines::Lines;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::eventually;
use treehouse_tests::{machine, skip, tools};

use crate::support::{FAKE_MACHINE, LIMIT, on, settled};

const CONFIGURATION: &str = "[attribution]\nperiod_s = 0.25\n[ledger]\nenabled = false\n\
                             [otlp]\nprotocol = \"http/protobuf\"\ninterval_s = 0.5\n";

/// The receiver; killed by its id.
struct Receiver {
    child: Child,
    lines: Lines,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A receiver, and where it listens.
fn receiver() -> Option<(Receiver, String)> {
    let Some(program) = tools::find_in_venv("TREEHOUSE_TEST_OTELTAP", "oteltap") else {
        skip::required("oteltap is not there: cargo xtask test installs it");
        return None;
    };
    // a port that was free may be taken by the time the program wants it: it ends then
    for _ in 0..3 {
        let port = tools::free_port().unwrap();
        let mut command = Command::new(&program);
        // output of Python is only seen at once when it is told so
        command.args(["--port", &port.to_string()]).env("PYTHONUNBUFFERED", "1");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = Lines::read(child.stdout.take().unwrap());
        let mut receiver = Receiver { child, lines };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listens = eventually("a receiver that listens, or its end", || {
            let connected = TcpStream::connect_timeout(&address, LIMIT).is_ok();
            let over = receiver.child.try_wait().unwrap().is_some();
            if over { Some(false) } else { connected.then_some(true) }
        });
        if listens {
            return Some((receiver, format!("http://{address}")));
        }
        skip::note("started again: the receiver ended at once");
    }
    panic!("oteltap does not start");
}

/// The last received data points of a metric, with its unit: (attributes as one text, value).
fn last(lines: &Lines, name: &str) -> Option<(String, Vec<(String, f64)>)> {
    let mut newest = lines.all().into_iter().rev().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let metric = newest.find(|metric| metric["name"] == name)?;
    let points = metric["sum"]["dataPoints"].as_array().or_else(|| metric["gauge"]["dataPoints"].as_array())?;
    let values = points.iter().filter_map(|p| Some((p["attributes"].to_string(), p["asDouble"].as_f64()?))).collect();
    Some((metric["unit"].as_str()?.to_owned(), values))
}

#[test]
fn host_metrics_arrive_at_a_receiver_of_others_and_agree_with_a_scrape() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap() else { return };
    let Some((receiver, url)) = receiver() else { return };
    let scratch = Scratch::new().unwrap();
    let daemon = Daemon::ready(on(&scratch, &machine, CONFIGURATION), &["--otlp", &url]).unwrap();
    eventually("an energy at the receiver", || {
        last(&receiver.lines, "hw.host.energy").filter(|(_, points)| points.iter().any(|(_, value)| *value > 10.0))
    });
    // what stands still can be compared
    machine.ctl("power package-0 0\npower dram 0\n").unwrap();
    let host_mj = settled(&daemon);
    let scrape = daemon.scrape().unwrap();
    let near = |sum: f64, wanted: f64, series: usize| (sum - wanted).abs() <= 0.001 * series as f64 + 1e-9;
    let rows = scrape.family("treehouse_workload_energy_joules_total").count();
    eventually("the last energy of the host at the receiver", || {
        let (unit, points) = last(&receiver.lines, "hw.host.energy")?;
        assert_eq!(unit, "J");
        near(points.iter().map(|(_, value)| value).sum(), host_mj as f64 / 1e3, rows).then_some(())
    });
    // one push is many lines: the others of it may be to come
    eventually("the last energy of every meter at the receiver", || {
        let (unit, points) = last(&receiver.lines, "hw.energy")?;
        assert_eq!(unit, "J");
        let received = |name: &str| Some(points.iter().find(|(attributes, _)| attributes.contains(&format!("\"{name}\"")))?.1);
        let agrees = |(series, value): (&Series, &str)| {
            received(series.label("hw_name")).is_some_and(|sum| near(sum, value.parse().unwrap(), 1))
        };
        let all = points.len() == scrape.family("hw_energy_joules_total").count();
        (all && scrape.family("hw_energy_joules_total").all(agrees)).then_some(())
    });
    eventually("emissions at the receiver", || {
        let (unit, points) = last(&receiver.lines, "treehouse.carbon.emissions")?;
        (unit == "g" && points.iter().any(|(_, grams)| *grams > 0.0)).then_some(())
    });
    let stopped = daemon.stop().unwrap();
    assert!(stopped.status.success() && !stopped.stderr.contains("panicked"), "{}", stopped.stderr);
}

#[test]
fn the_last_figures_are_pushed_when_the_daemon_stops() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    let Some((receiver, url)) = receiver() else { return };
    let scratch = Scratch::new().unwrap();
    let configuration = CONFIGURATION.replace("interval_s = 0.5", "interval_s = 3600.0");
    let daemon = Daemon::ready(on(&scratch, &machine, &configuration), &["--otlp", &url]).unwrap();
    let shown = Energy::of(&daemon).unwrap().host_energy_j.unwrap();
    assert!(daemon.stop().unwrap().status.success());
    let pushed = eventually("the last push", || last(&receiver.lines, "hw.host.energy"));
    assert!(pushed.1.iter().map(|(_, value)| value).sum::<f64>() >= shown, "{pushed:?}, {shown} J were shown before");
}

#[test]
fn a_collector_that_is_away_costs_nothing_but_its_push() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let url = format!("http://127.0.0.1:{}", tools::free_port().unwrap());
    let daemon = Daemon::ready(on(&scratch, &machine, CONFIGURATION), &["--otlp", &url]).unwrap();
    eventually("energy", || Energy::of(&daemon).unwrap().host_energy_j.filter(|energy| *energy > 0.0));
    // several pushes fail
    std::thread::sleep(Duration::from_millis(1500));
    let stopped = daemon.stop().unwrap();
    assert!(stopped.status.success() && stopped.took < LIMIT / 4, "{:?} {}", stopped.took, stopped.stderr);
}
