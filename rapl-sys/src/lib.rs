#![doc = include_str!("../README.md")]

pub mod choose;
pub mod domain;
pub mod identity;
#[cfg(feature = "msr")]
pub mod msr;
#[cfg(feature = "perf")]
pub mod perf;
pub mod powercap;
pub mod processor;
pub mod quirks;
pub mod scale;
pub mod text;
pub mod topology;
pub mod twins;

mod backends;
mod epoch;
mod error;
#[cfg(test)]
mod fake;

pub use choose::{Choice, Listed, Options, Tried, open};
pub use domain::{Backend, Counter, Counting, Domain};
pub use epoch::Epoch;
pub use error::Error;
pub use identity::{Identity, Kind};
pub use processor::{Processor, Vendor};
pub use scale::Scale;
pub use topology::Topology;
