//! The product's own crash points (`tidegate::crash::POINTS`) in a simulated process: armed with one
//! of them it dies the n-th time it comes there.
//!
//! Owns the count of deaths. In one transaction, a file or a thread the point stands where the
//! product has it; `MemoryStore` then refuses all further work until the next start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tidegate::store::memory::MemoryStore;

use crate::node::Stopped;

#[derive(Clone, Default)]
pub struct Crashes {
    store: MemoryStore,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    armed: Option<(&'static str, u64)>,
    dead: bool,
    hit: BTreeMap<&'static str, u64>,
}

impl Crashes {
    pub fn new(store: &MemoryStore) -> Self {
        Self {
            store: store.clone(),
            ..Self::default()
        }
    }

    /// The process dies the n-th time from now that it passes `point`.
    pub fn arm(&self, point: &'static str, n: u64) {
        self.state.lock().unwrap().armed = Some((point, n));
    }

    /// A death at a point whose name begins so is still to come.
    pub fn awaits(&self, start: &str) -> bool {
        let state = self.state.lock().unwrap();
        state
            .armed
            .is_some_and(|(point, _)| point.starts_with(start))
    }

    /// The process dies here and now.
    pub fn kill(&self) -> Stopped {
        self.state.lock().unwrap().dead = true;
        self.store.crash_at(0);
        Stopped::Died
    }

    /// Faults are over: a death that has not come by now does not come.
    pub fn disarm(&self) {
        self.state.lock().unwrap().armed = None;
    }

    /// A new life; what was armed stays armed.
    pub fn restart(&self) {
        self.state.lock().unwrap().dead = false;
    }

    /// How often the process died at each point.
    pub fn hit(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().unwrap().hit.clone()
    }

    /// Passes a point; `Err` if the process ends here.
    pub fn point(&self, name: &'static str) -> Result<(), Stopped> {
        debug_assert!(tidegate::crash::POINTS.contains(&name), "{name}");
        let mut state = self.state.lock().unwrap();
        if let Some((armed, n)) = &mut state.armed
            && *armed == name
        {
            *n -= 1;
            if *n == 0 {
                (state.armed, state.dead) = (None, true);
                *state.hit.entry(name).or_default() += 1;
                self.store.crash_at(0);
            }
        }
        if state.dead {
            Err(Stopped::Died)
        } else {
            Ok(())
        }
    }
}
