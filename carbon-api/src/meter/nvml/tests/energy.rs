//! What energy is read from, and that it is right.

use super::*;

#[test]
fn constant_power_is_within_the_stated_bound() {
    let counter = FakeCounter { start_mj: 1_000_000_000, ..FakeCounter::default() };
    let without = Gpu { architecture: Architecture::Pascal, ..Gpu::new("GPU-b", 180.0).without_counter() };
    let mut b = Bench::new([Gpu { counter: Some(counter), ..Gpu::new(A, 250.0) }, without]);
    b.run_s(60);
    for (i, uuid, watts) in [(0, A, 250.0), (1, "GPU-b", 180.0)] {
        let off = (b.joules(i) - b.truth_j(uuid)).abs();
        assert!(
            off <= b.bank.uncertainty_j(i, b.joules(i), watts) && off <= 0.1 * watts,
            "{uuid}: {off} J of {}",
            b.truth_j(uuid)
        );
    }
    assert!(b.unusual.is_empty(), "what stood in the counter is no energy: {:?}", b.unusual);
}

#[test]
fn the_counter_beats_integration() {
    // a counter that shows another figure than power does, so that it is seen which one was used
    let counting = Gpu { counter: Some(FakeCounter { scale: 0.9, ..FakeCounter::default() }), ..Gpu::new(A, 300.0) };
    let mut b = Bench::new([counting, Gpu::new("GPU-b", 300.0).without_counter()]);
    assert_eq!(b.bank.domain_list().iter().map(|d| d.integrated).collect::<Vec<_>>(), [false, true]);
    b.run_s(20);
    assert!((b.joules(0) - 0.9 * 6000.0).abs() < 0.5, "{}", b.joules(0));
    assert!((b.joules(1) - 6000.0).abs() < 0.5, "{}", b.joules(1));

    b.poll_after_ms(300);
    b.read();
    assert!(b.unusual.is_empty(), "three periods are bridged");
    b.poll_after_ms(301);
    b.read();
    assert_eq!(b.unusual, [(1, Outcome::Gap(GapReason::FailedRead))], "more are not, unless by a counter");
    let before = b.joules(1);
    b.run_s(1);
    assert!((b.joules(1) - before - 300.0).abs() < 0.5);
    assert!((b.joules(0) - 0.9 * b.truth_j(A)).abs() <= 30.0, "{} of {}", b.joules(0), b.truth_j(A));
}

#[test]
fn no_energy_counter_is_said() {
    let pascal = Gpu { name: "GTX 1080".into(), architecture: Architecture::Pascal, ..Gpu::new(A, 180.0).without_counter() };
    let mut b = Bench::new([pascal, Gpu::new("GPU-b", 100.0)]);
    let detail = &b.report.detail;
    assert!(detail.contains("gpu-0 GTX 1080 (GPU-a): this GPU has no energy counter, power is integrated"), "{detail}");
    assert!(detail.contains("gpu-1 Fake H100 80GB HBM3 (GPU-b): energy counter"), "{detail}");
    assert!(b.report.domains[0].integrated && !b.report.domains[1].integrated);
    let warnings = b.warned("nvml_integrated");
    assert!(warnings.len() == 1 && warnings[0].contains("gpu-0") && warnings[0].contains("25 %"), "{warnings:?}");
    b.run_s(10);
    assert!((b.joules(0) - 1800.0).abs() < 1.0, "not 0: {}", b.joules(0));

    let (fake, _directory) = install([Gpu { power: None, ..Gpu::new(A, 180.0).without_counter() }], &[]);
    let (meter, report) = NvmlMeter::discover(Path::new("/nowhere"), &options(&fake));
    assert!(meter.is_none() && report.domains.is_empty(), "absent rather than 0 W");
    assert_eq!(report.status, Status::Absent);
    assert!(report.detail.contains("gpu-0: the requested operation is not available"), "{}", report.detail);
}

#[test]
fn the_best_reading_of_power_is_taken() {
    let instant = Field::new(Field::POWER_INSTANT, 0, ValueType::U64);
    let mean = Field::new(Field::POWER_AVERAGE, 0, ValueType::Double);
    let (fake, _directory) =
        install([Gpu { fields: vec![mean, instant], ..Gpu::new(A, Watts::Steps(vec![(-1.0, 100.0), (-0.5, 300.0)])) }], &[]);
    let nvml = Nvml::builder().lib_path(fake.library().as_os_str()).init().unwrap();
    let device = nvml.device_by_index(0).unwrap();
    let first = || power::Sensor::first(&device, &power::Sensor::OF_GPU).map(|s| (s, s.microwatts(&device).unwrap() / 1_000_000));
    let field = |id| power::Sensor::Field { id, scope: 0 };
    assert_eq!(first(), Some((field(186), 300)));
    fake.change(|s| s.gpus[0].fields[1].fault = Some(Code::NotSupported)).unwrap();
    assert_eq!(first(), Some((field(185), 200)));
    fake.change(|s| s.gpus[0].fields[0].value = ValueType::I32).unwrap();
    assert_eq!(first(), Some((power::Sensor::Usage, 300)), "a type that nobody knows");
    fake.change(|s| s.gpus[0].power = None).unwrap();
    assert_eq!(first(), None);
}

