//! What fails and comes back: GPUs, drivers, indices.

use super::*;

#[test]
fn a_driver_reload_is_a_reset() {
    for after_reload in [AfterReload::Kept, AfterReload::Stale, AfterReload::Uninitialized] {
        let counter = FakeCounter { update_ms: 20, start_mj: 5_000_000, ..FakeCounter::default() };
        let mut b = Bench::new([Gpu { counter: Some(counter), ..Gpu::new(A, 250.0) }, Gpu::new("GPU-b", 100.0)]);
        b.run_s(10);
        b.change(|s| {
            s.driver.after_reload = after_reload;
            s.reload(s.clock_ns());
        });
        b.run_s(10);
        let reset = Outcome::Reset(ResetReason::Reload);
        assert_eq!(b.unusual, [(0, reset), (1, reset)], "{after_reload:?}");
        let lost = b.truth_j(A) - b.joules(0);
        assert!((250.0..=260.0).contains(&lost), "{after_reload:?}: one interval is lost, nothing is made: {lost} J");
        assert!(b.warnings().is_empty(), "{:?}", b.warnings());
    }
}

#[test]
fn a_counter_that_overtook_itself_after_a_reload_is_a_reset_too() {
    for after_reload in [AfterReload::Stale, AfterReload::Uninitialized] {
        let mut b = Bench::new([Gpu::new(A, 250.0)]);
        b.run_s(1);
        b.change(|s| {
            s.driver.after_reload = after_reload;
            s.reload(s.clock_ns());
        });
        b.poll_after_ms(20_000);
        b.read();
        assert_eq!(b.unusual, [(0, Outcome::Reset(ResetReason::Reload))]);
        assert!(b.joules(0) <= 250.0, "5000 J of the new counter are no energy of the old: {}", b.joules(0));
    }
}

#[test]
fn a_fall_between_two_reads_is_seen_by_the_poll() {
    let mut b = Bench::new([Gpu::new(A, 100.0)]);
    b.run_s(1);
    b.poll_after_ms(100);
    b.change(|s| {
        s.driver.after_reload = AfterReload::Kept;
        s.reload(s.clock_ns());
        s.step(A, s.clock_ns(), 300.0);
    });
    // 110 J, then 30 J and up to 150 J before anybody reads again
    for _ in 0..5 {
        b.poll_after_ms(100);
    }
    b.read();
    assert_eq!(b.unusual, [(0, Outcome::Reset(ResetReason::Reload))]);
}

#[test]
fn a_lost_gpu_leaves_the_cpu_alone() {
    let machine = TrueMachine::builder().cpus(2).package(0, 40.0).build().unwrap();
    let tree_folder = tempfile::tempdir().unwrap();
    let mut tree = PlainTree::write(tree_folder.path(), &machine, 0).unwrap();
    let (cpu, _) = RaplMeter::discover(&tree.sysfs(), Path::new("/nowhere"), b"", &RaplOptions::default());
    let mut b = Bench::beside([Gpu::new(A, 250.0), Gpu::new("GPU-b", 100.0)], vec![Box::new(cpu.unwrap())]);
    let mut second = 0;
    let mut run = |b: &mut Bench, seconds: u64| {
        for _ in 0..seconds {
            second += 1;
            tree.update(&machine, second * 1000 * MS).unwrap();
            b.run_s(1);
        }
    };
    run(&mut b, 5);
    b.change(|s| s.gpus[0].faults = fault("*", Code::GpuIsLost));
    run(&mut b, 1);
    assert!(matches!(b.failure(1), Some(ReadError::Io { .. })), "broken, not zero");
    assert_eq!(b.failure(2), None);
    assert!(b.warned("nvml_failed")[0].contains("gpu-0"), "{:?}", b.warnings());
    b.change(|s| s.gpus[0].faults.clear());
    run(&mut b, 24);
    assert!(b.failure(1).is_some(), "left alone for 30 s");
    run(&mut b, 10);
    assert_eq!(b.failure(1), None, "tried again");
    assert_eq!(b.unusual, [(1, Outcome::Gap(GapReason::FailedRead))], "a gap adds seconds, not joules");
    assert!(b.warned("nvml_failed").is_empty());
    assert!((b.joules(0) - 40.0 * 40.0).abs() < 0.01, "the processor never noticed: {}", b.joules(0));
    assert!((b.joules(2) - b.truth_j("GPU-b")).abs() <= 10.0, "nor did the other GPU: {}", b.joules(2));
    assert!((250.0 * 8.0..250.0 * 10.0).contains(&b.joules(1)), "{}", b.joules(1));
}

#[test]
fn every_error_of_a_gpu_is_a_failed_read_of_its_own() {
    let codes = [Code::Unknown, Code::NoPermission, Code::Timeout, Code::ResetRequired, Code::NotSupported, Code::InvalidState];
    for code in codes.into_iter().chain([Code::InvalidArgument, Code::Uninitialized, Code::NotFound]) {
        let mut b = Bench::new([Gpu::new(A, 250.0), Gpu::new("GPU-b", 100.0)]);
        b.change(|s| s.gpus[0].faults = fault("nvmlDeviceGetTotalEnergyConsumption", code));
        b.run_s(2);
        assert!(b.failure(0).is_some() && b.failure(1).is_none(), "{code:?}");
        b.change(|s| s.gpus[0].faults.clear());
        b.poll_after_ms(30_000);
        assert!(b.failure(0).is_none(), "{code:?}");
    }
}

#[test]
fn a_gpu_is_known_by_its_uuid() {
    let mut b = Bench::new([Gpu::new(A, 250.0), Gpu::new("GPU-b", 100.0)]);
    b.run_s(5);
    b.change(|s| {
        s.gpus.reverse();
        s.driver.after_reload = AfterReload::Stale;
        s.reload(s.clock_ns());
    });
    b.run_s(6);
    assert!((2500.0 - b.joules(0)).abs() < 40.0, "{:?}", b.energy_uj);
    assert!((1000.0 - b.joules(1)).abs() < 20.0, "{:?}", b.energy_uj);
}
