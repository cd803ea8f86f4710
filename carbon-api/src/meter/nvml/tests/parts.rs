//! Partitions and their shares.

use super::*;

#[test]
fn partitions_share_their_board_by_slices() {
    let gpu = Gpu { mig: Some(Mig::of([Partition::new("MIG-1", 0, 3), Partition::new("MIG-2", 1, 2)])), ..Gpu::new(A, 250.0) };
    let mut b = Bench::new([gpu, Gpu::new("GPU-b", 100.0)]);
    let domains = b.bank.domain_list();
    let names: Vec<_> = domains.iter().map(|d| (&*d.name, &*d.device, d.contained_in)).collect();
    let expected =
        [("gpu-0", A, None), ("gpu-0-mig-0", "MIG-1", Some(0)), ("gpu-0-mig-1", "MIG-2", Some(0)), ("gpu-1", "GPU-b", None)];
    assert_eq!(names, expected);
    assert_eq!(
        domains.iter().map(|d| (d.provenance(), d.basis())).collect::<Vec<_>>()[..2],
        [(Provenance::Measured, None), (Provenance::Attributed, Some("mig_partition"))]
    );
    assert_eq!(b.report.domains[1].basis, Some("mig_partition"));
    assert!(!b.report.domains[1].in_host, "the board is in the host already");
    b.run_s(20);
    assert_eq!(b.energy_uj[1] + b.energy_uj[2], b.energy_uj[0], "exactly the board's");
    assert!((b.joules(1) - 0.6 * b.joules(0)).abs() < 0.001, "three of five slices in use: {}", b.joules(1));
    assert!(b.unusual.is_empty() && b.warnings().is_empty(), "{:?} {:?}", b.unusual, b.warnings());
}

#[test]
fn a_new_partitioning_closes_the_interval() {
    let gpu = Gpu { mig: Some(Mig::of([Partition::new("MIG-1", 0, 3), Partition::new("MIG-2", 1, 2)])), ..Gpu::new(A, 200.0) };
    let mut b = Bench::new([gpu]);
    b.run_s(10);
    let (one, two) = (b.joules(1), b.joules(2));
    b.change(|s| s.gpus[0].mig = Some(Mig::of([Partition::new("MIG-1", 0, 3), Partition::new("MIG-3", 1, 1)])));
    b.run_s(1);
    assert_eq!(b.unusual, [(1, Outcome::Gap(GapReason::Epoch))]);
    assert!(matches!(b.failure(2), Some(ReadError::Absent { .. })), "it is gone");
    assert!((b.joules(1) - one).abs() < 1e-6, "nobody knows who used that second");
    b.run_s(10);
    assert!((b.joules(1) - one - 0.75 * 2000.0).abs() < 0.01, "three of four slices from then on: {}", b.joules(1));
    assert!((b.joules(2) - two).abs() < 1e-6);
    assert!((b.joules(0) - b.truth_j(A)).abs() <= 20.0, "the board itself goes on: {}", b.joules(0));
    assert!(b.warned("mig_changed")[0].contains("gpu-0"), "{:?}", b.warnings());

    b.change(|s| s.gpus[0].mig.as_mut().unwrap().enabled = false);
    b.run_s(2);
    assert!(matches!(b.failure(1), Some(ReadError::Absent { .. })));
    assert_eq!(b.failure(0), None);
}

#[test]
fn what_a_board_loses_its_partitions_lose() {
    let mut b = Bench::new([Gpu { mig: Some(Mig::of([Partition::new("MIG-1", 0, 7)])), ..Gpu::new(A, 200.0) }]);
    b.run_s(5);
    b.change(|s| s.reload(s.clock_ns()));
    b.run_s(5);
    let reset = Outcome::Reset(ResetReason::Reload);
    assert_eq!(b.unusual, [(0, reset), (1, reset)]);
    // the poll sees the reset within 100 ms, the board's reading a second later
    assert!(b.energy_uj[1].abs_diff(b.energy_uj[0]) <= 200_000_000, "{:?}", b.energy_uj);
    b.change(|s| s.gpus[0].faults = fault("*", Code::GpuIsLost));
    b.run_s(1);
    assert!(b.failure(0).is_some() && b.failure(1).is_some());
}
