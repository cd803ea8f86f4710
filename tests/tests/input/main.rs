//! What goes in and what comes out: refusals, answers without a meter, and the shape of every output.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

mod golden;
mod no_meter;
mod problems;
mod refusals;
mod replay;
mod support;
