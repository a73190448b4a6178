//! The seams at which a mutant misbehaves: shards that lose detections, a store that forgets rows.
//!
//! Without a mutant they pass everything on as it is; the product itself is never changed.

use std::sync::Arc;

use tidegate::engine::Shards;
use tidegate::engine::exchange::Packet;
use tidegate::engine::program::Program;
use tidegate::engine::rule::{Findings, Probe, Usage};
use tidegate::engine::shard::{Local, ShardImage};
use tidegate::store::memory::MemoryStore;
use tidegate::store::{Range, Store, StoreError, Table, Tx, View, Visit};

use crate::mutant::Mutant;

/// Shards in one thread.
pub struct Rig {
    local: Local,
    mutant: Mutant,
}

impl Rig {
    pub fn new(program: &Arc<Program>, shards: usize, mutant: Mutant) -> Self {
        Self {
            local: Local::new(program, shards),
            mutant,
        }
    }
}

impl Shards for Rig {
    fn count(&self) -> usize {
        self.local.count()
    }

    fn handle(&mut self, level: usize, parts: &mut [Packet], findings: &mut [Findings]) {
        if self.mutant == Mutant::DropDerived && level > 0 {
            for part in parts.iter_mut() {
                part.observations.pop();
            }
        }
        self.local.handle(level, parts, findings);
    }

    fn usage(&mut self) -> Vec<Usage> {
        self.local.usage()
    }

    fn next_wakeup(&mut self) -> Option<i64> {
        self.local.next_wakeup()
    }

    fn probe(&mut self, rule: usize, key: u64) -> Probe {
        self.local.probe(rule, key)
    }

    fn snapshot(&mut self) -> Vec<Vec<u8>> {
        self.local.snapshot()
    }

    fn restore(&mut self, images: Vec<ShardImage>, keep: &[Option<usize>]) {
        // Rules that start afresh have neither windows nor timers.
        let forget = self.mutant == Mutant::RestoreForgets;
        let none = vec![None; keep.len()];
        self.local
            .restore(images, if forget { &none } else { keep });
    }

    fn reload(&mut self, program: &Arc<Program>, keep: &[Option<usize>]) {
        self.local.reload(program, keep);
    }
}

/// The store as the product's parts see it.
pub struct Seen {
    pub store: MemoryStore,
    pub mutant: Mutant,
}

impl Seen {
    /// Whether a mutant hides this row.
    fn hides(mutant: Mutant, table: Table, key: &[u8]) -> bool {
        match mutant {
            Mutant::PolicyTwice => table == Table::Alerts,
            Mutant::SeqReused => table == Table::Meta && key == b"policy_journal",
            _ => false,
        }
    }
}

impl Store for Seen {
    fn transact(
        &self,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mutant = self.mutant;
        self.store
            .transact(&mut |tx| work(&mut Hiding { tx, mutant }))
    }

    fn read(
        &self,
        work: &mut dyn FnMut(&dyn View) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mutant = self.mutant;
        self.store
            .read(&mut |view| work(&HidingView { view, mutant }))
    }

    fn name(&self) -> &'static str {
        self.store.name()
    }
}

struct Hiding<'a> {
    tx: &'a mut dyn Tx,
    mutant: Mutant,
}

impl View for Hiding<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if Seen::hides(self.mutant, table, key) {
            return Ok(None);
        }
        self.tx.get(table, key)
    }

    fn scan(&self, table: Table, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.tx.scan(table, range, visit)
    }
}

impl Tx for Hiding<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.tx.put(table, key, value)
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        self.tx.delete(table, key)
    }
}

struct HidingView<'a> {
    view: &'a dyn View,
    mutant: Mutant,
}

impl View for HidingView<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if Seen::hides(self.mutant, table, key) {
            return Ok(None);
        }
        self.view.get(table, key)
    }

    fn scan(&self, table: Table, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.view.scan(table, range, visit)
    }
}
