//! Here for Cargo.toml only; not committed.
