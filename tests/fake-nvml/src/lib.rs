//! A `libnvidia-ml.so.1` whose GPUs draw a scripted power.
//!
//! The package is two things. As a cdylib it has NVML's C symbols, so that any program that loads the
//! real library can load this one instead. As an rlib it tells a test where that file is and writes
//! the [`Script`]: what the GPUs draw, which calls they support, which fail and how slowly they answer.
//! The script is read again whenever its file changes, so that one process can change the machine
//! under a library that another process has loaded. True energy is watts times `CLOCK_BOOTTIME` since
//! the script's epoch: every process sees the same. A script may also say what time it is
//! ([`Script::now_ns`]), for tests in virtual time.
//!
//! The script is the file that `FAKE_NVML_SCRIPT` names, else the one beside the library with `.json`
//! behind its whole name, which is what [`Fake::install`] makes. Copies are libraries of their own:
//! several can be loaded into one process, each with its script.
//!
//! ```
//! use fake_nvml::{Fake, Gpu, Script, boottime_ns};
//! let directory = tempfile::tempdir()?;
//! let fake = Fake::install(directory.path(), &Script::new([Gpu::new("GPU-1", 250.0)]))?;
//! let nvml = nvml_wrapper::Nvml::builder().lib_path(fake.library().as_os_str()).init()?;
//! assert_eq!(nvml.device_by_index(0)?.power_usage()?, 250_000);
//! fake.change(|script| script.step("GPU-1", boottime_ns(), 40.0))?;
//! assert_eq!(nvml.device_by_index(0)?.power_usage()?, 40_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod abi;
mod clock;
mod code;
mod error;
mod gpu;
mod library;
mod mig;
mod process;
mod script;
mod watts;

pub use clock::boottime_ns;
pub use code::Code;
pub use error::FakeError;
pub use gpu::{Architecture, Counter, Field, Gpu, Sensor, ValueType};
pub use library::{Fake, library};
pub use mig::{Mig, Partition};
pub use process::{Process, Sampling, UtilizationSample};
pub use script::{AfterReload, Driver, Script};
pub use watts::Watts;
