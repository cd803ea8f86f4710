//! The FUSE form end to end: a server of its own, read through the kernel.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use fake_machine::{Fault, Guard, Truth};
use rustix::io::Errno;

const UNIT_UJ: u64 = 62;

/// Starts a server, or says why the test is left out.
fn start(arguments: &[&str]) -> io::Result<Option<Guard>> {
    let guard = Guard::spawn(Path::new(env!("CARGO_BIN_EXE_fake-machine")), arguments)?;
    if guard.is_fuse() {
        return Ok(Some(guard));
    }
    writeln!(io::stderr(), "skipped: FUSE cannot be used here")?;
    Ok(None)
}

/// A number read through a held descriptor.
fn pread(file: &File) -> io::Result<u64> {
    let mut buffer = [0; 64];
    let read = file.read_at(&mut buffer, 0)?;
    let text = String::from_utf8_lossy(&buffer[..read]);
    text.trim().parse().map_err(io::Error::other)
}

fn errno<T>(result: io::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| Errno::from_io_error(&error))
}

fn energy(truth: &Truth, zone: &str) -> u64 {
    truth.zone(zone).map_or(0, |zone| zone.energy_uj)
}

#[test]
fn a_held_descriptor_shows_the_truth_of_the_instant() {
    let Some(guard) = start(&["--watts", "40", "--dram-watts", "5"]).unwrap() else {
        return;
    };
    for (id, name, watts) in
        [("intel-rapl:0", "package-0", 40_u64), ("intel-rapl:0:0", "core", 30), ("intel-rapl:0:1", "dram", 5)]
    {
        let file = File::open(guard.energy(id)).unwrap();
        // Read between two truths, the counter lies between them, within one unit.
        let read = || {
            let before = energy(&guard.truth().unwrap(), name);
            let begin = Instant::now();
            let shown = pread(&file).unwrap();
            let end = Instant::now();
            let after = energy(&guard.truth().unwrap(), name);
            assert!(shown + UNIT_UJ >= before && shown <= after, "{name}");
            (begin, shown, end)
        };
        // Independent of the server's arithmetic: power times the time by our own clock.
        let pair = || {
            let first = read();
            thread::sleep(Duration::from_millis(300));
            let last = read();
            let energy = last.1 - first.1;
            let shortest = u64::try_from((last.0 - first.2).as_micros()).unwrap();
            let longest = u64::try_from((last.2 - first.0).as_micros()).unwrap();
            assert!(energy + UNIT_UJ >= watts * shortest, "{name}");
            assert!(energy <= watts * (longest + 1) + UNIT_UJ, "{name}");
            longest - shortest
        };
        // A read that takes long proves little: on a busy machine one of several may do.
        let reads: Vec<u64> = (0..20).map(|_| pair()).take_while(|took| *took >= 100_000).collect();
        assert!(reads.len() < 20, "reads take too long: {reads:?} us");
    }
}

#[test]
fn commands_hold_when_the_write_returns() {
    let Some(guard) = start(&["--watts", "0"]).unwrap() else {
        return;
    };
    let file = File::open(guard.energy("intel-rapl:0")).unwrap();
    assert_eq!(pread(&file).unwrap(), 0);
    guard.ctl("set package-0 262143328850").unwrap();
    assert_eq!(pread(&file).unwrap(), 262_143_328_850);
    guard.ctl("reset package-0").unwrap();
    let reset = pread(&file).unwrap();
    assert!(reset < 10_000);
    // A pulse of 1 s would be 2 J; 20 W for 100 ms are 2 J exactly, whatever the timing.
    guard.ctl("pulse package-0 20 100").unwrap();
    thread::sleep(Duration::from_millis(150));
    let truth = guard.truth().unwrap();
    assert_eq!(energy(&truth, "package-0"), 2_000_000);
    assert_eq!(energy(&truth, "core"), 1_500_000);
    assert_eq!(truth.host_uj, 2_000_000);
    assert!((pread(&file).unwrap() - reset).abs_diff(2_000_000) <= UNIT_UJ);
    guard.ctl("power package-0 7\npower core 1\n").unwrap();
    let truth = guard.truth().unwrap();
    assert_eq!(truth.zone("package-0").unwrap().power_uw, 7_000_000);
    assert_eq!(truth.zone("intel-rapl:0:0").unwrap().power_uw, 1_000_000);
    let error = guard.ctl("power package-9 7").unwrap_err();
    assert!(error.to_string().contains("no zone 'package-9'"), "{error}");
    // As a shell writes: truncated first.
    fs::write(guard.directory().join("ctl"), "power package-0 8").unwrap();
    let truth = guard.truth().unwrap();
    assert_eq!(truth.zone("package-0").unwrap().power_uw, 8_000_000);
}

