//! Energy of a block of code: a look before, a look after, and the difference.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::probe::{Mark, Probe, Sum, Used, summarise};

/// Energy of one block of code in this process.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowEnergy {
    /// The machine and this process over the window.
    pub used: Used,
    /// The window is shorter than the meter's update: energies are `None`, `used.bound_j` bounds them.
    pub below_resolution: bool,
}

/// The meters of this machine, for windows in this process; clones share them.
#[derive(Clone)]
pub struct Meters {
    shared: Arc<Shared>,
}

struct Shared {
    /// Runs for ever: its sums only grow, and a window is the difference of two looks.
    probe: Mutex<Probe>,
    own_cpu: Box<dyn Fn() -> u64 + Send + Sync>,
    stop: (Mutex<bool>, Condvar),
}

impl Meters {
    /// Takes a probe; `own_cpu` tells this process's CPU time in nanoseconds. A quiet thread reads now and then, so that no
    /// counter wraps unseen in a long window.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(mut probe: Probe, own_cpu: Box<dyn Fn() -> u64 + Send + Sync>) -> std::io::Result<Self> {
        let every = Duration::from_secs_f64(probe.longest_period_s().unwrap_or(60.0).clamp(0.05, 60.0));
        probe.begin(own_cpu());
        let shared = Arc::new(Shared { probe: Mutex::new(probe), own_cpu, stop: (Mutex::new(false), Condvar::new()) });
        let keeper = Arc::downgrade(&shared);
        std::thread::Builder::new().name("meters".into()).spawn(move || {
            loop {
                let Some(shared) = keeper.upgrade() else { return };
                let lock = shared.stop.0.lock().unwrap_or_else(PoisonError::into_inner);
                let (stopped, _) = shared.stop.1.wait_timeout(lock, every).unwrap_or_else(PoisonError::into_inner);
                if *stopped || Arc::strong_count(&shared) == 1 {
                    return;
                }
                drop(stopped);
                shared.look();
            }
        })?;
        Ok(Self { shared })
    }

    /// Starts a window.
    pub fn begin(&self) -> Window {
        Window { meters: self.clone(), start: self.shared.look() }
    }
}

impl Drop for Meters {
    fn drop(&mut self) {
        // the last one but the keeper's own: wake it to see that nobody is left
        if Arc::strong_count(&self.shared) <= 2 {
            *self.shared.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.shared.stop.1.notify_all();
        }
    }
}

impl Shared {
    fn look(&self) -> Look {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        probe.read((self.own_cpu)());
        Look { sums: probe.sums.clone(), last: probe.last, warnings: probe.errors.len() }
    }
}

struct Look {
    sums: Vec<Sum>,
    last: Option<Mark>,
    warnings: usize,
}

/// An open window; [`Window::end`] tells what it used.
#[must_use = "a window that is not ended measures nothing"]
pub struct Window {
    meters: Meters,
    start: Look,
}

impl Window {
    /// Ends the window.
    pub fn end(self) -> WindowEnergy {
        let end = self.meters.shared.look();
        let probe = self.meters.shared.probe.lock().unwrap_or_else(PoisonError::into_inner);
        let sums: Vec<Sum> = end.sums.iter().zip(&self.start.sums).map(|(b, a)| b.since(a)).collect();
        let used =
            summarise(&probe, &sums, self.start.last, end.last, probe.errors.get(self.start.warnings..).unwrap_or_default());
        let below_resolution =
            used.host.is_none() && used.seconds < probe.cover.iter().map(|&i| probe.domains()[i].update_s).fold(0.0, f64::max);
        WindowEnergy { used, below_resolution }
    }
}

/// `12.3 J ± 0.7 J (attributed) of 40.1 J of the machine in 1.00 s`, or why there is no figure.
impl fmt::Display for WindowEnergy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Used { seconds, own, host, uncertainty_j, provenance, bound_j, .. } = &self.used;
        match (own, host, provenance) {
            (Some(own), Some(host), Some(provenance)) => {
                let (own, host) = (own.joules().value(), host.joules().value());
                write!(
                    f,
                    "{own:.3} J ± {uncertainty_j:.3} J ({}) of {host:.3} J of the machine in {seconds:.3} s",
                    provenance.name()
                )
            }
            _ if self.below_resolution => {
                write!(f, "between 0 and {bound_j:.3} J: {seconds:.6} s are shorter than the meter's update")
            }
            _ => write!(f, "unknown: no meter covered the {seconds:.3} s"),
        }
    }
}
