//! Names of zones, and instants.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::grid::run(data));
