//! The scale of a perf event.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::scale::run(data));
