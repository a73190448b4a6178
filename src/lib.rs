//! tidegate guards the account-recovery flow.

pub mod decode;
pub mod engine;
pub mod model;
pub mod source;
