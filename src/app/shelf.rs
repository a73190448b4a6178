//! One thing that many threads use and one thread replaces while they run.
//!
//! Readers ask between two pieces of work and see a new version once; nobody waits for anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// See the module's text.
#[derive(Debug)]
pub struct Shelf<T> {
    version: AtomicU64,
    thing: Mutex<Arc<T>>,
}

impl<T> Shelf<T> {
    #[must_use]
    pub fn new(thing: Arc<T>) -> Arc<Self> {
        Arc::new(Self {
            version: AtomicU64::new(0),
            thing: Mutex::new(thing),
        })
    }

    /// What is in force.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.thing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is in force, if it is another than that of version `seen`.
    pub fn newer(&self, seen: &mut u64) -> Option<Arc<T>> {
        let version = self.version.load(Ordering::Acquire);
        if version == *seen {
            return None;
        }
        *seen = version;
        Some(self.get())
    }

    /// Puts another in force.
    pub fn put(&self, thing: Arc<T>) {
        *self.thing.lock().unwrap_or_else(PoisonError::into_inner) = thing;
        self.version.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_takes_a_new_version_once() {
        let shelf = Shelf::new(Arc::new(1));
        let mut seen = 0;
        assert!(shelf.newer(&mut seen).is_none());
        shelf.put(Arc::new(2));
        assert_eq!(shelf.newer(&mut seen).as_deref(), Some(&2));
        assert!(shelf.newer(&mut seen).is_none());
    }
}
