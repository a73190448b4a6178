//! Sliding windows over event time: exact stamps for small bounds, buckets for large ones, sums.
//!
//! A window at time t is `(t - span, t]`. Insertion takes times in any order; cost per event is
//! flat in what the window holds.

pub mod buckets;
pub mod order;
pub mod stamps;
pub mod sums;
pub mod tally;
