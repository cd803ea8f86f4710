//! What end-to-end tests need: the program and its daemon, a fake machine, a real Prometheus, and ways to read what they say.
//!
//! Everything that is started here is a guard: it ends by its id when it is dropped, also when a test panics. Everything
//! that waits gives up after a while.

pub mod child;
pub mod daemon;
pub mod energy;
pub mod exposition;
pub mod http;
pub mod lines;
pub mod machine;
pub mod prometheus;
pub mod scratch;
pub mod skip;
pub mod stall;
pub mod stranger;
pub mod tools;
pub mod wait;
