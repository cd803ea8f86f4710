//! Energy of a battery that does not say what it holds: its power added up over time, in a unit that has to be found first.

use crate::counter::{GapReason, SUSPEND_NS, Value};
use crate::integrator::PowerIntegrator;
use crate::stamp::Stamp;

/// Nanoseconds of an hour.
const HOUR_NS: u128 = 3_600_000_000_000;

/// The unit of `current_now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurrentUnit {
    /// As the kernel's ABI has it.
    Microampere,
    /// As some vendors have it.
    Milliampere,
}

impl CurrentUnit {
    const fn microamperes(self) -> u64 {
        match self {
            Self::Microampere => 1,
            Self::Milliampere => 1000,
        }
    }
}

/// Why a current is not yet a power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// The level has not fallen far enough since the start.
    Waiting,
    /// The level fell by what neither unit explains.
    Contradiction,
}

/// Finds the unit of a current by what it does to the level of the battery.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Charge of a full battery, in microampere-hours; `None`: the slope is not known.
    full_uah: Option<u64>,
    /// The most the battery can give, in microwatts.
    most_uw: u128,
    unit: Option<CurrentUnit>,
    /// The level at which the sum began: one that was just reached.
    mark: Option<u64>,
    last: Option<(u64, u64, Stamp)>,
    /// Raw current times nanoseconds, doubled.
    sum: u128,
    state: Unsettled,
}

impl Calibration {
    /// A current of unknown unit, of a battery that holds `full_uah` and gives at most `most_w`.
    pub fn new(full_uah: Option<u64>, most_w: f64) -> Self {
        let most_uw = (most_w * 1e6) as u128;
        Self { full_uah, most_uw, unit: None, mark: None, last: None, sum: 0, state: Unsettled::Waiting }
    }

    /// Takes the magnitude of a draining current, the voltage in microvolts and the level in percent.
    ///
    /// # Errors
    /// The unit is not known.
    pub fn take(&mut self, raw: u64, voltage_uv: u64, percent: Option<u64>, at: Stamp) -> Result<CurrentUnit, Unsettled> {
        if self.unit.is_none() && self.too_large_for_milliamperes(raw, voltage_uv) {
            self.unit = Some(CurrentUnit::Microampere);
        }
        if let (None, Some(percent), Some(full)) = (self.unit, percent, self.full_uah) {
            self.follow(raw, percent, full, at);
        }
        self.unit.ok_or(self.state)
    }

    /// True where the unit is known or can be found: by the size of the current, or by a level with a full charge beside it.
    pub fn can_settle(&self, raw: u64, voltage_uv: u64, percent: Option<u64>) -> bool {
        let slope = self.full_uah.is_some() && percent.is_some();
        slope || self.unit.is_some() || self.too_large_for_milliamperes(raw, voltage_uv)
    }

    /// As milliamperes it would be more than the battery can give.
    fn too_large_for_milliamperes(&self, raw: u64, voltage_uv: u64) -> bool {
        u128::from(raw) * u128::from(voltage_uv) / 1000 > self.most_uw
    }

    /// Notes that what follows does not continue what was: charged, suspended or not read.
    pub fn interrupt(&mut self) {
        (self.mark, self.last, self.sum) = (None, None, 0);
    }

    fn follow(&mut self, raw: u64, percent: u64, full_uah: u64, at: Stamp) {
        let Some((raw_before, percent_before, since)) = self.last.replace((raw, percent, at)) else {
            return;
        };
        if at.suspended_since(since) > SUSPEND_NS || percent > percent_before {
            self.interrupt();
            return;
        }
        self.sum = self.sum.saturating_add((u128::from(raw_before) + u128::from(raw)).saturating_mul(at.since(since).into()));
        if percent == percent_before {
            return;
        }
        if let Some(mark) = self.mark {
            let drained = (u128::from(mark.saturating_sub(percent)) * u128::from(full_uah)).saturating_mul(HOUR_NS) / 100;
            // a percent is coarse, but the two units lie three powers of ten apart
            let ratio = drained as f64 * 2.0 / self.sum as f64;
            match ratio {
                0.1..10.0 => self.unit = Some(CurrentUnit::Microampere),
                100.0..10_000.0 => self.unit = Some(CurrentUnit::Milliampere),
                _ => self.state = Unsettled::Contradiction,
            }
        }
        (self.mark, self.sum) = (Some(percent), 0);
    }
}

/// Adds up the power that a battery gives.
#[derive(Clone, Debug)]
pub struct Flow {
    integrator: PowerIntegrator,
    /// `None`: the flow is a power in microwatts.
    current: Option<Calibration>,
    charging: bool,
}

impl Flow {
    /// A flow read every `period_ns` nanoseconds: a current, where there is a calibration, else a power in microwatts.
    pub const fn new(period_ns: u64, current: Option<Calibration>) -> Self {
        Self { integrator: PowerIntegrator::new(period_ns), current, charging: false }
    }

    /// True for a power, and for a current whose unit is known or can be found.
    pub fn can_settle(&self, flow: i64, voltage_uv: u64, percent: Option<u64>) -> bool {
        self.current.as_ref().is_none_or(|c| c.can_settle(flow.unsigned_abs(), voltage_uv, percent))
    }

    /// Takes one reading of the flow, whatever its sign.
    ///
    /// # Errors
    /// The unit of the current is not known.
    pub fn take(
        &mut self,
        flow: i64,
        voltage_uv: u64,
        percent: Option<u64>,
        charging: bool,
        at: Stamp,
    ) -> Result<Value, Unsettled> {
        let raw = flow.unsigned_abs();
        let was_charging = std::mem::replace(&mut self.charging, charging);
        let microwatts = match &mut self.current {
            None => raw,
            // what flows in says nothing about the load, nor does it teach the unit
            Some(_) if charging => 0,
            Some(calibration) => {
                let unit = calibration.take(raw, voltage_uv, percent, at)?;
                let picowatts = (u128::from(raw) * u128::from(voltage_uv)).saturating_mul(unit.microamperes().into());
                u64::try_from(picowatts / 1_000_000).unwrap_or(u64::MAX)
            }
        };
        self.integrator.sample(microwatts, at);
        if charging || was_charging {
            // after the sample: whatever else lies between the two readings, the battery was not only drained
            self.interrupt(GapReason::Charging);
        }
        Ok(self.integrator.value().unwrap_or(Value::new(0, at)))
    }

    /// Notes that the next reading does not continue the last.
    pub fn interrupt(&mut self, reason: GapReason) {
        if let Some(calibration) = &mut self.current {
            calibration.interrupt();
        }
        self.integrator.interrupt(reason);
    }
}
