//! Texts of procfs and of control groups.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::usage::run(data));
