//! What goes wrong: second views, channels that are off, denied or broken, samples that are late, content of any kind.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;

use super::trees::*;
use super::*;
use crate::counter::{Counter, CounterSpec, GapReason, Outcome, Wrap};
use crate::meter::Status;

#[test]
fn a_battery_is_counted_once() {
    for (by_link, by_name) in [(true, false), (false, true)] {
        let tree = Tree::new();
        let twin = [("in0_input", "12000"), ("curr1_input", "1000"), ("power1_input", "12000000")];
        let device = if by_link { "acpi/power_supply/hidpp-battery-0" } else { "acpi/somewhere" };
        tree.chip(2, "hidpp_battery_0", device, &twin);
        if by_name {
            tree.write("class/power_supply/hidpp-battery-0/type", "Battery");
        }
        write_monitor(&tree, 0, "i2c-1/1-0040", 10, None);
        let (meter, _, report) = tree.meter();
        assert_eq!(names(&meter), ["ina226"]);
        assert!(report.detail.contains("hidpp_battery_0"), "{}", report.detail);
    }
}

#[test]
fn a_channel_that_is_switched_off_is_absent_and_said() {
    let tree = Tree::new();
    let base = tree.chip(4, "ina3221", "i2c-1/1-0040", ORIN);
    tree.write(&format!("{base}/in3_enable"), "0");
    let (meter, _, report) = tree.meter();
    assert_eq!(names(&meter), ["VDD_IN", "VDD_CPU_GPU_CV"]);
    assert!(report.detail.contains("VDD_SOC: switched off: in3_enable is 0"), "{}", report.detail);
    for n in 1..3 {
        tree.write(&format!("{base}/in{n}_enable"), "0");
    }
    let report = tree.report();
    assert_eq!(report.status, Status::Absent);
    assert!(report.mend.unwrap().starts_with("write 1 into the _enable file"));
}

#[test]
fn a_counter_that_is_switched_off_gives_way_to_power() {
    let tree = Tree::new();
    let files = [("energy1_input", "5"), ("energy1_enable", "0"), ("power1_input", "3000000")];
    let base = tree.chip(0, "ltc4282", "i2c-1/1-0044", &files);
    assert!(tree.meter().0.domains[0].integrated);
    tree.write(&format!("{base}/energy1_enable"), "1");
    assert!(!tree.meter().0.domains[0].integrated);
}

#[test]
fn a_machine_without_sensors_is_absent() {
    let tree = Tree::new();
    assert_eq!(tree.report().status, Status::Absent);
    tree.chip(0, "nvme", "nvme0", &[("temp1_input", "40000")]);
    let report = tree.report();
    assert_eq!((report.status, report.mend), (Status::Absent, None));
    assert_eq!(report.source, "hwmon");
}

#[test]
fn a_sensor_that_answers_nonsense_is_broken() {
    let tree = Tree::new();
    tree.chip(0, "ina226", "i2c-1/1-0040", &[("power1_input", "a lot")]);
    let report = tree.report();
    assert_eq!((report.status, report.errno), (Status::Broken, None));
    assert!(report.detail.contains("a lot"), "{}", report.detail);
    // memory of nobody: the kernel answers EIO
    tree.link("devices/i2c-1/1-0041/hwmon/hwmon1/power1_input", "/proc/self/mem");
    tree.chip(1, "ina226", "i2c-1/1-0041", &[]);
    fs::remove_file(tree.path("class/hwmon/hwmon0")).unwrap();
    let report = tree.report();
    assert_eq!((report.status, report.errno), (Status::Broken, Some(5)));
    assert!(report.mend.unwrap().contains("dmesg"));
}

/// Runs on a thread that has given root up, whose files of mode 0400 it may not read.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let nobody = rustix::process::Uid::from_raw(65_534);
    std::thread::scope(|scope| {
        let run = || {
            if rustix::process::geteuid().is_root() {
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            work()
        };
        scope.spawn(run).join().unwrap()
    })
}

