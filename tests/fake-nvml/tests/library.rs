//! The library as the real `nvml-wrapper` sees it.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeMap;

use fake_nvml::{
    AfterReload, Architecture, Code, Counter, Fake, Field, Gpu, Mig, Partition, Process, Sampling, Script, Sensor, ValueType,
    Watts, boottime_ns,
};
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::{DeviceArchitecture, SampleValue};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use tempfile::TempDir;

/// A loaded copy in a directory of its own.
struct Loaded {
    nvml: Nvml,
    fake: Fake,
    _directory: TempDir,
}

fn load(gpus: impl IntoIterator<Item = Gpu>) -> Loaded {
    load_without(gpus, &[])
}

fn load_without(gpus: impl IntoIterator<Item = Gpu>, symbols: &[&str]) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::install_without(directory.path(), &Script::new(gpus), symbols).unwrap();
    let nvml = Nvml::builder().lib_path(fake.library().as_os_str()).init().unwrap();
    Loaded { nvml, fake, _directory: directory }
}

fn sleep_ms(ms: u64) {
    std::thread::sleep(std::time::Duration::from_millis(ms));
}

#[test]
fn gpus_are_counted_and_named() {
    let older =
        Gpu { name: "Fake GTX 1080".into(), architecture: Architecture::Pascal, limit_w: 180.0, ..Gpu::new("GPU-b", 30.0) };
    let l = load([Gpu::new("GPU-a", 10.0), older]);
    assert_eq!(l.nvml.device_count().unwrap(), 2);
    assert_eq!(l.nvml.sys_driver_version().unwrap(), "550.54.15");
    assert_eq!(l.nvml.sys_nvml_version().unwrap(), "12.550.54.15");
    let device = l.nvml.device_by_index(1).unwrap();
    assert_eq!((device.uuid().unwrap(), device.name().unwrap()), ("GPU-b".into(), "Fake GTX 1080".into()));
    assert_eq!(device.architecture().unwrap(), DeviceArchitecture::Pascal);
    assert_eq!(device.enforced_power_limit().unwrap(), 180_000);
    assert_eq!(device.pci_info().unwrap().bus_id, "00000000:02:00.0");
    assert_eq!(l.nvml.device_by_pci_bus_id("00000000:01:00.0").unwrap().uuid().unwrap(), "GPU-a");
    assert_eq!(device.memory_info().unwrap().total, 80 << 30);
    assert_eq!(device.temperature(TemperatureSensor::Gpu).unwrap(), 55);
    assert!(matches!(l.nvml.device_by_index(2), Err(NvmlError::InvalidArg)));
    assert!(matches!(l.nvml.device_by_uuid("GPU-c"), Err(NvmlError::NotFound)));
}

#[test]
fn the_counter_is_within_one_step_of_the_truth() {
    let gpu = |uuid, update_ms, watts: Watts| Gpu {
        counter: Some(Counter { update_ms, ..Counter::default() }),
        ..Gpu::new(uuid, watts)
    };
    let steps = Watts::Steps(vec![(0.0, 50.0), (0.1, 400.0), (0.2, 100.0)]);
    let l = load([gpu("GPU-a", 20, 250.0.into()), gpu("GPU-b", 100, steps)]);
    let script = l.fake.script().unwrap();
    for _ in 0..20 {
        for (uuid, step_mj) in [("GPU-a", 20.0 * 250.0), ("GPU-b", 100.0 * 400.0)] {
            let device = l.nvml.device_by_uuid(uuid).unwrap();
            let before = script.truth_mj(uuid, boottime_ns()).unwrap();
            let shown = device.total_energy_consumption().unwrap() as f64;
            let after = script.truth_mj(uuid, boottime_ns()).unwrap();
            assert!(shown <= after + 1.0 && shown >= before - step_mj - 1.0, "{uuid}: {before} {shown} {after}");
        }
        sleep_ms(17);
    }
    assert!(l.nvml.device_by_uuid("GPU-b").unwrap().total_energy_consumption().unwrap() >= 45_000, "it did count");
}

