//! What the engine's thread wants of the reading one, and its answer: a board, not a queue.
//!
//! Invariant: nobody waits here. The reader waits for decoders and they for the engine; were the
//! engine to wait for the reader, the circle would be closed. The newest order replaces an unread one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::source::Lag;
use crate::source::ledger::Frontier;

/// See the module's text.
#[derive(Default)]
pub(super) struct Orders {
    stop: AtomicBool,
    wants_lag: AtomicBool,
    lag: Mutex<Option<Vec<Lag>>>,
    frontier: Mutex<Option<Frontier>>,
}

impl Orders {
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(super) fn publish(&self, frontier: Frontier) {
        *lock(&self.frontier) = Some(frontier);
    }

    pub(super) fn take_frontier(&self) -> Option<Frontier> {
        lock(&self.frontier).take()
    }

    /// The answer to the last question, and asks anew.
    pub(super) fn ask_lag(&self) -> Option<Vec<Lag>> {
        self.wants_lag.store(true, Ordering::Relaxed);
        lock(&self.lag).take()
    }

    /// Answers, if somebody has asked.
    pub(super) fn answer_lag(&self, lag: impl FnOnce() -> Vec<Lag>) {
        if self.wants_lag.swap(false, Ordering::Relaxed) {
            *lock(&self.lag) = Some(lag());
        }
    }
}

fn lock<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}
