//! One GPU: read by its counter or by its power, left alone for a while when it fails, watched for a driver that starts anew.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

use super::comparison::{Comparison, Verdict};
use super::library::{Library, is_stale, read_error};
use super::partitions::{Partitions, list};
use super::power::Sensor;
use super::processes::{ProcessFeed, ProcessReader};
use crate::counter::{Epoch, GapReason, Value};
use crate::error::ReadError;
use crate::integrator::PowerIntegrator;
use crate::stamp::{Clock, Stamp};

/// How often partitions and processes are looked at, in nanoseconds.
const LOOK_NS: u64 = 1_000_000_000;

/// How the energy of a GPU is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By its counter.
    Counter,
    /// By its power, integrated.
    Power(Sensor),
}

/// What one poll has at hand.
pub(super) struct Turn<'t> {
    pub(super) library: &'t mut Library,
    pub(super) clock: &'t dyn Clock,
    pub(super) feed: &'t ProcessFeed,
    pub(super) retry: Duration,
    /// Somebody waits: look at everything.
    pub(super) asked: bool,
}

/// One GPU and its partitions.
#[derive(Debug)]
pub(super) struct Board {
    name: Arc<str>,
    uuid: Arc<str>,
    /// What a failed read is of.
    path: PathBuf,
    way: Way,
    device: Option<Device<'static>>,
    shown: u64,
    epoch: Epoch,
    power: PowerIntegrator,
    comparison: Option<(Sensor, Comparison)>,
    /// What a counter that can be read again does not continue from.
    broken: Option<GapReason>,
    failed_until_ns: u64,
    /// `None`: a part without partitions.
    partitions: Option<Partitions>,
    processes: ProcessReader,
    looked_ns: u64,
    notes: Notes,
}

/// Plain words on what is doubtful.
#[derive(Debug, Default)]
struct Notes {
    integrated: Option<Arc<str>>,
    disagrees: Option<Arc<str>>,
    failed: Option<Arc<str>>,
    partitioned: Option<Arc<str>>,
    processes: Option<Arc<str>>,
}

impl Board {
    /// A GPU that was found; `comparison` is the sensor that its counter is compared with, for how long.
    pub(super) fn new(
        name: Arc<str>,
        uuid: Arc<str>,
        way: Way,
        device: Device<'static>,
        partitions: Option<Partitions>,
        period: Duration,
        comparison: Option<(Sensor, Duration)>,
    ) -> Self {
        let period_ns = nanoseconds(period);
        let integrated = matches!(way, Way::Power(_)).then(|| {
            let doubt = "A100 and H100 look at their power only 25 % of the time (arXiv 2312.02741)";
            format!("nvml_integrated: {name} has no energy counter, its power is integrated; {doubt}").into()
        });
        Self {
            path: PathBuf::from(format!("nvml/{name} ({uuid})")),
            way,
            device: Some(device),
            shown: 0,
            epoch: Epoch::FIRST,
            power: PowerIntegrator::new(period_ns),
            comparison: comparison.map(|(sensor, span)| (sensor, Comparison::new(period_ns, nanoseconds(span)))),
            broken: None,
            failed_until_ns: 0,
            partitions,
            processes: ProcessReader::new(Arc::clone(&uuid)),
            looked_ns: 0,
            notes: Notes { integrated, ..Notes::default() },
            name,
            uuid,
        }
    }

    /// How many domains it is: itself and its partitions.
    pub(super) fn len(&self) -> usize {
        1 + self.partitions.as_ref().map_or(0, Partitions::len)
    }

    /// Reads it into `values`, itself first; a GPU that failed keeps its errors until it is tried again.
    pub(super) fn poll(&mut self, turn: &mut Turn<'_>, values: &mut [Result<Value, ReadError>]) {
        let now_ns = turn.clock.stamp().boottime_ns;
        if now_ns < self.failed_until_ns {
            return;
        }
        match self.read(turn) {
            Ok(value) => {
                (self.failed_until_ns, self.notes.failed) = (0, None);
                if let Some((own, children)) = values.split_first_mut() {
                    *own = Ok(value);
                    self.look(turn, &value, children);
                }
            }
            Err(error) => {
                self.failed_until_ns = now_ns.saturating_add(nanoseconds(turn.retry));
                self.broken.get_or_insert(GapReason::FailedRead);
                // looked up anew when it is tried again
                self.device = None;
                let wait = turn.retry.as_secs_f64();
                self.notes.failed = Some(format!("nvml_failed: {}: {error}; tried again every {wait} s", self.name).into());
                values.fill(Err(read_error(&self.path, &error)));
            }
        }
    }

