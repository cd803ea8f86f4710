//! A real Prometheus scrapes the daemon: what it stores is what the ledger holds and what the machine truly drew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carbon_api::ledger::store::Ledger;
use exporters::dashboards;
use serde_json::Value;
use treehouse_tests::child;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::exposition::micro;
use treehouse_tests::prometheus::Prometheus;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::{eventually, eventually_or};
use treehouse_tests::{http, machine, skip, tools};

use crate::proxy::Proxy;
use crate::support::{FAKE_MACHINE, LIMIT, TREEHOUSE, on, settled};

const CONFIGURATION: &str =
    "[attribution]\nperiod_s = 0.25\nmin_energy_j = 0.5\n[ledger]\ncommit_s = 0.5\n[grid]\nzone = \"GB\"\n";
const HOST: &str = "hw_host_energy_joules_total";
const WORKLOADS: &str = "treehouse_workload_energy_joules_total";
/// The job that gets OpenMetrics, as Prometheus asks for it, and the one that gets text.
const JOBS: [&str; 2] = ["treehouse", "treehouse-text"];

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn generated(path: &str) -> String {
    dashboards::files().into_iter().find(|file| file.path == path).unwrap().content
}

fn start_prometheus(daemon: &Daemon, proxy: &Proxy) -> Option<Prometheus> {
    let Some(program) = tools::find(&["prometheus"]) else {
        skip::required("prometheus is not installed (package prometheus)");
        return None;
    };
    let mut configuration = "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\n\
                             rule_files: [recording.yml, alerts.yml]\nscrape_configs:\n"
        .to_owned();
    for (job, address) in JOBS.iter().zip([daemon.address(), proxy.address()]) {
        writeln!(configuration, "  - job_name: {job}\n    static_configs:\n      - targets: ['{address}']").unwrap();
    }
    let rules = ["recording", "alerts"].map(|name| (format!("{name}.yml"), generated(&format!("rules/{name}.yml"))));
    let files: Vec<(&str, &str)> = rules.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
    Some(Prometheus::start(&program, &configuration, &files).unwrap())
}

/// The sum of a metric as Prometheus stores it, in microjoules; `None` before there is one, or where it is not exact.
fn stored(prometheus: &Prometheus, metric: &str, job: &str) -> Option<i128> {
    let rows = prometheus.query(&format!("{metric}{{job=\"{job}\"}}"), None).unwrap();
    let values: Option<Vec<i128>> = rows.iter().map(|row| micro(&row.samples.last()?.1)).collect();
    values.filter(|values| !values.is_empty()).map(|values| values.iter().sum())
}

/// Waits until both jobs have stored this host.
fn wait_until_stored(prometheus: &Prometheus, host_mj: u64) {
    for job in JOBS {
        eventually("the daemon's last value in Prometheus", || {
            (stored(prometheus, HOST, job)? == i128::from(host_mj) * 1000).then_some(())
        });
    }
}

