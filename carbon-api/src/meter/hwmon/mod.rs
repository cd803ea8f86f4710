//! Sensors of the kernel's hwmon class, with the power monitors that only IIO or old Jetson kernels show.
//!
//! Counters of energy are read when asked for; power is sampled at the sensor's own pace on a thread and added up over time.
//! What a sensor feeds is often not known: such a rail is listed and stands outside the host. A chip is known by its name and
//! the device behind it, since its number changes from boot to boot.
//!
//! Sources: Linux `Documentation/hwmon/sysfs-interface`, `Documentation/ABI/testing/sysfs-bus-iio`.

mod channel;
mod chip;
pub mod parse;
mod place;
mod report;
mod sampler;
mod sensor;
mod survey;
pub mod table;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use self::report::failed_thread;
use self::sampler::{Board, Sampler};
use self::sensor::Sensor;
use self::survey::survey;
use super::poller::Poller;
use super::{Meter, SourceReport, Value};
use crate::domain::DomainInfo;
use crate::error::ReadError;
use crate::stamp::Clock;
use crate::system::SystemClock;

/// What the configuration may say about hwmon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HwmonOptions {
    /// Relative accuracy; 0.05 by default (it depends on the shunt resistor above all).
    pub accuracy: f64,
    /// The most one sensor can see, in watts; else 1000 W behind a chip of a board, 10 kW elsewhere.
    pub max_power_w: Option<f64>,
}

impl Default for HwmonOptions {
    fn default() -> Self {
        Self { accuracy: 0.05, max_power_w: None }
    }
}

/// All readable sensors of energy and power.
#[derive(Debug)]
pub struct HwmonMeter {
    domains: Vec<DomainInfo>,
    ways: Vec<Way>,
    boards: Vec<Board>,
    /// What is said of a sensor that has shown a negative power, in the order of the domains.
    doubts: Vec<Arc<str>>,
    pollers: Vec<Poller>,
}

/// How a domain is read.
#[derive(Debug)]
enum Way {
    /// A counter of energy, now.
    Counter(Box<Sensor>),
    /// What the last poll left: which board, which place on it.
    Sampled(usize, usize),
}

impl HwmonMeter {
    /// Looks for sensors below `sysfs` and starts to sample them; says what became of each chip.
    pub fn discover(sysfs: &Path, options: &HwmonOptions) -> (Option<Self>, SourceReport) {
        let (meter, samplers, report) = Self::prepare(sysfs, options);
        let Some(mut meter) = meter else { return (None, report) };
        for mut sampler in samplers {
            // the first values are there before anybody asks
            sampler.poll(&SystemClock);
            let period = sampler.period();
            match Poller::start("treehouse-hwmon", period, move || sampler.poll(&SystemClock)) {
                Ok(poller) => meter.pollers.push(poller),
                Err(error) => return (None, failed_thread(report, &error)),
            }
        }
        (Some(meter), report)
    }

    /// The meter and its samplers, which nobody polls yet.
    fn prepare(sysfs: &Path, options: &HwmonOptions) -> (Option<Self>, Vec<Sampler>, SourceReport) {
        let survey = survey(sysfs, options);
        if survey.sensors.is_empty() {
            return (None, Vec::new(), survey.report);
        }
        let mut samplers: Vec<Sampler> = Vec::new();
        let mut ways = Vec::new();
        for (sensor, period) in survey.sensors {
            let Some(period) = period else {
                ways.push(Way::Counter(Box::new(sensor)));
                continue;
            };
            let group = samplers.iter().position(|s| s.period() == period).unwrap_or_else(|| {
                samplers.push(Sampler::new(period));
                samplers.len() - 1
            });
            ways.push(Way::Sampled(group, samplers[group].add(sensor)));
        }
        let doubt = |d: &DomainInfo| format!("hwmon_negative: {} showed a negative power, which counts as none", d.name).into();
        let meter = Self {
            ways,
            boards: samplers.iter().map(Sampler::board).collect(),
            doubts: survey.domains.iter().map(doubt).collect(),
            domains: survey.domains,
            pollers: Vec::new(),
        };
        (Some(meter), samplers, survey.report)
    }
}

impl Meter for HwmonMeter {
    fn domains(&self) -> &[DomainInfo] {
        &self.domains
    }

    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        for (way, value) in self.ways.iter_mut().zip(values) {
            *value = match way {
                Way::Counter(sensor) => sensor.read(clock).and_then(|(shown, at)| sensor.counter(shown, at)),
                Way::Sampled(board, place) => self.boards[*board].lock()[*place].value.clone(),
            };
        }
    }

    fn settle(&mut self) {
        for poller in &self.pollers {
            poller.settle();
        }
    }

    fn warnings(&self, warnings: &mut Vec<Arc<str>>) {
        for (way, doubt) in self.ways.iter().zip(&self.doubts) {
            if let Way::Sampled(board, place) = way
                && self.boards[*board].lock()[*place].negative
            {
                warnings.push(Arc::clone(doubt));
            }
        }
    }
}

/// Names of the channels that `files` make: of the hwmon `chip`, or of a power monitor in IIO.
pub(crate) fn channel_names(chip: Option<&str>, files: &BTreeSet<String>, read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let channels = match chip {
        Some(chip) => channel::hwmon_channels(chip, files, read),
        None => channel::iio_channels(files, read),
    };
    channels.into_iter().map(|channel| channel.id).collect()
}

#[cfg(test)]
mod board_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod trees;
