//! C structures of `nvml.h`, field by field in its order.

use std::ffi::{c_char, c_ulong};

/// `nvmlDevice_t`: a number that only [`Loaded`](super::loaded::Loaded) understands, never followed as a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Handle(pub(super) usize);

/// `nvmlFieldValue_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct FieldValue {
    pub(super) id: u32,
    pub(super) scope: u32,
    pub(super) timestamp_us: i64,
    pub(super) latency_us: i64,
    pub(super) value_type: u32,
    pub(super) code: u32,
    pub(super) value: Value,
}

/// `nvmlValue_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) union Value {
    pub(super) double: f64,
    pub(super) signed: i32,
    pub(super) unsigned: u32,
    pub(super) long: c_ulong,
    pub(super) unsigned_long: u64,
    pub(super) signed_long: i64,
}

/// `nvmlProcessInfo_v2_t`, which the third version of the calls fills as well.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct ProcessInfo {
    pub(super) pid: u32,
    pub(super) used_bytes: u64,
    pub(super) gpu_instance: u32,
    pub(super) compute_instance: u32,
}

/// `nvmlDeviceAttributes_t`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Attributes {
    pub(super) multiprocessors: u32,
    pub(super) copy_engines: u32,
    pub(super) decoders: u32,
    pub(super) encoders: u32,
    pub(super) jpeg: u32,
    pub(super) ofa: u32,
    pub(super) gpu_slices: u32,
    pub(super) compute_slices: u32,
    pub(super) memory_mb: u64,
}

/// `nvmlMemory_t`.
#[repr(C)]
pub(super) struct Memory {
    pub(super) total: u64,
    pub(super) free: u64,
    pub(super) used: u64,
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
pub(super) struct MemoryV2 {
    pub(super) version: u32,
    pub(super) total: u64,
    pub(super) reserved: u64,
    pub(super) free: u64,
    pub(super) used: u64,
}

/// `nvmlUtilization_t`.
#[repr(C)]
pub(super) struct Utilization {
    pub(super) gpu: u32,
    pub(super) memory: u32,
}

/// `nvmlPciInfo_t`.
#[repr(C)]
pub(super) struct PciInfo {
    pub(super) legacy: [c_char; 16],
    pub(super) domain: u32,
    pub(super) bus: u32,
    pub(super) device: u32,
    pub(super) ids: u32,
    pub(super) subsystem: u32,
    pub(super) bus_id: [c_char; 32],
}