#[test]
fn increase_agrees_with_the_ledger_and_with_the_truth() {
    let arguments = ["--watts", "0", "--dram-watts", "0", "--start-uj", "200000000000"];
    let Some(machine) = machine::start(FAKE_MACHINE, &arguments).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let daemon = Daemon::ready(on(&scratch, &machine, CONFIGURATION), &[]).unwrap();
    let proxy = Proxy::start(daemon.address());
    let Some(prometheus) = start_prometheus(&daemon, &proxy) else { return };

    // no power at the beginning and at the end: between two flat lines no timing matters
    let base = settled(&daemon);
    wait_until_stored(&prometheus, base);
    let (begun, truth) = (now_s(), machine.truth().unwrap());
    // a sample of the first flat line lies inside the window that begins now
    for job in JOBS {
        let time = format!("timestamp({HOST}{{job=\"{job}\"}})");
        eventually("a sample of both jobs", || (prometheus.value(&time, None).ok()? > begun + 0.01).then_some(()));
    }
    machine.ctl("power package-0 40\npower dram 5\n").unwrap();
    // things that only show when something happens: faults of a zone that is no part of the host, and a decision
    machine.ctl("fault core eio").unwrap();
    shown(&daemon, "treehouse_meter_errors_total");
    std::thread::sleep(Duration::from_secs(2));
    machine.ctl("fault core ok").unwrap();
    shown(&daemon, "treehouse_meter_gap_seconds_total");
    // a counter that moved since can fall
    std::thread::sleep(Duration::from_millis(800));
    machine.ctl("reset core").unwrap();
    shown(&daemon, "treehouse_meter_resets_total");
    let example = child::run(scratch.command(TREEHOUSE).args(["decide", "shift", "--example"]), LIMIT).unwrap();
    assert_eq!(http::post(daemon.address(), "/v1/policies/shift/decide", &example.text()).unwrap().status, 200);
    std::thread::sleep(Duration::from_millis(7500));
    every_panel_has_data(&prometheus);
    both_formats_are_the_same(&prometheus);
    machine.ctl("power package-0 0\npower dram 0\n").unwrap();
    let drawn = machine.truth().unwrap().host_uj - truth.host_uj;
    let end = settled(&daemon);
    wait_until_stored(&prometheus, end);
    let at = now_s();

    let series = daemon.scrape().unwrap().family(WORKLOADS).count() as u64;
    assert!(series >= 3);
    // coarse, each series rounded down; and the counters' own units
    let slack_uj = i128::from(1000 * series + 2 * 62);
    let risen = i128::from(end - base) * 1000;
    assert!((risen - i128::from(drawn)).abs() <= slack_uj, "{risen} uJ were told, {drawn} uJ were drawn");
    for job in JOBS {
        let window = (at - begun).ceil();
        let raw = prometheus.query(&format!("{HOST}{{job=\"{job}\"}}[{window:.0}s]"), Some(at)).unwrap();
        assert_eq!(raw.len(), 1, "one meter, one series: {raw:?}");
        let samples = &raw[0].samples;
        let (first, last) = (samples.first().unwrap(), samples.last().unwrap());
        // what is stored is exact
        let difference = micro(&last.1).unwrap() - micro(&first.1).unwrap();
        assert!((risen - difference).abs() <= slack_uj, "{job}: {difference} uJ are stored, {risen} uJ were told");
        // `increase` stretches that to the whole window, and never by more
        let increase = prometheus.value(&format!("sum(increase({HOST}{{job=\"{job}\"}}[{window:.0}s]))"), Some(at)).unwrap();
        let exact = difference as f64 / 1e6;
        let stretched = exact * window / (last.0 - first.0);
        assert!(increase >= exact * (1.0 - 1e-9) && increase <= stretched * (1.0 + 1e-9), "{job}: {increase} J, {exact} J");
        // the same for the workloads, of which every series began after the first sample of the host
        eventually("the energy of the host, in its workloads", || {
            let level = prometheus.value(&format!("sum({WORKLOADS}{{job=\"{job}\"}})"), None).ok()?;
            let host = prometheus.value(&format!("sum({HOST}{{job=\"{job}\"}})"), None).ok()?;
            let stored = (stored(&prometheus, WORKLOADS, job)?, stored(&prometheus, HOST, job)?);
            ((level - host).abs() < 1e-6 && stored.0 == stored.1).then_some(())
        });
    }
    no_rule_fails(&prometheus);
    drop(prometheus);

    assert!(daemon.stop().unwrap().status.success());
    let ledger = Ledger::open(&scratch.state()).unwrap();
    let kept = i128::from(ledger.recorded().unwrap().host_energy.0);
    let shown = i128::from(end) * 1000;
    assert!(kept >= shown && kept - shown <= i128::from(1000 * series), "{kept} uJ are kept, {shown} uJ were scraped");
}

