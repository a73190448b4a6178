//! Distinct counts over a sliding window: exact while small, then a ring of HyperLogLog slots; and
//! the values a key has shown, for months.
//!
//! Values arrive as keyed fingerprints, so no one without the deployment's key can choose values
//! that fall into one register.

pub mod distinct;
pub mod known;
pub mod ring;