#[test]
fn time_can_be_the_scripts_own() {
    let l = load([Gpu { counter: Some(Counter { update_ms: 0, ..Counter::default() }), ..Gpu::new("GPU-a", 250.0) }]);
    let device = l.nvml.device_by_index(0).unwrap();
    let epoch_ns = l.fake.script().unwrap().epoch_ns;
    for second in [0_u64, 3600, 7] {
        l.fake.change(|s| s.now_ns = Some(epoch_ns + second * 1_000_000_000)).unwrap();
        assert_eq!(device.total_energy_consumption().unwrap(), second * 250_000);
    }
}

#[test]
fn what_is_not_supported_is_an_error() {
    let mute = Gpu { power: None, ..Gpu::new("GPU-a", 250.0).without_counter() };
    let l = load([mute]);
    let device = l.nvml.device_by_index(0).unwrap();
    assert!(matches!(device.total_energy_consumption(), Err(NvmlError::NotSupported)));
    assert!(matches!(device.power_usage(), Err(NvmlError::NotSupported)));
    assert!(matches!(device.mig_mode(), Err(NvmlError::NotSupported)));
}

#[test]
fn power_is_of_the_instant_or_of_the_last_second() {
    let power = Watts::Steps(vec![(-10.0, 100.0), (0.0, 300.0)]);
    let mean = Gpu { power: Some(Sensor::AVERAGE_1S), ..Gpu::new("GPU-mean", power.clone()) };
    let l = load([Gpu::new("GPU-now", power), mean]);
    l.fake.change(|s| s.now_ns = Some(s.epoch_ns + 500_000_000)).unwrap();
    assert_eq!(l.nvml.device_by_uuid("GPU-now").unwrap().power_usage().unwrap(), 300_000);
    let early = l.nvml.device_by_uuid("GPU-mean").unwrap().power_usage().unwrap();
    assert!((100_000..300_000).contains(&early), "{early} mW within the first second");
}

#[test]
fn each_field_has_its_own_answer_and_type() {
    let gpu = Gpu {
        fields: vec![
            Field::new(Field::POWER_AVERAGE, 0, ValueType::U32),
            Field { fault: Some(Code::NotSupported), ..Field::new(Field::POWER_INSTANT, 0, ValueType::U32) },
        ],
        ..Gpu::new("GPU-a", 250.0)
    };
    let l = load([gpu]);
    let device = l.nvml.device_by_index(0).unwrap();
    let ask = || device.field_values_for(&[FieldId(185), FieldId(186), FieldId(1)]).unwrap();
    let values = ask();
    assert_eq!(values[0].as_ref().unwrap().value.as_ref().unwrap(), &SampleValue::U32(250_000));
    assert!(matches!(values[1].as_ref().unwrap().value, Err(NvmlError::NotSupported)));
    assert!(matches!(values[2].as_ref().unwrap().value, Err(NvmlError::NotSupported)));
    let types = [
        (ValueType::Double, SampleValue::F64(250_000.0)),
        (ValueType::Ulong, SampleValue::U32(250_000)),
        (ValueType::U64, SampleValue::U64(250_000)),
        (ValueType::I64, SampleValue::I64(250_000)),
    ];
    for (kind, expected) in types {
        l.fake.change(|s| s.gpus[0].fields[0].value = kind).unwrap();
        assert_eq!(ask()[0].as_ref().unwrap().value.as_ref().unwrap(), &expected);
    }
    l.fake.change(|s| s.gpus[0].fields[0].value = ValueType::I32).unwrap();
    assert!(matches!(ask()[0], Err(NvmlError::UnexpectedVariant(5))), "newer than the wrapper");
}

