//! Boards and servers as the kernel shows them: what is metered, what lies inside what.

use std::cell::Cell;
use std::fs;

use super::trees::*;
use super::*;
use crate::counter::{Counter, GapReason, Outcome, Wrap};
use crate::cover::leaves;
use crate::domain::DomainKind;

#[test]
fn a_jetson_orin_is_its_vdd_in_which_holds_the_other_rails() {
    let tree = Tree::new();
    tree.chip(4, "ina3221", "i2c-1/1-0040", ORIN);
    let (mut meter, mut samplers, report) = tree.meter();
    assert_eq!(names(&meter), ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]);
    assert_eq!(cover(&meter), ["VDD_IN"]);
    assert_eq!(kind(&meter, "VDD_CPU_GPU_CV"), DomainKind::Cpu);
    assert_eq!((holder(&meter, "VDD_CPU_GPU_CV"), holder(&meter, "VDD_SOC")), (Some("VDD_IN"), Some("VDD_IN")));
    assert_eq!(leaves(&meter.domains, &[0]), [1, 2]);
    let d = &meter.domains[0];
    assert_eq!((&*d.device, d.integrated, d.counter.wrap), ("1-0040", true, Wrap::Never));
    assert!((d.update_s - 0.1).abs() < 1e-12 && (d.accuracy - 0.05).abs() < 1e-12);
    assert!((d.counter.resolution_j - 0.004).abs() < 1e-12, "40 uV through 5 mOhm at 5 V, for 100 ms");
    assert!(report.detail.contains("channel 1 5000 uOhm"), "{}", report.detail);
    assert!(report.detail.contains("GPU together"), "{}", report.detail);
    let energy = run(&mut meter, &mut samplers, &Hand(Cell::new(0)), 2);
    assert_eq!(energy, [20_000_000, 9_800_000, 3_000_000]);
}

