//! What a device answers at one instant.

use std::ffi::c_char;

use super::loaded::Target;
use super::types::{Attributes, FieldValue, Memory, PciInfo, Utilization, Value};
use crate::code::Code;
use crate::gpu::{Field, Sensor, ValueType};

const MEMORY_BYTES: u64 = 80 << 30;
const MEMORY_SLICES: u64 = 8;

/// `nvmlDeviceGetName`.
pub(super) fn name(target: &Target<'_>) -> String {
    match target.partition {
        Some(p) => format!("{} MIG {}g.{}gb", target.gpu.name, p.gpu_slices, 10 * p.gpu_slices),
        None => target.gpu.name.clone(),
    }
}

/// `nvmlDeviceGetPowerUsage`.
pub(super) fn power_mw(target: &Target<'_>) -> Result<u32, Code> {
    let gpu = target.board()?;
    let sensor = gpu.power.ok_or(Code::NotSupported)?;
    Ok((sensor.watts(&gpu.watts, target.moment.at_s()) * 1e3).round() as u32)
}

/// One value of `nvmlDeviceGetFieldValues`; its own code says what became of it.
pub(super) fn field(target: &Target<'_>, value: &mut FieldValue) {
    value.timestamp_us = target.moment.script.epoch_us() + (target.moment.at_s() * 1e6) as i64;
    value.latency_us = 0;
    match field_mw(target, value.id, value.scope) {
        Ok((kind, milliwatts)) => {
            value.code = Code::Success as u32;
            value.value_type = kind as u32;
            value.value = store(kind, milliwatts);
        }
        Err(code) => value.code = code as u32,
    }
}

fn field_mw(target: &Target<'_>, id: u32, scope: u32) -> Result<(ValueType, f64), Code> {
    let gpu = target.board()?;
    let field = gpu.fields.iter().find(|f| f.id == id && f.scope == scope).ok_or(Code::NotSupported)?;
    if let Some(code) = field.fault {
        return Err(code);
    }
    let watts = gpu.scope(scope).ok_or(Code::NotSupported)?;
    let sensor = match id {
        Field::POWER_AVERAGE => Sensor::AVERAGE_1S,
        Field::POWER_INSTANT => Sensor::INSTANT,
        _ => return Err(Code::NotSupported),
    };
    Ok((field.value, sensor.watts(watts, target.moment.at_s()) * 1e3))
}

fn store(kind: ValueType, number: f64) -> Value {
    let whole = number.round();
    match kind {
        ValueType::Double => Value { double: number },
        ValueType::U32 => Value { unsigned: whole as u32 },
        ValueType::Ulong => Value { long: whole as _ },
        ValueType::U64 => Value { unsigned_long: whole as u64 },
        ValueType::I64 => Value { signed_long: whole as i64 },
        ValueType::I32 => Value { signed: whole as i32 },
    }
}

/// `nvmlDeviceGetUtilizationRates`: of all processes together.
pub(super) fn utilization(target: &Target<'_>) -> Result<Utilization, Code> {
    let gpu = target.board()?;
    if gpu.mig.as_ref().is_some_and(|mig| mig.enabled) {
        return Err(Code::NotSupported);
    }
    let now = target.moment.at_s();
    let sum =
        |of: fn(&crate::process::Process) -> u32| gpu.processes.iter().filter(|p| p.resident(now)).map(of).sum::<u32>().min(100);
    Ok(Utilization { gpu: sum(|p| p.sm), memory: sum(|p| p.memory) })
}

/// `nvmlDeviceGetMemoryInfo`.
pub(super) fn memory(target: &Target<'_>) -> Memory {
    let now = target.moment.at_s();
    let total = target.partition.map_or(MEMORY_BYTES, |p| MEMORY_BYTES / MEMORY_SLICES * u64::from(p.gpu_slices));
    let here = |p: &&crate::process::Process| target.partition.is_none_or(|t| p.partition.as_ref() == Some(&t.uuid));
    let used = target.gpu.processes.iter().filter(|p| p.resident(now)).filter(here).map(|p| p.used_bytes).sum::<u64>();
    let used = used.min(total);
    Memory { total, free: total - used, used }
}

/// `nvmlDeviceGetAttributes_v2`, of MIG devices alone.
pub(super) fn attributes(target: &Target<'_>) -> Result<Attributes, Code> {
    let partition = target.partition.ok_or(Code::NotSupported)?;
    Ok(Attributes {
        multiprocessors: 16 * partition.compute_slices,
        gpu_slices: partition.gpu_slices,
        compute_slices: partition.compute_slices,
        memory_mb: (MEMORY_BYTES / MEMORY_SLICES * u64::from(partition.gpu_slices)) >> 20,
        ..Attributes::default()
    })
}

/// Where the GPU of an index sits.
pub(super) fn bus_id(index: usize) -> String {
    format!("00000000:{:02X}:00.0", index + 1)
}

/// `nvmlDeviceGetPciInfo_v3`.
pub(super) fn pci_info(index: usize) -> PciInfo {
    let mut info = PciInfo {
        legacy: [0; 16],
        domain: 0,
        bus: index as u32 + 1,
        device: 0,
        ids: 0x2330_10de,
        subsystem: 0x16c1_10de,
        bus_id: [0; 32],
    };
    let long = bus_id(index);
    copy(&mut info.bus_id, &long);
    copy(&mut info.legacy, &long[4..]);
    info
}

fn copy(into: &mut [c_char], text: &str) {
    for (place, byte) in into.iter_mut().zip(text.bytes()) {
        *place = byte as c_char;
    }
}
