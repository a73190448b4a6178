//! What all that write files share: when a disk is full, how a name is made durable; and that a disk that
//! has failed stays failed, as long as the process lives.
//!
//! After a failed sync nobody knows what is durable, and the system tells it once. Invariant: once one
//! thread has met it, no thread writes or reads any more, so nothing is built on what may be lost.

#![expect(
    clippy::disallowed_methods,
    reason = "an edge: makes what stands in a folder durable"
)]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::OnceLock;

use super::StoreError;

/// Whether it failed for want of space: then it may succeed later.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

/// Makes the names in a folder durable.
///
/// # Errors
/// They are not.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

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
