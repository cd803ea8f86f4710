//! Errors of the API are problem objects that name the field.

use serde_json::Value;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::eventually;
use treehouse_tests::{http, machine};

use crate::support::{FAKE_MACHINE, run, treehouse};

#[test]
fn every_refusal_of_the_api_is_a_problem_object() {
    let Some(machine) = machine::start(FAKE_MACHINE, &[]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let example = run(&scratch, ["decide", "shift", "--example"]).text();
    let negative = example.replace("\"duration_s\": ", "\"duration_s\": -");
    assert_ne!(negative, example);
    let mut command = treehouse(&scratch, [""; 0]);
    command.args(machine::everything(&machine));
    let daemon = Daemon::ready(command, &["--no-ledger"]).unwrap();
    let address = daemon.address();
    let decide = "/v1/policies/shift/decide";
    for (answer, status, field) in [
        (http::get(address, "/v1/intensity?zone=NOWHERE", &[]), 404, Some("zone")),
        (http::get(address, "/v1/intensity?zome=GB", &[]), 400, Some("zome")),
        (http::get(address, "/v1/workloads?by=colour", &[]), 422, Some("by")),
        (http::get(address, "/v1/nothing", &[]), 404, Some("path")),
        (http::get(address, decide, &[]), 405, None),
        (http::post(address, decide, "{\"view\":"), 400, Some("body")),
        (http::post(address, decide, "{}"), 400, Some("view")),
        (http::post(address, decide, &negative), 422, Some("view.duration_s")),
        (http::post(address, "/v1/policies/shuft/decide", &example), 404, Some("policy")),
        (http::post(address, "/metrics", ""), 405, None),
    ] {
        let answer = answer.unwrap();
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.body);
        let problem = answer.json().unwrap();
        assert_eq!((problem["status"].as_u64(), problem["field"].as_str()), (Some(status.into()), field), "{problem}");
        for text in ["type", "title", "detail"] {
            assert!(problem[text].as_str().is_some_and(|value| !value.is_empty()), "{problem}");
        }
    }
    let decided = http::post(address, decide, &example).unwrap();
    assert_eq!(decided.status, 200, "{}", decided.body);
    let scrape = daemon.scrape().unwrap();
    let decisions: Vec<_> = scrape.family("treehouse_decisions_total").collect();
    assert_eq!(decisions.len(), 1, "only what was decided counts: {decisions:?}");
    assert_eq!((decisions[0].0.label("policy"), decisions[0].1), ("shift", "1"));
}

#[test]
fn nothing_is_told_before_the_first_interval_is_closed() {
    let Some(machine) = machine::start(FAKE_MACHINE, &[]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let mut command = treehouse(&scratch, ["--config"]);
    // the first interval is closed a period after the start, and not before: no machine stands still for an hour
    command.arg(scratch.write("config.toml", "[attribution]\nperiod_s = 3600\n").unwrap());
    command.args(machine::everything(&machine));
    let daemon = Daemon::start(command, &["--no-ledger"]).unwrap();
    let ready = daemon.get("/readyz").unwrap();
    assert_eq!((ready.status, ready.header("content-type")), (503, Some("application/problem+json")));
    assert!(ready.header("retry-after").is_some());
    assert_eq!(daemon.get("/healthz").unwrap().status, 200);
    let energy = daemon.json("/v1/energy").unwrap();
    for unknown in ["host_energy_j", "host_power_w", "uncertainty_j", "durable_until"] {
        assert!(energy[unknown].is_null(), "an unknown is null, not 0: {unknown}: {energy}");
    }
    // before the meters are read for the first time, and after it
    let nothing = || {
        let scrape = daemon.scrape().unwrap();
        assert_eq!(daemon.get("/readyz").unwrap().status, 503);
        let told: Vec<_> =
            scrape.values.keys().filter(|s| s.name.contains("_joules") || s.name.contains("_grams_total")).collect();
        assert!(told.is_empty(), "{told:?}");
        assert_eq!(scrape.family("treehouse_build_info").count(), 1);
        scrape.family("treehouse_grid_intensity_grams_per_kilowatt_hour").count()
    };
    nothing();
    eventually("the first reading, which comes with an intensity", || (nothing() > 0).then_some(()));
    let energy = daemon.json("/v1/energy").unwrap();
    assert_eq!((&energy["host_energy_j"], &energy["domains"]), (&Value::Null, &serde_json::json!([])), "{energy}");
    assert!(daemon.stop().unwrap().status.success());
}

#[test]
fn every_route_that_is_described_answers() {
    let Some(machine) = machine::start(FAKE_MACHINE, &[]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let mut command = treehouse(&scratch, [""; 0]);
    command.args(machine::everything(&machine));
    let daemon = Daemon::ready(command, &["--no-ledger"]).unwrap();
    let description = daemon.json("/openapi.json").unwrap();
    let mut answered = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        let Some(route) = item.get("get") else { continue };
        let answer = daemon.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let described = route["responses"]["200"]["content"].as_object().unwrap();
        let kind = answer.header("content-type").unwrap();
        assert!(described.keys().any(|known| kind.starts_with(known.as_str())), "{path}: {kind} is not in {described:?}");
        answered += 1;
    }
    assert!(answered >= 11, "{description}");
    for wanted in ["/metrics", "/healthz", "/readyz", "/openapi.json", "/", "/v1/energy", "/v1/workloads", "/v1/intensity"] {
        assert!(description["paths"].get(wanted).is_some(), "{wanted}");
    }
}
