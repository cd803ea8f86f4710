//! CPU time of the measuring thread for each sample, beside a minimal sampler: a thread that wakes on time, reads the same
//! zones, parses and subtracts.
//!
//! All lanes run at once at the same rate, a part of a period apart, so that each wakes from the same sleep and none disturbs
//! another. Threads are measured from outside, by their CPU clocks: the median over windows of what a sample took.
#![expect(clippy::print_stdout, reason = "a benchmark talks on the terminal")]

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carbon_api::monitor::Monitor;
use carbon_api::snapshot::SnapshotCell;
use carbon_api::stamp::{Clock, Stamp};
use carbon_api::system::SystemClock;
use carbon_api::usage::UsageSource;
use carbon_api::usage::host::HostUsage;
use nix::time::{ClockId as NixClock, clock_gettime as gettime_of};
use rustix::thread::{ClockId as SleepClock, clock_nanosleep_absolute};
use rustix::time::{ClockId, Timespec, clock_gettime};

use measure::{Goals, median, quantile, ratios};
use wiring::sampler;
use zones::Zones;

#[path = "harness/measure.rs"]
mod measure;
#[path = "harness/wiring.rs"]
mod wiring;
#[path = "harness/zones.rs"]
mod zones;

const SECOND: u64 = 1_000_000_000;
/// Samples a second, and how many seconds of them.
const RATES: [(u64, u64); 4] = [(1, 18), (10, 12), (100, 10), (1000, 10)];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut goals = Goals::default();
    println!("  Hz   sampler                   CPU us   ratio (10-90 %)     goal             late us p50, p99   samples, of");
    for (rate, seconds) in RATES {
        measure(rate, seconds, &mut goals)?;
    }
    Ok(goals.exit_code())
}

fn measure(rate: u64, seconds: u64, goals: &mut Goals) -> Result<(), Box<dyn Error>> {
    let period = SECOND / rate;
    let (mut tree, base) = (Zones::write(3)?, now() + SECOND / 100);
    sleep_until(base);
    let floor = Lane::minimal(tree.open()?, period)?;
    sleep_until(base + period / 3);
    let meters = Lane::monitor("meters alone", &tree, Vec::new(), period)?;
    sleep_until(base + period * 2 / 3);
    let host = HostUsage::open(Path::new("/proc"), Path::new("/sys/fs/cgroup"))?;
    let host = Lane::monitor("meters and /proc/stat", &tree, vec![Box::new(host)], period)?;
    let mut lanes = [floor, meters, host];
    // at a low rate a window is one sample of each lane, looked at while all sleep
    let window = period.max(SECOND / 10);
    let mut look_at = base + period * 5 / 6 + 2 * window;
    let until = look_at + seconds * SECOND;
    while look_at <= until {
        sleep_until(look_at);
        lanes.iter_mut().try_for_each(Lane::look)?;
        if rate < 100 {
            tree.advance()?;
        }
        look_at += window;
    }
    for lane in &lanes {
        let ratios = ratios(&lane.costs, &lanes[0].costs);
        let ratio = median(&ratios);
        let span = format!("{ratio:.2} ({:.2}-{:.2})", quantile(&ratios, 0.1), quantile(&ratios, 0.9));
        let verdict = if lane.name == "meters alone" { goals.at_most(ratio, 1.5) } else { String::new() };
        let late = lane.lateness_us(period);
        println!(
            "{rate:>4}   {:<23}{:>9.1}   {span:<17}   {verdict:<16}{:>10.0}{:>9.0}   {}, {} ({} counted late)",
            lane.name,
            median(&lane.costs),
            median(&late),
            quantile(&late, 0.99),
            lane.samples,
            lane.expected(period),
            lane.late_ticks(),
        );
    }
    for lane in lanes {
        lane.stop();
    }
    Ok(())
}

/// One sampler on a thread of its own, watched from outside.
struct Lane {
    name: &'static str,
    subject: Subject,
    cpu_clock: NixClock,
    stamps: Stamps,
    last: Option<(u64, u64)>,
    /// Microseconds of CPU time for each sample of a window.
    costs: Vec<f64>,
    samples: u64,
}

enum Subject {
    Minimal { count: Arc<AtomicU64>, stop: Arc<AtomicBool>, thread: std::thread::JoinHandle<()> },
    Monitor { monitor: Monitor, cell: Arc<SnapshotCell> },
}

impl Lane {
    fn minimal(files: Vec<File>, period: u64) -> Result<Self, Box<dyn Error>> {
        let (count, stop, stamps) = (Arc::default(), Arc::default(), Stamps::new());
        let (counted, told, stamped) = (Arc::clone(&count), Arc::clone(&stop), stamps.clone());
        let run = move || sample_minimally(&files, period, &counted, &told, &stamped);
        let thread = std::thread::Builder::new().name("minimal".into()).spawn(run)?;
        Self::watch("minimal", "minimal", Subject::Minimal { count, stop, thread }, stamps)
    }

    fn monitor(name: &'static str, tree: &Zones, usage: Vec<Box<dyn UsageSource>>, period: u64) -> Result<Self, Box<dyn Error>> {
        let stamps = Stamps::new();
        let clock = Box::new(StampingClock(stamps.clone()));
        let sampler = sampler(clock, tree.bank()?, usage, Duration::from_nanos(period))?;
        let monitor = Monitor::start(sampler)?;
        let cell = monitor.cell();
        Self::watch(name, "monitor", Subject::Monitor { monitor, cell }, stamps)
    }

