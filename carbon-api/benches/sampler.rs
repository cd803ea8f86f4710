//! CPU time of the measuring thread for each sample, beside a minimal sampler: a thread that wakes on time, reads the same
//! zones, parses and subtracts.
//!
//! Samplers run one after the other in short slices, or each would keep the processor awake and its caches warm for the next.
//! Threads are measured from outside, by their CPU clocks.
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
use carbon_api::stamp::{Clock, Stamp};
use carbon_api::system::SystemClock;
use carbon_api::usage::UsageSource;
use carbon_api::usage::host::HostUsage;
use nix::time::{ClockId as NixClock, clock_gettime as gettime_of};
use rustix::thread::{ClockId as SleepClock, clock_nanosleep_absolute};
use rustix::time::{ClockId, Timespec, clock_gettime};

use measure::{Goals, median, quantile};
use ratio::Ratio;
use wiring::{bank, sampler};
use zones::{Movement, Zones};

#[path = "harness/measure.rs"]
mod measure;
#[path = "harness/ratio.rs"]
mod ratio;
#[path = "harness/wiring.rs"]
mod wiring;
#[path = "harness/zones.rs"]
mod zones;

const SECOND: u64 = 1_000_000_000;
/// Samples a second; rounds; windows of each sampler in a round; length of a window.
const RATES: [(u64, usize, usize, u64); 4] =
    [(1, 3, 4, SECOND), (10, 3, 2, SECOND / 2), (100, 6, 2, SECOND / 5), (1000, 6, 4, SECOND / 2)];

/// Zones that each sampler reads.
const ZONES: usize = 4;

const NAMES: [&str; 3] = ["minimal", "meters alone", "meters and /proc/stat"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut goals = Goals::default();
    println!("  Hz   sampler                   CPU us   ratio (10-90 %)     goal             late us p50, p99   samples, of");
    let mut all = Vec::new();
    for (rate, rounds, windows, window) in RATES {
        let figures = measure(SECOND / rate, rounds, windows, window)?;
        print(rate, &figures, &mut goals);
        all.push((rate, figures));
    }
    println!("\n  Hz   sampler                ticks held %   drift %   late us p99   x minimal   % of a core");
    for (rate, figures) in &all {
        print_held(*rate, figures, &mut goals);
    }
    Ok(goals.exit_code())
}

/// How well each sampler keeps to its times; goals where the rates ask for them.
fn print_held(rate: u64, figures: &[Figures; 3], goals: &mut Goals) {
    let floor = quantile(&figures[0].late_us, 0.99);
    for (place, own) in figures.iter().enumerate().filter(|(_, own)| own.samples > 0) {
        let held = 100.0 * own.samples as f64 / own.expected as f64;
        let late = quantile(&own.late_us, 0.99);
        let core = median(&own.costs) * rate as f64 / 1e4;
        let ratio = if floor > 0.0 { late / floor } else { 1.0 };
        let drift = own.drift.iter().copied().fold(0.0_f64, |worst, d| if d.abs() > worst.abs() { d } else { worst });
        let mut verdicts = Vec::new();
        if place == 1 && rate == 1000 {
            verdicts.push(format!("missing % {}", goals.at_most(100.0 - held, 0.1)));
            verdicts.push(format!("drift % {}", goals.at_most(100.0 * drift.abs(), 0.01)));
            verdicts.push(format!("core % {}", goals.at_most(core, 2.5)));
        }
        if place == 1 && rate == 100 {
            verdicts.push(format!("x minimal {}", goals.at_most(ratio, 3.0)));
        }
        let name = NAMES[place];
        println!(
            "{rate:>4}   {name:<23}{held:>10.2}{:>10.4}{late:>14.0}{ratio:>12.2}{core:>14.2}   {}",
            100.0 * drift,
            verdicts.join(", ")
        );
    }
}

