//! Puts the parts together: threads, channels, commit-after-effects, drain.
//!
//! The parts know nothing of each other; what connects an edge to the engine or to another edge
//! stands here and nowhere else.

pub mod ask;
pub mod commit;
pub mod course;
pub mod coverage;
pub mod daemon;
pub mod dead;
pub mod demo;
pub mod detectors;
pub mod files;
pub mod kafka_out;
pub mod looking;
pub mod measures;
pub mod meta;
pub mod outgoing;
pub mod pipeline;
pub mod rehearsal;
pub mod reload;
pub mod restore;
pub mod sample;
pub mod settings;
pub mod shelf;
pub mod sources;
pub mod stage;
pub mod state_dir;
pub mod tables;
pub mod threads;
pub mod trial;
pub mod tuning;
pub mod turn;
pub mod view;
pub mod work;
