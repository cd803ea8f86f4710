//! The C symbols, under the names and signatures of `nvml.h`.
//!
//! Documentation of each call: the NVML API reference of NVIDIA. Here a call finds its device in the
//! script, computes what is true now, and writes it where the caller wants it.

#![expect(unsafe_code, reason = "a C interface: symbols by name, results through pointers of the caller")]

mod answers;
mod loaded;
mod processes;
mod types;

use std::ffi::{CStr, c_char};

use self::loaded::{ask_device, ask_gpu, ask_system, partition, start, stop};
use self::types::{Attributes, FieldValue, Handle, Memory, MemoryV2, PciInfo, ProcessInfo, Utilization};
use crate::code::Code;
use crate::process::UtilizationSample;

/// Calls that ask a device for one value.
macro_rules! device_values {
    ($($name:ident: $type:ty = $answer:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(device: Handle, value: *mut $type) -> u32 {
            let answer = ask_device(stringify!($name), device, $answer);
            status(answer.and_then(|answer| unsafe { put(value, answer) }))
        }
    )*};
}

/// Calls that ask a device for a text.
macro_rules! device_texts {
    ($($name:ident = $answer:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(device: Handle, text: *mut c_char, length: u32) -> u32 {
            let answer = ask_device(stringify!($name), device, $answer);
            status(answer.and_then(|answer| unsafe { put_text(text, length, &answer) }))
        }
    )*};
}

