//! Power sensors that are renewed equally often: sampled together, each added up over time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sensor::Sensor;
use crate::counter::Value;
use crate::error::ReadError;
use crate::integrator::PowerIntegrator;
use crate::stamp::Clock;

/// Power that flows backwards by less than this many microwatts is the noise of a sensor at rest.
const NOISE_UW: i64 = 100_000;

/// What the last poll left of one sensor.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) value: Result<Value, ReadError>,
    /// It has shown power that flows backwards, which counts as none.
    pub(super) negative: bool,
}

/// What the last poll left, shared with the meter.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Mutex<Vec<Shown>>>);

impl Board {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Shown>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sensors of one period.
#[derive(Debug)]
pub(super) struct Sampler {
    period: Duration,
    sensors: Vec<(Sensor, PowerIntegrator)>,
    board: Board,
}

impl Sampler {
    /// Without any sensor.
    pub(super) fn new(period: Duration) -> Self {
        Self { period, sensors: Vec::new(), board: Board::default() }
    }

    /// How often to poll.
    pub(super) const fn period(&self) -> Duration {
        self.period
    }

    /// Where the polls leave their values.
    pub(super) fn board(&self) -> Board {
        self.board.clone()
    }

    /// Adds a sensor; returns its place on the board.
    pub(super) fn add(&mut self, sensor: Sensor) -> usize {
        let never = ReadError::Absent { path: "no sample yet".into(), errno: None };
        let nanoseconds = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
        self.sensors.push((sensor, PowerIntegrator::new(nanoseconds)));
        self.board.lock().push(Shown { value: Err(never), negative: false });
        self.sensors.len() - 1
    }

    /// Samples every sensor once.
    pub(super) fn poll(&mut self, clock: &dyn Clock) {
        for (place, (sensor, sum)) in self.sensors.iter_mut().enumerate() {
            // the board is not held while a sensor answers: a bus may be slow
            let sample = sensor.read(clock);
            let negative = matches!(sample, Ok((microwatts, _)) if microwatts < -NOISE_UW);
            let value = sample.and_then(|(microwatts, at)| {
                sum.sample(u64::try_from(microwatts).unwrap_or(0), at);
                sum.value().ok_or_else(|| ReadError::Absent { path: "no sample yet".into(), errno: None })
            });
            if let Some(shown) = self.board.lock().get_mut(place) {
                shown.value = value;
                shown.negative |= negative;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn sensors(&mut self) -> impl Iterator<Item = &mut Sensor> {
        self.sensors.iter_mut().map(|(sensor, _)| sensor)
    }
}
