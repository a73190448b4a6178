//! Distinct counts over a sliding window: exact while small, then a ring of HyperLogLog slots.
//!
//! Values arrive as keyed fingerprints, so no one without the deployment's key can choose values
//! that fall into one register.

pub mod distinct;
pub mod ring;
