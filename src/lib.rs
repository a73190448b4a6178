//! tidegate guards the account-recovery flow.

/// Commands; `cli.rs` replaces this.
pub mod cli {
    pub mod webhook;
}
pub mod config;
pub mod decode;
pub mod deliver;
pub mod engine;
pub mod enrich;
pub mod model;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod yaml;
