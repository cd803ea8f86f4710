//! The driver's library: loaded once, held for life, and what its errors mean.

use std::path::{Path, PathBuf};

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use crate::error::ReadError;
use crate::meter::Status;

/// The library that the loader finds by itself.
pub(super) const DEFAULT: &str = "libnvidia-ml.so.1";
const EIO: i32 = 5;
const EPERM: i32 = 1;

/// The loaded library.
///
/// It is never let go: when the last program leaves and persistence mode is off, the driver unloads and counters start at zero.
#[derive(Debug)]
pub(super) struct Library {
    file: Option<PathBuf>,
    nvml: &'static Nvml,
}

impl Library {
    /// Loads a file, or what the loader finds.
    pub(super) fn load(file: Option<&Path>) -> Result<Self, NvmlError> {
        Ok(Self { file: file.map(Path::to_owned), nvml: start(file)? })
    }

    /// The library's functions.
    pub(super) const fn nvml(&self) -> &'static Nvml {
        self.nvml
    }

    /// The GPU of a UUID, also where the driver went away and came back since.
    pub(super) fn device(&mut self, uuid: &str) -> Result<Device<'static>, NvmlError> {
        match self.nvml.device_by_uuid(uuid) {
            Err(NvmlError::Uninitialized) => {
                self.nvml = start(self.file.as_deref())?;
                self.nvml.device_by_uuid(uuid)
            }
            found => found,
        }
    }
}

fn start(file: Option<&Path>) -> Result<&'static Nvml, NvmlError> {
    let nvml = match file {
        Some(file) => Nvml::builder().lib_path(file.as_os_str()).init(),
        None => Nvml::init(),
    };
    nvml.map(|nvml| &*Box::leak(Box::new(nvml)))
}

/// The handle is of a driver that is gone; a new one can be had.
pub(super) const fn is_stale(error: &NvmlError) -> bool {
    matches!(error, NvmlError::Uninitialized | NvmlError::InvalidArg)
}

/// This GPU, driver or library cannot do it and never will.
pub(super) const fn is_unsupported(error: &NvmlError) -> bool {
    matches!(error, NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound)
}

/// An error of one GPU as meters tell it; `path` names the GPU.
pub(super) fn read_error(path: &Path, error: &NvmlError) -> ReadError {
    let path = path.to_path_buf();
    match error {
        NvmlError::NoPermission => ReadError::Denied { path, errno: EPERM },
        NvmlError::Uninitialized | NvmlError::InvalidArg | NvmlError::NotFound | NvmlError::DriverNotLoaded => {
            ReadError::Absent { path, errno: None }
        }
        _ => ReadError::Io { path, errno: EIO },
    }
}

/// What became of a library that did not start, and what to do about it.
pub(super) fn refusal(file: Option<&Path>, error: &NvmlError) -> (Status, &'static str) {
    match error {
        NvmlError::LibloadingError(_) if file.is_some_and(Path::exists) => {
            (Status::Broken, "name the driver's library, libnvidia-ml.so.1, with --nvml FILE")
        }
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => (
            Status::Absent,
            "with an NVIDIA GPU, install the driver's library (libnvidia-ml.so.1) or name it with --nvml FILE; without one, nothing",
        ),
        NvmlError::DriverNotLoaded => {
            (Status::Absent, "with an NVIDIA GPU, load its driver: modprobe nvidia; without one, nothing")
        }
        NvmlError::NoPermission => {
            (Status::Denied, "give this user access to /dev/nvidiactl and /dev/nvidia0 (group video on many systems)")
        }
        NvmlError::LibRmVersionMismatch => (Status::Broken, "the driver was updated while it ran: reboot, or load it anew"),
        NvmlError::FailedToLoadSymbol(_) => (Status::Broken, "the library is no NVML: name libnvidia-ml.so.1 with --nvml FILE"),
        _ => (Status::Broken, "see whether nvidia-smi answers, and look for NVRM and Xid in `dmesg`"),
    }
}
