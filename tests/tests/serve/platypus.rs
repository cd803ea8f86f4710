//! Energy as a side channel (PLATYPUS, CVE-2020-8694): whoever has no privilege sees little, seldom, and only their own.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use carbon_api::ledger::store::Ledger;
use fake_machine::Guard;
use serde_json::Value;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::exposition::{Scrape, micro};
use treehouse_tests::http::{self, Answer, Target};
use treehouse_tests::scratch::Scratch;
use treehouse_tests::stranger::{Busy, NOBODY, Stranger};
use treehouse_tests::wait::eventually;
use treehouse_tests::{machine, stall};

use crate::support::{FAKE_MACHINE, HOST, STRANGER, WORKLOADS, on};

/// A hundred samples a second, every process a row.
const CONFIGURATION: &str =
    "[attribution]\nperiod_s = 0.01\nmin_energy_j = 0.05\nview = \"process\"\n[ledger]\nenabled = false\n";
/// A stall that can explain a value that is missing.
const STALL: Duration = Duration::from_millis(150);
const TOKEN: &str = "c2VjcmV0LXRva2VuLW9mLWEtdGVzdA==";

/// A daemon with a socket in the stranger's folder, on a fake machine.
struct Stage {
    stranger: Stranger,
    daemon: Daemon,
    machine: Guard,
    _scratch: Scratch,
}

impl Stage {
    fn new(configuration: &str) -> Option<Self> {
        let stranger = Stranger::new(STRANGER).unwrap()?;
        let machine = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap()?;
        let scratch = Scratch::new().unwrap();
        let socket = stranger.socket();
        let daemon = Daemon::ready(on(&scratch, &machine, configuration), &["--socket", socket.to_str().unwrap()]).unwrap();
        Some(Self { stranger, daemon, machine, _scratch: scratch })
    }

    fn tcp(&self) -> Target {
        Target::Tcp(self.daemon.address())
    }

    fn socket(&self) -> Target {
        Target::Unix(self.stranger.socket())
    }

    /// What root is told over the socket.
    fn root(&self, path: &str) -> Answer {
        http::ask(&self.socket(), path, &[]).unwrap()
    }

    /// Waits until a process has a series that root sees.
    fn wait_for(&self, process: &Busy) {
        eventually("a series of the process", || energy_of(process, &self.root("/v1/workloads").json().unwrap()));
    }

    /// Energy of the host in microjoules, once two intervals in a row show the same, as they do without power.
    fn settled(&self) -> u64 {
        let mut last = None;
        eventually("an interval without energy", || {
            let energy = self.root("/v1/energy").json().unwrap();
            let now = (energy["until"].to_string(), uj(&energy["host_energy_j"])?);
            let same = last.as_ref().is_some_and(|(until, host)| *until != now.0 && *host == now.1);
            let settled = same.then_some(now.1);
            if last.as_ref().is_none_or(|(until, _)| *until != now.0) {
                last = Some(now);
            }
            settled
        })
    }
}

/// Names of the rows with their energy.
fn rows(workloads: &Value) -> BTreeMap<String, f64> {
    let rows = workloads["rows"].as_array().unwrap().iter();
    rows.map(|row| (row["workload"].as_str().unwrap().to_owned(), row["energy_j"].as_f64().unwrap())).collect()
}

/// Energy of the row of a process.
fn energy_of(process: &Busy, workloads: &Value) -> Option<f64> {
    let end = format!(":{}", process.id());
    rows(workloads).into_iter().find(|(name, _)| name.ends_with(&end)).map(|(_, energy)| energy)
}

/// Every number of an answer whose key says joules or watts, in millionths.
fn figures(value: &Value, found: &mut Vec<(String, i128)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| figures(item, found)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match field.as_f64() {
                    // the shortest text that reads back the same is what was sent
                    Some(number) if key.ends_with("_j") || key.ends_with("_w") => {
                        found.push((key.clone(), micro(&number.to_string()).unwrap_or_else(|| panic!("{key}: {number}"))));
                    }
                    _ => figures(field, found),
                }
            }
        }
        _ => {}
    }
}

