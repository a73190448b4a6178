//! tidegate guards the account-recovery flow.

/// Commands; `cli.rs` replaces this.
pub mod cli {
    pub mod webhook;
}
pub mod api;
pub mod config;
pub mod deliver;
pub mod engine;
pub mod model;
pub mod store;
pub mod telemetry;
pub mod yaml;
