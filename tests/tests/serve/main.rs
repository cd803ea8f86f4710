//! `treehouse serve`: what it tells while meters fail, load comes and goes, and it is stopped or killed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that meets what it does not expect has failed")]

mod gates;
mod kill;
mod partition;
mod platypus;
mod signals;
mod socket;
mod support;
