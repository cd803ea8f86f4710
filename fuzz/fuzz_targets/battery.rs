//! Texts and readings of a battery.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::battery::run(data));
