//! Samples through the integrator.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::integrator::run(data));
