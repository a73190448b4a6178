//! What is fuzzed, as functions that take any bytes and must neither panic nor accept what they
//! should not: one for each door through which somebody else's bytes come in.
//!
//! `fuzz_targets` gives them to libFuzzer (`make fuzz`), `tests/it/fuzz.rs` to a small mutator of its own on
//! every change. Owns no corpus: that is `fuzz/corpus`, a folder per function.

mod entry;

pub use entry::*;