/// What was seen of one sampler.
#[derive(Debug, Default)]
struct Figures {
    /// Microseconds of CPU time for each sample, one figure a window or slice.
    costs: Vec<f64>,
    late_us: Vec<f64>,
    samples: u64,
    expected: u64,
    /// How far the samples of a lane move against the clock, as a part of the time.
    drift: Vec<f64>,
    /// What the sampler itself counted as late.
    late_ticks: u64,
}

fn print(rate: u64, figures: &[Figures; 3], goals: &mut Goals) {
    for (place, (name, own)) in NAMES.iter().zip(figures).enumerate().filter(|(_, (_, own))| own.samples > 0) {
        let ratio = Ratio::of(&own.costs, &figures[0].costs);
        // the goal is for the same work; what the processors did is read on top
        let verdict = if place == 1 { goals.at_most(ratio.of_medians, 1.5) } else { String::new() };
        println!(
            "{rate:>4}   {name:<23}{:>9.1}   {ratio:<17}   {verdict:<16}{:>10.0}{:>9.0}   {}, {} ({} counted late)",
            median(&own.costs),
            median(&own.late_us),
            quantile(&own.late_us, 0.99),
            own.samples,
            own.expected,
            own.late_ticks,
        );
    }
}

/// One sampler at a time, in turns.
fn measure(period: u64, rounds: usize, windows: usize, window: u64) -> Result<[Figures; 3], Box<dyn Error>> {
    let tree = Zones::write(ZONES)?;
    let moving = Background::start(tree.movement()?, period);
    let mut figures: [Figures; 3] = Default::default();
    // once a second is too seldom for a third sampler that only informs
    let samplers = if period >= SECOND { 2 } else { 3 };
    for _ in 0..rounds {
        for (place, figures) in figures.iter_mut().enumerate().take(samplers) {
            let mut look_at = now() + SECOND / 500;
            sleep_until(look_at);
            let mut lane = Lane::start(place, &tree, period)?;
            // past the first sample, which meets everything for the first time, and between two samples
            look_at += (period + period / 2).max(SECOND / 20);
            sleep_until(look_at);
            lane.look()?;
            for _ in 0..windows {
                look_at += window;
                sleep_until(look_at);
                figures.costs.extend(lane.look()?);
            }
            lane.stop(period, figures);
        }
    }
    moving.stop();
    Ok(figures)
}

