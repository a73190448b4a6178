//! The outbox port over a store: what deliver sends from.
//!
//! Owns no rules: `rows::messages` does the work, each call in one transaction.

use std::sync::Arc;

use super::rows::messages;
use super::{Store, StoreError};
use crate::engine::outbox::{Message, Outbox, OutboxError, Settled};

/// The messages of a store.
#[derive(Clone)]
pub struct StoreOutbox {
    store: Arc<dyn Store>,
}

impl StoreOutbox {
    /// The outbox in this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

impl std::fmt::Debug for StoreOutbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreOutbox({})", self.store.name())
    }
}

impl From<StoreError> for OutboxError {
    fn from(error: StoreError) -> Self {
        Self {
            class: error.class(),
            what: error.to_string(),
        }
    }
}

impl Outbox for StoreOutbox {
    fn load(&self, endpoint: &str, after: u64, limit: usize) -> Result<Vec<Message>, OutboxError> {
        Ok(super::read(&*self.store, |view| {
            messages::load(view, endpoint, after, limit)
        })?)
    }

    fn depth(&self, endpoint: &str) -> Result<u64, OutboxError> {
        Ok(super::read(&*self.store, |view| {
            messages::depth(view, endpoint)
        })?)
    }

    fn gave_way(&self, endpoint: &str) -> Result<u64, OutboxError> {
        Ok(super::read(&*self.store, |view| {
            messages::gave_way(view, endpoint)
        })?)
    }

    fn settle(&self, endpoint: &str, settled: &[Settled]) -> Result<(), OutboxError> {
        Ok(super::write(&*self.store, |tx| {
            messages::settle(tx, endpoint, settled)
        })?)
    }
}
