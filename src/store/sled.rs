//! The store on sled, behind the cargo feature `sled`: the same contract, a weaker promise.
//!
//! Owns the mapping onto one sled tree; a transaction is an overlay that becomes one atomic batch.
//! Readers hold a lock that commits wait for, so whoever reads must not write until it is done. sled keeps its
//! first failure for as long as it is open, a full disk too, so none of them passes here.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use ::sled::{Batch, Config, Db, Error, IVec};

use super::disk::Disk;
use super::{Range, Store, StoreError, Table, Tx, View, Visit, format};

/// What the app says at the start when this backend is chosen.
pub const WARNING: &str = "the store is sled: a commit survives a crash of this process, and a power \
    cut may still undo it; use the default (redb) wherever alerts must not be lost";

/// Bytes sled keeps in memory.
const CACHE_BYTES: u64 = 32 << 20;

/// Rows in a sled folder.
pub struct SledStore {
    path: PathBuf,
    database: Db,
    /// Writers take turns.
    turn: Mutex<()>,
    /// Readers see whole commits only.
    commit: RwLock<()>,
    disk: Disk,
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SledStore({})", self.path.display())
    }
}

impl SledStore {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// When it is in use, damaged, or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // Each commit flushes by itself: a timer would only add writes in between.
        let config = Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        let database = config.open().map_err(|error| open_fault(path, error))?;
        let (turn, commit) = (Mutex::new(()), RwLock::new(()));
        Ok(Self {
            path: path.to_owned(),
            database,
            turn,
            commit,
            disk: Disk::default(),
        })
    }

    fn commit(
        &self,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut tx = Overlay {
            database: &self.database,
            writes: BTreeMap::new(),
        };
        work(&mut tx)?;
        let mut batch = Batch::default();
        for (row, value) in tx.writes {
            match value {
                Some(sealed) => batch.insert(row, sealed),
                None => batch.remove(row),
            }
        }
        crate::crash::point("commit-begun");
        let _commit = self.commit.write().unwrap_or_else(PoisonError::into_inner);
        self.database.apply_batch(batch).map_err(fault)?;
        // The rows can be seen by now and not be taken back: whatever it is, this is the end.
        let flushed = self.database.flush();
        flushed.map_err(|error| StoreError::Disk(error.to_string()))?;
        crate::crash::point("commit-done");
        Ok(())
    }
}

impl Store for SledStore {
    fn transact(
        &self,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.disk.unless_failed(|| self.commit(work))
    }

    fn read(
        &self,
        work: &mut dyn FnMut(&dyn View) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let _whole = self.commit.read().unwrap_or_else(PoisonError::into_inner);
        self.disk.unless_failed(|| {
            work(&Overlay {
                database: &self.database,
                writes: BTreeMap::new(),
            })
        })
    }

    fn name(&self) -> &'static str {
        "sled"
    }
}

/// The rows of the last commit with those of this transaction over them.
struct Overlay<'a> {
    database: &'a Db,
    /// By row key; `None` is a row that is to go.
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// All tables share the tree: the table's name stands before its keys.
fn row_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut row = table.name().as_bytes().to_vec();
    // No table's name holds a zero, so no name with it is the start of another.
    row.push(0);
    row.extend_from_slice(key);
    row
}

/// The range of rows that a range of keys is.
fn row_range(table: Table, range: &Range) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let whole = Range::prefix(&row_key(table, b""));
    let place = |bound: &Bound<Vec<u8>>, open: Bound<Vec<u8>>| match bound {
        Bound::Included(key) => Bound::Included(row_key(table, key)),
        Bound::Excluded(key) => Bound::Excluded(row_key(table, key)),
        Bound::Unbounded => open,
    };
    (place(&range.from, whole.from), place(&range.to, whole.to))
}

impl Overlay<'_> {
    fn sealed(&self, row: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.get(row) {
            Some(written) => Ok(written.clone()),
            None => Ok(self
                .database
                .get(row)
                .map_err(fault)?
                .map(|sealed| sealed.to_vec())),
        }
    }
}

impl View for Overlay<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.sealed(&row_key(table, key))?;
        sealed
            .map(|sealed| format::open(table, key, &sealed))
            .transpose()
    }

    fn scan(&self, table: Table, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let name_len = row_key(table, b"").len();
        let bounds = row_range(table, range);
        let mut stored = self.database.range(bounds.clone());
        let mut written = self.writes.range(bounds);
        let mut next_stored = || {
            let row = if range.descending {
                stored.next_back()
            } else {
                stored.next()
            };
            row.transpose().map_err(fault)
        };
        let mut next_written = || {
            if range.descending {
                written.next_back()
            } else {
                written.next()
            }
        };
        let (mut below, mut above) = (next_stored()?, next_written());
        while let Some(side) = first(below.as_ref(), above, range.descending) {
            let (row, sealed) = match side {
                Side::Stored => {
                    let taken = std::mem::replace(&mut below, next_stored()?);
                    taken.map_or_else(Default::default, |(row, sealed)| (row, Some(sealed)))
                }
                Side::Written => {
                    let taken = std::mem::replace(&mut above, next_written());
                    taken.map_or_else(Default::default, |(row, sealed)| {
                        (
                            IVec::from(row.as_slice()),
                            sealed.as_deref().map(IVec::from),
                        )
                    })
                }
                // The transaction's row stands over the stored one.
                Side::Both => {
                    below = next_stored()?;
                    continue;
                }
            };
            let (Some(key), Some(sealed)) = (row.get(name_len..), sealed) else {
                continue;
            };
            if let ControlFlow::Break(()) = visit(key, &format::open(table, key, &sealed)?)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

enum Side {
    Stored,
    Written,
    Both,
}

/// Which of the two rows comes first, if there is one.
fn first<V, W>(
    stored: Option<&(IVec, V)>,
    written: Option<(&Vec<u8>, W)>,
    descending: bool,
) -> Option<Side> {
    use std::cmp::Ordering;
    let order = match (stored, &written) {
        (None, None) => return None,
        (Some(_), None) => return Some(Side::Stored),
        (None, Some(_)) => return Some(Side::Written),
        (Some((below, _)), Some((above, _))) => below.as_ref().cmp(above.as_slice()),
    };
    Some(match if descending { order.reverse() } else { order } {
        Ordering::Less => Side::Stored,
        Ordering::Greater => Side::Written,
        Ordering::Equal => Side::Both,
    })
}

impl Tx for Overlay<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.writes
            .insert(row_key(table, key), Some(format::seal(table, key, value)));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        let row = row_key(table, key);
        let was = self.sealed(&row)?.is_some();
        self.writes.insert(row, None);
        Ok(was)
    }
}

fn open_fault(path: &Path, error: Error) -> StoreError {
    match error {
        // sled says so of a lock that another process holds.
        Error::Io(e) if e.to_string().contains("lock") => StoreError::Locked(path.to_owned()),
        Error::Io(e) => StoreError::Open {
            path: path.to_owned(),
            reason: e.to_string(),
        },
        other => fault(other),
    }
}

fn fault(error: Error) -> StoreError {
    match error {
        Error::Corruption { .. } => StoreError::Damaged {
            place: "the sled folder".to_owned(),
            what: "a page does not match its checksum".to_owned(),
        },
        other => StoreError::Disk(other.to_string()),
    }
}
