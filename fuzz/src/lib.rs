//! Any bytes against every parser, and any readings against every counter: no panic, and no energy out of thin air.
//!
//! One module a target, each with a `run` that takes the bytes of one input and panics where a law does not hold. The
//! programs in `fuzz_targets/` hand them to libFuzzer; an ordinary test hands every file of `corpus/` to the same functions.

pub mod accept;
pub mod battery;
pub mod bytes;
pub mod config;
pub mod counter;
pub mod decide;
pub mod grid;
pub mod hwmon;
pub mod integrator;
pub mod model;
pub mod odpm;
pub mod otlp;
pub mod power_profile;
pub mod rapl;
pub mod replay;
pub mod scale;
pub mod usage;

mod account;

/// A name, which is that of the program and of the folder in `corpus/`, and what is done with one input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 16] = [
    ("accept", accept::run),
    ("battery", battery::run),
    ("config", config::run),
    ("counter", counter::run),
    ("decide", decide::run),
    ("grid", grid::run),
    ("hwmon", hwmon::run),
    ("integrator", integrator::run),
    ("model", model::run),
    ("odpm", odpm::run),
    ("otlp", otlp::run),
    ("power_profile", power_profile::run),
    ("rapl", rapl::run),
    ("replay", replay::run),
    ("scale", scale::run),
    ("usage", usage::run),
];