/// Every energy of a scrape, in microjoules.
fn energies(scrape: &Scrape) -> Vec<i128> {
    let energies = scrape.values.iter().filter(|(series, _)| series.name.ends_with("_joules_total"));
    energies.map(|(series, value)| micro(value).unwrap_or_else(|| panic!("{series:?} {value}"))).collect()
}

#[test]
fn an_attacker_gets_one_value_a_second() {
    let Some(stage) = Stage::new(CONFIGURATION) else { return };
    let busy = stage.stranger.busy().unwrap();
    stage.wait_for(&busy);
    stall::unless_stalled(STALL, || attack(&stage));
}

/// Asks as often as it can, and counts what it is told: never too much, and not too little either unless the machine stood still.
fn attack(stage: &Stage) -> Result<(), String> {
    const SECONDS: f64 = 5.0;
    // 200 times a second, by every way in at once: together they must not tell more than one
    let poll = |target: &Target, path| stage.stranger.start(target, path, (5, SECONDS), &[]).unwrap();
    let begun = Instant::now();
    let polls = [
        poll(&stage.tcp(), "/v1/energy"),
        poll(&stage.socket(), "/v1/energy"),
        poll(&stage.socket(), "/v1/workloads"),
        poll(&stage.tcp(), "/v1/workloads?by=payer"),
        poll(&stage.tcp(), "/v1/power"),
    ];
    let scrapes = [poll(&stage.tcp(), "/metrics"), poll(&stage.socket(), "/metrics")];
    let answers = polls.map(|poll| poll.answers().unwrap());
    let scrapes = scrapes.map(|poll| poll.answers().unwrap());
    let took = begun.elapsed();
    let most = most(took, 1.0);

    let (mut instants, mut powers) = (BTreeSet::new(), BTreeSet::new());
    for (answers, own) in answers.iter().zip([false, true, true, false, false]) {
        let mut values = BTreeSet::new();
        for answer in answers {
            assert_eq!(answer.status, 200, "{}", answer.body);
            let value = answer.json().unwrap();
            let mut found = Vec::new();
            figures(&value, &mut found);
            for (key, millionths) in &found {
                assert_eq!(millionths % 1000, 0, "{key} is finer than a millijoule: {}", answer.body);
            }
            if let Some(points) = value.get("points") {
                powers.insert(points.as_array().unwrap().len());
                continue;
            }
            instants.insert(value["until"].as_str().unwrap().to_owned());
            assert_eq!((value["quality"].as_str(), value["host_energy_j"].is_null()), (Some("coarsened"), own));
            values.insert(found);
        }
        assert!(powers.len() <= 3 + took.as_secs() as usize / 10, "the chart grows by a point in ten seconds: {powers:?}");
        at_least(100, answers.len(), "answers")?;
        assert!(values.len() <= most, "{} values in {took:?}", values.len());
    }
    assert!(instants.len() <= most, "{} new values in {took:?}: {instants:?}", instants.len());
    at_least(3, instants.len(), "new values")?;
    let (mut totals, mut own) = (BTreeSet::new(), BTreeSet::new());
    for (answers, seen) in scrapes.iter().zip([&mut totals, &mut own]) {
        for answer in answers {
            let scrape = Scrape::parse(&answer.body).unwrap();
            let energies = energies(&scrape);
            assert!(energies.iter().all(|uj| uj % 1000 == 0), "{}", answer.body);
            assert!(scrape.sum_micro(WORKLOADS).unwrap() > 0);
            seen.insert(energies);
        }
        assert!(seen.len() <= most, "{} scrapes differ in {took:?}", seen.len());
        at_least(3, seen.len(), "scrapes that differ")?;
    }
    // and root, who may see everything, sees that there was more to be seen
    let (begun, mut fine) = (Instant::now(), BTreeSet::new());
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(20));
        fine.insert(stage.root("/v1/energy").json().unwrap()["until"].as_str().unwrap().to_owned());
    }
    at_least(5, fine.len(), &format!("values of root in {:?}", begun.elapsed()))
}

