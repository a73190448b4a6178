//! The store in memory, for tests and simulations: the same promises, and crashes on demand.
//!
//! A handle can be reopened: committed rows are still there, uncommitted ones are gone. Crash
//! points count steps (begin, each write, before and after the commit), so that a test can walk
//! through all of them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Range, Store, StoreError, Table, Tx, View, Visit, format};

type Row = (Table, Vec<u8>);

#[derive(Debug, Default)]
struct Disk {
    /// Shared with readers that still look at it; a commit then makes a copy.
    rows: Arc<BTreeMap<Row, Vec<u8>>>,
    steps: u64,
    crash_at: Option<u64>,
    crashed: bool,
    full: bool,
}

/// A store without a disk; clones share the rows.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
    /// Writers take turns, and a reader sees only what is committed.
    turn: Arc<Mutex<()>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the process "die" at the n-th step from now (0 is the next): the call fails, work that
    /// is not committed is lost, and every later call fails until `restart`.
    pub fn crash_at(&self, step: u64) {
        let mut disk = self.disk();
        disk.crash_at = Some(disk.steps.saturating_add(step));
    }

    /// Starts again on the same rows.
    pub fn restart(&self) {
        let mut disk = self.disk();
        disk.crashed = false;
        disk.crash_at = None;
    }

    /// Makes every commit fail as on a full disk, or lets them work again.
    pub fn set_full(&self, full: bool) {
        self.disk().full = full;
    }

    /// Steps taken so far: the range from which to choose crash points.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.disk().steps
    }

    /// Changes the stored bytes of a row, for tests of damage.
    pub fn damage(&self, table: Table, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        if let Some(sealed) = Arc::make_mut(&mut disk.rows).get_mut(&(table, key.to_vec())) {
            change(sealed);
        }
    }

    /// The state is plain rows, whole at every unlock, so a panic of another thread harms nothing.
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self) -> Result<(), StoreError> {
        let mut disk = self.disk();
        if disk.crashed || disk.crash_at.is_some_and(|at| disk.steps >= at) {
            disk.crashed = true;
            return Err(StoreError::Crashed(disk.steps));
        }
        disk.steps += 1;
        Ok(())
    }
}

impl Store for MemoryStore {
    fn transact(
        &self,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.step()?;
        let mut tx = Overlay {
            store: self,
            writes: BTreeMap::new(),
        };
        work(&mut tx)?;
        let writes = tx.writes;
        self.step()?;
        {
            let mut disk = self.disk();
            if disk.full && !writes.is_empty() {
                return Err(StoreError::Full);
            }
            let rows = Arc::make_mut(&mut disk.rows);
            for (row, value) in writes {
                match value {
                    Some(sealed) => rows.insert(row, sealed),
                    None => rows.remove(&row),
                };
            }
        }
        // A crash here is one after the commit: durable, but the caller never heard of it.
        self.step()
    }

    fn read(
        &self,
        work: &mut dyn FnMut(&dyn View) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.disk().crashed {
            return Err(StoreError::Crashed(self.steps()));
        }
        let rows = Arc::clone(&self.disk().rows);
        work(&Rows { rows: &rows })
    }

    fn name(&self) -> &'static str {
        "memory"
    }
}

struct Rows<'a> {
    rows: &'a BTreeMap<Row, Vec<u8>>,
}

impl View for Rows<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.rows.get(&(table, key.to_vec()));
        sealed
            .map(|sealed| format::open(table, key, sealed))
            .transpose()
    }

    fn scan(&self, table: Table, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        visit_rows(self.rows, table, range, visit)
    }
}

struct Overlay<'a> {
    store: &'a MemoryStore,
    writes: BTreeMap<Row, Option<Vec<u8>>>,
}

impl View for Overlay<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let row = (table, key.to_vec());
        let sealed = match self.writes.get(&row) {
            Some(written) => written.clone(),
            None => self.store.disk().rows.get(&row).cloned(),
        };
        sealed
            .map(|sealed| format::open(table, key, &sealed))
            .transpose()
    }

    fn scan(&self, table: Table, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let rows = Arc::clone(&self.store.disk().rows);
        let mut rows: BTreeMap<Row, Vec<u8>> = within(&rows, table, range)
            .map(|(row, sealed)| (row.clone(), sealed.clone()))
            .collect();
        for (row, value) in within(&self.writes, table, range) {
            match value {
                Some(sealed) => rows.insert(row.clone(), sealed.clone()),
                None => rows.remove(row),
            };
        }
        visit_rows(&rows, table, range, visit)
    }
}

impl Tx for Overlay<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.store.step()?;
        self.writes
            .insert((table, key.to_vec()), Some(format::seal(table, key, value)));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        self.store.step()?;
        let row = (table, key.to_vec());
        let was = match self.writes.get(&row) {
            Some(written) => written.is_some(),
            None => self.store.disk().rows.contains_key(&row),
        };
        self.writes.insert(row, None);
        Ok(was)
    }
}

/// The rows of a table that lie in a range.
fn within<'a, V>(
    rows: &'a BTreeMap<Row, V>,
    table: Table,
    range: &'a Range,
) -> impl DoubleEndedIterator<Item = (&'a Row, &'a V)> {
    use std::ops::{Bound, RangeBounds};
    let bounds = range.bounds();
    let from = match bounds.0 {
        Bound::Included(key) | Bound::Excluded(key) => key.to_vec(),
        Bound::Unbounded => Vec::new(),
    };
    // Up to the first key of the next table.
    let rest = rows.range((table, from)..);
    let own = rest.take_while(move |((t, key), _)| {
        *t == table
            && match bounds.1 {
                Bound::Included(to) => key.as_slice() <= to,
                Bound::Excluded(to) => key.as_slice() < to,
                Bound::Unbounded => true,
            }
    });
    let inside: Vec<_> = own
        .filter(|((_, key), _)| RangeBounds::<[u8]>::contains(&bounds, key.as_slice()))
        .collect();
    inside.into_iter()
}

fn visit_rows(
    rows: &BTreeMap<Row, Vec<u8>>,
    table: Table,
    range: &Range,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    let inside = within(rows, table, range);
    let mut one = |(row, sealed): (&Row, &Vec<u8>)| {
        let value = format::open(table, &row.1, sealed)?;
        visit(&row.1, &value)
    };
    let ordered: Box<dyn Iterator<Item = (&Row, &Vec<u8>)>> = if range.descending {
        Box::new(inside.rev())
    } else {
        Box::new(inside)
    };
    for row in ordered {
        if let ControlFlow::Break(()) = one(row)? {
            break;
        }
    }
    Ok(())
}
