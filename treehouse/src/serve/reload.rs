//! Signals: SIGTERM and SIGINT stop, SIGHUP reads the configuration anew.
//!
//! What can change while counters go on is the grid (zone, intensity); the rest holds from the next start, and is said so.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use carbon_api::grid::{Intensity, IntensityProvider, Point};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use super::Daemon;
use crate::cli::Cli;
use crate::config::Config;
use crate::failure::Failure;
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
    let flags = (cli.config.clone(), cli.zone.clone(), cli.intensity, cli.no_model);
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => reload(&flags, &daemon),
            }
        }
    })
}

type Flags = (Option<std::path::PathBuf>, Option<String>, Option<f64>, bool);

fn reload((path, zone, intensity, no_model): &Flags, daemon: &Daemon) {
    let next = Config::load_with(path.as_deref(), zone.clone(), *intensity, *no_model).and_then(|c| Ok((wiring::grid(&c)?, c)));
    match next {
        Ok((grid, next)) => {
            let mut config = daemon.config.write().unwrap_or_else(PoisonError::into_inner);
            let grid_only = Config { grid: next.grid.clone(), ..config.clone() };
            daemon.grid.switch(grid);
            output::error("treehouse: configuration read anew");
            if grid_only != next {
                output::error("treehouse: changes outside [grid] hold from the next start");
            }
            *config = grid_only;
        }
        // a running daemon never stops for a typo
        Err(failure) => output::error(&format!("treehouse: configuration kept as it was: {failure}")),
    }
}
