//! Plays a recording against the caller's clock: a meter, the machine's CPU time, and a clock that sleeps as it did.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use super::format::{RecordedModel, Tick};
use super::{READINGS, Recording};
use crate::domain::DomainInfo;
use crate::error::ReadError;
use crate::meter::{Meter, ModelInfo, Value};
use crate::stamp::{Clock, Stamp};
use crate::usage::{Consumers, HostRow, UsagePass, UsageSource};

/// One playing of a recording; whoever reads first starts it, and all its parts then stand at the same line.
///
/// A reader finds the latest line that is due. Lines are due by monotonic time, so that a recorded night of sleep passes at
/// once; its stamps say that the machine slept.
#[derive(Debug)]
pub struct Playback {
    recording: Recording,
    start: OnceLock<Stamp>,
    /// Monotonic nanoseconds after which there is nothing more.
    over_ns: u64,
}

impl Playback {
    /// A playing that has not begun.
    pub fn new(recording: &Recording) -> Arc<Self> {
        let period_ns = (recording.head().period_s * 1.5e9) as u64;
        let over_ns = recording.ticks().last().map_or(0, |t| t.monotonic_ns.saturating_add(period_ns));
        Arc::new(Self { recording: recording.clone(), start: OnceLock::new(), over_ns })
    }

    /// The meters.
    pub fn meter(self: Arc<Self>) -> ReplayMeter {
        ReplayMeter::new(self)
    }

    /// What is played.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// CPU time of the recorded machine.
    ///
    /// # Errors
    /// Absent where the line has none, or the recording is over.
    pub fn host(&self, clock: &dyn Clock) -> Result<HostRow, ReadError> {
        let start = self.start(clock);
        let row = self.due(clock.stamp()).and_then(|tick| tick.host).ok_or_else(|| self.over("CPU time of the machine"))?;
        Ok(HostRow { at_ns: start.boottime_ns.saturating_add(row.at_ns), ..row })
    }

    fn start(&self, clock: &dyn Clock) -> Stamp {
        *self.start.get_or_init(|| clock.stamp())
    }

    /// The latest line that is due; `None` once the recording is over.
    fn due(&self, now: Stamp) -> Option<&Tick> {
        let elapsed = self.elapsed(now);
        let ticks = self.recording.ticks();
        let next = ticks.partition_point(|t| t.monotonic_ns <= elapsed);
        ticks.get(next.checked_sub(1)?).filter(|_| elapsed < self.over_ns)
    }

    fn elapsed(&self, now: Stamp) -> u64 {
        self.start.get().map_or(0, |start| now.monotonic_ns.saturating_sub(start.monotonic_ns))
    }

    /// Now, with the sleep that the recording holds up to here.
    fn stamp(&self, now: Stamp) -> Stamp {
        let (Some(start), elapsed) = (self.start.get(), self.elapsed(now)) else { return now };
        let ticks = self.recording.ticks();
        let next = ticks.partition_point(|t| t.monotonic_ns <= elapsed);
        let slept = next.checked_sub(1).map_or(0, |i| ticks[i].boottime_ns.saturating_sub(ticks[i].monotonic_ns));
        let boottime_ns = start.boottime_ns.saturating_add(elapsed).saturating_add(slept);
        Stamp { boottime_ns, monotonic_ns: now.monotonic_ns }
    }

    fn over(&self, what: &str) -> ReadError {
        let readings = self.recording.folder().join(READINGS);
        ReadError::Absent { path: format!("{}: the recording is over: {what}", readings.display()).into(), errno: None }
    }
}

/// Meters that show what was recorded, at the recorded time after their first read.
#[derive(Debug)]
pub struct ReplayMeter {
    playback: Arc<Playback>,
    domains: Vec<DomainInfo>,
    model: Option<ModelInfo>,
    notice: Arc<str>,
}

impl ReplayMeter {
    fn new(playback: Arc<Playback>) -> Self {
        let head = playback.recording().head();
        let domains = head.domains.iter().map(DomainInfo::from).collect();
        let model = head.sources.iter().find_map(|s| s.model.as_ref()).map(model);
        let notice = playback.recording().notice().into();
        Self { playback, domains, model, notice }
    }
}

impl Meter for ReplayMeter {
    fn domains(&self) -> &[DomainInfo] {
        &self.domains
    }

    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        let start = self.playback.start(clock);
        match self.playback.due(clock.stamp()) {
            Some(tick) => {
                for (value, recorded) in values.iter_mut().zip(&tick.values) {
                    *value = recorded.as_ref().map(|v| v.value(start)).map_err(ReadError::clone);
                }
            }
            None => {
                for (value, domain) in values.iter_mut().zip(&self.domains) {
                    *value = Err(self.playback.over(&domain.name));
                }
            }
        }
    }

    fn warnings(&self, warnings: &mut Vec<Arc<str>>) {
        warnings.push(Arc::clone(&self.notice));
    }

    fn model(&self) -> Option<&ModelInfo> {
        self.model.as_ref()
    }
}

/// The recorded model, under a name that the program knows.
pub(crate) fn model(recorded: &RecordedModel) -> ModelInfo {
    let known = ["vcpu-linear/1", "tdp-curve/1"];
    let id = known.into_iter().find(|k| *k == recorded.id).unwrap_or("recorded");
    ModelInfo { id, parameters: recorded.parameters.clone(), basis: recorded.basis.clone() }
}

/// CPU time of the recorded machine, for the attribution: who used it was not recorded.
#[derive(Debug)]
pub struct ReplayHost(pub Arc<Playback>);

impl UsageSource for ReplayHost {
    fn name(&self) -> &'static str {
        "host"
    }

    fn read(&mut self, clock: &dyn Clock, _: &mut Consumers, pass: &mut UsagePass) {
        match self.0.host(clock) {
            Ok(row) => pass.host = Some(row),
            Err(error) => pass.errors.push(("usage/host", error)),
        }
    }
}

/// The caller's clock with the sleep that the recording holds.
pub struct ReplayClock<C> {
    playback: Arc<Playback>,
    clock: C,
}

impl<C: Clock> ReplayClock<C> {
    /// Stands on `clock`.
    pub const fn new(playback: Arc<Playback>, clock: C) -> Self {
        Self { playback, clock }
    }
}

impl<C: Clock> Clock for ReplayClock<C> {
    fn stamp(&self) -> Stamp {
        self.playback.stamp(self.clock.stamp())
    }

    fn utc(&self) -> Timestamp {
        self.clock.utc()
    }
}
