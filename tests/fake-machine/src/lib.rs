//! A machine that does not exist, with a true power that is known.
//!
//! [`TrueMachine`] is the model: powercap zones with scripted power, counters that count and wrap as
//! the kernel's do, faults, CPU time of processes and control groups. It has no clock and no files.
//! [`PlainTree`] writes it as ordinary files at instants of the caller's choice, for virtual time.
//! The program `fake-machine` ([`cli`]) shows it in real time, by FUSE where that can be used, and
//! [`Guard`] runs that program for the length of a test.
//!
//! ```
//! use fake_machine::{PlainTree, TrueMachine};
//! let mut machine = TrueMachine::builder().cpus(2).package(0, 40.0).core(30.0).build()?;
//! let package = machine.find("package-0")?;
//! let directory = tempfile::tempdir()?;
//! let mut tree = PlainTree::write(directory.path(), &machine, 0)?;
//! machine.set_power(package, 500_000_000, 80.0)?;
//! tree.update(&machine, 1_000_000_000)?;
//! let file = tree.sysfs().join("class/powercap/intel-rapl:0/energy_uj");
//! // 60 J are 983042 whole units of 61035 nJ.
//! assert_eq!(std::fs::read_to_string(file)?.trim(), "59999968");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod cgroup;
pub mod cli;
mod control;
mod error;
mod fault;
mod fuse;
mod guard;
mod inodes;
mod layout;
mod live;
mod model;
mod moment;
mod padded;
mod plain;
mod power;
mod proctext;
mod server;
mod steps;
mod truth;
mod units;
mod usage;
mod watch;
mod zone;

pub use builder::Builder;
pub use cgroup::CgroupLayout;
pub use control::{Command, USAGE};
pub use error::{ModelError, TreeError};
pub use fault::{Fault, ReadError};
pub use guard::Guard;
pub use model::{TrueMachine, Vendor};
pub use moment::{Clocks, Moment};
pub use plain::PlainTree;
pub use steps::Steps;
pub use truth::{Truth, ZoneTruth};
pub use units::Units;
pub use usage::{CpuTime, Process};
pub use zone::{ControlType, Zone, ZoneId, ZoneKind};
