//! The model in virtual time: energy, counters and faults against numbers worked out by hand.

use fake_machine::{Fault, ModelError, Process, ReadError, TrueMachine, Units, Vendor};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

fn shown(machine: &TrueMachine, zone: &str, t: u64) -> Result<String, ReadError> {
    let zone = machine.find(zone).map_err(|_| ReadError::Absent)?;
    machine.shown(zone, t).map(|text| text.trim().to_owned())
}

#[test]
fn energy_of_a_step_script_is_exact() {
    let machine = TrueMachine::builder()
        .package(0, 40.0)
        .step(2 * SECOND, 10.5)
        .step(3 * SECOND, 0.0)
        .pulse(5 * SECOND, 50 * MS, 80.0)
        .build()
        .unwrap();
    let package = machine.find("package-0").unwrap();
    let joules = |from, until| machine.energy_nj(package, from, until);
    assert_eq!(joules(0, 2 * SECOND), 80_000_000_000);
    assert_eq!(joules(0, 4 * SECOND), 90_500_000_000);
    assert_eq!(joules(4 * SECOND, 9 * SECOND), 4_000_000_000);
    assert_eq!(joules(5 * SECOND + 10 * MS, 5 * SECOND + 11 * MS), 80_000_000);
    assert_eq!(joules(9 * SECOND, SECOND), 0);
}

#[test]
fn a_wrap_shows_every_unit_on_the_way() {
    // One unit of 61035 nJ takes 1 ms at 61035 uW.
    let machine = TrueMachine::builder().package(0, 0.061_035).start_uj(262_143_328_850).build().unwrap();
    assert_eq!(shown(&machine, "package-0", 0).unwrap(), "262143328850");
    assert_eq!(shown(&machine, "package-0", MS - 1).unwrap(), "262143328850");
    assert_eq!(shown(&machine, "package-0", MS).unwrap(), "0");
    assert_eq!(shown(&machine, "package-0", 2 * MS).unwrap(), "61");
    assert_eq!(shown(&machine, "package-0", 1_001 * MS).unwrap(), "61035");
}

#[test]
fn a_counter_wraps_at_the_instant_asked_for() {
    for units in [Units::ESU_14, Units::ESU_16, Units::SERVER_DRAM, Units::ATOM] {
        let machine =
            TrueMachine::builder().default_units(units).package(0, 33.3).step(SECOND, 90.0).wraps_at(3 * SECOND).build().unwrap();
        let package = machine.find("package-0").unwrap();
        let before = machine.count(package, 3 * SECOND - 2 * MS);
        assert!(u128::from(before) > units.modulus() - 200_000, "{units:?}");
        assert_eq!(machine.count(package, 3 * SECOND), 0, "{units:?}");
    }
    let idle = TrueMachine::builder().package(0, 0.0).wraps_at(SECOND);
    assert!(matches!(idle.build(), Err(ModelError::NeverWraps { .. })));
}

#[test]
fn every_fault_shows_as_it_should_and_the_counter_catches_up() {
    let mut machine = TrueMachine::builder().package(0, 1.0).build().unwrap();
    let package = machine.find("package-0").unwrap();
    let sound = "999997"; // 16384 units of 61035 nJ, at 1 s
    for fault in Fault::all() {
        machine.set_fault(package, SECOND, fault);
        let want = match fault {
            Fault::Ok | Fault::Stall => Ok(sound),
            Fault::Eacces => Err(ReadError::Denied),
            Fault::Eio => Err(ReadError::Input),
            Fault::Enodev => Err(ReadError::NoDevice),
            Fault::Gone => Err(ReadError::Absent),
            Fault::Garbage => Ok("not a number"),
            Fault::Empty => Ok(""),
            Fault::Negative => Ok("-12345"),
            Fault::Zero => Ok("0"),
        };
        let later = shown(&machine, "package-0", 2 * SECOND);
        if fault == Fault::Ok {
            assert_eq!(later.as_deref(), Ok("1999994"));
        } else {
            assert_eq!(later.as_deref(), want.as_ref().copied(), "{fault}");
        }
        machine.set_fault(package, SECOND, Fault::Ok);
        assert_eq!(shown(&machine, "package-0", 2 * SECOND).as_deref(), Ok("1999994"));
    }
}

#[test]
fn a_zone_is_gone_with_the_zone_around_it() {
    let machine =
        TrueMachine::builder().package(0, 1.0).fault(SECOND, Fault::Gone).fault(2 * SECOND, Fault::Ok).core(1.0).build().unwrap();
    let core = machine.find("core").unwrap();
    assert!(!machine.is_gone(core, SECOND - 1) && machine.is_gone(core, SECOND));
    assert!(!machine.is_gone(core, 2 * SECOND));
    assert_eq!(machine.departures(core, 3 * SECOND), 1);
}

