//! The tree of ordinary files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fake_machine::{CgroupLayout, Fault, PlainTree, Process, TreeError, TrueMachine};

const SECOND: u64 = 1_000_000_000;

fn text(path: impl AsRef<Path>) -> io::Result<String> {
    fs::read_to_string(path).map(|text| text.trim_end().to_owned())
}

#[test]
fn the_tree_looks_like_a_machine() {
    let machine = TrueMachine::builder()
        .cpus(4)
        .package(0, 40.0)
        .max_power(125.0)
        .core(30.0)
        .dram(4.0)
        .mmio()
        .package(1, 40.0)
        .build()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let tree = PlainTree::write(directory.path(), &machine, SECOND).unwrap();
    let class = tree.sysfs().join("class/powercap");
    let mut names: Vec<String> =
        fs::read_dir(&class).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected = [
        "intel-rapl",
        "intel-rapl-mmio",
        "intel-rapl-mmio:0",
        "intel-rapl-mmio:0:0",
        "intel-rapl:0",
        "intel-rapl:0:0",
        "intel-rapl:0:1",
        "intel-rapl:1",
    ];
    assert_eq!(names, expected);
    let zone = class.join("intel-rapl:0");
    assert_eq!(text(zone.join("name")).unwrap(), "package-0");
    assert_eq!(text(zone.join("energy_uj")).unwrap(), "39999958");
    assert_eq!(text(zone.join("max_energy_range_uj")).unwrap(), "262143328850");
    assert_eq!(text(zone.join("constraint_0_max_power_uw")).unwrap(), "125000000");
    assert_eq!(text(zone.join("intel-rapl:0:1/name")).unwrap(), "dram");
    assert!(zone.join("subsystem/intel-rapl:0/name").exists());
    let mode = fs::metadata(zone.join("energy_uj")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
    let cpu = tree.sysfs().join("devices/system/cpu");
    assert_eq!(text(cpu.join("online")).unwrap(), "0-3");
    assert_eq!(text(cpu.join("cpu1/topology/physical_package_id")).unwrap(), "0");
    assert_eq!(text(cpu.join("cpu2/topology/physical_package_id")).unwrap(), "1");
    assert!(!tree.procfs().join("self").exists());
    tree.remove().unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_concurrent_reader_never_sees_an_empty_or_short_file() {
    let mut machine = TrueMachine::builder().package(0, 40.0).build().unwrap();
    let package = machine.find("package-0").unwrap();
    // A value that grows from one digit to many.
    machine.set_power(package, 0, 0.001).unwrap();
    machine.set_power(package, SECOND, 50_000.0).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut tree = PlainTree::write(directory.path(), &machine, 0).unwrap();
    let path = tree.sysfs().join("class/powercap/intel-rapl:0/energy_uj");
    let stop = AtomicBool::new(false);
    let reads = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let held = File::open(&path).unwrap();
            let mut reads = 0_u32;
            while !stop.load(Ordering::Relaxed) || reads == 0 {
                let mut buffer = [0; 64];
                let held = held.read_at(&mut buffer, 0).unwrap();
                let fresh = fs::read_to_string(&path).unwrap();
                assert_eq!((held, fresh.len()), (24, 24));
                assert!(fresh.trim().parse::<u64>().is_ok(), "{fresh:?}");
                reads += 1;
            }
            reads
        });
        for step in 0..20_000 {
            tree.update(&machine, step * 100_000).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads > 0);
}

