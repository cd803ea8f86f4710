//! What a start finds and says.

use super::*;

#[test]
fn a_missing_symbol_is_never_a_panic() {
    let gpu = || Gpu {
        processes: vec![Process::new(11, 50)],
        mig: Some(Mig::of([Partition::new("MIG-1", 0, 3)])),
        ..Gpu::new(A, 250.0)
    };
    // what the meter asks for, and what it does without
    let symbols = [
        ("nvmlInit_v2", None),
        ("nvmlSystemGetDriverVersion", Some("of unknown version")),
        ("nvmlDeviceGetCount_v2", None),
        ("nvmlDeviceGetHandleByIndex_v2", None),
        ("nvmlDeviceGetHandleByUUID", Some("energy counter")),
        ("nvmlDeviceGetUUID", None),
        ("nvmlDeviceGetName", Some("of unknown name")),
        ("nvmlDeviceGetArchitecture", Some("energy counter")),
        ("nvmlDeviceGetEnforcedPowerLimit", Some("energy counter")),
        ("nvmlDeviceGetTotalEnergyConsumption", Some("power is integrated")),
        ("nvmlDeviceGetPowerUsage", Some("energy counter")),
        ("nvmlDeviceGetFieldValues", Some("energy counter")),
        ("nvmlDeviceGetMigMode", Some("processes by sm_util")),
        ("nvmlDeviceGetMaxMigDeviceCount", Some("partitions not known")),
        ("nvmlDeviceGetMigDeviceHandleByIndex", Some("partitions not known")),
        ("nvmlDeviceGetAttributes_v2", Some("partitions not known")),
        ("nvmlDeviceGetProcessUtilization", Some("processes by gpu_resident")),
        ("nvmlDeviceGetComputeRunningProcesses_v3", Some("processes not known")),
    ];
    for (symbol, expected) in symbols {
        let mut gpu = gpu();
        if symbol.contains("MigMode") || symbol.contains("ProcessUtilization") {
            gpu.mig = None;
        }
        let (fake, _directory) = install([gpu], &[symbol]);
        let (meter, report) = NvmlMeter::discover(Path::new("/nowhere"), &options(&fake));
        assert_eq!(meter.is_some(), expected.is_some(), "{symbol}: {report:?}");
        match expected {
            Some(words) => assert!(report.status == Status::Ok && report.detail.contains(words), "{symbol}: {}", report.detail),
            None => assert!(report.status != Status::Ok && report.mend.is_some(), "{symbol}: {report:?}"),
        }
    }
}

#[test]
fn what_does_not_start_says_why_and_what_to_do() {
    let try_out = |sysfs: &str, library: Option<&Path>| {
        let options = NvmlOptions { library: library.map(Path::to_owned), ..NvmlOptions::default() };
        let (meter, report) = NvmlMeter::discover(Path::new(sysfs), &options);
        assert!(meter.is_none() && report.source == "nvml" && report.domains.is_empty());
        report
    };
    let directory = tempfile::tempdir().unwrap();
    let off = try_out(directory.path().to_str().unwrap(), None);
    assert_eq!(off.status, Status::Absent);
    assert!(off.detail.contains("not the kernel's own sysfs") && off.mend.unwrap().contains("--nvml FILE"), "{}", off.detail);

    let missing = directory.path().join("libnvidia-ml.so.1");
    let absent = try_out("/sys", Some(&missing));
    assert_eq!((absent.status, absent.path.as_deref()), (Status::Absent, Some(&*missing)), "a missing library is no error");
    assert!(absent.mend.unwrap().contains("--nvml FILE"));

    std::fs::write(&missing, "no library at all").unwrap();
    assert_eq!(try_out("/sys", Some(&missing)).status, Status::Broken);

    let (fake, _directory) = install([], &[]);
    let none = try_out("/nowhere", Some(fake.library()));
    assert!(none.status == Status::Absent && none.detail.contains("knows no GPU"), "{none:?}");

    for (code, status, mend) in [
        (Code::DriverNotLoaded, Status::Absent, "modprobe nvidia"),
        (Code::NoPermission, Status::Denied, "/dev/nvidiactl"),
        (Code::LibRmVersionMismatch, Status::Broken, "reboot"),
        (Code::Unknown, Status::Broken, "nvidia-smi"),
    ] {
        fake.change(|s| s.faults = fault("nvmlInit_v2", code)).unwrap();
        let report = try_out("/nowhere", Some(fake.library()));
        assert_eq!(report.status, status, "{report:?}");
        assert!(report.mend.as_ref().unwrap().contains(mend), "{report:?}");
    }
}

#[test]
fn a_gpu_that_is_lost_at_the_start_does_not_hide_the_others() {
    let lost = Gpu { faults: fault("*", Code::GpuIsLost), ..Gpu::new(A, 250.0) };
    let mut b = Bench::new([lost, Gpu::new("GPU-b", 100.0)]);
    assert_eq!(b.bank.domain_list().iter().map(|d| d.name.to_string()).collect::<Vec<_>>(), ["gpu-1"]);
    assert!(b.report.detail.contains("gpu-0: device fell off the bus") && b.report.mend.is_some(), "{:?}", b.report);
    b.run_s(5);
    assert!((b.joules(0) - 500.0).abs() <= 10.0);
}
