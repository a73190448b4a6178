//! Detector files: from YAML text to a compiled `Plan`, or all their faults at once.
//!
//! Owns the language (a superset of Sigma 2.1) and its compilation. Keeps no state of events.

pub mod plan;
pub mod predicate;

pub mod case;
mod compile;
mod condition;
pub mod diagnostic;
mod document;
mod keys;
mod placeholders;
pub mod schema;
mod section;
mod selection;
mod value;
mod yaml;
pub use compile::{Compiled, Options, SourceFile, compile};
pub use diagnostic::{Diagnostic, Severity};
