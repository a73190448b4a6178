//! Silences, what they keep from being told, and allow-list entries that people added.
//!
//! Owns keys and bounds of these rows. A row stays after its end, for people to see, until there
//! is need for its room.

use std::ops::ControlFlow;

use super::{Muted, get, list, put};
use crate::engine::alert::silence::Silence;
use crate::engine::containment::allow::AllowEntry;
use crate::model::WallTime;
use crate::model::ids::Id;
use crate::store::format::Form;
use crate::store::{Range, StoreError, Table, Tx, View, format};

/// Most silences, and most entries of the allow-list, ended ones included.
pub const MUTES_MAX: usize = 500;

/// A row with an end.
pub trait Ending: Form {
    const TABLE: Table;

    fn key(&self) -> Id;
    /// When it came.
    fn since(&self) -> WallTime;
    fn is_over(&self, now: WallTime) -> bool;
}

impl Ending for Silence {
    const TABLE: Table = Table::Silences;

    fn key(&self) -> Id {
        self.silence_id
    }

    fn since(&self) -> WallTime {
        self.created_at
    }

    fn is_over(&self, now: WallTime) -> bool {
        self.is_over(now)
    }
}

impl Ending for AllowEntry {
    const TABLE: Table = Table::Allow;

    fn key(&self) -> Id {
        self.id()
    }

    fn since(&self) -> WallTime {
        self.added_at
    }

    fn is_over(&self, now: WallTime) -> bool {
        self.is_over(now)
    }
}

/// Every row, newest first.
///
/// # Errors
/// When one is damaged.
pub fn all<T: Ending>(view: &(impl View + ?Sized)) -> Result<Vec<T>, StoreError> {
    let mut rows: Vec<T> = Vec::new();
    view.scan(T::TABLE, &Range::all(), &mut |_, bytes| {
        rows.push(format::decode(bytes)?);
        Ok(ControlFlow::Continue(()))
    })?;
    rows.sort_by_key(|row| (std::cmp::Reverse(row.since()), row.key()));
    Ok(rows)
}

/// One row.
///
/// # Errors
/// When it is damaged.
pub fn find<T: Ending>(view: &(impl View + ?Sized), id: Id) -> Result<Option<T>, StoreError> {
    get(view, T::TABLE, &id.0)
}

/// Writes a row; where there are too many, the oldest that is over gives way. Tells whether there
/// was room.
///
/// # Errors
/// When rows cannot be read or written.
pub fn save<T: Ending>(tx: &mut dyn Tx, row: &T, now: WallTime) -> Result<bool, StoreError> {
    let is_new = tx.get(T::TABLE, &row.key().0)?.is_none();
    let rows = all::<T>(tx)?;
    if is_new && rows.len() >= MUTES_MAX {
        match rows.iter().rev().find(|r| r.is_over(now)) {
            Some(oldest) => drop(tx.delete(T::TABLE, &oldest.key().0)?),
            None => return Ok(false),
        }
    }
    put(tx, T::TABLE, &row.key().0, row)?;
    Ok(true)
}

/// Changes a row, if it is still there.
///
/// # Errors
/// When it cannot be read or written.
pub fn change<T: Ending>(
    tx: &mut dyn Tx,
    id: Id,
    change: impl FnOnce(&mut T),
) -> Result<(), StoreError> {
    let Some(mut row) = find::<T>(tx, id)? else {
        return Ok(());
    };
    change(&mut row);
    put(tx, T::TABLE, &id.0, &row)
}

/// What is known of a muted alert.
///
/// # Errors
/// When the row is damaged.
pub fn muted(view: &(impl View + ?Sized), alert: Id) -> Result<Option<Muted>, StoreError> {
    get(view, Table::Muted, &alert.0)
}

/// Remembers that an open alert is muted.
///
/// # Errors
/// When it cannot be written.
pub fn mute(tx: &mut dyn Tx, muted: &Muted) -> Result<(), StoreError> {
    put(tx, Table::Muted, &muted.alert_id.0, muted)
}

/// Forgets it.
///
/// # Errors
/// When it cannot be written.
pub fn unmute(tx: &mut dyn Tx, alert: Id) -> Result<(), StoreError> {
    tx.delete(Table::Muted, &alert.0).map(drop)
}

/// Up to `limit` muted alerts whose ids stand behind `after`.
///
/// # Errors
/// When one is damaged.
pub fn muted_after(
    view: &dyn View,
    after: Option<Id>,
    limit: usize,
) -> Result<Vec<Muted>, StoreError> {
    let range = match after {
        Some(id) => Range::all().after(id.0.to_vec()),
        None => Range::all(),
    };
    list(view, Table::Muted, &range, limit, |_| true)
}
