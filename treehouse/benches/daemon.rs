//! The daemon as people run it: resident memory, CPU time, time to the first reading, size.
//!
//! `cargo xtask bench daemon` builds the release program first and names it in `TREEHOUSE_BENCH_PROGRAM`; a lean build to be
//! weighed beside it is named in `TREEHOUSE_BENCH_LEAN`. The floor of the CPU time is taken at the same time, by a thread that
//! wakes once a second, lists `/proc`, asks the CPU clock of every process and reads three counters.
#![expect(clippy::print_stdout, reason = "a benchmark talks on the terminal")]

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::thread::{ClockId, clock_nanosleep_absolute};

use cpu::thread_cpu_ns;
use measure::{Goals, median, quantile};
use processes::{Processes, cpu_ns};
use sleepers::Sleepers;
use zones::Zones;

#[path = "../../carbon-api/benches/harness/cpu.rs"]
mod cpu;
#[path = "../../carbon-api/benches/harness/measure.rs"]
mod measure;
#[path = "../../carbon-api/benches/harness/processes.rs"]
mod processes;
#[path = "../../carbon-api/benches/harness/sleepers.rs"]
mod sleepers;
#[path = "../../carbon-api/benches/harness/zones.rs"]
mod zones;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Starts of which the first reading is timed.
const STARTS: usize = 15;
/// Seconds over which CPU time is taken.
const WINDOW: Duration = Duration::from_secs(30);

fn main() -> Result<ExitCode> {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_treehouse"));
    let program = std::env::var_os("TREEHOUSE_BENCH_PROGRAM").map_or_else(built, PathBuf::from);
    let zones = Zones::write(3)?;
    let mut movement = zones.movement()?;
    // counters rise as those of a machine of 40 W do, or nothing would be shared out and every zone would count as stalled
    let moving = Background::start(Duration::from_millis(200), move || movement.rise(8_000_000).map_or(0, |()| 0));
    let mut goals = Goals::default();
    sizes(&program, &mut goals)?;
    first_reading(&program, &zones, &mut goals)?;
    steady(&program, &zones, 0, 10.0, None, &mut goals)?;
    // with the daemon it makes a hundred
    let asleep = 99_usize.saturating_sub(Processes::open()?.read()?.0);
    steady(&program, &zones, asleep, 20.0, Some(0.05), &mut goals)?;
    steady(&program, &zones, 2000, 20.0, None, &mut goals)?;
    moving.stop();
    Ok(goals.exit_code())
}

fn sizes(program: &Path, goals: &mut Goals) -> Result<()> {
    let size = |p: &Path| fs::metadata(p).map(|m| m.len() as f64 / 1e6);
    let full = size(program)?;
    println!("size, everything in it (OTLP over gRPC and HTTP)      {full:.2} MB   {}", goals.at_most(full, 12.0));
    if let Some(lean) = std::env::var_os("TREEHOUSE_BENCH_LEAN") {
        let lean = size(Path::new(&lean))?;
        println!("size, lean (no OTLP)                                  {lean:.2} MB   {}", goals.at_most(lean, 8.0));
    } else {
        println!("size, lean (no OTLP)                                  not taken: name the program in TREEHOUSE_BENCH_LEAN");
    }
    Ok(())
}

/// From just before the spawn to the first reading of the meters, which is where the daemon counts from.
fn first_reading(program: &Path, zones: &Zones, goals: &mut Goals) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let spawned = Timestamp::now();
        let daemon = Daemon::start(program, zones.sysfs())?;
        let energy: serde_json::Value = serde_json::from_str(&daemon.get("/v1/energy")?)?;
        let since: Timestamp = energy["since"].as_str().ok_or("no `since`")?.parse()?;
        times.push(since.duration_since(spawned).as_secs_f64() * 1e3);
    }
    let ms = median(&times);
    let (low, high) = (quantile(&times, 0.1), quantile(&times, 0.9));
    println!(
        "first reading after exec                              {ms:.1} ms ({low:.1}-{high:.1})   {}",
        goals.at_most(ms, 30.0)
    );
    Ok(())
}

