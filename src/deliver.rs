//! Sends what the outbox holds: signed webhooks and SOC sinks.
//!
//! Owns the way out, not what is decided: messages come numbered and worded. Each endpoint has its
//! own worker, so that a dead one never slows another; each message goes out at least once, always
//! with the same id and bytes. Reaches the store only through `engine::outbox::Outbox`.

use crate::model::fault::Class;

pub mod address;
pub mod body;
pub mod clock;
pub mod counters;
pub mod queue;
pub mod retry;
pub mod settings;
pub mod sign;
pub mod sink;
#[cfg(test)]
mod stub;
pub mod webhook;
pub mod worker;

pub use clock::{Clock, SystemClock};
pub use counters::Counters;
pub use settings::{EndpointSettings, Settings};
pub use sink::{Sink, Topic};
pub use worker::{Notice, Worker};

/// What can go wrong with delivery as a whole; a failed attempt is an `Outcome`, not an error.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The settings of an endpoint cannot be carried out.
    #[error("endpoint {endpoint}: {what}")]
    Settings { endpoint: String, what: String },
    /// The outbox failed in a way that trying again does not mend.
    #[error("endpoint {endpoint}: {source}")]
    Outbox {
        endpoint: String,
        source: crate::engine::outbox::OutboxError,
    },
}

impl DeliverError {
    /// How to meet it.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Settings { .. } => Class::Operator,
            Self::Outbox { source, .. } => source.class,
        }
    }
}
