//! Texts of an on-device power monitor.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::odpm::run(data));
