//! Power of the last quarter of an hour, for the page's chart.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carbon_api::units::{Microjoules, Watts};
use jiff::Timestamp;

use super::Daemon;

/// Seconds that one point speaks of: seldom enough that noting them costs next to nothing.
pub(super) const PERIOD_S: u64 = 10;
/// Points that are kept: fifteen minutes.
const POINTS: usize = 90;

/// Mean power of each ten seconds, from the energy in between: a short peak is flattened, its energy is not lost; `None` where there was no reading.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<(Timestamp, Option<f64>)>>);

impl History {
    /// Every point, oldest first.
    pub(super) fn points(&self) -> Vec<(Timestamp, Option<f64>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    fn push(&self, at: Timestamp, power_w: Option<f64>) {
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if points.back().is_some_and(|(last, _)| *last >= at) {
            return;
        }
        if points.len() == POINTS {
            points.pop_front();
        }
        points.push_back((at, power_w));
    }
}

/// Notes the mean power since the point before.
pub(super) async fn record(daemon: Arc<Daemon>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(PERIOD_S));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before: Option<(Timestamp, Microjoules)> = None;
    loop {
        ticks.tick().await;
        // of what strangers see already, so that the chart tells them nothing more
        let snapshot = daemon.access.public(&daemon.cell);
        if !snapshot.ready {
            continue;
        }
        let (at, energy) = (snapshot.until, snapshot.host_energy());
        if let Some((from, base)) = before.replace((at, energy)) {
            let mean = energy.saturating_sub(base).joules().over(at.duration_since(from).as_secs_f64());
            let reads = snapshot.host_power_w().is_some();
            daemon.history.push(at, mean.filter(|_| reads).map(Watts::value));
        }
    }
}