/// The most values that are shown in a time, by the clock of whoever asks: one more for each end.
fn most(took: Duration, interval_s: f64) -> usize {
    (took.as_secs_f64() / interval_s).ceil() as usize + 1
}

/// What a machine that stands still has too few of.
fn at_least(least: usize, found: usize, what: &str) -> Result<(), String> {
    if found >= least { Ok(()) } else { Err(format!("{found} {what}, and not {least}")) }
}

#[test]
fn another_uid_is_refused() {
    let Some(stage) = Stage::new(CONFIGURATION) else { return };
    let (mine, roots) = (stage.stranger.busy().unwrap(), Busy::start(Command::new("/bin/sh")).unwrap());
    stage.wait_for(&mine);
    stage.wait_for(&roots);
    let ask = |target: &Target, path: &str| stage.stranger.ask(target, path, &[]).unwrap();
    for (target, path, field) in [
        (stage.socket(), "/v1/energy?uid=0", Some("uid")),
        (stage.socket(), "/v1/workloads?uid=0", Some("uid")),
        (stage.socket(), "/v1/workloads?by=cgroup&uid=65533", Some("uid")),
        (stage.socket(), "/v1/power", None),
        (stage.tcp(), "/v1/energy?uid=0", Some("uid")),
        (stage.tcp(), "/v1/energy?uid=65534", Some("uid")),
    ] {
        let refused = ask(&target, path);
        assert_eq!((refused.status, refused.header("content-type")), (403, Some("application/problem+json")), "{path}");
        let problem = refused.json().unwrap();
        assert_eq!(problem["field"].as_str(), field, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("serve.raw_token_file"), "the mend is named: {problem}");
    }
    assert_eq!(ask(&stage.socket(), "/v1/energy?uid=me").status, 422);
    assert_eq!(ask(&stage.socket(), "/v1/energy?user=0").status, 400);

    // strangers see a value that is up to a second old
    thread::sleep(Duration::from_millis(1100));
    for path in ["/v1/workloads", "/v1/workloads?uid=65534", "/v1/workloads?by=process"] {
        let own = ask(&stage.socket(), path).json().unwrap();
        assert!(energy_of(&mine, &own).is_some_and(|energy| energy > 0.0), "{own}");
        assert!(energy_of(&roots, &own).is_none() && !rows(&own).contains_key("idle"), "{own}");
        assert!(own["host_energy_j"].is_null() && own["host_reason"].is_string() && own["uid"] == NOBODY, "{own}");
    }
    let energy = ask(&stage.socket(), "/v1/energy").json().unwrap();
    assert!(energy["energy_j"].as_f64().unwrap() > 0.0, "{energy}");
    assert_eq!((energy["domains"].as_array().unwrap().len(), energy["provenance"].as_str()), (0, Some("attributed")), "{energy}");
    for hidden in ["host_energy_j", "host_power_w", "recorded", "durable_until"] {
        assert!(energy[hidden].is_null(), "{hidden}: {energy}");
    }
    let scrape = Scrape::parse(&ask(&stage.socket(), "/metrics").body).unwrap();
    for hidden in [HOST, "hw_energy_joules_total", "treehouse_self_energy_joules_total", "treehouse_energy_uncertainty_joules"] {
        assert_eq!(scrape.family(hidden).count(), 0, "{hidden}");
    }
    for (series, _) in scrape.family(WORKLOADS) {
        // tests run side by side as the same user, and what asks is theirs too
        let Some((_, pid)) = series.label("workload").rsplit_once(':') else {
            assert_eq!((series.label("kind"), series.label("workload")), ("process", "other"));
            continue;
        };
        let owner = std::fs::metadata(format!("/proc/{pid}")).map(|about| about.uid());
        assert!(owner.is_err() || owner.is_ok_and(|uid| uid == NOBODY), "{series:?}");
    }

    // what ended stays one's own
    let before = energy["energy_j"].as_f64().unwrap();
    drop(mine);
    thread::sleep(Duration::from_millis(1500));
    let after = ask(&stage.socket(), "/v1/energy").json().unwrap();
    assert!(after["energy_j"].as_f64().unwrap() >= before, "{after}");
    // root may ask for anybody
    let seen = stage.root("/v1/energy?uid=65534").json().unwrap();
    assert!(seen["energy_j"].as_f64().unwrap() >= before && seen["quality"] == "fine", "{seen}");
    assert!(stage.root("/v1/energy?uid=0").json().unwrap()["energy_j"].as_f64().unwrap() > 0.0);
    // a user of whom nothing is known is told so, and not 0
    let nothing = stage.root("/v1/energy?uid=4000000000").json().unwrap();
    assert!(nothing["energy_j"].is_null() && nothing["warnings"][0].as_str().unwrap().contains("4000000000"), "{nothing}");
}

