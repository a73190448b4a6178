//! See `tidegate_fuzz::detectors`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::detectors(data));
