//! Enrichment tables that are swapped while events flow.
//!
//! A thread looks at the files now and then; decoding threads take the newest tables between two
//! batches. A damaged new version is told of once, and the old one stays in use.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::enrich::{Look, Tables, Watch};
use crate::telemetry::Metrics;

/// How soon the watching thread notices that it is to end.
const NOTICE: Duration = Duration::from_millis(200);

/// The tables in force.
#[derive(Debug)]
pub struct Shelf {
    version: AtomicU64,
    tables: Mutex<Arc<Tables>>,
}

impl Shelf {
    #[must_use]
    pub fn new(tables: Arc<Tables>) -> Arc<Self> {
        Arc::new(Self {
            version: AtomicU64::new(0),
            tables: Mutex::new(tables),
        })
    }

    /// The tables in force.
    #[must_use]
    pub fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tables in force, if they are others than those of version `seen`.
    pub fn newer(&self, seen: &mut u64) -> Option<Arc<Tables>> {
        let version = self.version.load(Ordering::Acquire);
        if version == *seen {
            return None;
        }
        *seen = version;
        Some(self.tables())
    }

    fn put(&self, tables: Arc<Tables>) {
        *self.tables.lock().unwrap_or_else(PoisonError::into_inner) = tables;
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// Looks for changed files every `every` until `stop`.
///
/// # Errors
/// When the system gives no thread.
pub fn watch(
    shelf: Arc<Shelf>,
    every: Duration,
    metrics: Metrics,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    let (_never, pause) = crossbeam_channel::bounded::<()>(0);
    let run = move || {
        let _open = _never;
        let mut files = Watch::new(shelf.tables());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_takes_new_tables_once() {
        let shelf = Shelf::new(Arc::new(Tables::default()));
        let mut seen = 0;
        assert!(shelf.newer(&mut seen).is_none());
        shelf.put(Arc::new(Tables::default()));
        assert!(shelf.newer(&mut seen).is_some());
        assert!(shelf.newer(&mut seen).is_none());
    }
}