#[test]
fn two_scrapers_see_the_same_joules() {
    let Some(stage) = Stage::new(CONFIGURATION) else { return };
    stall::unless_stalled(STALL, || {
        let begun = Instant::now();
        let poll = |every_ms| stage.stranger.start(&stage.tcp(), "/v1/energy", (every_ms, 4.0), &[]).unwrap();
        // one of them asks seldom, and must not make the other one's values its own
        let polls = [poll(7), poll(11), poll(400)];
        let mut told: BTreeMap<String, Value> = BTreeMap::new();
        let mut seen = Vec::new();
        for poll in polls {
            let mut instants = BTreeSet::new();
            for answer in poll.answers().unwrap() {
                let value = answer.json().unwrap();
                let until = value["until"].as_str().unwrap().to_owned();
                let before = told.entry(until.clone()).or_insert_with(|| value.clone());
                assert_eq!(*before, value, "two answers of one instant");
                instants.insert(until);
            }
            seen.push(instants);
        }
        let took = begun.elapsed();
        assert!(told.len() <= most(took, 1.0), "three scrapers got {} values in {took:?}", told.len());
        seen.iter().try_for_each(|instants| at_least(3, instants.len(), "instants"))
    });
}

#[test]
fn root_sees_exact_microjoules_over_the_socket() {
    let configuration = "[attribution]\nperiod_s = 0.05\nmin_energy_j = 0.05\nview = \"process\"\n[ledger]\ncommit_s = 3600.0\n";
    let Some(stage) = Stage::new(configuration) else { return };
    let busy = stage.stranger.busy().unwrap();
    stage.wait_for(&busy);
    let mut fine = 0;
    for _ in 0..20 {
        let scrape = Scrape::parse(&stage.root("/metrics").body).unwrap();
        assert_eq!(scrape.sum_micro(WORKLOADS), scrape.sum_micro(HOST));
        fine += energies(&scrape).iter().filter(|uj| *uj % 1000 != 0).count();
        let workloads = stage.root("/v1/workloads").json().unwrap();
        let sum: u64 = rows_uj(&workloads).iter().sum();
        assert_eq!(Some(sum), uj(&workloads["host_energy_j"]), "{workloads}");
        assert_eq!(workloads["quality"], "fine");
        thread::sleep(Duration::from_millis(30));
    }
    assert!(fine > 20, "{fine} figures were finer than a millijoule");
    // what one user used is theirs to the microjoule too
    let own = stage.root("/v1/workloads?uid=65534").json().unwrap();
    assert!(rows_uj(&own).iter().sum::<u64>() > 0 && own["host_energy_j"].is_null(), "{own}");

    // with the machine at rest, what root saw last is what the ledger keeps
    stage.machine.ctl("power package-0 0\npower dram 0").unwrap();
    let last = stage.settled();
    let Stage { daemon, _scratch: scratch, .. } = stage;
    assert!(daemon.stop().unwrap().status.success());
    let sessions = Ledger::open(&scratch.state()).unwrap().sessions().unwrap();
    assert_eq!((sessions.len(), sessions[0].host.0), (1, last));
}

/// Joules of a JSON number in whole microjoules.
fn uj(joules: &Value) -> Option<u64> {
    micro(&joules.as_f64()?.to_string()).and_then(|uj| u64::try_from(uj).ok())
}