/// Calls that ask the system for a text.
macro_rules! system_texts {
    ($($name:ident = $answer:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(text: *mut c_char, length: u32) -> u32 {
            let answer = ask_system(stringify!($name), $answer);
            status(answer.and_then(|answer| unsafe { put_text(text, length, &answer) }))
        }
    )*};
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> u32 {
    status(start("nvmlInit_v2"))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInitWithFlags(_flags: u32) -> u32 {
    status(start("nvmlInitWithFlags"))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> u32 {
    status(stop())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(code: u32) -> *const c_char {
    Code::from_number(code).unwrap_or(Code::Unknown).text().as_ptr()
}

system_texts! {
    nvmlSystemGetDriverVersion = |moment| Ok(moment.script.driver.version.clone());
    nvmlSystemGetNVMLVersion = |moment| Ok(format!("12.{}", moment.script.driver.version));
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut i32) -> u32 {
    let answer = ask_system("nvmlSystemGetCudaDriverVersion_v2", |_| Ok(12_040));
    status(answer.and_then(|answer| unsafe { put(version, answer) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut u32) -> u32 {
    let answer = ask_system("nvmlDeviceGetCount_v2", |moment| Ok(moment.script.gpus.len() as u32));
    status(answer.and_then(|answer| unsafe { put(count, answer) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: u32, device: *mut Handle) -> u32 {
    let function = "nvmlDeviceGetHandleByIndex_v2";
    let answer = ask_system(function, |moment| ask_gpu(function, moment, index as usize, |target| Ok(target.handle(None))));
    status(answer.and_then(|answer| unsafe { put(device, answer) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut Handle) -> u32 {
    let function = "nvmlDeviceGetHandleByUUID";
    let answer = unsafe { text(uuid) }.and_then(|uuid| {
        ask_system(function, |moment| {
            let gpus = &moment.script.gpus;
            let index = gpus.iter().position(|g| g.uuid == uuid || partition(g, uuid).is_some()).ok_or(Code::NotFound)?;
            let child = (gpus[index].uuid != uuid).then_some(uuid);
            ask_gpu(function, moment, index, |target| Ok(target.handle(child)))
        })
    });
    status(answer.and_then(|answer| unsafe { put(device, answer) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(bus_id: *const c_char, device: *mut Handle) -> u32 {
    let function = "nvmlDeviceGetHandleByPciBusId_v2";
    let answer = unsafe { text(bus_id) }.and_then(|bus_id| {
        ask_system(function, |moment| {
            let count = moment.script.gpus.len();
            let index = (0..count).find(|i| answers::bus_id(*i).eq_ignore_ascii_case(bus_id)).ok_or(Code::NotFound)?;
            ask_gpu(function, moment, index, |target| Ok(target.handle(None)))
        })
    });
    status(answer.and_then(|answer| unsafe { put(device, answer) }))
}

device_texts! {
    nvmlDeviceGetName = |target| Ok(answers::name(target));
    nvmlDeviceGetUUID = |target| Ok(target.partition.map_or(&target.gpu.uuid, |p| &p.uuid).clone());
}

device_values! {
    nvmlDeviceGetIndex: u32 = |target| Ok(target.partition.map_or(target.index as u32, |p| p.place));
    nvmlDeviceGetMinorNumber: u32 = |target| target.board().map(|_| target.index as u32);
    nvmlDeviceGetArchitecture: u32 = |target| Ok(target.gpu.architecture as u32);
    nvmlDeviceGetPciInfo_v3: PciInfo = |target| Ok(answers::pci_info(target.index));
    nvmlDeviceGetPersistenceMode: u32 = |target| target.board().map(|_| 1);
    nvmlDeviceGetComputeMode: u32 = |_| Ok(0);
    nvmlDeviceGetMemoryInfo: Memory = |target| Ok(answers::memory(target));
    nvmlDeviceGetUtilizationRates: Utilization = answers::utilization;
    nvmlDeviceGetPowerUsage: u32 = answers::power_mw;
    nvmlDeviceGetEnforcedPowerLimit: u32 = |target| target.board().map(|gpu| (gpu.limit_w * 1e3) as u32);
    nvmlDeviceGetPowerManagementLimit: u32 = |target| target.board().map(|gpu| (gpu.limit_w * 1e3) as u32);
    nvmlDeviceGetTotalEnergyConsumption: u64 =
        |target| target.moment.script.counter_mj(target.board()?, target.moment.now_ns);
    nvmlDeviceIsMigDeviceHandle: u32 = |target| Ok(u32::from(target.partition.is_some()));
    nvmlDeviceGetMaxMigDeviceCount: u32 = |target| Ok(target.board()?.mig.as_ref().map_or(0, |mig| mig.places));
    nvmlDeviceGetDeviceHandleFromMigDeviceHandle: Handle =
        |target| target.partition.map(|_| target.handle(None)).ok_or(Code::InvalidArgument);
    nvmlDeviceGetGpuInstanceId: u32 = |target| target.partition.map(|p| p.gpu_instance).ok_or(Code::InvalidArgument);
    nvmlDeviceGetComputeInstanceId: u32 = |target| target.partition.map(|p| p.compute_instance).ok_or(Code::InvalidArgument);
    nvmlDeviceGetAttributes_v2: Attributes = answers::attributes;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, memory: *mut MemoryV2) -> u32 {
    let expected = size_of::<MemoryV2>() as u32 | 2 << 24;
    let answer = ask_device("nvmlDeviceGetMemoryInfo_v2", device, |target| {
        // The caller says which layout it knows.
        let version = unsafe { memory.as_ref() }.ok_or(Code::InvalidArgument)?.version;
        if version == expected { Ok(answers::memory(target)) } else { Err(Code::ArgumentVersionMismatch) }
    });
    status(answer.and_then(|m| {
        let answer = MemoryV2 { version: expected, total: m.total, reserved: 0, free: m.free, used: m.used };
        unsafe { put(memory, answer) }
    }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetTemperature(device: Handle, sensor: u32, degrees: *mut u32) -> u32 {
    let answer = ask_device("nvmlDeviceGetTemperature", device, |target| {
        if sensor == 0 { target.board().map(|_| 55) } else { Err(Code::InvalidArgument) }
    });
    status(answer.and_then(|answer| unsafe { put(degrees, answer) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetPowerManagementLimitConstraints(device: Handle, least: *mut u32, most: *mut u32) -> u32 {
    let answer = ask_device("nvmlDeviceGetPowerManagementLimitConstraints", device, |target| {
        target.board().map(|gpu| ((gpu.limit_w * 300.0) as u32, (gpu.limit_w * 1e3) as u32))
    });
    status(answer.and_then(|(low, high)| unsafe { put(least, low).and(put(most, high)) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigMode(device: Handle, current: *mut u32, pending: *mut u32) -> u32 {
    let answer = ask_device("nvmlDeviceGetMigMode", device, |target| {
        let mig = target.board()?.mig.as_ref().ok_or(Code::NotSupported)?;
        Ok((u32::from(mig.enabled), u32::from(mig.pending)))
    });
    status(answer.and_then(|(now, later)| unsafe { put(current, now).and(put(pending, later)) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(device: Handle, place: u32, child: *mut Handle) -> u32 {
    let answer = ask_device("nvmlDeviceGetMigDeviceHandleByIndex", device, |target| {
        let mig = target.board()?.mig.as_ref().filter(|mig| mig.enabled).ok_or(Code::NotSupported)?;
        if place >= mig.places {
            return Err(Code::InvalidArgument);
        }
        let partition = mig.partitions.iter().find(|p| p.place == place).ok_or(Code::NotFound)?;
        Ok(target.handle(Some(&partition.uuid)))
    });
    status(answer.and_then(|answer| unsafe { put(child, answer) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetFieldValues(device: Handle, count: i32, values: *mut FieldValue) -> u32 {
    status(ask_device("nvmlDeviceGetFieldValues", device, |target| {
        let count = usize::try_from(count).ok().filter(|count| *count > 0 && !values.is_null()).ok_or(Code::InvalidArgument)?;
        for value in unsafe { std::slice::from_raw_parts_mut(values, count) } {
            answers::field(target, value);
        }
        Ok(())
    }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetProcessUtilization(
    device: Handle,
    samples: *mut UtilizationSample,
    count: *mut u32,
    since_us: u64,
) -> u32 {
    let answer = ask_device("nvmlDeviceGetProcessUtilization", device, |target| processes::utilization(target, since_us));
    status(answer.and_then(|answer| unsafe { put_list(samples, count, &answer) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(device: Handle, count: *mut u32, list: *mut ProcessInfo) -> u32 {
    let answer = ask_device("nvmlDeviceGetComputeRunningProcesses_v3", device, |target| Ok(processes::residents(target, false)));
    status(answer.and_then(|answer| unsafe { put_list(list, count, &answer) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(device: Handle, count: *mut u32, list: *mut ProcessInfo) -> u32 {
    let answer = ask_device("nvmlDeviceGetGraphicsRunningProcesses_v3", device, |target| Ok(processes::residents(target, true)));
    status(answer.and_then(|answer| unsafe { put_list(list, count, &answer) }))
}

fn status(answer: Result<(), Code>) -> u32 {
    answer.err().unwrap_or(Code::Success) as u32
}

/// Writes a value where the caller wants it.
///
/// # Safety
/// `at` is null or good for one `T`.
unsafe fn put<T>(at: *mut T, value: T) -> Result<(), Code> {
    if at.is_null() {
        return Err(Code::InvalidArgument);
    }
    unsafe { at.write(value) };
    Ok(())
}

/// Writes a text and its end.
///
/// # Safety
/// `at` is null or good for `length` characters.
unsafe fn put_text(at: *mut c_char, length: u32, text: &str) -> Result<(), Code> {
    if at.is_null() {
        return Err(Code::InvalidArgument);
    }
    if text.len() >= length as usize {
        return Err(Code::InsufficientSize);
    }
    let bytes: Vec<c_char> = text.bytes().map(|b| b as c_char).chain([0]).collect();
    unsafe { at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Ok(())
}

/// Writes a list and its length, or only the length where the list has no room.
///
/// # Safety
/// `count` is null or good for one number; `at` is null or good for as many `T` as that number says.
unsafe fn put_list<T: Copy>(at: *mut T, count: *mut u32, list: &[T]) -> Result<(), Code> {
    if count.is_null() {
        return Err(Code::InvalidArgument);
    }
    let room = unsafe { count.replace(list.len() as u32) } as usize;
    if list.is_empty() {
        return Ok(());
    }
    if at.is_null() || room < list.len() {
        return Err(Code::InsufficientSize);
    }
    unsafe { at.copy_from_nonoverlapping(list.as_ptr(), list.len()) };
    Ok(())
}

/// A text of the caller.
///
/// # Safety
/// `at` is null or a C string that outlives the call.
unsafe fn text<'t>(at: *const c_char) -> Result<&'t str, Code> {
    if at.is_null() {
        return Err(Code::InvalidArgument);
    }
    unsafe { CStr::from_ptr(at) }.to_str().map_err(|_| Code::InvalidArgument)
}
