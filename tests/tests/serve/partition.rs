//! The partition law on a live daemon: whatever comes and goes, the workloads are the host, exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::millijoules;
use treehouse_tests::exposition::{Scrape, Series, micro};
use treehouse_tests::http;
use treehouse_tests::machine;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::LIMIT;

use crate::support::{FAKE_MACHINE, HOST, WORKLOADS, on};

/// Few series and a short memory, so that workloads are promoted, displaced and folded while the test looks.
const CONFIGURATION: &str = "[attribution]\nperiod_s = 0.1\nmin_energy_j = 0.05\nkeep_gone_s = 0.5\nmax_workloads = 4\n\
                             view = \"process\"\n[ledger]\nenabled = false\n";
const OPENMETRICS: &str = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

/// Looks at a machine on which load comes and goes, at least.
const ROUNDS: u32 = 150;

/// A process that uses a processor; killed by its id.
struct Load(Child);

impl Load {
    fn start() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Both formats, one after the other.
fn scrapes(daemon: &Daemon) -> [Scrape; 2] {
    let text = http::get(daemon.address(), "/metrics", &[]).unwrap();
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let open = http::get(daemon.address(), "/metrics", &[OPENMETRICS]).unwrap();
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(open.body.ends_with("# EOF\n"));
    [Scrape::parse(&text.body).unwrap(), Scrape::parse(&open.body).unwrap()]
}

#[test]
fn workloads_sum_to_the_host_exactly_while_load_comes_and_goes() {
    let arguments = ["--watts", "40", "--dram-watts", "5"];
    let Some(machine) = machine::start(FAKE_MACHINE, &arguments).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let daemon = Daemon::ready(on(&scratch, &machine, CONFIGURATION), &[]).unwrap();
    let mut before: BTreeMap<Series, i128> = BTreeMap::new();
    let (mut seen, mut host, mut steps, begun) = (BTreeSet::new(), 0, 0, Instant::now());
    let mut load: Vec<Load> = Vec::new();
    // a round takes 50 ms and some; load comes in the first hundred and twenty, one more every twelve, and never more than three
    let mut all_is_seen = false;
    for round in 0.. {
        if round % ROUNDS >= 120 {
            load.clear();
        } else if round % 12 == 0 {
            load.push(Load::start());
            if load.len() > 3 {
                load.remove(0);
            }
        }
        // where the machine is busy with others, it takes longer until our load is among the few that are shown
        all_is_seen = steps >= 6 && shown(&seen);
        if round >= ROUNDS && all_is_seen || begun.elapsed() > LIMIT {
            break;
        }
        for scrape in scrapes(&daemon) {
            let sum = scrape.sum_micro(HOST).unwrap();
            assert_eq!(scrape.sum_micro(WORKLOADS), Ok(sum));
            assert!(sum >= host, "the host fell from {host} to {sum}");
            steps += usize::from(sum > host);
            host = sum;
            let mut now = BTreeMap::new();
            for (series, value) in scrape.family(WORKLOADS) {
                let value = micro(value).unwrap();
                assert_eq!(value % 1000, 0, "finer than a millijoule without a token: {series:?} {value}");
                if value > 0 {
                    seen.insert(format!("{}/{}", series.label("kind"), series.label("workload")));
                }
                now.insert(series.clone(), value);
            }
            // a series may end, and one that comes back begins anew: all that it had is in `gone` then
            let folded: i128 =
                before.iter().filter(|(series, had)| now.get(series).is_none_or(|has| has < *had)).map(|(_, had)| had).sum();
            let gone = |rows: &BTreeMap<Series, i128>| -> i128 {
                rows.iter().filter(|(series, _)| series.label("workload") == "gone").map(|(_, value)| value).sum()
            };
            let risen = gone(&now) - gone(&before);
            assert!(risen + 1000 >= folded && risen >= 0, "{folded} uJ ended, {risen} uJ are gone: {before:?} {now:?}");
            before = now;
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert!(all_is_seen, "the host rose {steps} times, with {seen:?}");
}

/// Whether all kinds of rows were there: also some load that ended and was folded. On a machine that is busy with others the few
/// processes that have a row of their own need not be ours.
fn shown(seen: &BTreeSet<String>) -> bool {
    ["idle/idle", "process/other", "process/gone"].iter().all(|row| seen.contains(*row))
        && seen.iter().any(|row| row.starts_with("process/") && row.contains(':'))
}

#[test]
fn every_cut_of_the_workloads_sums_to_the_host() {
    let arguments = ["--watts", "40", "--dram-watts", "5"];
    let Some(machine) = machine::start(FAKE_MACHINE, &arguments).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let daemon = Daemon::ready(on(&scratch, &machine, CONFIGURATION), &[]).unwrap();
    let _load = Load::start();
    let mut rows_seen = 0;
    for _ in 0..10 {
        for cut in ["", "?by=partition", "?by=process", "?by=cgroup", "?by=container", "?by=span", "?by=payer"] {
            let answer = daemon.json(&format!("/v1/workloads{cut}")).unwrap();
            let rows = answer["rows"].as_array().unwrap();
            let sum: u64 = rows.iter().map(|row| millijoules(row["energy_j"].as_f64().unwrap())).sum();
            assert_eq!(sum, millijoules(answer["host_energy_j"].as_f64().unwrap()), "{cut}: {answer}");
            for row in rows {
                assert!(["attributed", "modelled"].contains(&row["provenance"].as_str().unwrap()), "{row}");
            }
            rows_seen += rows.len();
        }
        thread::sleep(Duration::from_millis(150));
    }
    assert!(rows_seen > 100);
    let refused = daemon.get("/v1/workloads?by=colour").unwrap();
    assert_eq!((refused.status, refused.json().unwrap()["field"].as_str()), (422, Some("by")));
}