#[test]
fn use_by_processes_is_sampled() {
    let gpu = Gpu {
        sampling: Sampling { period_ms: 20, ..Sampling::default() },
        processes: vec![Process::new(11, 60), Process::new(12, 30), Process::new(13, 0)],
        ..Gpu::new("GPU-a", 250.0)
    };
    let l = load([gpu, Gpu::new("GPU-b", 250.0)]);
    sleep_ms(50);
    let wall_us = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as i64;
    let device = l.nvml.device_by_uuid("GPU-a").unwrap();
    let before_us = wall_us();
    let samples = device.process_utilization_stats(None).unwrap();
    assert_eq!(
        samples.iter().map(|s| (s.pid, s.sm_util)).collect::<Vec<_>>(),
        [(11, 60), (12, 30)],
        "who did nothing is not sampled"
    );
    let newest = samples.iter().map(|s| s.timestamp).max().unwrap();
    // two clocks are read one after the other
    let day = before_us - 2_000_000..=wall_us() + 2_000_000;
    assert!(day.contains(&(newest as i64)), "stamped with the time of day: {newest} in {day:?}");
    l.fake.change(|s| s.gpus[0].processes.clear()).unwrap();
    assert!(matches!(device.process_utilization_stats(newest + 1_000_000), Err(NvmlError::NotFound)));
    assert!(matches!(device.process_utilization_stats(None), Err(NvmlError::NotFound)), "nothing ran");
}

#[test]
fn since_leaves_out_what_was_seen() {
    let gpu = Gpu {
        sampling: Sampling { period_ms: 50, newest_only: false, buffer: 10_000 },
        processes: vec![Process::new(11, 60)],
        ..Gpu::new("GPU-a", 250.0)
    };
    let l = load([gpu]);
    let device = l.nvml.device_by_index(0).unwrap();
    let mut seen: Vec<u64> = Vec::new();
    for _ in 0..8 {
        sleep_ms(60);
        match device.process_utilization_stats(seen.last().copied()) {
            Ok(samples) => seen.extend(samples.iter().map(|s| s.timestamp)),
            Err(error) => assert!(matches!(error, NvmlError::NotFound), "{error}"),
        }
    }
    assert!(seen.len() >= 8, "{seen:?}");
    assert!(seen.windows(2).all(|w| w[1] - w[0] == 50_000), "each once, none lost: {seen:?}");
}

#[test]
fn residents_are_listed_whether_they_work_or_not() {
    let drawing = Process { graphics: true, ..Process::new(13, 5) };
    let gone = Process { until_s: Some(0.0), ..Process::new(14, 90) };
    let l = load([Gpu { processes: vec![Process::new(11, 60), Process::new(12, 0), drawing, gone], ..Gpu::new("GPU-a", 250.0) }]);
    let device = l.nvml.device_by_index(0).unwrap();
    let pids: Vec<_> = device.running_compute_processes().unwrap().iter().map(|p| p.pid).collect();
    assert_eq!(pids, [11, 12]);
    assert_eq!(device.running_compute_processes_count().unwrap(), 2);
    assert_eq!(device.running_graphics_processes().unwrap().len(), 1);
    l.fake.change(|s| s.gpus[0].processes.clear()).unwrap();
    assert!(device.running_compute_processes().unwrap().is_empty());
}

