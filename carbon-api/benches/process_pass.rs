//! One look at every process beside the least that it can cost: the list of `/proc`, and one CPU clock a process.
//!
//! Passes and floors are taken in turns, in CPU time of the thread, in blocks of 120: a process is looked at more closely once
//! in 120 passes, so every block holds the same amount of that.
#![expect(clippy::print_stdout, reason = "a benchmark talks on the terminal")]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;

use carbon_api::system::SystemClock;
use carbon_api::usage::placement::GroupRows;
use carbon_api::usage::process::{ProcessUsage, Reader};
use carbon_api::usage::{Consumers, UsagePass, UsageSource};

use cpu::thread_cpu_ns;
use measure::{Goals, median};
use processes::Processes;
use ratio::Ratio;
use sleepers::Sleepers;

#[path = "harness/cpu.rs"]
mod cpu;
#[path = "harness/measure.rs"]
mod measure;
#[path = "harness/processes.rs"]
mod processes;
#[path = "harness/ratio.rs"]
mod ratio;
#[path = "harness/sleepers.rs"]
mod sleepers;

const BLOCKS: usize = 7;
const PASSES: usize = 120;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut goals = Goals::default();
    let mut sleepers = Sleepers::default();
    println!(
        "sleepers   processes   pass us (each)     floor us (each)    ratio (10-90 %)     goal           descriptors, of them new"
    );
    for number in [100, 400, 2_000] {
        sleepers.grow_to(number)?;
        measure(number, &mut goals)?;
    }
    Ok(goals.exit_code())
}

fn measure(number: usize, goals: &mut Goals) -> Result<(), Box<dyn Error>> {
    let descriptors_before = descriptors()?;
    let mut floor = Processes::open()?;
    let opened = ProcessUsage::open(Path::new("/proc"), GroupRows::default())?;
    if opened.reader() != Reader::Clock {
        return Err("/proc is not the procfs of this benchmark's own processes".into());
    }
    let mut source: Box<dyn UsageSource> = Box::new(opened);
    let (mut consumers, mut pass) = (Consumers::default(), UsagePass::default());
    let mut look = |pass: &mut UsagePass| {
        pass.clear();
        source.read(&SystemClock, &mut consumers, pass);
    };
    // the first passes learn who everybody is
    for _ in 0..3 {
        look(&mut pass);
        floor.read()?;
    }
    let (mut passes, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        let (mut by_pass, mut by_floor) = (0, 0);
        for _ in 0..PASSES {
            let begun = thread_cpu_ns();
            black_box(floor.read()?);
            let turned = thread_cpu_ns();
            look(&mut pass);
            by_pass += thread_cpu_ns() - turned;
            by_floor += turned - begun;
            black_box(&pass);
        }
        passes.push(by_pass as f64 / PASSES as f64 / 1e3);
        floors.push(by_floor as f64 / PASSES as f64 / 1e3);
    }
    let all = pass.rows.len();
    let descriptors = descriptors()?;
    let new = descriptors.saturating_sub(descriptors_before);
    let ratio = Ratio::of(&passes, &floors);
    let each = |us: f64| format!("{us:.0} ({:.2})", us / all as f64);
    let verdict = goals.at_most(ratio.of_medians, 2.0);
    // two of /proc: the subject's and the floor's
    let few = goals.at_most(new as f64, 2.0);
    println!(
        "{number:>8}{all:>12}   {:<16}   {:<16}   {ratio:<17}   {verdict:<13}   {descriptors}, {new} ({few})",
        each(median(&passes)),
        each(median(&floors))
    );
    Ok(())
}

fn descriptors() -> std::io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}
