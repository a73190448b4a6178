//! tidegate guards the account-recovery flow.

pub mod engine;
pub mod model;
pub mod yaml;
