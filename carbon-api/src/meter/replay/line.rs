//! One line of `readings.jsonl` as text: both ways, any bytes taken.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::format::reason;
use crate::counter::{Epoch, GapReason, Value};
use crate::error::ReadError;
use crate::stamp::Stamp;
use crate::usage::HostRow;

/// One line of `readings.jsonl`; instants are nanoseconds since the first line.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// `CLOCK_BOOTTIME`.
    pub boottime_ns: u64,
    /// `CLOCK_MONOTONIC`, which stands still during suspend.
    pub monotonic_ns: u64,
    /// One place a domain: a value whose stamp is relative too, or why there was none.
    pub values: Vec<Result<RecordedValue, ReadError>>,
    /// CPU time of the machine, where it could be read; its instant is relative too.
    pub host: Option<HostRow>,
}

/// What a counter showed; its instant may lie before the first line where the device has a clock of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedValue {
    /// As [`Value::shown`].
    pub shown: u64,
    /// Boot time and monotonic time since the first line.
    pub at: (i64, i64),
    /// As [`Value::epoch`].
    pub epoch: Epoch,
}

impl RecordedValue {
    /// Makes a value relative to the first line.
    pub fn of(value: &Value, start: Stamp) -> Self {
        let since = |ns: u64, start: u64| i64::try_from(i128::from(ns) - i128::from(start)).unwrap_or(0);
        let (boottime, monotonic) =
            (since(value.at.boottime_ns, start.boottime_ns), since(value.at.monotonic_ns, start.monotonic_ns));
        Self { shown: value.shown, at: (boottime, monotonic), epoch: value.epoch }
    }

    /// The value again, where the first line is at `start`.
    pub fn value(&self, start: Stamp) -> Value {
        let at = Stamp {
            boottime_ns: start.boottime_ns.saturating_add_signed(self.at.0),
            monotonic_ns: start.monotonic_ns.saturating_add_signed(self.at.1),
        };
        Value { shown: self.shown, at, epoch: self.epoch }
    }
}

impl Tick {
    /// Makes one tick relative to the first line.
    pub fn of(at: Stamp, start: Stamp, values: &[Result<Value, ReadError>], host: Option<HostRow>) -> Self {
        let values = values.iter().map(|v| v.as_ref().map(|v| RecordedValue::of(v, start)).map_err(ReadError::clone));
        Self {
            boottime_ns: at.since(start),
            monotonic_ns: at.monotonic_ns.saturating_sub(start.monotonic_ns),
            values: values.collect(),
            host: host.map(|h| HostRow { at_ns: h.at_ns.saturating_sub(start.boottime_ns), ..h }),
        }
    }

    /// The line, its end included.
    ///
    /// # Errors
    /// None that is known of: every part of a tick has a form in JSON.
    pub fn line(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Line::from(self)).map(|line| line + "\n")
    }
}

/// Reads one line of `readings.jsonl`, without its end; any bytes are taken.
///
/// # Errors
/// Not a tick: with the reason.
pub fn parse_tick(line: &[u8]) -> Result<Tick, String> {
    serde_json::from_slice::<Line>(line).map_err(|e| reason(&e))?.try_into()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    boottime_ns: u64,
    monotonic_ns: u64,
    values: Vec<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<HostLine>,
}

/// A value, or an error: which of the two is told by the fields that are there.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<(i64, i64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<(u32, GapReason)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ErrorKind {
    Absent,
    Denied,
    Malformed,
    Io,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostLine {
    at_ns: u64,
    busy_ns: u64,
    steal_ns: u64,
    cpus: u32,
    quantum_ns: u64,
}

impl From<&Tick> for Line {
    fn from(tick: &Tick) -> Self {
        let host = tick.host.map(|h| HostLine {
            at_ns: h.at_ns,
            busy_ns: h.busy_ns,
            steal_ns: h.steal_ns,
            cpus: h.cpus,
            quantum_ns: h.quantum_ns,
        });
        let values = tick.values.iter().map(Place::from).collect();
        Self { boottime_ns: tick.boottime_ns, monotonic_ns: tick.monotonic_ns, values, host }
    }
}

impl From<&Result<RecordedValue, ReadError>> for Place {
    fn from(value: &Result<RecordedValue, ReadError>) -> Self {
        let value = match value {
            Ok(v) => {
                let epoch = (v.epoch != Epoch::FIRST).then_some((v.epoch.number, v.epoch.reason));
                return Self { shown: Some(v.shown), at: Some(v.at), epoch, ..Self::default() };
            }
            Err(error) => error,
        };
        let errno = value.errno();
        let (kind, path, found) = match value {
            ReadError::Absent { path, .. } => (ErrorKind::Absent, path, None),
            ReadError::Denied { path, .. } => (ErrorKind::Denied, path, None),
            ReadError::Malformed { path, found, .. } => (ErrorKind::Malformed, path, Some(found.clone())),
            ReadError::Io { path, .. } => (ErrorKind::Io, path, None),
        };
        // JSON has no form for a path that is no text
        let path = Some(PathBuf::from(path.to_string_lossy().into_owned()));
        Self { error: Some(kind), path, errno, found, ..Self::default() }
    }
}

impl TryFrom<Line> for Tick {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let host = line.host.map(|h| HostRow {
            at_ns: h.at_ns,
            busy_ns: h.busy_ns,
            steal_ns: h.steal_ns,
            cpus: h.cpus,
            quantum_ns: h.quantum_ns,
        });
        let values = line.values.into_iter().enumerate();
        let values = values.map(|(i, place)| place.read().map_err(|problem| format!("value {}: {problem}", i + 1)));
        let values = values.collect::<Result<_, _>>()?;
        Ok(Self { boottime_ns: line.boottime_ns, monotonic_ns: line.monotonic_ns, values, host })
    }
}

impl Place {
    fn read(self) -> Result<Result<RecordedValue, ReadError>, &'static str> {
        let kind = match (self.shown, self.at, self.error) {
            (Some(shown), Some(at), None) if self.path.is_none() && self.errno.is_none() && self.found.is_none() => {
                let epoch = self.epoch.map_or(Epoch::FIRST, |(number, reason)| Epoch { number, reason });
                return Ok(Ok(RecordedValue { shown, at, epoch }));
            }
            (None, None, Some(kind)) if self.epoch.is_none() => kind,
            _ => return Err("neither `shown` with `at`, nor `error`"),
        };
        let path = self.path.ok_or("an error without its `path`")?;
        let errno = self.errno.ok_or("an error without its `errno`");
        Ok(Err(match kind {
            ErrorKind::Absent => ReadError::Absent { path, errno: self.errno },
            ErrorKind::Denied => ReadError::Denied { path, errno: errno? },
            ErrorKind::Io => ReadError::Io { path, errno: errno? },
            ErrorKind::Malformed => {
                let found = self.found.ok_or("an error without what was `found`")?;
                ReadError::Malformed { path, found, expected: "what the meter expected" }
            }
        }))
    }
}
