//! One sample of the host (read, parse, unwrap, stamp) beside as many bare `pread`s of the same files, and what it allocates.
//!
//! Ratios are medians over rounds taken in turns, in CPU time of the thread. `--reads N` and `--ticks N` only do that many
//! reads or ticks and end, for counting instructions (see BENCHMARKS.md).
#![expect(clippy::print_stdout, reason = "a benchmark talks on the terminal")]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use carbon_api::system::SystemClock;
use carbon_api::usage::UsageSource;
use carbon_api::usage::host::HostUsage;
use carbon_api::usage::placement::GroupRows;
use carbon_api::usage::process::ProcessUsage;

use allocations::{Counting, allocations};
use cpu::thread_cpu_ns;
use measure::{Goals, median};
use ratio::Ratio;
use sleepers::Sleepers;
use wiring::{bank, sampler};
use zones::Zones;

#[path = "harness/allocations.rs"]
mod allocations;
#[path = "harness/cpu.rs"]
mod cpu;
#[path = "harness/measure.rs"]
mod measure;
#[path = "harness/ratio.rs"]
mod ratio;
#[path = "harness/sleepers.rs"]
mod sleepers;
#[path = "harness/wiring.rs"]
mod wiring;
#[path = "harness/zones.rs"]
mod zones;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 101;
const READS: usize = 1000;
/// A whole cycle of the second looks at processes, twice.
const TICKS: usize = 240;
const PROCESSES: usize = 100;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.windows(2) {
        match (pair[0].as_str(), pair[1].parse()) {
            ("--reads", Ok(reads)) => return only_read(reads),
            ("--ticks", Ok(ticks)) => return only_tick(ticks),
            _ => {}
        }
    }
    let mut goals = Goals::default();
    println!("zones   sample ns   preads ns   ratio (10-90 %)      goal              allocations in {READS} samples");
    for zones in [3, 8] {
        sample(zones, &mut goals)?;
    }
    println!("\nwhole tick                          allocations: median, mean   CPU us");
    tick("meters alone", Vec::new())?;
    tick("meters and /proc/stat", vec![Box::new(host()?)])?;
    let mut sleepers = Sleepers::default();
    sleepers.grow_to(PROCESSES)?;
    tick("the same and every process", vec![Box::new(host()?), Box::new(processes()?)])?;
    Ok(goals.exit_code())
}

fn sample(zones: usize, goals: &mut Goals) -> Result<(), Box<dyn Error>> {
    let tree = Zones::write(zones)?;
    let mut movement = tree.movement()?;
    let (mut meters, files, mut buffer) = (bank(tree.sysfs())?, tree.open()?, [0_u8; 64]);
    let (mut subject, mut floor, mut asked) = (Vec::new(), Vec::new(), 0);
    // the first round is for warming up
    for round in 0..=ROUNDS {
        movement.rise(4_000_000)?;
        let begun = thread_cpu_ns();
        for _ in 0..READS {
            black_box(read_bare(&files, &mut buffer)?);
        }
        let turned = thread_cpu_ns();
        let before = allocations();
        for _ in 0..READS {
            black_box(meters.read(&SystemClock));
        }
        let ended = thread_cpu_ns();
        if round > 0 {
            asked += allocations() - before;
            floor.push((turned - begun) as f64 / READS as f64);
            subject.push((ended - turned) as f64 / READS as f64);
        }
    }
    let ratio = Ratio::of(&subject, &floor);
    let (verdict, none) = (goals.at_most(ratio.of_medians, 1.3), goals.at_most(asked as f64, 0.0));
    let mean = asked as f64 / ROUNDS as f64;
    println!("{zones:>5}{:>12.0}{:>12.0}   {ratio:<19}  {verdict:<18}  {mean} ({none})", median(&subject), median(&floor));
    Ok(())
}

/// The floor: one bare `pread` of every file.
fn read_bare(files: &[File], buffer: &mut [u8; 64]) -> std::io::Result<usize> {
    files.iter().try_fold(0, |bytes, file| Ok(bytes + file.read_at(buffer, 0)?))
}

fn tick(what: &str, usage: Vec<Box<dyn UsageSource>>) -> Result<(), Box<dyn Error>> {
    let tree = Zones::write(3)?;
    let mut movement = tree.movement()?;
    let mut sampler = sampler(Box::new(SystemClock), bank(tree.sysfs())?, usage, Duration::from_secs(1))?;
    let (mut asked, mut cpu) = (Vec::new(), Vec::new());
    for round in 0..TICKS + 10 {
        movement.rise(4_000_000)?;
        let (before, begun) = (allocations(), thread_cpu_ns());
        sampler.tick();
        let ended = thread_cpu_ns();
        // the first ticks learn who is there
        if round >= 10 {
            asked.push((allocations() - before) as f64);
            cpu.push((ended - begun) as f64 / 1e3);
        }
    }
    let mean = asked.iter().sum::<f64>() / asked.len() as f64;
    println!("{what:<36}{:>19.0}, {mean:<5.1}{:>8.1}", median(&asked), median(&cpu));
    Ok(())
}

fn only_read(reads: usize) -> Result<ExitCode, Box<dyn Error>> {
    let tree = Zones::write(3)?;
    let mut meters = bank(tree.sysfs())?;
    for _ in 0..reads {
        black_box(meters.read(&SystemClock));
    }
    Ok(ExitCode::SUCCESS)
}

fn only_tick(ticks: usize) -> Result<ExitCode, Box<dyn Error>> {
    let tree = Zones::write(3)?;
    let mut sampler = sampler(Box::new(SystemClock), bank(tree.sysfs())?, Vec::new(), Duration::from_secs(1))?;
    for _ in 0..ticks {
        sampler.tick();
    }
    Ok(ExitCode::SUCCESS)
}

fn host() -> Result<HostUsage, Box<dyn Error>> {
    Ok(HostUsage::open(Path::new("/proc"), Path::new("/sys/fs/cgroup"))?)
}

/// Every process a row of its own.
fn processes() -> Result<ProcessUsage, Box<dyn Error>> {
    Ok(ProcessUsage::open(Path::new("/proc"), GroupRows::default())?)
}
