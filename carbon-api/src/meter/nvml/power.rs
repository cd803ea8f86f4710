//! Power of a GPU or of the module that it sits on: which of the driver's readings it has, and their values.

#![expect(unsafe_code, reason = "nvml-wrapper asks for field values of scope 0 only; a module is scope 1")]

use nvml_wrapper::Device;
use nvml_wrapper::enums::device::{DeviceArchitecture, SampleValue};
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::struct_wrappers::device::FieldValueSample;
use nvml_wrapper::sys_exports::field_id::{NVML_FI_DEV_POWER_AVERAGE, NVML_FI_DEV_POWER_INSTANT};
use nvml_wrapper_sys::bindings::{NVML_POWER_SCOPE_GPU, NVML_POWER_SCOPE_MODULE, nvmlFieldValue_t, nvmlValue_t};

/// One way to ask for power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sensor {
    /// A field value: 186 of the instant, 185 the mean.
    Field { id: u32, scope: u32 },
    /// `nvmlDeviceGetPowerUsage`: the mean of a second on Ampere (except GA100) and newer, of the instant on older parts.
    Usage,
}

const fn field(id: u32, scope: u32) -> Sensor {
    Sensor::Field { id, scope }
}

impl Sensor {
    /// Of the GPU itself, best first.
    pub(super) const OF_GPU: [Self; 3] = [
        field(NVML_FI_DEV_POWER_INSTANT, NVML_POWER_SCOPE_GPU),
        field(NVML_FI_DEV_POWER_AVERAGE, NVML_POWER_SCOPE_GPU),
        Self::Usage,
    ];
    /// Of the module with the GPU and its processors (Grace Hopper), best first.
    pub(super) const OF_MODULE: [Self; 2] =
        [field(NVML_FI_DEV_POWER_INSTANT, NVML_POWER_SCOPE_MODULE), field(NVML_FI_DEV_POWER_AVERAGE, NVML_POWER_SCOPE_MODULE)];

    /// The first that answers.
    pub(super) fn first(device: &Device<'_>, sensors: &[Self]) -> Option<Self> {
        sensors.iter().copied().find(|sensor| sensor.microwatts(device).is_ok())
    }

    /// The power now.
    pub(super) fn microwatts(self, device: &Device<'_>) -> Result<u64, NvmlError> {
        match self {
            Self::Usage => Ok(u64::from(device.power_usage()?) * 1000),
            Self::Field { id, scope } => microwatts(&field_value(device, id, scope)?).ok_or(NvmlError::NoData),
        }
    }

    /// How often it is renewed, in seconds; a mean of one second is renewed as a whole.
    pub(super) fn update_s(self, architecture: Option<&DeviceArchitecture>) -> f64 {
        use DeviceArchitecture::{Kepler, Maxwell, Pascal, Turing, Volta};
        match self {
            Self::Field { id: NVML_FI_DEV_POWER_INSTANT, .. } => 0.1,
            Self::Usage if matches!(architecture, Some(Kepler | Maxwell | Pascal | Volta | Turing)) => 0.1,
            Self::Usage | Self::Field { .. } => 1.0,
        }
    }
}

/// Microwatts of a field value in milliwatts, whatever its type; `None` where it is no power.
pub(super) fn microwatts(value: &SampleValue) -> Option<u64> {
    match value {
        SampleValue::U32(milliwatts) => Some(u64::from(*milliwatts) * 1000),
        SampleValue::U64(milliwatts) => milliwatts.checked_mul(1000),
        SampleValue::I64(milliwatts) => u64::try_from(*milliwatts).ok()?.checked_mul(1000),
        // 2^53 µW are 9 GW: beyond that a double is no exact integer, and no GPU
        SampleValue::F64(milliwatts) => (0.0..9e12).contains(milliwatts).then(|| (milliwatts * 1000.0).round() as u64),
    }
}

fn field_value(device: &Device<'_>, id: u32, scope: u32) -> Result<SampleValue, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetFieldValues.as_ref())?;
    let mut value = nvmlFieldValue_t {
        fieldId: id,
        scopeId: scope,
        timestamp: 0,
        latencyUsec: 0,
        valueType: 0,
        nvmlReturn: 0,
        value: nvmlValue_t { ullVal: 0 },
    };
    // SAFETY: the function is NVML's by name and signature; `value` is one field value, as the count says, and lives
    // through the call; the handle is used in this one call only, by the library that gave it.
    nvml_try(unsafe { call(device.handle(), 1, &raw mut value) })?;
    FieldValueSample::try_from(value)?.value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_type_holds_the_same_power() {
        let values =
            [SampleValue::U32(250_000), SampleValue::U64(250_000), SampleValue::I64(250_000), SampleValue::F64(250_000.0)];
        assert!(values.iter().all(|v| microwatts(v) == Some(250_000_000)));
        let nonsense = [SampleValue::I64(-1), SampleValue::F64(f64::NAN), SampleValue::F64(-0.5), SampleValue::U64(u64::MAX)];
        assert!(nonsense.iter().all(|v| microwatts(v).is_none()));
    }

    proptest! {
        #[test]
        fn any_value_is_taken(double in any::<f64>(), unsigned in any::<u64>(), signed in any::<i64>()) {
            for value in [SampleValue::F64(double), SampleValue::U64(unsigned), SampleValue::I64(signed)] {
                microwatts(&value);
            }
        }
    }
}
