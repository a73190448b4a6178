//! Sends what the outbox holds: signed webhooks and SOC sinks.
//!
//! Owns the way out, not what is said on it: messages come numbered and worded. Each endpoint has
//! its own worker, so that a dead one never slows another; each message goes out at least once,
//! always with the same id and bytes.

pub mod sign;
