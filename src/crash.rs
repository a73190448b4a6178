//! Places where a test lets the process die: `TIDEGATE_CRASH=NAME:N` aborts at the n-th time the
//! point NAME is passed, `TIDEGATE_PANIC=NAME:N` panics there.
//!
//! Only in builds with debug assertions; in a release a point is nothing at all. `tests/it/faults`
//! walks through all of them and looks whether anything was lost or came twice.

/// Every point that an event from Kafka to a webhook passes, in the order it meets them; before them what
/// its state passes that an earlier life has left.
pub const POINTS: &[&str] = &[
    "state-read",
    "state-restored",
    "source-polled",
    "record-decoding",
    "batch-decoded",
    "batch-taken",
    "alert-written",
    "commit-begun",
    "commit-done",
    "alerts-told",
    "dead-letters-written",
    "base-begun",
    "base-written",
    "base-renamed",
    "snapshots-pruning",
    "increment-begun",
    "increment-written",
    "increment-renamed",
    "frontier-published",
    "outbox-loaded",
    "message-sending",
    "message-sent",
    "message-settling",
    "message-settled",
    "draining",
];

/// Points in threads and tasks that such an event need not meet: other sources and sinks, HTTP, those who
/// look at files.
pub const BESIDE: &[&str] = &[
    "input-read",
    "shard-asked",
    "files-looked-at",
    "outbox-asked",
    "attempt-made",
    "sink-sending",
    "file-appending",
    "line-printing",
    "reports-served",
    "letters-sending",
    "http-accepting",
    "connection-opened",
    "request-working",
    "stream-reading",
];

#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn point(_name: &'static str) {}

#[cfg(debug_assertions)]
pub use armed::point;

#[cfg(debug_assertions)]
mod armed {
    #![expect(
        clippy::disallowed_methods,
        reason = "tests arm it through the environment"
    )]

    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Armed {
        name: String,
        /// Passes left.
        left: AtomicU64,
        panics: bool,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    fn arm() -> Option<Armed> {
        let read = |variable: &str, panics| {
            let text = std::env::var(variable).ok()?;
            let (name, n) = text.rsplit_once(':')?;
            Some(Armed {
                name: name.to_owned(),
                left: AtomicU64::new(n.parse().ok()?),
                panics,
            })
        };
        read("TIDEGATE_CRASH", false).or_else(|| read("TIDEGATE_PANIC", true))
    }

    /// Passes a point; the process may end here.
    pub fn point(name: &'static str) {
        let mut known = super::POINTS.iter().chain(super::BESIDE);
        debug_assert!(known.any(|p| *p == name), "{name} is no crash point");
        let Some(armed) = ARMED.get_or_init(arm) else {
            return;
        };
        if armed.name == name && armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            assert!(!armed.panics, "a panic at {name}, as asked for");
            std::process::abort();
        }
    }
}
