//! A disk that has failed stays failed, as long as the process lives.
//!
//! After a failed sync nobody knows what is durable, and the system tells it once. Invariant: once one
//! thread has met it, no thread writes or reads any more, so nothing is built on what may be lost.

use std::sync::OnceLock;

use super::StoreError;

/// How it has failed, if it has.
#[derive(Debug, Default)]
pub(super) struct Disk(OnceLock<String>);

impl Disk {
    /// Works unless it has failed before, and keeps in mind if it does now.
    pub(super) fn unless_failed<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.check()?;
        let result = work();
        if let Err(StoreError::Disk(why)) = &result {
            let _first = self.0.set(why.clone());
        }
        // Meanwhile another thread may have met it, and this one heard only of the consequence.
        result.or_else(|error| self.check().and(Err(error)))
    }

    fn check(&self) -> Result<(), StoreError> {
        let failed = |why: &String| Err(StoreError::Disk(why.clone()));
        self.0.get().map_or(Ok(()), failed)
    }
}
