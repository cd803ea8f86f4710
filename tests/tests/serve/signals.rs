//! How a daemon is stopped, and what it makes of a changed configuration.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use carbon_api::ledger::store::Ledger;
use nix::sys::signal::Signal;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::Energy;
use treehouse_tests::machine;
use treehouse_tests::scratch::Scratch;

use crate::support::{FAKE_MACHINE, inside, on};

#[test]
fn sigterm_ends_it_within_three_seconds_and_everything_is_in_the_ledger() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let scratch = Scratch::new().unwrap();
        // far from any commit of its own
        let command = on(&scratch, &machine, "[attribution]\nperiod_s = 0.2\n[ledger]\ncommit_s = 3600.0\n");
        let daemon = Daemon::ready(command, &[]).unwrap();
        let found = std::fs::read_to_string(scratch.state().join("daemon.json")).unwrap();
        assert!(found.contains(&daemon.address().to_string()), "{found}");
        thread::sleep(Duration::from_millis(700));
        // a client that keeps its connection
        let mut held = TcpStream::connect(daemon.address()).unwrap();
        held.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(held.read(&mut [0; 512]).unwrap() > 0);
        let last = Energy::of(&daemon).unwrap();
        assert!(last.recorded.as_ref().is_none_or(|r| r.host_energy_j == 0.0), "nothing is committed yet");
        daemon.signal(signal).unwrap();
        let stopped = daemon.wait().unwrap();
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
        assert!(stopped.took < Duration::from_secs(3), "{:?}", stopped.took);
        assert!(!scratch.state().join("daemon.json").exists(), "nobody listens there any more");

        let ledger = Ledger::open(&scratch.state()).unwrap();
        let sessions = ledger.sessions().unwrap();
        assert_eq!(sessions.len(), 1);
        assert!(sessions[0].until >= last.until, "{} is before {}", sessions[0].until, last.until);
        // stamps are kept in whole microseconds
        assert_eq!(sessions[0].since.as_microsecond(), last.since.as_microsecond());
        assert!(sessions[0].host.0 / 1000 >= last.host_mj().unwrap());
        let slots: u64 = ledger.slots().unwrap().iter().map(|slot| slot.value.energy).sum();
        assert_eq!(slots, sessions[0].host.0);
        assert_eq!(ledger.recorded().unwrap().durable_until, Some(sessions[0].until));
    }
}

#[test]
fn a_signal_that_comes_with_the_first_line_ends_it_in_order() {
    let Some(machine) = machine::start(FAKE_MACHINE, &[]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    for _ in 0..5 {
        let daemon = Daemon::start(inside(&scratch, &machine, ""), &[]).unwrap();
        let stopped = daemon.stop().unwrap();
        assert_eq!(stopped.status.code(), Some(0), "{:?} {}", stopped.status, stopped.stderr);
        assert!(!scratch.state().join("daemon.json").exists());
    }
}

#[test]
fn the_next_start_goes_on_from_what_is_recorded() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let mut recorded = 0.0;
    for life in 1..=3 {
        let command = on(&scratch, &machine, "[attribution]\nperiod_s = 0.1\n[ledger]\ncommit_s = 0.1\n");
        let daemon = Daemon::ready(command, &[]).unwrap();
        thread::sleep(Duration::from_millis(500));
        // the first look of a reader is at the present
        let energy = Energy::of(&daemon).unwrap();
        let total = energy.recorded.as_ref().unwrap().host_energy_j;
        assert!(total > recorded, "life {life}: {total} J, {recorded} J were there");
        // its own counters began anew
        assert!(energy.host_energy_j.unwrap() < 40.0 * (energy.seconds() + 0.1));
        assert!(daemon.stop().unwrap().status.success());
        recorded = total;
    }
    let ledger = Ledger::open(&scratch.state()).unwrap();
    let sessions = ledger.sessions().unwrap();
    assert_eq!(sessions.len(), 3);
    assert!(sessions.windows(2).all(|pair| pair[0].until <= pair[1].since), "{sessions:?}");
    assert_eq!(sessions.iter().map(|s| s.host.0).sum::<u64>(), ledger.recorded().unwrap().host_energy.0);
}

#[test]
fn a_broken_configuration_changes_nothing_and_a_good_one_changes_the_grid() {
    const CONFIGURATION: &str = "[attribution]\nperiod_s = 0.1\n[ledger]\nenabled = false\n";
    let Some(machine) = machine::start(FAKE_MACHINE, &[]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let daemon = Daemon::ready(inside(&scratch, &machine, CONFIGURATION), &[]).unwrap();
    let zone = || daemon.json("/v1/intensity").unwrap()["zone"].as_str().unwrap().to_owned();
    let limit = Duration::from_secs(10);
    assert_eq!(zone(), "WORLD");
    let before = Energy::of(&daemon).unwrap();
    thread::sleep(Duration::from_millis(1500));

    for broken in ["[grid]\nzoen = \"FR\"\n", "[grid", "[grid]\nzone = \"XX-NOWHERE\"\n"] {
        let told = daemon.errors().all().len();
        scratch.write("config.toml", broken).unwrap();
        daemon.signal(Signal::SIGHUP).unwrap();
        let end = Instant::now() + limit;
        while daemon.errors().all().len() == told && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        let said = daemon.errors().all()[told..].join("\n");
        assert!(said.contains("kept as it was") && said.lines().count() == 1, "{broken}: {said}");
        assert_eq!(zone(), "WORLD");
    }

    scratch.write("config.toml", &format!("{CONFIGURATION}[grid]\nzone = \"FR\"\n")).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    assert!(daemon.errors().wait(limit, |line| line.contains("read anew").then_some(())).is_some());
    assert_eq!(zone(), "FR");
    let after = Energy::of(&daemon).unwrap();
    assert!(after.since == before.since && after.until > before.until, "it measured all the time");
    assert!(after.host_mj() > before.host_mj());
}

#[test]
fn a_meter_that_was_denied_takes_over_at_sighup_and_no_counter_falls() {
    const CONFIGURATION: &str = "[attribution]\nperiod_s = 0.1\n[ledger]\nenabled = false\n[meter]\n";
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    // no way to RAPL is tried: as where none is permitted
    let daemon = Daemon::ready(inside(&scratch, &machine, &format!("{CONFIGURATION}rapl = []\n")), &[]).unwrap();
    thread::sleep(Duration::from_millis(1500));
    let modelled = Energy::of(&daemon).unwrap();
    assert_eq!(daemon.json("/v1/energy").unwrap()["provenance"], "modelled");

    scratch.write("config.toml", CONFIGURATION).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    let limit = Duration::from_secs(10);
    assert!(daemon.errors().wait(limit, |line| line.contains("measuring rapl_powercap/").then_some(())).is_some());
    thread::sleep(Duration::from_millis(2500));
    let measured = Energy::of(&daemon).unwrap();
    assert!(measured.host_mj() > modelled.host_mj());
    let scrape = daemon.scrape().unwrap();
    let methods: Vec<_> = scrape.family("hw_host_energy_joules_total").map(|(s, _)| s.label("method").to_owned()).collect();
    assert!(methods.iter().any(|m| m == "model") && methods.iter().any(|m| m == "rapl_powercap"), "{methods:?}");
    // mean power since the last look: the next look sees nothing but the meter
    thread::sleep(Duration::from_millis(1500));
    let power = daemon.json("/v1/energy").unwrap()["host_power_w"].as_f64().unwrap();
    assert!((power - 40.0).abs() < 4.0, "{power} W");
}
