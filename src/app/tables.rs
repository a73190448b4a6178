//! Enrichment tables that are swapped while events flow.
//!
//! A thread looks at the files now and then; decoding threads take the newest tables between two
//! batches. A damaged new version is told of once, and the old one stays in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::shelf::Shelf;
use crate::enrich::{Look, Tables, Watch};
use crate::telemetry::Metrics;

/// How soon the watching thread notices that it is to end.
const NOTICE: Duration = Duration::from_millis(200);

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
    let (_never, pause) = crossbeam_channel::bounded::<()>(0);
    let run = move || {
        let _open = _never;
        let mut files = Watch::new(shelf.get());
        let mut waited = Duration::ZERO;
        while !stop.load(Ordering::Relaxed) {
            let _timeout = pause.recv_timeout(NOTICE);
            waited += NOTICE;
            if waited < every {
                continue;
            }
            waited = Duration::ZERO;
            let outcome = match files.look() {
                Look::Same => continue,
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
        }
    };
    std::thread::Builder::new()
        .name("tables".to_owned())
        .spawn(run)
}