#[test]
fn faults_show_as_far_as_files_can() {
    let mut machine = TrueMachine::builder().package(0, 1.0).core(0.5).build().unwrap();
    let package = machine.find("package-0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut tree = PlainTree::write(directory.path(), &machine, 0).unwrap();
    let zone = tree.sysfs().join("class/powercap/intel-rapl:0");
    let energy = zone.join("energy_uj");
    let core = tree.sysfs().join("class/powercap/intel-rapl:0:0");
    let held = File::open(&energy).unwrap();
    let mut t = 0;
    for fault in Fault::all() {
        t += SECOND;
        machine.set_fault(package, t, fault);
        let outcome = tree.update(&machine, t + 1);
        let value = text(&energy);
        match fault {
            Fault::Ok | Fault::Stall => assert!(value.unwrap().parse::<u64>().unwrap() > 0),
            Fault::Garbage => assert_eq!(value.unwrap(), "not a number"),
            Fault::Empty => assert_eq!(fs::read(&energy).unwrap(), b""),
            Fault::Negative => assert_eq!(value.unwrap(), "-12345"),
            Fault::Zero => assert_eq!(value.unwrap(), "0"),
            Fault::Eacces => {
                let mode = fs::metadata(&energy).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0);
            }
            Fault::Gone => {
                assert_eq!(value.unwrap_err().kind(), io::ErrorKind::NotFound);
                assert!(!zone.exists() && !core.exists());
            }
            Fault::Eio | Fault::Enodev => {}
        }
        if fault.fits_plain_files() {
            outcome.unwrap();
        } else {
            let error = outcome.unwrap_err();
            assert!(matches!(error, TreeError::CannotShow { fault: shown, .. } if shown == fault));
        }
    }
    machine.set_fault(package, t + SECOND, Fault::Ok);
    tree.update(&machine, t + SECOND).unwrap();
    assert_eq!(text(&energy).unwrap(), "10999971");
    assert!(core.join("energy_uj").exists());
    // What was held when the zone went away shows no later value.
    let mut buffer = [0; 24];
    held.read_exact_at(&mut buffer, 0).unwrap();
    assert_ne!(text(&energy).unwrap().as_bytes(), buffer.trim_ascii());
}

#[test]
fn processes_come_and_go_and_a_pid_is_used_again() {
    let machine = TrueMachine::builder()
        .cpus(2)
        .process(Process::new(9, "first").until(SECOND).rate(0, 1.0, 0.0).cgroup("/a"))
        .process(Process::new(9, "second").from(2 * SECOND).uid(1000).cgroup("/a/b"))
        .build()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut tree = PlainTree::write(directory.path(), &machine, SECOND / 2).unwrap();
    let process = tree.procfs().join("9");
    let group = tree.cgroupfs().join("a");
    assert!(text(process.join("stat")).unwrap().starts_with("9 (first) S 1 "));
    assert_eq!(text(group.join("cgroup.procs")).unwrap(), "9");
    tree.update(&machine, SECOND).unwrap();
    assert!(!process.exists());
    assert_eq!(text(group.join("cgroup.procs")).unwrap(), "");
    tree.update(&machine, 2 * SECOND).unwrap();
    assert!(text(process.join("stat")).unwrap().starts_with("9 (second) S 1 "));
    assert!(text(process.join("status")).unwrap().contains("Uid:\t1000\t"));
    let owner = fs::metadata(&process).unwrap().uid();
    let own = fs::metadata(directory.path()).unwrap().uid();
    assert_eq!(owner, if own == 0 { 1000 } else { own });
    assert_eq!(text(process.join("cgroup")).unwrap(), "0::/a/b");
    assert_eq!(text(group.join("b/cgroup.procs")).unwrap(), "9");
    let usage = text(group.join("cpu.stat")).unwrap();
    assert!(usage.starts_with("usage_usec 1000000\nuser_usec 1000000\n"), "the dead count");
    let stat = text(tree.procfs().join("stat")).unwrap();
    assert!(stat.starts_with("cpu  100 0 0 300 0 0 0 0 0 0\n"), "{stat}");
}

#[test]
fn a_hybrid_tree_has_both_hierarchies() {
    let machine = TrueMachine::builder()
        .cgroup_layout(CgroupLayout::Hybrid)
        .process(Process::new(5, "x").cpuacct("/docker/abc").rate(0, 0.25, 0.25))
        .process(Process::new(6, "y").cgroup("/y.service").rate(0, 0.125, 0.0))
        .remove_cgroup("/y.service", 3 * SECOND)
        .build()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut tree = PlainTree::write(directory.path(), &machine, 2 * SECOND).unwrap();
    let root = tree.cgroupfs();
    assert_eq!(text(root.join("cpuacct/docker/cpuacct.usage")).unwrap(), "1000000000");
    assert_eq!(text(root.join("cpuacct/cpuacct.usage")).unwrap(), "1250000000");
    assert_eq!(text(root.join("cpuacct/docker/abc/cgroup.procs")).unwrap(), "5");
    let stat = text(root.join("unified/y.service/cpu.stat")).unwrap();
    assert!(stat.starts_with("usage_usec 250000\n"));
    assert!(!root.join("cgroup.controllers").exists());
    let membership = text(tree.procfs().join("5/cgroup")).unwrap();
    assert_eq!(membership, "4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/");
    tree.update(&machine, 3 * SECOND).unwrap();
    assert!(!root.join("unified/y.service").exists());
}