#[test]
fn partitions_are_devices_without_meters() {
    let on_first = Process { partition: Some("MIG-1".into()), ..Process::new(11, 60) };
    let halves = Partition { compute_slices: 2, compute_instance: 1, ..Partition::new("MIG-2", 3, 4) };
    let gpu = Gpu {
        mig: Some(Mig::of([Partition::new("MIG-1", 0, 3), halves])),
        processes: vec![on_first, Process { partition: Some("MIG-2".into()), ..Process::new(12, 60) }],
        ..Gpu::new("GPU-a", 250.0)
    };
    let l = load([gpu]);
    assert_eq!(l.nvml.device_count().unwrap(), 1, "partitions are not counted as GPUs");
    let board = l.nvml.device_by_index(0).unwrap();
    assert_eq!(board.mig_mode().unwrap().current, 1);
    assert_eq!(board.mig_device_count().unwrap(), 7);
    let found: Vec<_> = (0..7).filter_map(|place| board.mig_device_by_index(place).ok()).collect();
    let slices: Vec<_> =
        found.iter().map(|d| (d.uuid().unwrap(), d.attributes().unwrap().compute_instance_slice_count)).collect();
    assert_eq!(slices, [("MIG-1".into(), 3), ("MIG-2".into(), 2)]);
    assert_eq!(found[1].attributes().unwrap().gpu_instance_slice_count, 4);
    assert!(matches!(board.mig_device_by_index(1), Err(NvmlError::NotFound)));
    assert!(matches!(board.attributes(), Err(NvmlError::NotSupported)));
    assert!(board.total_energy_consumption().is_ok());
    assert!(matches!(found[0].total_energy_consumption(), Err(NvmlError::NotSupported)), "energy is the board's");
    assert!(matches!(found[0].power_usage(), Err(NvmlError::NotSupported)));
    assert!(found[0].mig_is_mig_device_handle().unwrap() && !board.mig_is_mig_device_handle().unwrap());
    assert_eq!(found[0].mig_parent_device().unwrap().uuid().unwrap(), "GPU-a");
    assert!(matches!(board.process_utilization_stats(None), Err(NvmlError::NotSupported)), "not while partitioned");
    let all = board.running_compute_processes().unwrap();
    assert_eq!(all.iter().map(|p| (p.pid, p.gpu_instance_id)).collect::<Vec<_>>(), [(11, Some(1)), (12, Some(4))]);
    assert_eq!(found[0].running_compute_processes().unwrap().iter().map(|p| p.pid).collect::<Vec<_>>(), [11]);
    assert_eq!(l.nvml.device_by_uuid("MIG-2").unwrap().uuid().unwrap(), "MIG-2");

    l.fake.change(|s| s.gpus[0].mig = Some(Mig::of([Partition::new("MIG-3", 0, 7)]))).unwrap();
    assert!(matches!(found[0].attributes(), Err(NvmlError::InvalidArg)), "its partition is gone");
    assert_eq!(board.mig_device_by_index(0).unwrap().uuid().unwrap(), "MIG-3");
}

#[test]
fn a_fault_comes_and_goes_and_leaves_the_others_alone() {
    let l = load([Gpu::new("GPU-a", 10.0), Gpu::new("GPU-b", 20.0)]);
    let (a, b) = (l.nvml.device_by_index(0).unwrap(), l.nvml.device_by_index(1).unwrap());
    let break_all = |code| l.fake.change(|s| s.gpus[0].faults = BTreeMap::from([("*".to_owned(), code)])).unwrap();
    break_all(Code::GpuIsLost);
    assert!(matches!(a.power_usage(), Err(NvmlError::GpuLost)));
    assert!(matches!(a.total_energy_consumption(), Err(NvmlError::GpuLost)));
    assert!(matches!(l.nvml.device_by_index(0), Err(NvmlError::GpuLost)));
    assert_eq!(l.nvml.device_count().unwrap(), 2, "it is still there");
    assert_eq!(b.power_usage().unwrap(), 20_000);
    break_all(Code::Unknown);
    assert!(matches!(a.power_usage(), Err(NvmlError::Unknown)));
    break_all(Code::NoPermission);
    assert!(matches!(a.power_usage(), Err(NvmlError::NoPermission)));
    l.fake.change(|s| s.gpus[0].faults = BTreeMap::from([("nvmlDeviceGetPowerUsage".to_owned(), Code::NotSupported)])).unwrap();
    assert!(matches!(a.power_usage(), Err(NvmlError::NotSupported)));
    assert!(a.total_energy_consumption().is_ok());
    l.fake.change(|s| s.gpus[0].faults.clear()).unwrap();
    assert_eq!(a.power_usage().unwrap(), 10_000);
}

#[test]
fn a_reload_starts_the_counters_again() {
    let gpu = Gpu { counter: Some(Counter { update_ms: 0, scale: 1.0, start_mj: 1_000_000 }), ..Gpu::new("GPU-a", 1.0) };
    let l = load([gpu]);
    let old = l.nvml.device_by_index(0).unwrap();
    assert!(old.total_energy_consumption().unwrap() >= 1_000_000);
    l.fake.change(|s| s.reload(boottime_ns())).unwrap();
    assert!(matches!(old.total_energy_consumption(), Err(NvmlError::InvalidArg)), "the handle is stale");
    assert!(l.nvml.device_by_index(0).unwrap().total_energy_consumption().unwrap() < 1_000_000);

    l.fake.change(|s| s.driver.after_reload = AfterReload::Kept).unwrap();
    assert!(old.total_energy_consumption().unwrap() < 1_000_000);

    l.fake.change(|s| s.driver.after_reload = AfterReload::Uninitialized).unwrap();
    assert!(matches!(l.nvml.device_by_index(0), Err(NvmlError::Uninitialized)));
    let again = Nvml::builder().lib_path(l.fake.library().as_os_str()).init().unwrap();
    assert!(again.device_by_index(0).unwrap().total_energy_consumption().is_ok());
}

