//! Sensor files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::hwmon::run(data));