fn rows_uj(workloads: &Value) -> Vec<u64> {
    workloads["rows"].as_array().unwrap().iter().map(|row| uj(&row["energy_j"]).unwrap()).collect()
}

#[test]
fn a_token_opens_everything_over_tcp_and_a_wrong_one_nothing() {
    let files = Scratch::new().unwrap();
    let file = files.write("token", &format!("{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let serve = format!("[serve]\npublic_metrics = false\nraw_token_file = {file:?}\n");
    let Some(stage) = Stage::new(&(serve + CONFIGURATION)) else { return };
    let (right, wrong) = (format!("Authorization: Bearer {TOKEN}"), format!("Authorization: Bearer {TOKEN}A"));
    let ask = |target: &Target, path: &str, headers: &[&str]| stage.stranger.ask(target, path, headers).unwrap();
    for path in ["/v1/energy", "/v1/workloads", "/v1/power", "/metrics"] {
        assert_eq!(ask(&stage.tcp(), path, &[]).status, 403, "{path} is closed");
        for target in [stage.tcp(), stage.socket()] {
            assert_eq!(ask(&target, path, &[&right]).status, 200, "{path}");
            let refused = ask(&target, path, &[&wrong]);
            assert_eq!(refused.status, 401, "{path}: {}", refused.body);
            assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
            assert!(!refused.body.contains(TOKEN), "{}", refused.body);
        }
    }
    eventually("the energy of root, fine", || {
        let told = ask(&stage.tcp(), "/v1/energy?uid=0", &[&right]).json().unwrap();
        (told["energy_j"].as_f64()? > 0.0 && told["quality"] == "fine").then_some(())
    });
    eventually("an energy finer than a millijoule", || {
        let scrape = Scrape::parse(&ask(&stage.tcp(), "/metrics", &[&right]).body).unwrap();
        energies(&scrape).iter().any(|uj| uj % 1000 != 0).then_some(())
    });
    // what is closed over TCP is not over the socket: there everybody sees the own
    assert_eq!(ask(&stage.socket(), "/v1/energy", &[]).status, 200);
    let said = stage.daemon.stop().unwrap().stderr;
    assert!(!said.contains(TOKEN), "{said}");
}

#[test]
fn the_trusted_group_sees_everything_not_more_often_than_is_configured() {
    let serve = "[serve]\ntrusted_group = \"54321\"\nunprivileged_min_interval_s = 0.5\n";
    let Some(stage) = Stage::new(&(serve.to_owned() + CONFIGURATION)) else { return };
    assert!(stage.daemon.errors().text().contains("holds for serve.trusted_group"), "{}", stage.daemon.errors().text());
    let poll = |stranger: &Stranger| stranger.start(&stage.socket(), "/v1/energy", (5, 3.0), &[]).unwrap();
    let member = Stranger::new(STRANGER).unwrap().unwrap().with_group(54321);
    stall::unless_stalled(STALL, || {
        let begun = Instant::now();
        let seen = [poll(&member), poll(&stage.stranger)].map(|poll| {
            let values: Vec<Value> = poll.answers().unwrap().iter().map(|answer| answer.json().unwrap()).collect();
            let quality = values[0]["quality"].as_str().unwrap().to_owned();
            (quality, values.iter().map(|v| v["until"].to_string()).collect::<BTreeSet<_>>().len())
        });
        let took = begun.elapsed();
        for ((quality, values), (wanted, interval_s)) in seen.iter().zip([("fine", 0.5), ("coarsened", 1.0)]) {
            assert!(quality == wanted && *values <= most(took, interval_s), "{seen:?} in {took:?}");
        }
        at_least(4, seen[0].1, "fine values")?;
        at_least(2, seen[1].1, "coarse values")
    });
    let all = member.ask(&stage.socket(), "/v1/workloads", &[]).unwrap().json().unwrap();
    assert!(rows(&all).contains_key("idle") && all["host_energy_j"].is_number(), "{all}");
}
