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

/// A machine that stands still spoils a figure in real time, but not every time.
const ATTEMPTS: usize = 10;

#[test]
fn the_thread_measures_in_real_time() {
    let (_directory, fake, mut meter) =
        start([Gpu { counter: Some(FakeCounter { update_ms: 20, ..FakeCounter::default() }), ..Gpu::new(A, 250.0) }]);
    let mut attempt = || {
        meter.settle();
        let first = read_one(&mut meter).map_err(|e| e.to_string())?;
        std::thread::sleep(Duration::from_millis(700));
        let asked_ns = boottime_ns();
        meter.settle();
        let last = read_one(&mut meter).map_err(|e| e.to_string())?;
        let script = fake.script().unwrap();
        let truth = |value: &Value| script.truth_mj(A, value.at.boottime_ns).unwrap() * 1e3;
        let (counted, truth_uj) = ((last.shown - first.shown) as f64, truth(&last) - truth(&first));
        // a window ends with a poll of its own; one step of 20 ms at each end, and some time between a call and its stamp
        let fine = last.at.boottime_ns >= asked_ns && (counted - truth_uj).abs() <= 2.0 * 0.06 * 250e6;
        if fine { Ok(()) } else { Err(format!("{first:?} {last:?} {truth_uj}, asked at {asked_ns}")) }
    };
    let problems: Vec<String> = (0..ATTEMPTS).map_while(|_| attempt().err()).collect();
    assert!(problems.len() < ATTEMPTS, "{problems:?}");
}

#[test]
fn a_slow_call_holds_nobody_up() {
    let (_directory, fake, mut meter) = start([Gpu::new(A, 250.0)]);
    while read_one(&mut meter).is_err() {
        meter.settle();
    }
    fake.change(|s| s.delay_ms = 400).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    let mut attempt = || {
        let began = std::time::Instant::now();
        for _ in 0..100 {
            read_one(&mut meter).unwrap();
        }
        began.elapsed()
    };
    let slow: Vec<Duration> = (0..ATTEMPTS).map(|_| attempt()).take_while(|took| *took >= Duration::from_millis(200)).collect();
    assert!(slow.len() < ATTEMPTS, "{slow:?}");
}