/// Lets the counters rise while samplers read them: one that stands still would be reported as stalled.
struct Background {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Background {
    fn start(mut movement: Movement, period: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        // often enough for a sampler that wants news every third time, and seldom beside the samples
        let pause = (2 * period).clamp(SECOND / 500, SECOND / 2);
        let run = move || {
            while !told.load(Ordering::Relaxed) {
                let _ = movement.rise(40 * pause / 1000);
                std::thread::sleep(Duration::from_nanos(pause));
            }
        };
        Self { stop, thread: std::thread::spawn(run) }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

/// One sampler on a thread of its own, watched from outside.
struct Lane {
    subject: Subject,
    cpu_clock: NixClock,
    stamps: Stamps,
    last: Option<(u64, u64)>,
}

enum Subject {
    Minimal { count: Arc<AtomicU64>, stop: Arc<AtomicBool>, thread: std::thread::JoinHandle<()> },
    Monitor(Monitor),
}

impl Lane {
    /// Starts the sampler at this place of [`NAMES`].
    fn start(place: usize, tree: &Zones, period: u64) -> Result<Self, Box<dyn Error>> {
        let stamps = Stamps::new();
        let stamped = stamps.clone();
        let usage: Vec<Box<dyn UsageSource>> = match place {
            2 => vec![Box::new(HostUsage::open(Path::new("/proc"), Path::new("/sys/fs/cgroup"))?)],
            _ => Vec::new(),
        };
        let others = threads()?;
        let subject = if place == 0 {
            let (files, count, stop) = (tree.open()?, Arc::default(), Arc::default());
            let (counted, told) = (Arc::clone(&count), Arc::clone(&stop));
            let run = move || sample_minimally(&files, period, &counted, &told, &stamped);
            Subject::Minimal { count, stop, thread: std::thread::Builder::new().name("minimal".into()).spawn(run)? }
        } else {
            let clock = Box::new(StampingClock(stamped));
            Subject::Monitor(Monitor::start(sampler(clock, bank(tree.sysfs())?, usage, Duration::from_nanos(period))?)?)
        };
        let id = threads()?.into_iter().find(|id| !others.contains(id)).ok_or("the sampler's thread is gone")?;
        // the kernel's clock of one thread
        let cpu_clock = NixClock::from_raw((!id << 3) | 6);
        Ok(Self { subject, cpu_clock, stamps, last: None })
    }

    /// What a sample took since the last look, in microseconds of CPU time; nothing at the first look.
    fn look(&mut self) -> Result<Option<f64>, Box<dyn Error>> {
        let time = gettime_of(self.cpu_clock)?;
        let cpu = time.tv_sec().unsigned_abs() * SECOND + time.tv_nsec().unsigned_abs();
        let count = match &self.subject {
            Subject::Minimal { count, .. } => count.load(Ordering::Relaxed),
            Subject::Monitor(monitor) => monitor.cell().load().sequence,
        };
        let Some((cpu_before, count_before)) = self.last.replace((cpu, count)) else {
            self.stamps.with(Vec::clear);
            return Ok(None);
        };
        if count == count_before {
            return Err("a sampler took no sample in a whole period: the machine stalled, try again".into());
        }
        Ok(Some((cpu - cpu_before) as f64 / 1e3 / (count - count_before) as f64))
    }

    /// Ends the sampler, and adds how late it was.
    fn stop(self, period: u64, figures: &mut Figures) {
        match self.subject {
            Subject::Minimal { stop, thread, .. } => {
                stop.store(true, Ordering::Relaxed);
                let _ = thread.join();
            }
            Subject::Monitor(mut monitor) => {
                figures.late_ticks += monitor.cell().load().late_ticks;
                monitor.stop();
            }
        }
        self.stamps.with(|stamps| {
            let (Some(first), Some(last)) = (stamps.first(), stamps.last()) else { return };
            figures.samples += stamps.len() as u64;
            let periods = (last - first + period / 2) / period;
            figures.expected += periods + 1;
            let late = lateness_us(stamps, period);
            let (begin, end) = late.split_at(late.len() / 2);
            if last > first {
                // by how much the usual sample of the second half is later than that of the first, half the time before
                figures.drift.push(2e3 * (median(end) - median(begin)) / (last - first) as f64);
            }
            figures.late_us.extend(late);
        });
    }
}

/// Microseconds of every sample behind its place on the grid, which the earliest of the usual ones sets.
fn lateness_us(stamps: &[u64], period: u64) -> Vec<f64> {
    let first = stamps.first().copied().unwrap_or(0);
    let phases: Vec<f64> = stamps.iter().map(|at| ((at - first + period / 2) % period) as f64).collect();
    let usual = median(&phases);
    // no timer fires early: what lies further before the usual phase is a very late one of the place before
    let near = phases.iter().copied().filter(|phase| (0.0..150_000.0).contains(&(usual - phase)));
    let earliest = near.min_by(f64::total_cmp).unwrap_or(usual);
    phases.iter().map(|phase| (phase - earliest).rem_euclid(period as f64) / 1e3).collect()
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

/// The threads of this process.
fn threads() -> std::io::Result<Vec<i32>> {
    let entries = std::fs::read_dir("/proc/self/task")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * SECOND + now.tv_nsec.unsigned_abs()
}

fn sleep_until(due: u64) {
    let deadline = Timespec { tv_sec: (due / SECOND).cast_signed(), tv_nsec: (due % SECOND).cast_signed() };
    while clock_nanosleep_absolute(SleepClock::Monotonic, &deadline).is_err() {}
}
