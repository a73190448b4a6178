//! The configuration: from file and environment to checked settings, with every fault at once.
//!
//! raw (a tree with places, `crate::yaml`) -> overlaid (environment beats file) -> read (types,
//! defaults) -> validated (what needs two keys). Owns `tidegate check --effective`, the JSON Schema
//! and docs/configuration.md, all derived from `shape`. Starts nothing and opens no table.
//! Invariant: a `Config` that `Reading::into_result` gave out has no fault, and no secret is in it.

pub mod docs;
pub mod effective;
pub mod fault;
pub mod overlay;
pub mod reading;
pub mod schema;
pub mod secret;
pub mod shape;
pub mod value;

mod files;
mod validate;
mod walk;

pub use fault::{Fault, Faults, Place};
pub use overlay::Environment;
pub use reading::{Reading, load, read};
pub use secret::{Secret, SecretError};
pub use shape::Config;

#[cfg(test)]
mod tests;