#[test]
fn indices_change_and_uuids_stay() {
    let l = load([Gpu::new("GPU-a", 10.0), Gpu::new("GPU-b", 20.0)]);
    let a = l.nvml.device_by_index(0).unwrap();
    l.fake.change(|s| s.gpus.reverse()).unwrap();
    assert_eq!(l.nvml.device_by_index(0).unwrap().uuid().unwrap(), "GPU-b");
    assert_eq!((a.uuid().unwrap(), a.index().unwrap(), a.power_usage().unwrap()), ("GPU-a".into(), 1, 10_000));
}

#[test]
fn a_call_can_be_slow() {
    let l = load([Gpu { delay_ms: 60, ..Gpu::new("GPU-a", 10.0) }, Gpu::new("GPU-b", 10.0)]);
    let took_ms = |index| {
        let device = l.nvml.device_by_index(index).unwrap();
        let start = std::time::Instant::now();
        device.power_usage().unwrap();
        start.elapsed().as_millis()
    };
    assert!(took_ms(0) >= 60);
    // on a busy machine any call can be slow, but not every one
    assert!((0..100).any(|_| took_ms(1) < 60));
}

#[test]
fn a_missing_symbol_is_an_error() {
    let l = load_without([Gpu::new("GPU-a", 10.0)], &["nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetProcessUtilization"]);
    let device = l.nvml.device_by_index(0).unwrap();
    assert!(matches!(device.total_energy_consumption(), Err(NvmlError::FailedToLoadSymbol(_))));
    assert!(matches!(device.process_utilization_stats(None), Err(NvmlError::FailedToLoadSymbol(_))));
    assert_eq!(device.power_usage().unwrap(), 10_000);
    let directory = tempfile::tempdir().unwrap();
    let error = Fake::install_without(directory.path(), &Script::new([]), &["nvmlNothing"]).unwrap_err().to_string();
    assert!(error.contains("nvmlNothing"), "{error}");
}

#[test]
fn a_driver_that_is_not_there_refuses_to_start() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::install(directory.path(), &Script::new([])).unwrap();
    fake.change(|s| _ = s.faults.insert("nvmlInit_v2".into(), Code::DriverNotLoaded)).unwrap();
    let init = || Nvml::builder().lib_path(fake.library().as_os_str()).init();
    assert!(matches!(init(), Err(NvmlError::DriverNotLoaded)));
    fake.change(|s| s.faults.clear()).unwrap();
    assert_eq!(init().unwrap().device_count().unwrap(), 0);
    std::fs::remove_file(fake.script_file()).unwrap();
    assert!(matches!(init(), Err(NvmlError::DriverNotLoaded)), "no script, no driver");
}

#[test]
fn the_environment_names_a_script_for_another_process() {
    // Run again as the child, with the built library and a script elsewhere.
    if let Some(library) = std::env::var_os("FAKE_NVML_TEST_LIBRARY") {
        let nvml = Nvml::builder().lib_path(&library).init().unwrap();
        println!("joules {}", nvml.device_by_index(0).unwrap().total_energy_consumption().unwrap() / 1000);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("machine.json");
    let begun = boottime_ns() - 100_000_000_000;
    Script { epoch_ns: begun, ..Script::new([Gpu::new("GPU-a", 10.0)]) }.save(&path).unwrap();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_environment_names_a_script_for_another_process", "--nocapture"])
        .env("FAKE_NVML_SCRIPT", &path)
        .env("FAKE_NVML_TEST_LIBRARY", fake_nvml::library().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(child.stdout).unwrap();
    let joules: u64 = text.split("joules ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    let most = (boottime_ns() - begun) / 100_000_000;
    assert!((999..=most).contains(&joules), "100 s at 10 W, {most} J by now: {text}");
}