#[test]
fn shunt_channels_are_not_rails() {
    let tree = Tree::new();
    let mut files = ORIN.to_vec();
    // labels that would pair them on any other chip
    files.extend([("in4_label", "sum"), ("curr4_label", "sum"), ("in4_enable", "1")]);
    tree.chip(0, "ina3221", "i2c-1/1-0040", &files);
    tree.chip(
        1,
        "ina219",
        "i2c-1/1-0041",
        &[("in0_input", "12"), ("in0_label", "x"), ("curr1_label", "x"), ("in1_input", "5000"), ("curr1_input", "250")],
    );
    let (mut meter, mut samplers, _) = tree.meter();
    assert_eq!(names(&meter), ["ina219", "VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]);
    let clock = Hand(Cell::new(0));
    for sampler in &mut samplers {
        sampler.poll(&clock);
    }
    clock.0.set(68 * MS);
    for sampler in &mut samplers {
        sampler.poll(&clock);
    }
    assert_eq!(read(&mut meter, &clock)[0].as_ref().unwrap().shown, 85_000, "bus voltage times current: 1.25 W for 68 ms");
}

#[test]
fn hwmon_index_churn_is_harmless() {
    let boots = [[0, 1, 2], [2, 0, 1], [7, 11, 3]];
    let mut seen: Vec<(Vec<DomainInfo>, Vec<u64>)> = Vec::new();
    for [a, b, c] in boots {
        let tree = Tree::new();
        write_monitor(&tree, a, "i2c-1/1-0040", 10, None);
        write_monitor(&tree, b, "i2c-1/1-0041", 20, None);
        tree.chip(c, "ina3221", "i2c-2/2-0040", ORIN);
        let (mut meter, mut samplers, _) = tree.meter();
        let energy = run(&mut meter, &mut samplers, &Hand(Cell::new(0)), 7);
        seen.push((meter.domains.clone(), energy));
    }
    let (domains, energy) = &seen[0];
    assert_eq!(domains.iter().map(|d| &*d.name).collect::<Vec<_>>()[..2], ["ina226@1-0040", "ina226@1-0041"]);
    assert_eq!(energy[..2], [70_000_000, 140_000_000]);
    for other in &seen[1..] {
        assert_eq!(other, &seen[0], "the numbers of the chips change nothing");
    }
}

#[test]
fn a_chip_whose_driver_came_back_is_found_under_its_new_number() {
    let tree = Tree::new();
    let first = write_monitor(&tree, 0, "i2c-1/1-0040", 10, None);
    let second = write_monitor(&tree, 1, "i2c-1/1-0041", 20, None);
    let (mut meter, mut samplers, _) = tree.meter();
    let clock = Hand(Cell::new(0));
    samplers[0].poll(&clock);
    // both drivers go, and come back in the other order; held files answer ENODEV, which plain files cannot
    for (base, k) in [(&first, 0), (&second, 1)] {
        fs::remove_dir_all(tree.path(base)).unwrap();
        fs::remove_file(tree.path(&format!("class/hwmon/hwmon{k}"))).unwrap();
    }
    for sensor in samplers[0].sensors() {
        sensor.lose(ReadError::Absent { path: "power1_input".into(), errno: Some(19) });
    }
    clock.0.set(35 * MS);
    samplers[0].poll(&clock);
    assert!(read(&mut meter, &clock).iter().all(|v| matches!(v, Err(ReadError::Absent { .. }))));
    write_monitor(&tree, 0, "i2c-1/1-0041", 20, None);
    write_monitor(&tree, 1, "i2c-1/1-0040", 10, None);
    clock.0.set(70 * MS);
    samplers[0].poll(&clock);
    assert!(read(&mut meter, &clock)[0].is_err(), "not looked for at every sample");
    for ms in [1000, 1100] {
        clock.0.set(ms * MS);
        samplers[0].poll(&clock);
    }
    let values = read(&mut meter, &clock);
    let (a, b) = (values[0].as_ref().unwrap(), values[1].as_ref().unwrap());
    assert_eq!((a.shown, b.shown), (1_000_000, 2_000_000), "100 ms of 10 and of 20 W");
    assert_eq!(a.epoch.reason, GapReason::FailedRead);
}

#[test]
fn the_monitors_of_an_old_jetson_count_in_milliwatts() {
    let tree = Tree::new();
    let base = "devices/i2c-6/6-0040/iio:device0";
    tree.write(&format!("{base}/name"), "ina3221x");
    for (n, (rail, mw)) in [("POM_5V_IN", "4000"), ("POM_5V_GPU", "1000"), ("POM_5V_CPU", "1500")].iter().enumerate() {
        tree.write(&format!("{base}/rail_name_{n}"), rail);
        tree.write(&format!("{base}/in_power{n}_input"), mw);
        tree.write(&format!("{base}/in_voltage{n}_input"), "5000");
        tree.write(&format!("{base}/in_current{n}_input"), "100");
    }
    tree.link("bus/i2c/devices/6-0040", "../../../devices/i2c-6/6-0040");
    tree.link("bus/i2c/drivers/ina3221x/6-0040", "../../../../devices/i2c-6/6-0040");
    tree.link("bus/iio/devices/iio:device0", "../../../devices/i2c-6/6-0040/iio:device0");
    let (mut meter, mut samplers, _) = tree.meter();
    assert_eq!(names(&meter), ["POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"]);
    assert_eq!(cover(&meter), ["POM_5V_IN"]);
    assert_eq!((kind(&meter, "POM_5V_GPU"), holder(&meter, "POM_5V_GPU")), (DomainKind::Gpu, Some("POM_5V_IN")));
    assert_eq!(&*meter.domains[0].device, "6-0040");
    assert_eq!(run(&mut meter, &mut samplers, &Hand(Cell::new(0)), 1), [4_000_000, 1_000_000, 1_500_000]);
}

#[test]
fn the_rails_of_an_older_xavier_lie_below_its_driver() {
    let tree = Tree::new();
    let base = "bus/i2c/drivers/ina3221x/1-0040/iio_device";
    for (n, rail) in ["GPU", "CPU", "NC"].iter().enumerate() {
        tree.write(&format!("{base}/rail_name_{n}"), rail);
        tree.write(&format!("{base}/in_power{n}_input"), "700");
    }
    let (meter, _, report) = tree.meter();
    assert_eq!(names(&meter), ["GPU", "CPU"]);
    assert!(report.detail.contains("NC: not connected"), "{}", report.detail);
}

fn grace_meter(tree: &Tree, k: u32, text: &str, watts: u64, in_device: bool) {
    let device = format!("LNXSYSTM:00/ACPI000D:0{k}");
    let power = (watts * 1_000_000).to_string();
    let files = [("power1_average", power.as_str()), ("power1_average_interval", "50"), ("power1_oem_info", text)];
    if in_device {
        // drivers before Linux 6 keep their files in the folder of the device
        let base = tree.chip(k, "power_meter", &device, &[]);
        fs::remove_file(tree.path(&base).join("name")).unwrap();
        tree.write(&format!("devices/{device}/name"), "power_meter");
        for (file, text) in files {
            tree.write(&format!("devices/{device}/{file}"), text);
        }
    } else {
        tree.chip(k, "power_meter", &device, &files);
    }
}

#[test]
fn a_grace_module_holds_its_socket_which_holds_its_processors() {
    for in_device in [true, false] {
        let tree = Tree::new();
        for (k, text, watts) in [
            (5, "Module Power Socket 0", 600),
            (0, "Grace Power Socket 0", 200),
            (1, "CPU Power Socket 0", 120),
            (2, "SysIO Power Socket 0", 40),
            (3, "CPU Power Socket 1", 90),
        ] {
            grace_meter(&tree, k, text, watts, in_device);
        }
        let (mut meter, mut samplers, _) = tree.meter();
        assert_eq!(cover(&meter), ["CPU Power Socket 1", "Module Power Socket 0"]);
        assert_eq!(kind(&meter, "Module Power Socket 0"), DomainKind::Module);
        assert_eq!(holder(&meter, "Grace Power Socket 0"), Some("Module Power Socket 0"));
        assert_eq!(holder(&meter, "CPU Power Socket 0"), Some("Grace Power Socket 0"));
        assert_eq!(holder(&meter, "SysIO Power Socket 0"), Some("Grace Power Socket 0"));
        assert_eq!(holder(&meter, "CPU Power Socket 1"), None);
        assert!(meter.domains.iter().all(|d| (d.update_s - 0.05).abs() < 1e-12));
        let energy = run(&mut meter, &mut samplers, &Hand(Cell::new(0)), 1);
        assert_eq!(energy, [200_000_000, 120_000_000, 40_000_000, 90_000_000, 600_000_000]);
    }
}

#[test]
fn a_power_meter_of_unknown_place_is_a_rail_outside_the_host() {
    let tree = Tree::new();
    grace_meter(&tree, 0, "Chassis", 300, false);
    let (meter, ..) = tree.meter();
    assert_eq!((names(&meter), kind(&meter, "power_meter")), (vec!["power_meter"], DomainKind::Rail));
    assert!(cover(&meter).is_empty());
    assert!((meter.domains[0].counter.max_power_w - 10_000.0).abs() < 1e-9);
}

#[test]
fn the_cores_of_amd_energy_lie_in_their_sockets() {
    let tree = Tree::new();
    let base = amd(&tree, 4, 2);
    // interleaved, as the topology says
    for cpu in 0..4 {
        tree.write(&format!("devices/system/cpu/cpu{cpu}/topology/physical_package_id"), &(cpu % 2).to_string());
    }
    let (mut meter, samplers, _) = tree.meter();
    assert!(samplers.is_empty(), "a counter is not sampled");
    assert_eq!((kind(&meter, "Ecore001"), holder(&meter, "Ecore001")), (DomainKind::Core, Some("Esocket1")));
    assert_eq!(holder(&meter, "Ecore002"), Some("Esocket0"));
    assert_eq!(cover(&meter), ["Esocket0", "Esocket1"]);
    assert!(meter.domains.iter().all(|d| !d.integrated && d.counter.resolution_j > 15e-6));
    let (clock, mut counter) = (Hand(Cell::new(0)), Counter::new(meter.domains[4].counter));
    assert_eq!(counter.take(read(&mut meter, &clock)[4].as_ref().unwrap()), Outcome::First);
    tree.write(&format!("{base}/energy5_input"), "7000000");
    clock.0.set(1000 * MS);
    assert_eq!(counter.take(read(&mut meter, &clock)[4].as_ref().unwrap()).step().unwrap().energy.0, 2_000_000);
    tree.write(&format!("{base}/energy5_input"), "6999999");
    clock.0.set(2000 * MS);
    assert!(matches!(counter.take(read(&mut meter, &clock)[4].as_ref().unwrap()), Outcome::Reset(_)), "a fall is a reset");
    tree.write(&format!("{base}/energy5_input"), "-5");
    let values = read(&mut meter, &clock);
    assert!(matches!(values[4], Err(ReadError::Malformed { .. })) && values[3].is_ok(), "one broken counter costs no other");
}

#[test]
fn cores_without_topology_are_numbered_socket_by_socket() {
    let tree = Tree::new();
    amd(&tree, 4, 2);
    let (meter, ..) = tree.meter();
    let holders: Vec<_> = (0..4).map(|c| holder(&meter, &format!("Ecore00{c}"))).collect();
    assert_eq!(holders, [Some("Esocket0"), Some("Esocket0"), Some("Esocket1"), Some("Esocket1")]);
}

fn iio_monitor(tree: &Tree, device: &str, power: bool) {
    let base = format!("devices/{device}/iio:device3");
    tree.write(&format!("{base}/name"), "ina226");
    let mut files = vec![
        ("in_voltage0_raw", "4000"),
        ("in_voltage0_scale", "0.002500000"),
        ("in_voltage1_raw", "4000"),
        ("in_voltage1_scale", "1.250000000"),
        ("in_current3_raw", "250"),
        ("in_current3_scale", "1"),
        ("in_shunt_resistor", "2000"),
        ("in_sampling_frequency", "114"),
    ];
    if power {
        files.extend([("in_power2_raw", "50"), ("in_power2_scale", "25.000000000")]);
    }
    for (file, text) in files {
        tree.write(&format!("{base}/{file}"), text);
    }
    tree.link("bus/iio/devices/iio:device3", &format!("../../../{base}"));
}

#[test]
fn an_ina_in_hwmon_and_iio_counts_once() {
    let tree = Tree::new();
    write_monitor(&tree, 0, "i2c-1/1-0040", 10, None);
    iio_monitor(&tree, "i2c-1/1-0040", true);
    let (mut meter, mut samplers, report) = tree.meter();
    assert_eq!(names(&meter), ["ina226"]);
    assert_eq!(run(&mut meter, &mut samplers, &Hand(Cell::new(0)), 7), [70_000_000], "hwmon wins");
    assert!(report.detail.contains("counted elsewhere: ina226 (1-0040)"), "{}", report.detail);
}

#[test]
fn an_ina_that_only_iio_drives_is_read_there() {
    for power in [true, false] {
        let tree = Tree::new();
        iio_monitor(&tree, "i2c-1/1-0045", power);
        let (mut meter, mut samplers, report) = tree.meter();
        assert_eq!((names(&meter), &*meter.domains[0].device), (vec!["ina226"], "1-0045"));
        assert!(report.detail.contains("2000 uOhm"), "{}", report.detail);
        assert!((meter.domains[0].update_s - 0.01).abs() < 1e-9, "114 Hz, sampled every 10 ms");
        let energy = run(&mut meter, &mut samplers, &Hand(Cell::new(0)), 1);
        assert_eq!(energy, [1_250_000], "1.25 W, from milliwatts or from 5 V and 250 mA");
    }
}