/// Memory and CPU time beside `sleepers` processes that do nothing.
fn steady(program: &Path, zones: &Zones, sleepers: usize, memory_mib: f64, share: Option<f64>, goals: &mut Goals) -> Result<()> {
    let mut asleep = Sleepers::default();
    asleep.grow_to(sleepers)?;
    let daemon = Daemon::start(program, zones.sysfs())?;
    // half a second from the daemon's own ticks, or each would find warm what the other has just used
    thread::sleep(Duration::from_millis(5500).saturating_sub(daemon.spawned.elapsed()));
    let (files, mut all) = (zones.open()?, Processes::open()?);
    let there = all.read()?.0;
    let floor = Background::start(Duration::from_secs(1), move || {
        let mut text = [0_u8; 64];
        let bytes: usize = files.iter().map(|file| file.read_at(&mut text, 0).unwrap_or(0)).sum();
        bytes as u64 + all.read().map_or(0, |(_, ns)| ns)
    });
    let before = daemon.cpu_ns()?;
    thread::sleep(WINDOW);
    let percent = |ns: u64| ns as f64 / WINDOW.as_nanos() as f64 * 100.0;
    let (used, floor) = (percent(daemon.cpu_ns()? - before), percent(floor.stop()));
    let (memory, private) = daemon.memory_mib()?;
    println!("{there} processes, of them {sleepers} asleep for this");
    println!("    resident memory    {memory:.1} MiB, of it {private:.1} anonymous   {}", goals.at_most(memory, memory_mib));
    let verdict = share.map_or_else(String::new, |goal| goals.at_most(used, goal));
    println!("    CPU at 1 Hz        {used:.4} % of a core; the floor beside it {floor:.4} %: {:.2} x   {verdict}", used / floor);
    println!("    descriptors        {}", fs::read_dir(format!("/proc/{}/fd", daemon.child.id()))?.count());
    Ok(())
}

/// A daemon on a free port; ended by its process id.
struct Daemon {
    child: Child,
    spawned: Instant,
    address: String,
    state: tempfile::TempDir,
}

impl Daemon {
    /// Starts it and waits for its first closed interval.
    fn start(program: &Path, sysfs: &Path) -> Result<Self> {
        let state = tempfile::tempdir()?;
        let spawned = Instant::now();
        let child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--intensity", "100", "--sysfs"])
            .arg(sysfs)
            .arg("--state")
            .arg(state.path())
            .stderr(Stdio::null())
            .spawn()?;
        let mut daemon = Self { child, spawned, address: String::new(), state };
        for _ in 0..500 {
            thread::sleep(Duration::from_millis(20));
            if daemon.address.is_empty() {
                daemon.address = daemon.told_address().unwrap_or_default();
            } else if daemon.get("/readyz")? == "ready\n" {
                return Ok(daemon);
            }
        }
        Err("the daemon did not start".into())
    }

    /// Where it listens, once it has told.
    fn told_address(&self) -> Option<String> {
        let text = fs::read_to_string(self.state.path().join("daemon.json")).ok()?;
        let told: serde_json::Value = serde_json::from_str(&text).ok()?;
        told["address"].as_str().map(str::to_owned)
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
    }

    /// CPU time of all its threads.
    fn cpu_ns(&self) -> Result<u64> {
        cpu_ns(i32::try_from(self.child.id())?).ok_or_else(|| "the daemon is gone".into())
    }

    /// Resident memory, and the part of it that no file backs.
    fn memory_mib(&self) -> Result<(f64, f64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib / 1024.0)
        };
        Ok((of("VmRSS:").ok_or("no VmRSS")?, of("RssAnon:").ok_or("no RssAnon")?))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does something at regular instants, on a thread whose CPU time is known.
struct Background {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Background {
    fn start(period: Duration, mut work: impl FnMut() -> u64 + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let step = rustix::time::Timespec::try_from(period).unwrap_or_default();
            let mut due = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            while !told.load(Ordering::Relaxed) {
                std::hint::black_box(work());
                due += step;
                let _ = clock_nanosleep_absolute(ClockId::Monotonic, &due);
            }
            thread_cpu_ns()
        });
        Self { stop, thread }
    }

    /// Ends it after its next instant, and returns all the CPU time that it took, in nanoseconds.
    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or(0)
    }
}
