//! Energy and carbon of a machine and of who used it.
//!
//! Data flows one way: a meter's raw counter becomes microjoules over a known interval ([`counter`]), is shared out among
//! those who used the processors ([`attribution`], [`intervals`]), is priced in grams with the grid's intensity ([`carbon`],
//! [`grid`]), is kept (`ledger`) and shown as one immutable [`snapshot`].
//!
//! The pure half (everything that needs no feature) does no input or output, reads no clock and spawns no thread:
//! `cargo check -p carbon-api --no-default-features` builds it alone. The feature `machine` adds what touches the machine.

pub mod attribution;
pub mod bank;
pub mod carbon;
pub mod closed;
pub mod counter;
pub mod cover;
pub mod domain;
pub mod error;
pub mod family;
pub mod grid;
pub mod integrator;
pub mod intervals;
pub mod meter;
pub mod policy;
pub mod shifting;
pub mod snapshot;
pub mod stamp;
pub mod units;
pub mod usage;
pub mod users;

#[cfg(feature = "machine")]
pub mod detect;
#[cfg(feature = "ledger")]
pub mod ledger;
#[cfg(feature = "monitor")]
pub mod monitor;
#[cfg(feature = "machine")]
#[doc(hidden)]
pub mod parsers;
#[cfg(feature = "window")]
pub mod probe;
#[cfg(feature = "system")]
pub mod system;
#[cfg(feature = "window")]
pub mod window;

#[cfg(test)]
#[cfg(feature = "machine")]
mod peers;

#[cfg(feature = "machine")]
pub use detect::Treehouse;
