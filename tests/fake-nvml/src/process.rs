//! Processes on a GPU, and the samples that the driver keeps of them.

use serde::{Deserialize, Serialize};

use crate::watts::LONG_AGO_S;

/// A process on one GPU for a time; several of one pid are its phases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// Its number in the host's namespace.
    pub pid: u32,
    /// Percent of the time that its kernels run.
    pub sm: u32,
    /// Percent of the time that it uses memory.
    pub memory: u32,
    /// Bytes of device memory.
    pub used_bytes: u64,
    /// It draws rather than computes.
    pub graphics: bool,
    /// The MIG device that it is on.
    pub partition: Option<String>,
    /// Seconds after the epoch at which it comes.
    pub from_s: f64,
    /// Seconds after the epoch at which it goes; `None`: it stays.
    pub until_s: Option<f64>,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            pid: 0,
            sm: 0,
            memory: 0,
            used_bytes: 1 << 30,
            graphics: false,
            partition: None,
            from_s: LONG_AGO_S,
            until_s: None,
        }
    }
}

impl Process {
    /// A process that computes for `sm` percent of the time, from before the epoch on.
    pub fn new(pid: u32, sm: u32) -> Self {
        Self { pid, sm, memory: sm / 2, ..Self::default() }
    }

    /// It holds a context at `at_s`.
    pub(crate) fn resident(&self, at_s: f64) -> bool {
        self.from_s <= at_s && self.until_s.is_none_or(|until| at_s < until)
    }

    /// The part of a span that it was there for, 0 to 1.
    fn presence(&self, from_s: f64, to_s: f64) -> f64 {
        let until = self.until_s.map_or(to_s, |until| until.min(to_s));
        ((until - self.from_s.max(from_s)) / (to_s - from_s)).clamp(0.0, 1.0)
    }
}

/// How the driver samples the use of a GPU by processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Milliseconds between two samples.
    pub period_ms: u64,
    /// How many instants the driver keeps.
    pub buffer: u64,
    /// One sample a process, its newest, as NVML documents; else all that are kept.
    pub newest_only: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { period_ms: 167, buffer: 120, newest_only: true }
    }
}

/// One sample of one process (`nvmlProcessUtilizationSample_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct UtilizationSample {
    /// The process.
    pub pid: u32,
    /// Microseconds of the time of day.
    pub timestamp_us: u64,
    /// Percent of the time that its kernels ran.
    pub sm: u32,
    /// Percent of the time that it used memory.
    pub memory: u32,
    /// Percent of the encoder.
    pub encoder: u32,
    /// Percent of the decoder.
    pub decoder: u32,
}

impl Sampling {
    /// The samples later than `since_us`, oldest first; `at_s` is now in seconds after the epoch, whose time of day is `epoch_us`.
    pub(crate) fn samples(self, processes: &[Process], at_s: f64, epoch_us: i64, since_us: u64) -> Vec<UtilizationSample> {
        let period_s = self.period_ms.max(1) as f64 / 1e3;
        let last = (at_s / period_s).floor() as i64;
        let first = (last - self.buffer as i64 + 1).max(1);
        let mut samples = Vec::new();
        for tick in first..=last {
            let to_s = tick as f64 * period_s;
            let timestamp_us = (epoch_us + (to_s * 1e6) as i64).max(0) as u64;
            if timestamp_us <= since_us {
                continue;
            }
            for process in processes {
                let presence = process.presence(to_s - period_s, to_s);
                let percent = |of: u32| (f64::from(of) * presence).round() as u32;
                let (sm, memory) = (percent(process.sm), percent(process.memory));
                if sm + memory > 0 {
                    if self.newest_only {
                        samples.retain(|s: &UtilizationSample| s.pid != process.pid);
                    }
                    samples.push(UtilizationSample { pid: process.pid, timestamp_us, sm, memory, encoder: 0, decoder: 0 });
                }
            }
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_of_its_own_period() {
        let phases = [Process { until_s: Some(1.5), ..Process::new(7, 80) }, Process { from_s: 2.0, ..Process::new(8, 40) }];
        let sampling = Sampling { period_ms: 1000, buffer: 3, newest_only: false };
        let seen: Vec<_> = sampling.samples(&phases, 3.9, 1_000_000, 0).iter().map(|s| (s.pid, s.timestamp_us, s.sm)).collect();
        assert_eq!(seen, [(7, 2_000_000, 80), (7, 3_000_000, 40), (8, 4_000_000, 40)]);
        assert_eq!(sampling.samples(&phases, 3.9, 1_000_000, 3_000_000).len(), 1, "since is exclusive");
        let newest = Sampling { newest_only: true, ..sampling };
        assert_eq!(newest.samples(&phases, 3.9, 1_000_000, 0).len(), 2, "one a process");
        let short = Sampling { buffer: 1, ..sampling };
        assert_eq!(short.samples(&phases, 3.9, 1_000_000, 0).len(), 1, "older ones are lost");
    }
}
