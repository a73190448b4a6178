//! A thread that looks at something now and then, until it is told to end.
//!
//! Invariant: it goes on looking. A look that panics is told, and the next one begins anew: what was in
//! force stays so.

#![expect(clippy::disallowed_methods, reason = "it sleeps between two looks")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How soon it notices that it is to end.
const NOTICE: Duration = Duration::from_millis(200);

/// Calls `look` every `period` until `stop`, on a thread of this name.
///
/// # Errors
/// When the system gives no thread.
pub fn every(
    name: &str,
    period: Duration,
    stop: Arc<AtomicBool>,
    mut look: impl FnMut() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let of = name.to_owned();
    let mut guarded = move || {
        crate::crash::point("files-looked-at");
        look();
    };
    let run = move || {
        let mut waited = Duration::ZERO;
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(NOTICE);
            waited += NOTICE;
            if waited >= period {
                waited = Duration::ZERO;
                if catch_unwind(AssertUnwindSafe(&mut guarded)).is_err() {
                    tracing::error!(
                        what = of,
                        "a look at changed files panicked; what was in force stays, and it looks again"
                    );
                }
            }
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}
