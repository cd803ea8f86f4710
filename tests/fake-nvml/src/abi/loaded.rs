//! What a loaded library remembers: its script, who called `nvmlInit`, which handles it gave out.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::types::Handle;
use crate::code::Code;
use crate::gpu::Gpu;
use crate::library::beside;
use crate::mig::Partition;
use crate::script::{AfterReload, Script};

static LOADED: Mutex<Loaded> =
    Mutex::new(Loaded { source: None, seen: None, script: None, clients: 0, reloads: 0, devices: Vec::new() });

/// The state of one loaded copy.
pub(super) struct Loaded {
    source: Option<PathBuf>,
    /// Modification time, inode and length of the script that was read.
    seen: Option<(i64, i64, u64, u64)>,
    script: Option<Arc<Script>>,
    clients: u32,
    /// How often the driver had been loaded again at the last `nvmlInit`.
    reloads: u32,
    devices: Vec<Device>,
}

/// What a handle stands for.
#[derive(Clone, PartialEq, Eq)]
struct Device {
    gpu: String,
    partition: Option<String>,
    reloads: u32,
}

/// The machine at the instant of one call.
pub(super) struct Moment {
    pub(super) script: Arc<Script>,
    pub(super) now_ns: u64,
}

impl Moment {
    /// Seconds after the epoch.
    pub(super) fn at_s(&self) -> f64 {
        self.script.seconds(self.now_ns)
    }
}

/// One device at the instant of one call.
pub(super) struct Target<'m> {
    pub(super) moment: &'m Moment,
    pub(super) index: usize,
    pub(super) gpu: &'m Gpu,
    pub(super) partition: Option<&'m Partition>,
}

impl Target<'_> {
    /// The GPU itself: MIG devices do not have what only the board has.
    pub(super) fn board(&self) -> Result<&Gpu, Code> {
        if self.partition.is_none() { Ok(self.gpu) } else { Err(Code::NotSupported) }
    }

    /// A handle for this device, or for one of its partitions.
    pub(super) fn handle(&self, partition: Option<&str>) -> Handle {
        let device = Device {
            gpu: self.gpu.uuid.clone(),
            partition: partition.map(str::to_owned),
            reloads: self.moment.script.driver.reloads,
        };
        let mut loaded = lock();
        let place = loaded.devices.iter().position(|d| *d == device).unwrap_or_else(|| {
            loaded.devices.push(device);
            loaded.devices.len() - 1
        });
        // Spread out as addresses are; 0 stays invalid.
        Handle((place + 1) << 12)
    }
}

/// One more client.
pub(super) fn start(function: &str) -> Result<(), Code> {
    let moment = moment()?;
    fault(&moment.script.faults, function)?;
    let mut loaded = lock();
    loaded.clients += 1;
    loaded.reloads = moment.script.driver.reloads;
    Ok(())
}

/// One client fewer.
pub(super) fn stop() -> Result<(), Code> {
    let mut loaded = lock();
    loaded.clients = loaded.clients.checked_sub(1).ok_or(Code::Uninitialized)?;
    Ok(())
}

/// Answers a call that names no device.
pub(super) fn ask_system<T>(function: &str, answer: impl FnOnce(&Moment) -> Result<T, Code>) -> Result<T, Code> {
    let moment = moment()?;
    let (clients, reloads) = {
        let loaded = lock();
        (loaded.clients, loaded.reloads)
    };
    let driver = &moment.script.driver;
    if clients == 0 || (driver.after_reload == AfterReload::Uninitialized && reloads != driver.reloads) {
        return Err(Code::Uninitialized);
    }
    std::thread::sleep(Duration::from_millis(moment.script.delay_ms));
    fault(&moment.script.faults, function)?;
    // After the wait: a slow call answers with what is true at its end.
    answer(&Moment { now_ns: moment.script.clock_ns(), ..moment })
}

