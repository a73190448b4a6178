//! The durable store: redb, one file, every commit on disk before it returns.
//!
//! Owns the mapping onto redb and what redb does not do: row checksums (redb trusts what it reads),
//! a whole check when the file is opened, and opening again after the disk was full.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "redb's errors are open enums: what is not named is a failed disk"
)]

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ::redb::{
    Builder, Database, DatabaseError, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    ReadableTable, StorageError, TableDefinition, WriteTransaction,
};

use super::disk::{Disk, is_full};
use super::{Range, Store, StoreError, Table, Tx, View, Visit, format};

/// Bytes of the file kept in memory: rows are read rarely and written once, and the system keeps the file, too.
const CACHE_BYTES: usize = 8 << 20;
/// Most rows copied out of the file at once while scanning.
const CHUNK_ROWS_MAX: usize = 256;

/// Rows in a redb file.
pub struct RedbStore {
    path: PathBuf,
    /// `None` only while it is being opened again.
    database: RwLock<Option<Arc<Database>>>,
    disk: Disk,
}

impl std::fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RedbStore({})", self.path.display())
    }
}

const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

impl RedbStore {
    /// Opens the file, or makes it, and checks every page of it.
    ///
    /// # Errors
    /// When it is in use, damaged, or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = RwLock::new(Some(Arc::new(open_checked(path)?)));
        Ok(Self {
            path: path.to_owned(),
            database,
            disk: Disk::default(),
        })
    }

    /// On another disk than a file's, which can be made to fail.
    #[cfg(test)]
    pub(super) fn over(disk: impl ::redb::StorageBackend) -> Result<Self, StoreError> {
        let path = Path::new("a disk of a test");
        let made = builder().create_with_backend(disk);
        let database = with_tables(made.map_err(|e| open_fault(path, e))?)?;
        Ok(Self {
            path: path.to_owned(),
            database: RwLock::new(Some(Arc::new(database))),
            disk: Disk::default(),
        })
    }

    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let open = self.database.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map(Arc::clone).ok_or(StoreError::Full)
    }

    /// redb refuses to go on after a failed write. Once its cause may have passed (a full disk),
    /// the file is opened again: the last commit stands.
    fn reopen(&self) -> Result<(), StoreError> {
        let mut open = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = open.take() {
            match Arc::try_unwrap(old) {
                Ok(database) => drop(database),
                // A reader still holds it; the next attempt comes later.
                Err(still_read) => {
                    *open = Some(still_read);
                    return Err(StoreError::Full);
                }
            }
        }
        *open = Some(Arc::new(open_checked(&self.path)?));
        Ok(())
    }

    fn attempt(
        &self,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let database = self.database()?;
        let mut transaction = guarded(|| database.begin_write().map_err(fault))?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(fault)?;
        let mut tx = Writing { transaction };
        work(&mut tx)?;
        crate::crash::point("commit-begun");
        guarded(|| tx.transaction.commit().map_err(fault))?;
        crate::crash::point("commit-done");
        Ok(())
    }
}

impl Store for RedbStore {
    fn transact(
        &self,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.disk.unless_failed(|| match self.attempt(work) {
            Err(StoreError::Full) => {
                // Nothing of it is durable: the caller may try again.
                self.reopen()?;
                Err(StoreError::Full)
            }
            result => result,
        })
    }

    fn read(
        &self,
        work: &mut dyn FnMut(&dyn View) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.disk.unless_failed(|| {
            let database = self.database()?;
            let transaction = guarded(|| database.begin_read().map_err(fault))?;
            work(&Reading { transaction })
        })
    }

    fn name(&self) -> &'static str {
        "redb"
    }
}

fn open_checked(path: &Path) -> Result<Database, StoreError> {
    with_tables(guarded(|| {
        builder().create(path).map_err(|e| open_fault(path, e))
    })?)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true);
    builder
}

/// Makes the tables that are not there yet.
fn with_tables(database: Database) -> Result<Database, StoreError> {
    let is_whole = guarded(|| {
        let transaction = database.begin_read().map_err(fault)?;
        Ok(Table::ALL
            .iter()
            .all(|table| transaction.open_table(definition(*table)).is_ok()))
    })?;
    if is_whole {
        return Ok(database);
    }
    guarded(|| {
        let transaction = database.begin_write().map_err(fault)?;
        for table in Table::ALL {
            transaction.open_table(definition(table)).map_err(fault)?;
        }
        transaction.commit().map_err(fault)
    })?;
    Ok(database)
}

struct Reading {
    transaction: ReadTransaction,
}

impl Reading {
    fn table(
        &self,
        table: Table,
    ) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, StoreError> {
        self.transaction
            .open_table(definition(table))
            .map_err(fault)
    }
}

