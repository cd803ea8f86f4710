//! The `OTEL_…` variables.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treehouse_fuzz::otlp::run(data));
