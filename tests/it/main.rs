//! The integration tests: the real binary as a process, a real Kafka, webhooks received elsewhere.
//!
//! One binary, so that it links once. Nothing here is skipped: what is missing fails a test with
//! the command that installs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::cast_precision_loss,
    reason = "tests stop at the first thing that does not hold, read files and wait for processes"
)]

mod cli;
mod compat;
mod faults;
mod fuzz;
mod harness;
mod pipeline;
mod tidy;