#[test]
fn a_module_is_called_a_module_and_holds_its_processors() {
    let module = vec![Field::new(Field::POWER_AVERAGE, 1, ValueType::U32)];
    let blind =
        Gpu { power: None, fields: module.clone(), module_watts: Some(900.0.into()), ..Gpu::new(A, 500.0).without_counter() };
    let seeing = Gpu { fields: module, module_watts: Some(700.0.into()), ..Gpu::new("GPU-b", 400.0) };
    let mut b = Bench::new([blind, seeing]);
    let domains = b.bank.domain_list();
    assert_eq!(
        domains.iter().map(|d| (&*d.name, d.kind)).collect::<Vec<_>>(),
        [("module-0", DomainKind::Module), ("gpu-1", DomainKind::Gpu)]
    );
    assert!(!domains[0].on_module && domains[1].on_module, "a sensor of the module would hold the second one");
    assert!(b.report.detail.contains("power of its module is integrated, processors included"), "{}", b.report.detail);
    b.run_s(10);
    assert!((b.joules(0) - 9000.0).abs() < 1.0, "{}", b.joules(0));
    assert!((b.joules(1) - 4000.0).abs() <= 40.0, "its own counter: {}", b.joules(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_happens_no_joule_is_made(events in prop::collection::vec((0_u8..8, 0_usize..2, 1_u64..4), 1..12)) {
        let gpu = |uuid, counter: bool| {
            let gpu = Gpu { power: Some(Sensor::INSTANT), ..Gpu::new(uuid, 100.0) };
            if counter { gpu } else { gpu.without_counter() }
        };
        let mut b = Bench::new([gpu(A, true), gpu("GPU-b", false)]);
        for (event, gpu, seconds) in events {
            let now_ns = b.clock.stamp().boottime_ns;
            match event {
                0 => b.change(|s| s.reload(now_ns)),
                1 => b.change(|s| { s.driver.after_reload = AfterReload::Kept; s.reload(now_ns); }),
                2 => b.change(|s| s.gpus[gpu].faults = fault("*", Code::GpuIsLost)),
                3 => b.change(|s| s.gpus[gpu].faults = fault("*", Code::Unknown)),
                4 => b.change(|s| s.gpus[gpu].faults.clear()),
                5 => b.change(|s| { let uuid = s.gpus[gpu].uuid.clone(); s.step(&uuid, now_ns, 400.0); }),
                6 => b.skip_ms(40_000),
                _ => b.change(|s| s.gpus.reverse()),
            }
            b.run_s(seconds);
        }
        for (i, uuid) in [A, "GPU-b"].into_iter().enumerate() {
            // a step of the counter, and a trapezoid over a change of power, may come early by 100 ms
            prop_assert!(b.joules(i) <= b.truth_j(uuid) + 60.0 , "{uuid}: {} of {}", b.joules(i), b.truth_j(uuid));
        }
        drop(b.directory);
    }
}

/// What other programs get wrong about GPUs.
mod peers {
    use super::*;

    /// One window of five seconds gave 187 J by the counter and 327 J by power added up, and nothing was said.
    #[test]
    fn zeus_181() {
        let wrong = Gpu { counter: Some(FakeCounter { scale: 187.0 / 327.0, ..FakeCounter::default() }), ..Gpu::new(A, 65.4) };
        let mut b = Bench::new([wrong, Gpu::new("GPU-b", 65.4)]);
        b.run_s(4);
        assert!(b.warned("nvml_disagrees").is_empty(), "not before five seconds");
        b.run_s(2);
        let warnings = b.warned("nvml_disagrees");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("gpu-0") && warnings[0].contains("187 J") && warnings[0].contains("327 J"), "{warnings:?}");
        b.run_s(4);
        assert!((b.joules(0) - 374.0).abs() < 4.0, "the counter is kept: {}", b.joules(0));
    }

    /// A GPU older than Volta has no energy counter and was booked with 0 kWh, in silence.
    #[test]
    fn codecarbon_1316() {
        let pascal = Gpu { name: "P100".into(), architecture: Architecture::Pascal, ..Gpu::new(A, 120.0).without_counter() };
        let mut b = Bench::new([pascal]);
        b.run_s(30);
        assert!((b.joules(0) - 3600.0).abs() < 1.0, "{} J of 3600 J", b.joules(0));
        assert!(b.report.domains[0].integrated && !b.warned("nvml_integrated").is_empty(), "it says how it knows");
    }
}
