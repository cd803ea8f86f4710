//! Signals: SIGTERM and SIGINT stop, SIGHUP reads the configuration anew and looks for meters once more.
//!
//! What can change while counters go on is the grid (zone, intensity) and the choice of meters, each of which then starts a new
//! epoch; the rest holds from the next start, and is said so.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use carbon_api::detect::Machine;
use carbon_api::grid::{Intensity, IntensityProvider, Point};
use carbon_api::meter::SourceReport;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use super::Daemon;
use crate::cli::Cli;
use crate::config::Config;
use crate::failure::Failure;
use crate::sources::Sources;
use crate::{output, wiring};

/// A provider that can be changed for another one.
pub(crate) struct SwitchableGrid {
    grid: RwLock<Arc<dyn IntensityProvider>>,
    changes: AtomicU64,
}

impl SwitchableGrid {
    /// Begins with this one.
    pub(super) fn new(grid: Arc<dyn IntensityProvider>) -> Self {
        Self { grid: RwLock::new(grid), changes: AtomicU64::new(0) }
    }

    fn switch(&self, grid: Arc<dyn IntensityProvider>) {
        *self.grid.write().unwrap_or_else(PoisonError::into_inner) = grid;
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn current(&self) -> Arc<dyn IntensityProvider> {
        Arc::clone(&self.grid.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl IntensityProvider for SwitchableGrid {
    fn at(&self, at: Timestamp) -> Option<Intensity> {
        self.current().at(at)
    }

    fn forecast(&self, from: Timestamp, until: Timestamp) -> Vec<Point> {
        self.current().forecast(from, until)
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

/// A future that ends when the daemon is to stop; it reloads the configuration meanwhile.
pub(super) fn until_stopped(cli: &Cli, daemon: Arc<Daemon>) -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let hear = |kind| signal(kind).map_err(|e| Failure::system("signals", e));
    let (mut terminate, mut interrupt, mut hangup) =
        (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?, hear(SignalKind::hangup())?);
    let cli = cli.clone();
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => reload(&cli, &daemon),
            }
        }
    })
}

fn reload(cli: &Cli, daemon: &Daemon) {
    match Config::load(cli).and_then(|c| Ok((wiring::grid(&c)?, c))) {
        Ok((grid, next)) => {
            let mut config = daemon.config.write().unwrap_or_else(PoisonError::into_inner);
            let changed = Config { grid: next.grid.clone(), meter: next.meter.clone(), ..config.clone() };
            daemon.grid.switch(grid);
            choose_meters(cli, daemon, &changed, config.meter != changed.meter);
            output::error("treehouse: configuration read anew");
            if changed != next {
                output::error("treehouse: changes outside [grid] and [meter] hold from the next start");
            }
            *config = changed;
        }
        // a running daemon never stops for a typo
        Err(failure) => output::error(&format!("treehouse: configuration kept as it was: {failure}")),
    }
}

/// Looks for meters once more; where others answer than before, or they are to be read in another way, they take over.
fn choose_meters(cli: &Cli, daemon: &Daemon, config: &Config, other_settings: bool) {
    if cli.replay.is_some() {
        return; // a recording is what it was
    }
    let machine = Machine::detect(&wiring::options(cli, config));
    if let Some(problem) = machine.cover_problem() {
        return output::error(&format!("treehouse: meters kept as they were: {problem}"));
    }
    let (before, sources) = (daemon.sources(), Sources::of(&machine));
    if !machine.can_measure() && before.host_cover != sources.host_cover {
        output::error(&format!("treehouse: meters kept as they were: {}", machine.no_meter()));
        return;
    }
    let domains = |s: &Sources| -> Vec<(String, Arc<str>)> {
        let of = |r: &SourceReport| r.domains.iter().map(|d| (r.source.clone(), Arc::clone(&d.domain))).collect::<Vec<_>>();
        s.sources.iter().flat_map(of).collect()
    };
    let same = before.host_cover == sources.host_cover && domains(&before) == domains(&sources);
    if !same || other_settings {
        output::error(&format!("treehouse: measuring {}", sources.host_cover.join(" + ")));
        daemon.meters.rewire(machine.bank, config.meter.host_cover.clone());
    }
    *daemon.sources.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sources);
}
