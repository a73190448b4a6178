//! The words every part shares: event, field, entity key, time, ids, severity, redaction.
//!
//! Owns plain values only. Knows nothing of sources, rules or delivery, does no I/O and reads no
//! clock: time and keys arrive as arguments.

pub mod contacts;
pub mod duration;
pub mod event;
pub mod fault;
pub mod field;
pub mod ids;
pub mod kind;
pub mod phone;
pub mod redact;
pub mod severity;
pub mod time;

pub use event::{Event, Value};
pub use field::{FieldId, Fields};
pub use ids::{Fingerprint, HashKey};
pub use severity::Level;
pub use time::{EventTime, Span, WallTime};
