//! tidegate guards the account-recovery flow.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod decode;
pub mod deliver;
pub mod engine;
pub mod enrich;
pub mod model;
pub mod simulate;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod yaml;
