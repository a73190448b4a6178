//! See `tidegate_fuzz::batches`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::batches(data));
