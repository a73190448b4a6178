//! The seams between the product's parts: shards whose findings come in any order, a store in which the
//! process may die; and what mutants make of them.
//!
//! Without a mutant all is passed on as it is; the product itself is never changed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use tidegate::engine::Shards;
use tidegate::engine::exchange::Packet;
use tidegate::engine::program::Program;
use tidegate::engine::rule::{Findings, Probe, Usage};
use tidegate::engine::shard::{Local, ShardImage};
use tidegate::engine::snapshot::Kind;
use tidegate::model::ids::Id;
use tidegate::store::memory::MemoryStore;
use tidegate::store::{self, Range, Store, StoreError, Table, Tx, View, Visit, rows};

use crate::crash::Crashes;
use crate::mutant::Mutant;
use crate::node::Stopped;
use crate::random::Random;

/// What shards have found in this life, until it is known to be stored: it is inside their state.
#[derive(Clone)]
pub struct Found {
    alerts: Rc<RefCell<BTreeSet<(Id, u32)>>>,
    store: MemoryStore,
}

impl Found {
    pub fn new(store: &MemoryStore) -> Self {
        Self {
            alerts: Rc::default(),
            store: store.clone(),
        }
    }

    fn note(&self, findings: &Findings) {
        let all = findings.alerts.iter();
        let ids = all.map(|(_, alert)| (alert.alert_id, alert.revision));
        self.alerts.borrow_mut().extend(ids);
    }

    /// One that is not stored, if there is any.
    pub fn uncommitted(&self) -> Option<String> {
        let mut alerts = self.alerts.borrow_mut();
        store::read(&self.store, |view| {
            while let Some((id, revision)) = alerts.first().copied() {
                // Of a changed detector: behind those that were closed when it changed.
                let mut kept = id;
                while !rows::alerts::exists(view, kept, revision)?
                    && rows::alerts::newest(view, kept.successor())?.is_some()
                {
                    kept = kept.successor();
                }
                if !rows::alerts::exists(view, kept, revision)? {
                    return Ok(Some(format!("{id}, revision {revision}")));
                }
                alerts.pop_first();
            }
            Ok(None)
        })
        .ok()?
    }
}

/// Shards in one thread, as if each had its own: which is heard first is left to chance.
pub struct Rig {
    local: Local,
    mutant: Mutant,
    random: Random,
    found: Found,
}

impl Rig {
    pub fn new(
        program: &Arc<Program>,
        shards: usize,
        (mutant, random, found): (Mutant, Random, Found),
    ) -> Self {
        Self {
            local: Local::new(program, shards),
            mutant,
            random,
            found,
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
        findings.iter().for_each(|found| self.found.note(found));
        for last in (1..findings.len()).rev() {
            let other = self.random.between(0, i64::try_from(last).unwrap() + 1);
            findings.swap(last, usize::try_from(other).unwrap());
        }
    }

    fn usage(&mut self) -> Vec<Usage> {
        self.local.usage()
    }

    fn next_wakeup(&mut self) -> Option<i64> {
        self.local.next_wakeup()
    }

    fn probe(&mut self, rule: usize, key: u64, now: i64) -> Probe {
        self.local.probe(rule, key, now)
    }

    fn snapshot(&mut self, kind: Kind) -> Vec<Vec<u8>> {
        if self.mutant == Mutant::ChangesForgotten && kind == Kind::Increment {
            // What is told once is not told again.
            self.local.snapshot(kind);
        }
        self.local.snapshot(kind)
    }

    fn restore(&mut self, images: Vec<ShardImage>, keep: &[Option<usize>]) {
        // Rules that start afresh have neither windows nor timers.
        let forget = self.mutant == Mutant::RestoreForgets;
        let none = vec![None; keep.len()];
        self.local
            .restore(images, if forget { &none } else { keep });
    }

    fn reload(&mut self, program: &Arc<Program>, keep: &[Option<usize>]) {
        let forget = self.mutant == Mutant::ReloadForgets;
        let none = vec![None; keep.len()];
        self.local
            .reload(program, if forget { &none } else { keep });
    }
}

/// The store as the product's parts see it.
pub struct Seen {
    pub store: MemoryStore,
    pub crashes: Crashes,
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
        let (mutant, crashes) = (self.mutant, &self.crashes);
        self.store.transact(&mut |tx| {
            let mut seen = Hiding {
                tx,
                mutant,
                crashes,
                lists: Cell::new(false),
            };
            work(&mut seen)?;
            crashes.point("commit-begun").map_err(died)
        })?;
        crashes.point("commit-done").map_err(died)
    }

    fn read(
        &self,
        work: &mut dyn FnMut(&dyn View) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mutant = self.mutant;
        self.store.read(&mut |view| {
            let lists = Cell::new(false);
            work(&HidingView {
                view,
                mutant,
                lists,
            })
        })
    }

    fn name(&self) -> &'static str {
        self.store.name()
    }
}

fn died(_: Stopped) -> StoreError {
    StoreError::Crashed(0)
}

struct Hiding<'a> {
    tx: &'a mut dyn Tx,
    mutant: Mutant,
    crashes: &'a Crashes,
    /// Whether it goes through a list whose rows must be there.
    lists: Cell<bool>,
}

impl View for Hiding<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if Seen::hides(self.mutant, table, key) && !self.lists.get() {
            return Ok(None);
        }
        self.tx.get(table, key)
    }

    fn scan(&self, table: Table, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.lists
            .set(self.lists.get() || table == Table::AlertsByTime);
        self.tx.scan(table, range, visit)
    }
}

impl Tx for Hiding<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.tx.put(table, key, value)?;
        if table == Table::Alerts {
            self.crashes.point("alert-written").map_err(died)?;
        }
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        self.tx.delete(table, key)
    }
}

struct HidingView<'a> {
    view: &'a dyn View,
    mutant: Mutant,
    lists: Cell<bool>,
}

impl View for HidingView<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if Seen::hides(self.mutant, table, key) && !self.lists.get() {
            return Ok(None);
        }
        self.view.get(table, key)
    }

    fn scan(&self, table: Table, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.lists
            .set(self.lists.get() || table == Table::AlertsByTime);
        self.view.scan(table, range, visit)
    }
}
