//! The sans-I/O core: events go in, alerts come out, and time is an argument.
//!
//! Does no I/O, reads no clock, holds no async and logs nothing. Its parts, in the order an event
//! meets them: detectors (what to look for), rules (the algorithms), alerts, containment.

pub mod alert;
pub mod containment;
pub mod detector;
pub mod outbox;