impl View for Reading {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| get_from(&self.table(table)?, table, key))
    }

    fn scan(&self, table: Table, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan_chunks(table, range, visit, &|rest, rows_max| {
            guarded(|| chunk(&self.table(table)?, rest, rows_max))
        })
    }
}

struct Writing {
    transaction: WriteTransaction,
}

impl View for Writing {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| {
            let open = self
                .transaction
                .open_table(definition(table))
                .map_err(fault)?;
            get_from(&open, table, key)
        })
    }

    fn scan(&self, table: Table, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan_chunks(table, range, visit, &|rest, rows_max| {
            guarded(|| {
                let open = self
                    .transaction
                    .open_table(definition(table))
                    .map_err(fault)?;
                chunk(&open, rest, rows_max)
            })
        })
    }
}

impl Tx for Writing {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let sealed = format::seal(table, key, value);
        guarded(|| {
            let mut open = self
                .transaction
                .open_table(definition(table))
                .map_err(fault)?;
            open.insert(key, sealed.as_slice()).map_err(fault)?;
            Ok(())
        })
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        guarded(|| {
            let mut open = self
                .transaction
                .open_table(definition(table))
                .map_err(fault)?;
            let was = open.remove(key).map_err(fault)?.is_some();
            Ok(was)
        })
    }
}

fn get_from(
    open: &impl ReadableTable<&'static [u8], &'static [u8]>,
    table: Table,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let found = open.get(key).map_err(fault)?;
    found
        .map(|sealed| format::open(table, key, sealed.value()))
        .transpose()
}

type Chunk = Vec<(Vec<u8>, Vec<u8>)>;

/// Copies rows out of the file, so that no table stays open while a visitor runs.
fn chunk(
    open: &impl ReadableTable<&'static [u8], &'static [u8]>,
    range: &Range,
    rows_max: usize,
) -> Result<Chunk, StoreError> {
    let rows = open.range::<&[u8]>(range.bounds()).map_err(fault)?;
    let copy = |row: Result<_, StorageError>| {
        let (key, value): (
            ::redb::AccessGuard<'_, &[u8]>,
            ::redb::AccessGuard<'_, &[u8]>,
        ) = row.map_err(fault)?;
        Ok((key.value().to_vec(), value.value().to_vec()))
    };
    if range.descending {
        rows.rev().take(rows_max).map(copy).collect()
    } else {
        rows.take(rows_max).map(copy).collect()
    }
}

fn scan_chunks(
    table: Table,
    range: &Range,
    visit: &mut Visit<'_>,
    read: &dyn Fn(&Range, usize) -> Result<Chunk, StoreError>,
) -> Result<(), StoreError> {
    let mut rest = range.clone();
    let mut rows_max = 8;
    while !rest.is_empty() {
        let rows = read(&rest, rows_max)?;
        for (key, sealed) in &rows {
            let value = format::open(table, key, sealed)?;
            if let ControlFlow::Break(()) = visit(key, &value)? {
                return Ok(());
            }
        }
        match rows.last() {
            Some((last, _)) if rows.len() == rows_max => rest = rest.rest(last),
            _ => return Ok(()),
        }
        rows_max = (rows_max * 2).min(CHUNK_ROWS_MAX);
    }
    Ok(())
}

/// redb may panic on a damaged page: that is damage, not a bug of ours.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(StoreError::Damaged {
            place: "the redb file".to_owned(),
            what: "redb could not read its own pages".to_owned(),
        })
    })
}

fn open_fault(path: &Path, error: DatabaseError) -> StoreError {
    if let DatabaseError::DatabaseAlreadyOpen = error {
        return StoreError::Locked(path.to_owned());
    }
    let damaged = |what: String| StoreError::Damaged {
        place: path.display().to_string(),
        what,
    };
    if let DatabaseError::Storage(storage) = error {
        return match storage {
            StorageError::Corrupted(what) => damaged(what),
            StorageError::Io(e) if is_full(&e) => StoreError::Full,
            // redb says "invalid data" of a file that is not one of its own.
            StorageError::Io(e) if is_damage(&e) => damaged(e.to_string()),
            other => StoreError::Open {
                path: path.to_owned(),
                reason: other.to_string(),
            },
        };
    }
    StoreError::Open {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn fault(error: impl Into<::redb::Error>) -> StoreError {
    match error.into() {
        ::redb::Error::Io(e) if is_full(&e) => StoreError::Full,
        // An earlier write failed and was told then: for want of space, or `Disk` keeps it in mind.
        ::redb::Error::PreviousIo => StoreError::Full,
        ::redb::Error::Corrupted(what) => StoreError::Damaged {
            place: "the redb file".to_owned(),
            what,
        },
        other => StoreError::Disk(other.to_string()),
    }
}

fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof
    )
}
