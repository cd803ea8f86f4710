//! The small files of RAPL.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::rapl::run(data));
