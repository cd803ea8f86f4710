//! The JSON input of a policy.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::decide::run(data));
