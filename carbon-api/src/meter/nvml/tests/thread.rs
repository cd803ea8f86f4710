//! The meter with its thread, in real time.

use super::*;

fn start(gpus: impl IntoIterator<Item = Gpu>) -> (TempDir, Fake, NvmlMeter) {
    let (fake, directory) = install(gpus, &[]);
    fake.change(|s| s.now_ns = None).unwrap();
    let (meter, _) = NvmlMeter::discover(Path::new("/nowhere"), &options(&fake));
    (directory, fake, meter.unwrap())
}

fn read_one(meter: &mut NvmlMeter) -> Result<Value, ReadError> {
    let mut values = vec![Err(ReadError::Absent { path: "x".into(), errno: None }); meter.domains().len()];
    meter.read(&SystemClock, &mut values);
    values.swap_remove(0)
}

#[test]
fn the_thread_measures_in_real_time() {
    let (_directory, fake, mut meter) =
        start([Gpu { counter: Some(FakeCounter { update_ms: 20, ..FakeCounter::default() }), ..Gpu::new(A, 250.0) }]);
    meter.settle();
    let first = read_one(&mut meter).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let asked_ns = boottime_ns();
    meter.settle();
    let last = read_one(&mut meter).unwrap();
    assert!(last.at.boottime_ns >= asked_ns, "a window ends with a poll of its own");
    let script = fake.script().unwrap();
    let truth_uj = (script.truth_mj(A, last.at.boottime_ns).unwrap() - script.truth_mj(A, first.at.boottime_ns).unwrap()) * 1e3;
    // one step of 20 ms at each end, and on a busy machine some time between a call and its stamp
    assert!(((last.shown - first.shown) as f64 - truth_uj).abs() <= 2.0 * 0.06 * 250e6, "{first:?} {last:?} {truth_uj}");
}

#[test]
fn a_slow_call_holds_nobody_up() {
    let (_directory, fake, mut meter) = start([Gpu::new(A, 250.0)]);
    fake.change(|s| s.delay_ms = 400).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    let began = std::time::Instant::now();
    for _ in 0..100 {
        read_one(&mut meter).unwrap();
    }
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
}