/// Answers a call for a handle.
pub(super) fn ask_device<T>(
    function: &str,
    handle: Handle,
    answer: impl FnOnce(&Target<'_>) -> Result<T, Code>,
) -> Result<T, Code> {
    ask_system(function, |moment| {
        let device = {
            let loaded = lock();
            let place = (handle.0 >> 12).checked_sub(1).filter(|_| handle.0.trailing_zeros() >= 12);
            place.and_then(|p| loaded.devices.get(p)).cloned().ok_or(Code::InvalidArgument)?
        };
        let driver = &moment.script.driver;
        if device.reloads != driver.reloads && driver.after_reload != AfterReload::Kept {
            return Err(Code::InvalidArgument);
        }
        let index = moment.script.gpus.iter().position(|g| g.uuid == device.gpu).ok_or(Code::GpuIsLost)?;
        ask_gpu(function, moment, index, |target| {
            let partition = match &device.partition {
                Some(uuid) => Some(partition(target.gpu, uuid).ok_or(Code::InvalidArgument)?),
                None => None,
            };
            answer(&Target { partition, ..*target })
        })
    })
}

/// Answers a call for the GPU of an index.
pub(super) fn ask_gpu<T>(
    function: &str,
    moment: &Moment,
    index: usize,
    answer: impl FnOnce(&Target<'_>) -> Result<T, Code>,
) -> Result<T, Code> {
    let gpu = moment.script.gpus.get(index).ok_or(Code::InvalidArgument)?;
    std::thread::sleep(Duration::from_millis(gpu.delay_ms));
    fault(&gpu.faults, function)?;
    let now_ns = if gpu.delay_ms == 0 { moment.now_ns } else { moment.script.clock_ns() };
    let moment = &Moment { script: Arc::clone(&moment.script), now_ns };
    // The GPU is looked up again in the moment that the target borrows from.
    answer(&Target { moment, index, gpu: &moment.script.gpus[index], partition: None })
}

/// A MIG device that exists now.
pub(super) fn partition<'g>(gpu: &'g Gpu, uuid: &str) -> Option<&'g Partition> {
    gpu.mig.as_ref().filter(|mig| mig.enabled)?.partitions.iter().find(|p| p.uuid == uuid)
}

fn fault(faults: &std::collections::BTreeMap<String, Code>, function: &str) -> Result<(), Code> {
    match faults.get(function).or_else(|| faults.get("*")) {
        Some(code) if *code != Code::Success => Err(*code),
        _ => Ok(()),
    }
}

fn lock() -> std::sync::MutexGuard<'static, Loaded> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now, by the script as its file stands; one `stat` a call where it did not change.
fn moment() -> Result<Moment, Code> {
    let mut loaded = lock();
    let source = match &loaded.source {
        Some(source) => source.clone(),
        None => loaded.source.insert(source().ok_or(Code::DriverNotLoaded)?).clone(),
    };
    let metadata = std::fs::metadata(&source).map_err(|error| complain(&source, &error, Code::DriverNotLoaded))?;
    let seen = Some((metadata.mtime(), metadata.mtime_nsec(), metadata.ino(), metadata.len()));
    let script = match &loaded.script {
        Some(script) if loaded.seen == seen => Arc::clone(script),
        _ => {
            let script = Arc::new(Script::load(&source).map_err(|error| complain(&source, &error, Code::Unknown))?);
            loaded.seen = seen;
            Arc::clone(loaded.script.insert(script))
        }
    };
    Ok(Moment { now_ns: script.clock_ns(), script })
}

/// The script's file: named by the environment, else beside the library.
fn source() -> Option<PathBuf> {
    std::env::var_os("FAKE_NVML_SCRIPT").map(PathBuf::from).or_else(|| {
        let own = start as *const () as usize;
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        maps.lines().find_map(|line| mapped(line, own)).map(beside)
    })
}

/// The file of a line of `/proc/PID/maps`, if an address lies in its range.
fn mapped(line: &str, address: usize) -> Option<&Path> {
    let (from, rest) = line.split_once('-')?;
    let (to, rest) = rest.split_once(' ')?;
    let range = usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?;
    let file = rest.find('/').map(|at| Path::new(&rest[at..]))?;
    range.contains(&address).then_some(file)
}

/// Says on standard error why the script is of no use: the caller sees a number only.
fn complain(source: &Path, error: &dyn std::fmt::Display, code: Code) -> Code {
    let _ = writeln!(std::io::stderr(), "fake-nvml: {}: {error}", source.display());
    code
}
