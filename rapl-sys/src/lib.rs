//! Raw RAPL energy counters of Linux: zones, units, ranges. No policy: what a fall of a counter means is for the caller.
//!
//! This stage reads the powercap tree (`/sys/class/powercap`), which the kernel fills from MSR, MMIO or TPMI registers.
//!
//! ```no_run
//! let zones = rapl_sys::powercap::discover(std::path::Path::new("/sys"))?;
//! for found in zones {
//!     println!("{}: {:?}", found.identity, found.zone.map(|z| z.read_uj()));
//! }
//! # Ok::<(), rapl_sys::Error>(())
//! ```

mod error;
pub mod identity;
pub mod powercap;
mod text;

pub use error::Error;
pub use identity::{Identity, Kind};