#[test]
fn a_counter_for_root_alone_is_denied_with_the_rule_to_paste() {
    let tree = Tree::new();
    let base = amd(&tree, 1, 1);
    fs::set_permissions(tree.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for n in 1..=2 {
        fs::set_permissions(tree.path(&format!("{base}/energy{n}_input")), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let report = as_nobody(|| tree.report());
    assert_eq!((report.status, report.errno), (Status::Denied, Some(13)));
    assert!(report.mend.unwrap().contains("udevadm trigger -s hwmon"));
    // what can be read is read, and the rest is named
    write_monitor(&tree, 0, "i2c-1/1-0040", 10, None);
    let report = as_nobody(|| tree.report());
    assert_eq!((report.status, report.errno, report.domains.len()), (Status::Ok, None, 1));
    assert!(report.detail.contains("Ecore000") && report.mend.is_some(), "{}", report.detail);
}

#[test]
fn power_that_flows_back_counts_as_none_and_is_said() {
    let tree = Tree::new();
    let base = write_monitor(&tree, 0, "i2c-1/1-0040", 10, None);
    let (mut meter, mut samplers, _) = tree.meter();
    let clock = Hand(Cell::new(0));
    let warnings = |meter: &HwmonMeter| {
        let mut list = Vec::new();
        meter.warnings(&mut list);
        list
    };
    samplers[0].poll(&clock);
    assert!(warnings(&meter).is_empty());
    for (text, ms) in [("-2000000", 35), ("-2000000", 70)] {
        tree.write(&format!("{base}/power1_input"), text);
        clock.0.set(ms * MS);
        samplers[0].poll(&clock);
    }
    assert_eq!(read(&mut meter, &clock)[0].as_ref().unwrap().shown, 175_000, "from 10 W to none in 35 ms, then none");
    assert!(warnings(&meter)[0].starts_with("hwmon_negative: ina226 "));
}

#[test]
fn samples_that_are_late_are_a_gap_and_never_energy() {
    let tree = Tree::new();
    write_monitor(&tree, 0, "i2c-1/1-0040", 10, None);
    let (mut meter, mut samplers, _) = tree.meter();
    let (clock, mut counter) = (Hand(Cell::new(0)), Counter::new(meter.domains[0].counter));
    samplers[0].poll(&clock);
    counter.take(read(&mut meter, &clock)[0].as_ref().unwrap());
    clock.0.set(105 * MS);
    samplers[0].poll(&clock);
    assert_eq!(counter.take(read(&mut meter, &clock)[0].as_ref().unwrap()).step().unwrap().energy.0, 1_050_000);
    clock.0.set(211 * MS);
    samplers[0].poll(&clock);
    assert_eq!(counter.take(read(&mut meter, &clock)[0].as_ref().unwrap()), Outcome::Gap(GapReason::FailedRead));
}

#[test]
fn the_thread_samples_plain_files_at_their_own_pace() {
    let tree = Tree::new();
    write_monitor(&tree, 0, "i2c-1/1-0040", 10, None);
    amd(&tree, 1, 1);
    let (meter, report) = HwmonMeter::discover(tree.0.path(), &HwmonOptions::default());
    let mut meter = meter.unwrap();
    assert_eq!((report.status, report.domains.len()), (Status::Ok, 3));
    let place = meter.domains.iter().position(|d| &*d.name == "ina226").unwrap();
    let value = |meter: &mut HwmonMeter| {
        // the patience of one settling may end on a machine that stands still
        let read = (0..100).find_map(|_| {
            meter.settle();
            let mut values = vec![Err(ReadError::Absent { path: "unread".into(), errno: None }); 3];
            meter.read(&SystemClock, &mut values);
            values.into_iter().collect::<Result<Vec<_>, _>>().ok()
        });
        read.unwrap()[place]
    };
    let mut counter = Counter::new(CounterSpec::new(Wrap::Never));
    let (mut energy, mut seconds) = (0, 0.0);
    counter.take(&value(&mut meter));
    for round in 0..1000 {
        if round >= 10 && seconds > 0.06 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(30));
        // a machine under load may be late: what it declares a gap is not counted on either side
        if let Some(step) = counter.take(&value(&mut meter)).step() {
            energy += step.energy.0;
            seconds += step.until.seconds_since(step.from);
        }
    }
    assert!(seconds > 0.06, "{seconds}");
    assert!((energy as f64 / 1e6 - 10.0 * seconds).abs() < 1e-4, "{energy} uJ in {seconds} s");
}

fn chips() -> impl Strategy<Value = Vec<(usize, usize, Option<usize>)>> {
    prop::collection::vec((0_usize..3, 0_usize..3, prop::option::of(0_usize..2)), 1..7)
}

fn plant(tree: &Tree, order: &[usize], rows: &[(usize, usize, Option<usize>)]) {
    for (&k, (i, (name, device, label))) in order.iter().zip(rows.iter().enumerate()) {
        let name = ["ina226", "psu", "ina3221"][*name];
        let mut files = vec![("power1_input", "1000000"), ("power3_input", "2000000")];
        files.extend(label.map(|l| ("power1_label", ["VDD_IN", "VDD_CPU"][l])));
        // two buses may have devices of one name
        tree.chip(u32::try_from(k).unwrap(), name, &format!("bus{i}/1-004{device}"), &files);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn names_are_unique_and_do_not_depend_on_numbers(rows in chips(), seed in any::<u64>()) {
        let forward: Vec<usize> = (0..rows.len()).collect();
        let turn = usize::try_from(seed % rows.len() as u64).unwrap();
        let mut turned = forward.clone();
        turned.rotate_left(turn);
        let (first, second) = (Tree::new(), Tree::new());
        plant(&first, &forward, &rows);
        plant(&second, &turned, &rows);
        let (first, second) = (first.meter().0, second.meter().0);
        let mut sorted = names(&first);
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(sorted.len(), rows.len() * 2);
        let distinct = rows.iter().map(|(n, d, _)| (n, d)).collect::<std::collections::BTreeSet<_>>();
        if distinct.len() == rows.len() {
            prop_assert_eq!(&first.domains, &second.domains);
        }
    }

    #[test]
    fn constant_power_is_metered_within_its_uncertainty(watts in 1_u64..500, late in prop::collection::vec(0_u64..60, 5..40)) {
        let tree = Tree::new();
        write_monitor(&tree, 0, "i2c-1/1-0040", watts, None);
        let (mut meter, mut samplers, _) = tree.meter();
        let (clock, mut counter) = (Hand(Cell::new(0)), Counter::new(meter.domains[0].counter));
        let (mut energy, mut last) = (0, 0);
        samplers[0].poll(&clock);
        counter.take(read(&mut meter, &clock)[0].as_ref().unwrap());
        for late in late {
            last += 35 + late;
            clock.0.set(last * MS);
            samplers[0].poll(&clock);
            energy += counter.take(read(&mut meter, &clock)[0].as_ref().unwrap()).step().unwrap().energy.0;
        }
        prop_assert_eq!(energy, watts * last * 1000);
    }

    #[test]
    fn any_content_of_the_files_is_taken(texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 12)) {
        let tree = Tree::new();
        let base = tree.chip(0, "ina226", "i2c-1/1-0040", &[]);
        let files = ["name", "power1_input", "power1_label", "power1_enable", "energy1_input", "update_interval", "shunt_resistor", "label",
            "in1_input", "curr1_input", "power2_average", "power2_average_interval"];
        for (file, text) in files.iter().zip(&texts) {
            fs::write(tree.path(&base).join(file), text).unwrap();
        }
        let (meter, mut samplers, _) = HwmonMeter::prepare(tree.0.path(), &HwmonOptions::default());
        let clock = Hand(Cell::new(0));
        for sampler in &mut samplers {
            sampler.poll(&clock);
        }
        if let Some(mut meter) = meter {
            prop_assert!(meter.domains.iter().all(|d| d.update_s > 0.0 && d.counter.resolution_j > 0.0 && d.counter.resolution_j.is_finite()));
            read(&mut meter, &clock);
        }
    }
}

#[test]
fn the_roots_of_this_machine_are_looked_at_without_harm() {
    let (_, report) = HwmonMeter::discover(Path::new("/sys"), &HwmonOptions::default());
    assert!(!report.detail.is_empty());
}
