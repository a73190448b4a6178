//! Enrichment tables that are swapped while events flow.
//!
//! A thread looks at the files now and then; decoding threads take the newest tables between two
//! batches. A damaged new version is told of once, and the old one stays in use.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use super::looking;
use super::shelf::Shelf;
use crate::enrich::{Look, Tables, Watch};
use crate::telemetry::Metrics;

/// Looks for changed files every `every` until `stop`.
///
/// # Errors
/// When the system gives no thread.
pub fn watch(
    shelf: Arc<Shelf<Tables>>,
    every: Duration,
    metrics: Metrics,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    let mut files = Watch::new(shelf.get());
    looking::every("tables", every, stop, move || {
        let outcome = match files.look() {
            Look::Same => return,
            Look::New(tables) => {
                tracing::info!("enrichment tables reloaded");
                shelf.put(tables);
                "done"
            }
            Look::Refused(error) => {
                tracing::error!(%error, "changed tables cannot be used; those before stay");
                "refused"
            }
        };
        metrics.reloads.add(["tables".into(), outcome.into()], 1);
    })
}
