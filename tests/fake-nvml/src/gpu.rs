//! One GPU of a script: what it draws and what it says of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::mig::Mig;
use crate::process::{Process, Sampling};
use crate::watts::Watts;

/// One GPU; its place in the script is its index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gpu {
    /// Its identity, which outlives a change of index.
    pub uuid: String,
    /// Product name.
    pub name: String,
    /// Chip family.
    pub architecture: Architecture,
    /// True power of the board.
    pub watts: Watts,
    /// True power of the module that holds it and a CPU; `None`: there is no module.
    pub module_watts: Option<Watts>,
    /// The energy counter; `None`: NOT_SUPPORTED.
    pub counter: Option<Counter>,
    /// What `nvmlDeviceGetPowerUsage` shows; `None`: NOT_SUPPORTED.
    pub power: Option<Sensor>,
    /// The field values that it has; every other is NOT_SUPPORTED.
    pub fields: Vec<Field>,
    /// Enforced power limit in watts.
    pub limit_w: f64,
    /// Partitions; `None`: a part without MIG.
    pub mig: Option<Mig>,
    /// Who uses it.
    pub processes: Vec<Process>,
    /// How it samples them.
    pub sampling: Sampling,
    /// Answers that calls for this GPU give in place of their own, by C name; `*`: every call.
    pub faults: BTreeMap<String, Code>,
    /// Milliseconds that each call for this GPU takes.
    pub delay_ms: u64,
}

impl Default for Gpu {
    fn default() -> Self {
        Self {
            uuid: "GPU-00000000-0000-0000-0000-000000000000".into(),
            name: "Fake H100 80GB HBM3".into(),
            architecture: Architecture::Hopper,
            watts: Watts::Constant(0.0),
            module_watts: None,
            counter: Some(Counter::default()),
            power: Some(Sensor::default()),
            fields: Vec::new(),
            limit_w: 700.0,
            mig: None,
            processes: Vec::new(),
            sampling: Sampling::default(),
            faults: BTreeMap::new(),
            delay_ms: 0,
        }
    }
}

impl Gpu {
    /// A GPU that counts its energy and shows instantaneous power.
    pub fn new(uuid: impl Into<String>, watts: impl Into<Watts>) -> Self {
        Self { uuid: uuid.into(), watts: watts.into(), ..Self::default() }
    }

    /// The same without an energy counter, as every part before Volta.
    #[must_use]
    pub fn without_counter(self) -> Self {
        Self { counter: None, ..self }
    }

    /// True power of a scope: 0 the board, 1 the module.
    pub(crate) fn scope(&self, scope: u32) -> Option<&Watts> {
        match scope {
            0 => Some(&self.watts),
            1 => self.module_watts.as_ref(),
            _ => None,
        }
    }
}

/// Chip family, with NVML's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum Architecture {
    /// 2012.
    Kepler = 2,
    /// 2014.
    Maxwell = 3,
    /// 2016.
    Pascal = 4,
    /// 2017; the first with an energy counter.
    Volta = 5,
    /// 2018.
    Turing = 6,
    /// 2020.
    Ampere = 7,
    /// 2022, for graphics.
    Ada = 8,
    /// 2022, for computing.
    Hopper = 9,
    /// 2024.
    Blackwell = 10,
}

/// An energy counter in millijoules since the driver was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counter {
    /// Milliseconds from one step to the next; 0: every call sees the present.
    pub update_ms: u64,
    /// What the counter shows for each true joule; 1 is right.
    pub scale: f64,
    /// Millijoules that stood in it at the script's epoch.
    pub start_mj: u64,
}

impl Default for Counter {
    fn default() -> Self {
        Self { update_ms: 100, scale: 1.0, start_mj: 0 }
    }
}

/// A power reading: the mean over the last `window_ms`, renewed every `update_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sensor {
    /// Milliseconds averaged; 0: the power of one instant.
    pub window_ms: u64,
    /// Milliseconds between two values; 0: every call sees the present.
    pub update_ms: u64,
}

impl Sensor {
    /// The power of this instant.
    pub const INSTANT: Self = Self { window_ms: 0, update_ms: 0 };
    /// The mean of the last second, as Ampere (except GA100) and newer show.
    pub const AVERAGE_1S: Self = Self { window_ms: 1000, update_ms: 0 };
    /// 25 ms of every 100: the part of the time that A100 and H100 look at (arXiv 2312.02741).
    pub const QUARTER: Self = Self { window_ms: 25, update_ms: 100 };

    /// What it shows of `watts` at `at_s` seconds after the epoch.
    pub(crate) fn watts(self, watts: &Watts, at_s: f64) -> f64 {
        let seconds = |ms: u64| ms as f64 / 1e3;
        let at_s = if self.update_ms == 0 { at_s } else { (at_s / seconds(self.update_ms)).floor() * seconds(self.update_ms) };
        let window_s = seconds(self.window_ms);
        if self.window_ms == 0 { watts.at(at_s) } else { watts.joules(at_s - window_s, at_s) / window_s }
    }
}

/// One field value: 185 is mean power, 186 power of the instant, both in milliwatts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// 185 or 186.
    pub id: u32,
    /// 0: the GPU, 1: the module.
    pub scope: u32,
    /// How the value is stored.
    pub value: ValueType,
    /// An answer in place of the value.
    #[serde(default)]
    pub fault: Option<Code>,
}

impl Field {
    /// `NVML_FI_DEV_POWER_AVERAGE`.
    pub const POWER_AVERAGE: u32 = 185;
    /// `NVML_FI_DEV_POWER_INSTANT`.
    pub const POWER_INSTANT: u32 = 186;

    /// A field that answers.
    pub const fn new(id: u32, scope: u32, value: ValueType) -> Self {
        Self { id, scope, value, fault: None }
    }
}

/// The type tag of a field value, with NVML's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum ValueType {
    /// A double.
    Double = 0,
    /// 32 bits without sign.
    U32 = 1,
    /// A `long` without sign.
    Ulong = 2,
    /// 64 bits without sign.
    U64 = 3,
    /// 64 bits with sign.
    I64 = 4,
    /// 32 bits with sign: newer than some programs know.
    I32 = 5,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_lags_and_a_quarter_misses() {
        let power = Watts::from(100.0).stepped(10.0, 300.0);
        assert!((Sensor::INSTANT.watts(&power, 10.0) - 300.0).abs() < 1e-9);
        assert!((Sensor::AVERAGE_1S.watts(&power, 10.25) - 150.0).abs() < 1e-9);
        assert!((Sensor::QUARTER.watts(&power, 10.05) - 100.0).abs() < 1e-9, "the step is not in the last window yet");
        assert!((Sensor::QUARTER.watts(&power, 10.101) - 300.0).abs() < 1e-9);
    }
}
