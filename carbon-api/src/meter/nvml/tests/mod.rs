//! The meter on a fake library, loaded by the real wrapper, in virtual time; a few tests run the thread.

mod energy;
mod failing;
mod finding;
mod parts;
mod thread;
mod users;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use fake_machine::{PlainTree, TrueMachine};
use fake_nvml::{
    AfterReload, Architecture, Code, Counter as FakeCounter, Fake, Field, Gpu, Mig, Partition, Process, Sampling, Script, Sensor,
    ValueType, Watts, boottime_ns,
};
use nvml_wrapper::Nvml;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::bank::{Bank, Observed};
use crate::counter::{GapReason, Outcome, ResetReason};
use crate::domain::{DomainKind, Provenance};
use crate::meter::rapl::{RaplMeter, RaplOptions};
use crate::stamp::Stamp;

const MS: u64 = 1_000_000;
const A: &str = "GPU-a";

#[derive(Clone, Default)]
struct HandClock(Arc<AtomicU64>);

impl Clock for HandClock {
    fn stamp(&self) -> Stamp {
        Stamp::at(self.0.load(Ordering::Relaxed))
    }
    fn utc(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

/// A machine with GPUs whose time is moved by hand.
struct Bench {
    fake: Fake,
    directory: TempDir,
    clock: HandClock,
    boards: Boards,
    bank: Bank,
    feed: ProcessFeed,
    report: SourceReport,
    energy_uj: Vec<u64>,
    unusual: Vec<(usize, Outcome)>,
}

fn install(gpus: impl IntoIterator<Item = Gpu>, missing: &[&str]) -> (Fake, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut script = Script::new(gpus);
    script.now_ns = Some(script.epoch_ns);
    (Fake::install_without(directory.path(), &script, missing).unwrap(), directory)
}

fn options(fake: &Fake) -> NvmlOptions {
    NvmlOptions { library: Some(fake.library().into()), ..NvmlOptions::default() }
}

impl Bench {
    fn new(gpus: impl IntoIterator<Item = Gpu>) -> Self {
        Self::beside(gpus, Vec::new())
    }

    /// The GPUs' meter behind `others`.
    fn beside(gpus: impl IntoIterator<Item = Gpu>, others: Vec<Box<dyn Meter>>) -> Self {
        let (fake, directory) = install(gpus, &[]);
        let options = options(&fake);
        let Found { library, boards, domains, report } = find(Path::new("/nowhere"), &options).ok().unwrap();
        let (meter, boards) = NvmlMeter::assemble(library, boards, domains, &options);
        let feed = meter.processes();
        let bank = Bank::new(others.into_iter().chain([Box::new(meter) as Box<dyn Meter>]).collect());
        let clock = HandClock(Arc::new(AtomicU64::new(fake.script().unwrap().epoch_ns)));
        let energy_uj = vec![0; bank.domains().len()];
        let mut bench = Self { fake, directory, clock, boards, bank, feed, report, energy_uj, unusual: Vec::new() };
        bench.boards.poll(&bench.clock);
        bench.read();
        bench
    }

    fn change(&self, change: impl FnOnce(&mut Script)) {
        self.fake.change(change).unwrap();
    }

    /// Moves the time without a poll.
    fn skip_ms(&self, ms: u64) {
        self.clock.0.fetch_add(ms * MS, Ordering::Relaxed);
        self.change(|s| s.now_ns = Some(self.clock.stamp().boottime_ns));
    }

    /// Polls every 100 ms, and reads every second.
    fn run_s(&mut self, seconds: u64) {
        for _ in 0..seconds {
            for _ in 0..10 {
                self.poll_after_ms(100);
            }
            self.read();
        }
    }

    fn poll_after_ms(&mut self, ms: u64) {
        self.skip_ms(ms);
        self.boards.poll(&self.clock);
    }

    fn read(&mut self) {
        let (_, observed) = self.bank.read(&self.clock);
        for (i, observed) in observed.iter().enumerate() {
            if let Observed::Read(outcome) = observed {
                self.energy_uj[i] += outcome.step().map_or(0, |step| step.energy.0);
                if matches!(outcome, Outcome::Reset(_) | Outcome::Gap(_)) {
                    self.unusual.push((i, *outcome));
                }
            }
        }
    }

    /// Why the last read of a domain failed.
    fn failure(&mut self, domain: usize) -> Option<ReadError> {
        match &self.bank.read(&self.clock).1[domain] {
            Observed::Failed(error) => Some(error.clone()),
            Observed::Read(_) => None,
        }
    }

    fn joules(&self, domain: usize) -> f64 {
        self.energy_uj[domain] as f64 / 1e6
    }

    fn truth_j(&self, uuid: &str) -> f64 {
        self.fake.script().unwrap().truth_mj(uuid, self.clock.stamp().boottime_ns).unwrap() / 1e3
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        self.bank.warnings(&mut warnings);
        warnings.iter().map(ToString::to_string).collect()
    }

    fn warned(&self, word: &str) -> Vec<String> {
        self.warnings().into_iter().filter(|w| w.starts_with(word)).collect()
    }
}

fn fault(function: &str, code: Code) -> BTreeMap<String, Code> {
    BTreeMap::from([(function.to_owned(), code)])
}