#[test]
fn a_reset_falls_and_counts_on_without_touching_the_truth() {
    let mut machine = TrueMachine::builder().package(0, 10.0).start_uj(5_000_000).build().unwrap();
    let package = machine.find("package-0").unwrap();
    machine.reset(package, SECOND);
    let before = machine.at(SECOND - 1).counter_uj(package);
    let at_reset = machine.at(SECOND).counter_uj(package);
    let after = machine.at(2 * SECOND).counter_uj(package);
    assert!(before > 14_999_000 && at_reset < 1_000);
    assert!((after - at_reset).abs_diff(10_000_000) <= 62);
    assert_eq!(machine.energy_nj(package, 0, 2 * SECOND), 20_000_000_000);
    assert_eq!(machine.departures(package, SECOND), 0);
    machine.reload(package, 3 * SECOND);
    assert!(machine.at(3 * SECOND).counter_uj(package) < 1_000);
    assert_eq!(machine.departures(package, 3 * SECOND), 1);
    assert!(!machine.is_gone(package, 3 * SECOND));
}

#[test]
fn the_host_counts_packages_and_memory_once() {
    let machine = TrueMachine::builder()
        .package(0, 40.0)
        .core_share(0.75)
        .uncore(3.0)
        .dram(5.0)
        .mmio()
        .package(1, 20.0)
        .psys(2.0)
        .build()
        .unwrap();
    assert_eq!(machine.host_nj(0, SECOND), 65_000_000_000);
    let psys = machine.find("psys").unwrap();
    assert_eq!(machine.energy_nj(psys, 0, SECOND), 67_000_000_000);
    assert_eq!(machine.power_uw(psys, 0), 67_000_000);
    let twin = machine.find("intel-rapl-mmio:0").unwrap();
    assert_eq!(machine.energy_nj(twin, 0, SECOND), 40_000_000_000);
    let memory = machine.find("intel-rapl-mmio:0:0").unwrap();
    assert_eq!(machine.zone(memory).name(), "dram");
}

#[test]
fn amd_dies_read_one_counter_and_count_once() {
    let machine = TrueMachine::builder()
        .vendor(Vendor::Amd)
        .default_units(Units::ESU_16)
        .package_die(0, 0, 100.0)
        .package_die(0, 1, 0.0)
        .twin_of("package-0-die-0")
        .build()
        .unwrap();
    let one = shown(&machine, "package-0-die-0", SECOND);
    assert_eq!(one, shown(&machine, "package-0-die-1", SECOND));
    assert_eq!(machine.host_nj(0, SECOND), 100_000_000_000);
}

#[test]
fn ids_are_hexadecimal_and_names_may_be_ambiguous() {
    let mut builder = TrueMachine::builder();
    for package in 0..11 {
        builder = builder.package(package, 1.0).core(0.5);
    }
    let machine = builder.build().unwrap();
    let last = machine.find("package-10").unwrap();
    assert_eq!(machine.zone(last).id(), "intel-rapl:a");
    let core = machine.find("package-10/core").unwrap();
    assert_eq!(machine.zone(core).id(), "intel-rapl:a:0");
    let error = machine.find("core").unwrap_err();
    assert!(error.to_string().contains("intel-rapl:a:0"), "{error}");
    let error = machine.find("package-11").unwrap_err();
    assert!(error.to_string().contains("package-10 (intel-rapl:a)"), "{error}");
}

#[test]
fn sleep_stops_the_monotonic_clock_and_cpu_time_but_not_energy() {
    let machine = TrueMachine::builder()
        .cpus(2)
        .package(0, 10.0)
        .process(Process::new(7, "x").cgroup("/a/b").rate(0, 1.0, 0.0))
        .suspend(SECOND, 10 * SECOND)
        .build()
        .unwrap();
    let clocks = machine.at(12 * SECOND).clocks();
    assert_eq!((clocks.boottime_ns, clocks.monotonic_ns), (12 * SECOND, 2 * SECOND));
    assert_eq!(machine.at(5 * SECOND).clocks().monotonic_ns, SECOND);
    assert_eq!(machine.at(12 * SECOND).process_ns(7), 2 * SECOND);
    assert_eq!(machine.at(12 * SECOND).cgroup_ns("/a"), (2 * SECOND, 0));
    assert_eq!(machine.at(12 * SECOND).cpu_time().idle_ns, 2 * SECOND);
    let package = machine.find("package-0").unwrap();
    assert_eq!(machine.energy_nj(package, 0, 12 * SECOND), 120_000_000_000);
}

#[test]
fn mistakes_in_a_script_are_named() {
    let mistakes = [
        TrueMachine::builder().package(0, -1.0),
        TrueMachine::builder().package(0, f64::NAN),
        TrueMachine::builder().core(1.0),
        TrueMachine::builder().step(0, 1.0),
        TrueMachine::builder().mmio(),
        TrueMachine::builder().cpus(0),
        TrueMachine::builder().package(0, 1.0).core_share(1.5),
        TrueMachine::builder().package(0, 1.0).start_uj(u64::MAX),
        TrueMachine::builder().package(0, 1.0).twin_of("package-1"),
        TrueMachine::builder().package(0, 1.0).package(1, 1.0).number(0),
        TrueMachine::builder().cgroup("../x"),
    ];
    for builder in mistakes {
        let error = builder.build().unwrap_err().to_string();
        assert!(!error.contains('\n') && !error.is_empty(), "{error}");
    }
}