/// Waits until a scrape has something of a metric.
fn shown(daemon: &Daemon, metric: &str) {
    eventually(metric, || daemon.scrape().unwrap().family(metric).next().map(|_| ()));
}

fn every_panel_has_data(prometheus: &Prometheus) {
    let expressions = dashboards::expressions();
    assert!(expressions.len() >= 10);
    for (title, expression) in expressions {
        let filled = expression
            .replace("$__rate_interval", "5s")
            .replace("$__range", "8s")
            .replace("$job", "treehouse")
            .replace("$instance", ".+");
        // right after a scrape that came too late there is none
        let rows = eventually(&format!("data of panel {title:?}: {filled}"), || {
            Some(prometheus.query(&filled, None).unwrap()).filter(|rows| rows.iter().any(|row| !row.samples.is_empty()))
        });
        for row in &rows {
            assert!(row.samples.iter().all(|(_, value)| value != "NaN"), "panel {title:?}: {row:?}");
        }
    }
}

fn both_formats_are_the_same(prometheus: &Prometheus) {
    let series = |job: &str| -> BTreeSet<String> {
        let rows = prometheus.query(&format!("{{job=\"{job}\", __name__=~\"(hw|treehouse)_.+\"}}"), None).unwrap();
        rows.into_iter()
            .map(|mut row| {
                let labels = row.labels.as_object_mut().unwrap();
                labels.remove("job");
                labels.remove("instance");
                row.labels.to_string()
            })
            .collect()
    };
    // a series that came between the scrapes of the two jobs is in one of them for a second
    let same = eventually_or(|| {
        let [open, text] = JOBS.map(series);
        let apart: Vec<_> = open.symmetric_difference(&text).collect();
        if apart.is_empty() && open.len() > 15 {
            Ok(())
        } else {
            Err(format!("{} series, in one format only: {apart:?}", open.len()))
        }
    });
    assert_eq!(same, Ok(()));
}

fn no_rule_fails(prometheus: &Prometheus) {
    let all = |rules: &Value| -> Vec<Value> {
        let groups = rules["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
    };
    // evaluated once a second
    let rules = eventually("every rule evaluated", || {
        let rules = prometheus.api("rules").unwrap();
        all(&rules).iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    let mut seen = 0;
    for rule in all(&rules) {
        assert_eq!(rule["health"], "ok", "{rule}");
        if rule["name"] == "TreehousePartitionBroken" {
            assert_eq!(rule["state"], "inactive", "{rule}");
        }
        seen += 1;
    }
    assert!(seen > 8, "{rules}");
    for record in ["instance:hw_host_energy_joules:rate1m", "instance_workload:treehouse_workload_energy_joules:rate1m"] {
        eventually(record, || (!prometheus.query(record, None).unwrap().is_empty()).then_some(()));
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_a_live_scrape() {
    let Some(promtool) = tools::find(&["promtool"]) else {
        return skip::required("promtool is not installed (package prometheus)");
    };
    let Some(machine) = machine::start(FAKE_MACHINE, &["--dram-watts", "5"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let daemon = Daemon::ready(on(&scratch, &machine, CONFIGURATION), &["--no-ledger"]).unwrap();
    machine.ctl("fault dram eio").unwrap();
    shown(&daemon, "treehouse_meter_errors_total");
    machine.ctl("fault dram ok").unwrap();
    shown(&daemon, "treehouse_meter_gap_seconds_total");
    let text = daemon.get("/metrics").unwrap().body;
    assert!(text.contains("treehouse_meter_errors_total{") && text.contains(WORKLOADS), "{text}");
    let ended = child::run_with_input(Command::new(&promtool).args(["check", "metrics"]), &text, LIMIT).unwrap();
    assert_eq!((ended.code(), ended.text().as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    // and it does find something where there is something
    let ended = child::run_with_input(Command::new(&promtool).args(["check", "metrics"]), "Bad-name 1\n", LIMIT).unwrap();
    assert_ne!(ended.code(), Some(0));
}
