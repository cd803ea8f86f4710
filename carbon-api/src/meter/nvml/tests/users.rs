//! Processes on GPUs.

use super::*;

#[test]
fn each_sample_of_a_process_is_told_once() {
    let sampling = Sampling { period_ms: 250, newest_only: false, buffer: 100 };
    let phases = vec![Process::new(11, 60), Process { until_s: Some(5.0), ..Process::new(12, 30) }];
    let mut b = Bench::new([Gpu { sampling, processes: phases, ..Gpu::new(A, 250.0) }, Gpu::new("GPU-b", 20.0)]);
    let mut looks = Vec::new();
    b.run_s(3);
    b.feed.take(&mut looks);
    assert!(looks.is_empty(), "nobody asked yet");
    for _ in 0..7 {
        b.run_s(1);
        b.feed.take(&mut looks);
    }
    let of = |uuid: &str, pid| {
        looks.iter().filter(|l| &*l.gpu == uuid).flat_map(|l| &l.processes).filter(|p| p.pid == pid).collect::<Vec<_>>()
    };
    let samples = of(A, 11);
    assert_eq!(
        samples.len(),
        40,
        "four a second for ten seconds, from the driver's buffer where they are older than the question"
    );
    assert!(samples.windows(2).all(|w| w[1].at_us == w[0].at_us + 250_000), "{samples:?}");
    assert!(samples.iter().all(|p| p.sm_util == 60 && p.partition.is_none()));
    assert_eq!(of(A, 12).len(), 20);
    assert!(looks.iter().all(|l| l.basis == Basis::SmUtilization));
    assert!(looks.iter().any(|l| &*l.gpu == "GPU-b" && l.processes.is_empty()), "nothing ran is an answer");
    assert!(b.report.detail.contains("processes by sm_util"), "{}", b.report.detail);
}

#[test]
fn residents_stand_in_where_there_are_no_samples() {
    let faults = fault("nvmlDeviceGetProcessUtilization", Code::NotSupported);
    let plain = Gpu { faults, processes: vec![Process::new(11, 60), Process::new(12, 0)], ..Gpu::new(A, 250.0) };
    let on = |uuid: &str, pid| Process { partition: Some(uuid.into()), ..Process::new(pid, 50) };
    let split = Gpu {
        mig: Some(Mig::of([Partition::new("MIG-1", 0, 3), Partition::new("MIG-2", 2, 4)])),
        processes: vec![on("MIG-1", 21), on("MIG-2", 22)],
        ..Gpu::new("GPU-b", 250.0)
    };
    let mut b = Bench::new([plain, split]);
    assert_eq!(b.report.detail.matches("processes by gpu_resident").count(), 2, "{}", b.report.detail);
    let mut looks = Vec::new();
    b.feed.take(&mut looks);
    b.run_s(1);
    b.feed.take(&mut looks);
    let seen: Vec<_> =
        looks.iter().flat_map(|l| l.processes.iter().map(|p| (&*l.gpu, l.basis, p.pid, p.partition.as_deref()))).collect();
    let resident = Basis::Resident;
    let expected = [
        (A, resident, 11, None),
        (A, resident, 12, None),
        ("GPU-b", resident, 21, Some("MIG-1")),
        ("GPU-b", resident, 22, Some("MIG-2")),
    ];
    assert_eq!(seen, expected);
}