#[test]
fn every_fault_is_seen_by_a_reader() {
    let Some(guard) = start(&["--watts", "100"]).unwrap() else {
        return;
    };
    let path = guard.energy("intel-rapl:0");
    let zone = guard.sysfs().join("class/powercap/intel-rapl:0");
    for fault in Fault::all() {
        let held = File::open(&path).unwrap();
        guard.ctl(&format!("fault package-0 {fault}")).unwrap();
        let mut buffer = [0; 64];
        let read = held.read_at(&mut buffer, 0);
        let text = |length: usize| String::from_utf8_lossy(&buffer[..length]).into_owned();
        let opened = File::open(&path);
        match fault {
            Fault::Ok => assert!(text(read.unwrap()).trim().parse::<u64>().is_ok()),
            Fault::Eacces => {
                assert_eq!(errno(opened), Some(Errno::ACCESS));
                assert_eq!(errno(read), Some(Errno::ACCESS));
            }
            Fault::Eio => {
                assert!(opened.is_ok());
                assert_eq!(errno(read), Some(Errno::IO));
            }
            Fault::Enodev => {
                assert!(opened.is_ok());
                assert_eq!(errno(read), Some(Errno::NODEV));
            }
            Fault::Garbage => assert_eq!(text(read.unwrap()), "not a number\n"),
            Fault::Empty => assert_eq!(read.unwrap(), 0),
            Fault::Negative => assert_eq!(text(read.unwrap()), "-12345\n"),
            Fault::Zero => assert_eq!(text(read.unwrap()), "0\n"),
            Fault::Stall => {
                let value = text(read.unwrap());
                thread::sleep(Duration::from_millis(20));
                assert_eq!(fs::read_to_string(&path).unwrap(), value);
                guard.ctl("fault package-0 ok").unwrap();
                let later = pread(&held).unwrap();
                assert!(later >= value.trim().parse::<u64>().unwrap() + 2_000_000 - UNIT_UJ);
            }
            Fault::Gone => {
                assert_eq!(errno(opened), Some(Errno::NOENT));
                assert_eq!(errno(read), Some(Errno::NODEV));
                assert!(!zone.exists());
                assert!(guard.sysfs().join("class/powercap/intel-rapl").exists());
            }
        }
        guard.ctl("fault package-0 ok").unwrap();
        let dead = fault == Fault::Gone;
        assert_eq!(errno(pread(&held)), dead.then_some(Errno::NODEV), "{fault}");
        assert!(pread(&File::open(&path).unwrap()).is_ok(), "{fault}");
    }
}

#[test]
fn a_reload_kills_held_descriptors_and_the_counter_falls() {
    let Some(guard) = start(&["--watts", "1", "--start-uj", "900000000"]).unwrap() else {
        return;
    };
    let held = File::open(guard.energy("intel-rapl:0")).unwrap();
    assert!(pread(&held).unwrap() > 899_999_000);
    guard.ctl("reload package-0").unwrap();
    assert_eq!(errno(pread(&held)), Some(Errno::NODEV));
    let fresh = File::open(guard.energy("intel-rapl:0")).unwrap();
    assert!(pread(&fresh).unwrap() < 800_000_000);
}

#[test]
fn the_trees_beside_sysfs_advance_in_time() {
    let Some(guard) = start(&["--cpus", "4", "--busy", "0.5", "--psys"]).unwrap() else {
        return;
    };
    let stat = || -> Vec<u64> {
        let text = fs::read_to_string(guard.procfs().join("stat")).unwrap();
        let first = text.lines().next().unwrap();
        let numbers = first.split_whitespace().skip(1);
        numbers.map(|number| number.parse().unwrap()).collect()
    };
    let begin = stat();
    thread::sleep(Duration::from_millis(200));
    let end = stat();
    let (user, idle) = (end[0] - begin[0], end[3] - begin[3]);
    assert!(user >= 15 && idle >= 30 && idle.abs_diff(user * 100 / 88) <= idle / 4 + 3);
    let web = fs::read_to_string(guard.procfs().join("100/stat")).unwrap();
    assert!(web.starts_with("100 (web) S 1 "));
    assert_eq!(fs::metadata(guard.procfs().join("100")).unwrap().uid(), 33);
    let group = guard.cgroupfs().join("system.slice/web.service");
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap();
    assert_eq!(members, "100\n");
    let names = fs::read_dir(guard.sysfs().join("class/powercap")).unwrap();
    assert_eq!(names.count(), 4, "control type, package, core, psys");
    assert!(!guard.procfs().join("self").exists());
    assert!(fs::write(guard.procfs().join("stat"), "0").is_err());
}

#[test]
fn counters_near_their_wrap_wrap() {
    const UNITS_UJ: u64 = 2 * UNIT_UJ;
    // Whoever is kept from looking for so long sees the counter behind its wrap only, and looks at another one.
    for _ in 0..10 {
        let arguments = ["--watts", "50", "--near-wrap", "1.5", "--range", "amd"];
        let Some(guard) = start(&arguments).unwrap() else {
            return;
        };
        let file = File::open(guard.energy("intel-rapl:0")).unwrap();
        let range = guard.truth().unwrap().zone("package-0").unwrap().range_uj;
        assert_eq!(range, 65_532_610_987);
        let (begin, mut last) = (Instant::now(), (Instant::now(), pread(&file).unwrap()));
        if last.1 < range / 2 {
            continue;
        }
        loop {
            let (at, value) = (Instant::now(), pread(&file).unwrap());
            if value < last.1 {
                // The wrap takes nothing from the truth: 75 J until then.
                let truth = energy(&guard.truth().unwrap(), "package-0");
                assert!(truth >= value + 75_000_000 - UNIT_UJ, "{truth} {value}");
                // It counted up to its end: what was drawn since the last look is what was left and what is shown.
                let most = 50 * u64::try_from(last.0.elapsed().as_micros()).unwrap();
                assert!(range - last.1 + value <= most + UNITS_UJ, "{last:?} {value} of {most}");
                return;
            }
            last = (at, value);
            assert!(begin.elapsed() < Duration::from_secs(60), "no wrap");
        }
    }
    panic!("the wrap was never seen");
}
