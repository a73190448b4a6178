//! Typed rows: which key, which table, which stored form.
//!
//! Owns keys and forms of everything the store keeps. Each function takes the view or transaction
//! of its caller, so that one commit can hold an alert, its plan, its messages and its evidence.

use std::ops::ControlFlow;

use super::format::{self, Form};
use super::{Range, StoreError, Table, Tx, View};

pub mod actions;
pub mod alerts;
mod forms;
pub mod messages;
pub mod mutes;

#[cfg(test)]
pub(crate) mod tests;

pub use forms::{DeadLetter, Definitions, Delivery, Muted};

/// The sequence that counts commits of alerts and actions.
const COMMITS: &str = "commits";
/// Where the definitions stand among the single rows.
const DEFINITIONS: &[u8] = b"definitions";

/// Writes one typed row.
///
/// # Errors
/// When it cannot be written.
pub fn put<T: Form>(tx: &mut dyn Tx, table: Table, key: &[u8], row: &T) -> Result<(), StoreError> {
    tx.put(table, key, &format::encode(row)?)
}

/// Reads one typed row.
///
/// # Errors
/// When it is damaged or cannot be understood.
pub fn get<T: Form>(
    view: &(impl View + ?Sized),
    table: Table,
    key: &[u8],
) -> Result<Option<T>, StoreError> {
    view.get(table, key)?
        .map(|bytes| format::decode(&bytes))
        .transpose()
}

/// Reads up to `limit` typed rows of a range that meet the condition.
///
/// # Errors
/// When one is damaged or cannot be understood.
pub fn list<T: Form>(
    view: &dyn View,
    table: Table,
    range: &Range,
    limit: usize,
    condition: impl Fn(&T) -> bool,
) -> Result<Vec<T>, StoreError> {
    let mut rows = Vec::new();
    if limit == 0 {
        return Ok(rows);
    }
    view.scan(table, range, &mut |_, bytes| {
        let row: T = format::decode(bytes)?;
        if condition(&row) {
            rows.push(row);
        }
        Ok(if rows.len() < limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(rows)
}

/// Takes out every row of a range.
///
/// # Errors
/// When they cannot be read or written.
pub fn clear(tx: &mut dyn Tx, table: Table, range: &Range) -> Result<(), StoreError> {
    let mut keys = Vec::new();
    tx.scan(table, range, &mut |key, _| {
        keys.push(key.to_vec());
        Ok(ControlFlow::Continue(()))
    })?;
    for key in keys {
        tx.delete(table, &key)?;
    }
    Ok(())
}

/// Gives the next number of a named sequence, from 1.
///
/// # Errors
/// When it cannot be read or written.
pub fn next_number(tx: &mut dyn Tx, sequence: &str) -> Result<u64, StoreError> {
    let next = last_number(tx, sequence)? + 1;
    tx.put(Table::Sequences, sequence.as_bytes(), &next.to_be_bytes())?;
    Ok(next)
}

/// The number a sequence gave last; 0 before the first.
///
/// # Errors
/// When it cannot be read.
pub fn last_number(view: &(impl View + ?Sized), sequence: &str) -> Result<u64, StoreError> {
    match view.get(Table::Sequences, sequence.as_bytes())? {
        Some(bytes) => number(&bytes, "sequences"),
        None => Ok(0),
    }
}

/// Counts a commit of the engine's thread; snapshots tell by it whether a store is the one they
/// were made beside.
///
/// # Errors
/// When it cannot be read or written.
pub fn count_commit(tx: &mut dyn Tx) -> Result<u64, StoreError> {
    next_number(tx, COMMITS)
}

/// The engine's commits so far.
///
/// # Errors
/// When they cannot be read.
pub fn commits(view: &(impl View + ?Sized)) -> Result<u64, StoreError> {
    last_number(view, COMMITS)
}

/// The detectors whose alerts are open: those that were in force last.
///
/// # Errors
/// When the row is damaged.
pub fn definitions(view: &(impl View + ?Sized)) -> Result<Definitions, StoreError> {
    Ok(get(view, Table::Meta, DEFINITIONS)?.unwrap_or_default())
}

/// Remembers which detectors are in force.
///
/// # Errors
/// When they cannot be written.
pub fn set_definitions(tx: &mut dyn Tx, all: &Definitions) -> Result<(), StoreError> {
    put(tx, Table::Meta, DEFINITIONS, all)
}

/// Binds the store to a hash key when it is new, and refuses another one later.
///
/// # Errors
/// When the rows were made under another key.
pub fn bind_key(tx: &mut dyn Tx, key_id: &str) -> Result<(), StoreError> {
    match tx.get(Table::Meta, b"hash_key")? {
        None => tx.put(Table::Meta, b"hash_key", key_id.as_bytes()),
        Some(found) if found == key_id.as_bytes() => Ok(()),
        Some(found) => Err(StoreError::Key {
            found: String::from_utf8_lossy(&found).into_owned(),
            configured: key_id.to_owned(),
        }),
    }
}

/// Appends an evidence entry; returns its index, from 0.
///
/// # Errors
/// When it cannot be written.
pub fn append_evidence(tx: &mut dyn Tx, entry: &[u8]) -> Result<u64, StoreError> {
    let index = next_number(tx, "evidence")? - 1;
    tx.put(Table::Evidence, &index.to_be_bytes(), entry)?;
    Ok(index)
}

/// Evidence entries from an index on, with their indexes.
///
/// # Errors
/// When one is damaged.
pub fn evidence(
    view: &dyn View,
    from: u64,
    limit: usize,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let mut entries = Vec::new();
    let mut range = Range::all();
    range.from = std::ops::Bound::Included(from.to_be_bytes().to_vec());
    if limit == 0 {
        return Ok(entries);
    }
    view.scan(Table::Evidence, &range, &mut |key, entry| {
        entries.push((number(key, "evidence")?, entry.to_vec()));
        Ok(if entries.len() < limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(entries)
}

/// Reads eight bytes as a number.
fn number(bytes: &[u8], place: &str) -> Result<u64, StoreError> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| StoreError::Malformed {
        place: place.to_owned(),
        what: "a number is not eight bytes long".to_owned(),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

/// A signed number as bytes that sort like it.
fn sortable(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}