    /// Adds what is doubtful of it.
    pub(super) fn warnings(&self, warnings: &mut Vec<Arc<str>>) {
        let Notes { integrated, disagrees, failed, partitioned, processes } = &self.notes;
        warnings.extend([integrated, disagrees, failed, partitioned, processes].into_iter().flatten().cloned());
    }

    fn read(&mut self, turn: &mut Turn<'_>) -> Result<Value, NvmlError> {
        let held = match self.device.take() {
            Some(device) => device,
            None => turn.library.device(&self.uuid)?,
        };
        let (device, answer) = match self.ask(&held) {
            Err(error) if is_stale(&error) => {
                self.broken = Some(GapReason::Reset);
                let device = turn.library.device(&self.uuid)?;
                let answer = self.ask(&device);
                (device, answer)
            }
            answer => (held, answer),
        };
        let amount = answer?;
        let at = turn.clock.stamp();
        let value = match self.way {
            Way::Counter => self.counted(amount, at, &device),
            Way::Power(_) => {
                self.power.sample(amount, at);
                self.power.value().ok_or(NvmlError::NoData)?
            }
        };
        self.device = Some(device);
        Ok(value)
    }

    /// Microjoules of the counter, or microwatts.
    fn ask(&self, device: &Device<'_>) -> Result<u64, NvmlError> {
        match self.way {
            Way::Counter => Ok(device.total_energy_consumption()?.saturating_mul(1000)),
            Way::Power(sensor) => sensor.microwatts(device),
        }
    }

    fn counted(&mut self, shown: u64, at: Stamp, device: &Device<'_>) -> Value {
        let broken = self.broken.take();
        if shown < self.shown {
            // told as it is seen: by the next reading it may have overtaken its old value
            self.epoch.advance(GapReason::Reset);
        } else if let Some(reason) = broken {
            self.epoch.advance(reason);
        }
        self.shown = shown;
        if let Some((sensor, comparison)) = &mut self.comparison
            && let Ok(microwatts) = sensor.microwatts(device)
            && let Some(verdict) = comparison.take(shown, microwatts, at)
        {
            self.notes.disagrees = verdict.disagrees().then(|| disagreement(&self.name, &verdict));
            self.comparison = None;
        }
        Value { shown, at, epoch: self.epoch }
    }

    /// Partitions and processes, once a second or when somebody waits.
    fn look(&mut self, turn: &Turn<'_>, value: &Value, children: &mut [Result<Value, ReadError>]) {
        if let Some(partitions) = &mut self.partitions {
            partitions.take(value);
        }
        let is_due = value.at.boottime_ns.saturating_sub(self.looked_ns) >= LOOK_NS;
        let Some(device) = self.device.as_ref().filter(|_| is_due || turn.asked) else { return };
        self.looked_ns = value.at.boottime_ns;
        if let Some(partitions) = &mut self.partitions {
            match list(device) {
                Ok(now) => {
                    let absent = ReadError::Absent { path: self.path.join("partition"), errno: None };
                    partitions.settle(now, value, &absent, children);
                }
                Err(error) => children.fill(Err(read_error(&self.path, &error))),
            }
            if partitions.changed() && self.notes.partitioned.is_none() {
                let words = "was partitioned anew; partitions that came since are listed after a restart";
                self.notes.partitioned = Some(format!("mig_changed: {} {words}", self.name).into());
            }
        }
        if turn.feed.is_wanted() {
            let partitions = self.partitions.as_ref().map_or(&[][..], Partitions::now);
            match self.processes.read(device, partitions) {
                Ok(found) => {
                    self.notes.processes = None;
                    turn.feed.put(found);
                }
                Err(error) => {
                    self.notes.processes = Some(format!("nvml_processes: {}: {error}", self.name).into());
                }
            }
        }
    }
}

fn disagreement(name: &str, verdict: &Verdict) -> Arc<str> {
    let Verdict { counter_j, power_j, seconds } = verdict;
    format!(
        "nvml_disagrees: {name}: its counter rose by {counter_j:.0} J in {seconds:.1} s while its power adds up to {power_j:.0} J; the counter is kept"
    )
    .into()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
