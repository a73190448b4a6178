//! Puts the parts together: threads, channels, commit-after-effects, drain.
//!
//! The parts know nothing of each other; what connects an edge to the engine or to another edge
//! stands here and nowhere else.

pub mod commit;
pub mod detectors;
pub mod pipeline;
pub mod rehearsal;
pub mod stage;
pub mod threads;
pub mod trial;
