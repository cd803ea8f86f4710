//! Android's `power_profile.xml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::power_profile::run(data));
