//! How a daemon is stopped, and what it makes of a changed configuration.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use carbon_api::ledger::store::Ledger;
use fake_machine::Guard;
use nix::sys::signal::Signal;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::Energy;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::{LIMIT, eventually};
use treehouse_tests::{machine, stall};

use crate::support::{FAKE_MACHINE, inside, on};

#[test]
fn sigterm_ends_it_within_three_seconds_and_everything_is_in_the_ledger() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // it waits two seconds for whoever holds a connection, and for nothing else
        stall::unless_stalled(Duration::from_millis(200), || {
            let took = ends_in_order(&machine, signal);
            if took < Duration::from_secs(3) { Ok(()) } else { Err(format!("it took {took:?}")) }
        });
    }
}

/// Ends a daemon that has something to write and a client; returns how long it took.
fn ends_in_order(machine: &Guard, signal: Signal) -> Duration {
    let scratch = Scratch::new().unwrap();
    // far from any commit of its own
    let command = on(&scratch, machine, "[attribution]\nperiod_s = 0.2\n[ledger]\ncommit_s = 3600.0\n");
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
    assert!(!scratch.state().join("daemon.json").exists(), "nobody listens there any more");

    let ledger = Ledger::open(&scratch.state()).unwrap();
    let sessions = ledger.sessions().unwrap();
    assert_eq!(sessions.len(), 1);
    // stamps are kept in whole microseconds
    assert!(sessions[0].until.as_microsecond() >= last.until.as_microsecond(), "{} is before {}", sessions[0].until, last.until);
    assert_eq!(sessions[0].since.as_microsecond(), last.since.as_microsecond());
    assert!(sessions[0].host.0 / 1000 >= last.host_mj().unwrap());
    let slots: u64 = ledger.slots().unwrap().iter().map(|slot| slot.value.energy).sum();
    assert_eq!(slots, sessions[0].host.0);
    assert_eq!(ledger.recorded().unwrap().durable_until, Some(sessions[0].until));
    stopped.took
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
        let begun = machine::host_j(&machine.truth().unwrap());
        let daemon = Daemon::ready(command, &[]).unwrap();
        let (energy, total) = eventually("energy of this life in the ledger", || {
            let energy = Energy::of(&daemon).unwrap();
            let total = energy.recorded.as_ref()?.host_energy_j;
            (total > recorded).then_some((energy, total))
        });
        // its own counters began anew: they tell nothing of what was drawn before it was started
        let drawn = machine::host_j(&machine.truth().unwrap()) - begun;
        let told = energy.host_energy_j.unwrap();
        assert!(told <= drawn + 0.001, "life {life}: {told} J of {drawn} J");
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
    assert_eq!(zone(), "WORLD");
    let before = Energy::of(&daemon).unwrap();

    for broken in ["[grid]\nzoen = \"FR\"\n", "[grid", "[grid]\nzone = \"XX-NOWHERE\"\n"] {
        let told = daemon.errors().all().len();
        scratch.write("config.toml", broken).unwrap();
        daemon.signal(Signal::SIGHUP).unwrap();
        eventually("a line about it", || (daemon.errors().all().len() > told).then_some(()));
        let said = daemon.errors().all()[told..].join("\n");
        assert!(said.contains("kept as it was") && said.lines().count() == 1, "{broken}: {said}");
        assert_eq!(zone(), "WORLD");
    }

    scratch.write("config.toml", &format!("{CONFIGURATION}[grid]\nzone = \"FR\"\n")).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    assert!(daemon.errors().wait(LIMIT, |line| line.contains("read anew").then_some(())).is_some());
    assert_eq!(zone(), "FR");
    let after = eventually("a later interval", || {
        Some(Energy::of(&daemon).unwrap()).filter(|after| after.until > before.until && after.host_mj() > before.host_mj())
    });
    assert_eq!(after.since, before.since, "it measured all the time");
}

#[test]
fn a_meter_that_was_denied_takes_over_at_sighup_and_no_counter_falls() {
    const CONFIGURATION: &str = "[attribution]\nperiod_s = 0.1\n[ledger]\nenabled = false\n[meter]\n";
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    // no way to RAPL is tried: as where none is permitted
    let daemon = Daemon::ready(inside(&scratch, &machine, &format!("{CONFIGURATION}rapl = []\n")), &[]).unwrap();
    let modelled = eventually("energy of the model", || Some(Energy::of(&daemon).unwrap()).filter(|e| e.host_mj() > Some(0)));
    assert_eq!(modelled.provenance.as_deref(), Some("modelled"));

    scratch.write("config.toml", CONFIGURATION).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    assert!(daemon.errors().wait(LIMIT, |line| line.contains("measuring rapl_powercap/").then_some(())).is_some());
    let mut told = modelled.host_mj();
    let mut look = || {
        let energy = Energy::of(&daemon).unwrap();
        assert!(energy.host_mj() >= told, "{:?} mJ were told, and now {:?}", told, energy.host_mj());
        told = energy.host_mj();
        energy
    };
    eventually("energy of the meter beside the model's", || {
        look();
        let scrape = daemon.scrape().unwrap();
        let methods: Vec<_> = scrape.family("hw_host_energy_joules_total").map(|(s, _)| s.label("method")).collect();
        (methods.contains(&"model") && methods.contains(&"rapl_powercap")).then_some(())
    });
    // mean power since the last look: one of the next looks sees nothing but the meter
    eventually("the power of the meter", || look().host_power_w.filter(|power| (power - 40.0).abs() < 4.0));
}
