//! tidegate guards the account-recovery flow.

pub mod config;
pub mod engine;
pub mod model;
pub mod telemetry;
pub mod yaml;
