//! NVIDIA GPUs through the library of their driver (NVML), loaded at run time.
//!
//! Energy is the board's own counter (millijoules since the driver was loaded; Volta and newer) where it has one. Otherwise its
//! power is integrated, ten samples a second. A module that tells no power of its GPU alone (Grace Hopper) is a domain of its
//! own. A counter that falls is a driver that was loaded anew. A GPU that fails is tried again every 30 s, and the others do not
//! notice. A GPU is known by its UUID; its index may change.
//!
//! Calls take milliseconds, so they run on a thread of their own. For the first seconds a counter is compared with the power
//! beside it: some boards disagree with themselves (187 J against 327 J, zeus issue 181).
//!
//! Source: NVML API reference (units, fields 185 and 186, scopes, partitions).

mod board;
mod comparison;
mod discover;
mod library;
mod partitions;
mod power;
mod processes;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::board::{Board, Turn};
use self::discover::{Found, find};
use self::library::Library;
pub use self::processes::{Basis, GpuProcess, GpuProcesses, ProcessFeed};
use super::poller::Poller;
use super::{Meter, SourceReport, Status, Value};
use crate::domain::DomainInfo;
use crate::error::ReadError;
use crate::stamp::Clock;
use crate::system::SystemClock;

/// What the configuration may say about NVIDIA GPUs.
#[derive(Clone, Debug, PartialEq)]
pub struct NvmlOptions {
    /// The library to load; else what the loader finds, where sysfs is the kernel's own.
    pub library: Option<PathBuf>,
    /// Relative accuracy; else 0.05 of counters and 0.10 of integrated power (unsure: no vendor figure since Kepler).
    pub accuracy: Option<f64>,
    /// The most one GPU can draw, in watts; else twice its power limit, at least 1000 W.
    pub max_power_w: Option<f64>,
    /// Time between two polls: 100 ms.
    pub period: Duration,
    /// How long a counter is compared with the power beside it at the start: 5 s.
    pub comparison: Duration,
    /// How long a GPU that failed is left alone: 30 s.
    pub retry: Duration,
}

impl Default for NvmlOptions {
    fn default() -> Self {
        Self {
            library: None,
            accuracy: None,
            max_power_w: None,
            period: Duration::from_millis(100),
            comparison: Duration::from_secs(5),
            retry: Duration::from_secs(30),
        }
    }
}

/// All NVIDIA GPUs of the machine, and their partitions.
#[derive(Debug)]
pub struct NvmlMeter {
    domains: Vec<DomainInfo>,
    shared: Arc<Shared>,
    poller: Option<Poller>,
}

impl NvmlMeter {
    /// Loads the library and looks for GPUs; says what became of each. A library that is not there is no error.
    pub fn discover(sysfs: &Path, options: &NvmlOptions) -> (Option<Self>, SourceReport) {
        let Found { library, boards, domains, mut report } = match find(sysfs, options) {
            Ok(found) => found,
            Err(report) => return (None, *report),
        };
        let (mut meter, mut boards) = Self::assemble(library, boards, domains, options);
        // the first reading is there before anybody asks
        boards.poll(&SystemClock);
        match Poller::start("treehouse-nvml", options.period, move || boards.poll(&SystemClock)) {
            Ok(poller) => {
                meter.poller = Some(poller);
                (Some(meter), report)
            }
            Err(error) => {
                (report.status, report.detail) = (Status::Broken, format!("the system gives no thread: {error}"));
                report.domains.clear();
                (None, report)
            }
        }
    }

    /// Who used the GPUs; empty until somebody takes from it, at most once a second from then on.
    pub fn processes(&self) -> ProcessFeed {
        self.shared.feed.clone()
    }

    fn assemble(library: Library, boards: Vec<Board>, domains: Vec<DomainInfo>, options: &NvmlOptions) -> (Self, Boards) {
        let unread = || Err(ReadError::Absent { path: "nvml: not read yet".into(), errno: None });
        let values: Vec<_> = domains.iter().map(|_| unread()).collect();
        let told = Told { values: values.clone(), warnings: Vec::new() };
        let shared = Arc::new(Shared { told: Mutex::new(told), asked: AtomicBool::new(false), feed: ProcessFeed::default() });
        let boards = Boards { library, boards, values, retry: options.retry, shared: Arc::clone(&shared) };
        (Self { domains, shared, poller: None }, boards)
    }
}

impl Meter for NvmlMeter {
    fn domains(&self) -> &[DomainInfo] {
        &self.domains
    }

    fn read(&mut self, _clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        for (value, told) in values.iter_mut().zip(&self.shared.told().values) {
            value.clone_from(told);
        }
    }

    fn settle(&mut self) {
        self.shared.asked.store(true, Ordering::Relaxed);
        if let Some(poller) = &self.poller {
            poller.settle();
        }
    }

    fn warnings(&self, warnings: &mut Vec<Arc<str>>) {
        warnings.extend(self.shared.told().warnings.iter().cloned());
    }
}

/// What the thread leaves for the measuring loop, and what that asks of it.
#[derive(Debug)]
struct Shared {
    told: Mutex<Told>,
    asked: AtomicBool,
    feed: ProcessFeed,
}

#[derive(Debug)]
struct Told {
    values: Vec<Result<Value, ReadError>>,
    warnings: Vec<Arc<str>>,
}

impl Shared {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread works on.
struct Boards {
    library: Library,
    boards: Vec<Board>,
    values: Vec<Result<Value, ReadError>>,
    retry: Duration,
    shared: Arc<Shared>,
}

impl Boards {
    /// Reads every GPU once, and tells.
    fn poll(&mut self, clock: &dyn Clock) {
        let asked = self.shared.asked.swap(false, Ordering::Relaxed);
        let mut turn = Turn { library: &mut self.library, clock, feed: &self.shared.feed, retry: self.retry, asked };
        let mut rest = &mut self.values[..];
        for board in &mut self.boards {
            let (own, others) = rest.split_at_mut(board.len());
            board.poll(&mut turn, own);
            rest = others;
        }
        // locked for the copy alone: a slow call holds nobody up
        let mut told = self.shared.told();
        told.values.clone_from_slice(&self.values);
        told.warnings.clear();
        self.boards.iter().for_each(|board| board.warnings(&mut told.warnings));
    }
}

#[cfg(test)]
mod tests;