    fn watch(name: &'static str, thread: &str, subject: Subject, stamps: Stamps) -> Result<Self, Box<dyn Error>> {
        let id = newest_thread(thread)?;
        // the kernel's clock of one thread
        let cpu_clock = NixClock::from_raw((!id << 3) | 6);
        Ok(Self { name, subject, cpu_clock, stamps, last: None, costs: Vec::new(), samples: 0 })
    }

    /// Notes what a sample took since the last look.
    fn look(&mut self) -> Result<(), Box<dyn Error>> {
        let time = gettime_of(self.cpu_clock)?;
        let cpu = time.tv_sec().unsigned_abs() * SECOND + time.tv_nsec().unsigned_abs();
        let count = match &self.subject {
            Subject::Minimal { count, .. } => count.load(Ordering::Relaxed),
            Subject::Monitor { cell, .. } => cell.load().sequence,
        };
        match self.last.replace((cpu, count)) {
            None => self.stamps.clear(),
            Some((_, last)) if last == count => {}
            Some((cpu_before, last)) => {
                self.costs.push((cpu - cpu_before) as f64 / 1e3 / (count - last) as f64);
                self.samples += count - last;
            }
        }
        Ok(())
    }

    /// How many samples the time between the first and the last one has room for.
    fn expected(&self, period: u64) -> u64 {
        self.stamps.with(|stamps| match (stamps.first(), stamps.last()) {
            (Some(first), Some(last)) => (last - first + period / 2) / period + 1,
            _ => 0,
        })
    }

    /// Microseconds of every sample behind its place on the grid, which the earliest one of all sets.
    fn lateness_us(&self, period: u64) -> Vec<f64> {
        self.stamps.with(|stamps| {
            let Some(&first) = stamps.first() else { return Vec::new() };
            let place = |at: u64| (at - first + period / 2) / period;
            let behind: Vec<i64> =
                stamps.iter().map(|&at| (at - first).cast_signed() - (place(at) * period).cast_signed()).collect();
            let earliest = behind.iter().copied().min().unwrap_or(0);
            behind.iter().map(|b| (b - earliest) as f64 / 1e3).collect()
        })
    }

    fn late_ticks(&self) -> u64 {
        match &self.subject {
            Subject::Minimal { .. } => 0,
            Subject::Monitor { cell, .. } => cell.load().late_ticks,
        }
    }

    fn stop(self) {
        match self.subject {
            Subject::Minimal { stop, thread, .. } => {
                stop.store(true, Ordering::Relaxed);
                let _ = thread.join();
            }
            Subject::Monitor { mut monitor, .. } => monitor.stop(),
        }
    }
}

/// The floor: wakes on an absolute deadline, reads every zone, parses, and keeps the sum of what they rose by.
fn sample_minimally(files: &[File], period: u64, count: &AtomicU64, stop: &AtomicBool, stamps: &Stamps) {
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    let (mut last, mut total) = ([0_u64; 8], [0_u64; 8]);
    let mut due = now();
    while !stop.load(Ordering::Relaxed) {
        for (i, file) in files.iter().enumerate() {
            let mut text = [0_u8; 64];
            let length = file.read_at(&mut text, 0).unwrap_or(0);
            let digits = text[..length].iter().take_while(|b| b.is_ascii_digit());
            let shown = digits.fold(0, |value, b| value * 10 + u64::from(b - b'0'));
            total[i] += shown.wrapping_sub(last[i]);
            last[i] = shown;
        }
        stamps.push();
        count.fetch_add(1, Ordering::Relaxed);
        due += period;
        sleep_until(due);
    }
    std::hint::black_box(total);
}

/// The instants of samples, on the monotonic clock.
#[derive(Clone)]
struct Stamps(Arc<Mutex<Vec<u64>>>);

impl Stamps {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::with_capacity(32_768))))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Vec<u64>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self) {
        let at = now();
        self.with(|stamps| stamps.push(at));
    }

    fn clear(&self) {
        self.with(Vec::clear);
    }
}

/// The system's clocks; notes when the wall clock is asked for, which the loop does once a tick, right after the meters.
struct StampingClock(Stamps);

impl Clock for StampingClock {
    fn stamp(&self) -> Stamp {
        SystemClock.stamp()
    }

    fn utc(&self) -> jiff::Timestamp {
        self.0.push();
        SystemClock.utc()
    }
}

fn newest_thread(name: &str) -> Result<i32, Box<dyn Error>> {
    // a thread gives itself its name
    for _ in 0..1000 {
        let mut newest = None;
        for entry in std::fs::read_dir("/proc/self/task")? {
            let entry = entry?;
            let comm = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            if comm.trim_end() == name {
                newest = newest.max(entry.file_name().to_str().and_then(|id| id.parse().ok()));
            }
        }
        if let Some(id) = newest {
            return Ok(id);
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Err(format!("no thread is named {name}").into())
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * SECOND + now.tv_nsec.unsigned_abs()
}

fn sleep_until(due: u64) {
    let deadline = Timespec { tv_sec: (due / SECOND).cast_signed(), tv_nsec: (due % SECOND).cast_signed() };
    while clock_nanosleep_absolute(SleepClock::Monotonic, &deadline).is_err() {}
}
