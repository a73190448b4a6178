//! What must never be lost: alerts, actions, outbox, incidents, receipts, evidence, as rows of
//! bytes under one transaction, and the shards' snapshot files beside them.
//!
//! Owns durability and integrity, not meaning: typed rows stand in `rows`. A transaction is all or
//! nothing, and once `transact` has returned `Ok` its rows survive a crash and a power cut.

use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::model::fault::Class;

#[cfg(test)]
mod contract;
pub mod disk;
pub mod format;
pub mod memory;
pub mod outbox;
mod range;
pub mod redb;
pub mod rows;
#[cfg(feature = "sled")]
pub mod sled;
pub mod snapshot;

pub use range::Range;

/// The named tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Single rows by name: key id, policy journal, versions.
    Meta,
    /// The last number given, by name.
    Sequences,
    /// Every revision of every alert.
    Alerts,
    /// The newest revision of each alert, in the order of time.
    AlertsByTime,
    Incidents,
    /// Every action with its life so far.
    Actions,
    /// Active and waiting actions, per target and verb.
    ActiveActions,
    /// Every change of every action in the order of `seq`: what the pull stream reads.
    Changes,
    /// Messages not yet delivered, per endpoint.
    Outbox,
    /// Messages given up.
    DeadLetters,
    /// When and to whom action messages were delivered.
    Deliveries,
    /// What enforcers say they did.
    Receipts,
    Silences,
    /// Open alerts that a silence keeps from being told.
    Muted,
    /// Allow-list entries that people added.
    Allow,
    Evidence,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 16] = [
        Self::Meta,
        Self::Sequences,
        Self::Alerts,
        Self::AlertsByTime,
        Self::Incidents,
        Self::Actions,
        Self::ActiveActions,
        Self::Changes,
        Self::Outbox,
        Self::DeadLetters,
        Self::Deliveries,
        Self::Receipts,
        Self::Silences,
        Self::Muted,
        Self::Allow,
        Self::Evidence,
    ];

    /// Its name in the file: never change one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Sequences => "sequences",
            Self::Alerts => "alerts",
            Self::AlertsByTime => "alerts_by_time",
            Self::Incidents => "incidents",
            Self::Actions => "actions",
            Self::ActiveActions => "active_actions",
            Self::Changes => "changes",
            Self::Outbox => "outbox",
            Self::DeadLetters => "dead_letters",
            Self::Deliveries => "deliveries",
            Self::Receipts => "receipts",
            Self::Silences => "silences",
            Self::Muted => "muted",
            Self::Allow => "allow",
            Self::Evidence => "evidence",
        }
    }
}

/// What `scan` calls for each row; it may stop early.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError> + 'a;

/// A consistent view of the rows.
pub trait View {
    /// The value of a key.
    ///
    /// # Errors
    /// When the row cannot be read or is damaged.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the rows of a range in its order.
    ///
    /// # Errors
    /// When a row cannot be read or is damaged, and those of `visit`.
    fn scan(&self, table: Table, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// A view that can also write; it sees its own writes.
pub trait Tx: View {
    /// Writes a row, replacing what stood there.
    ///
    /// # Errors
    /// When it cannot be written.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Takes a row out; tells whether it was there.
    ///
    /// # Errors
    /// When it cannot be written.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError>;
}

/// Where rows are kept. Writers take turns; readers see the last commit and never wait.
pub trait Store: Send + Sync {
    /// Does the work and commits it, or leaves everything as it was.
    ///
    /// # Errors
    /// Those of `work`, and when the commit did not reach the disk.
    fn transact(
        &self,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Reads from the last commit.
    ///
    /// # Errors
    /// Those of `work`.
    fn read(
        &self,
        work: &mut dyn FnMut(&dyn View) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Which backend it is.
    fn name(&self) -> &'static str;
}

/// `transact` with a result.
///
/// # Errors
/// As `Store::transact`.
pub fn write<T>(
    store: &dyn Store,
    mut work: impl FnMut(&mut dyn Tx) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut result = None;
    store.transact(&mut |tx| {
        result = Some(work(tx)?);
        Ok(())
    })?;
    result.ok_or(StoreError::Skipped)
}

/// `Store::read` with a result.
///
/// # Errors
/// As `Store::read`.
pub fn read<T>(
    store: &dyn Store,
    mut work: impl FnMut(&dyn View) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut result = None;
    store.read(&mut |view| {
        result = Some(work(view)?);
        Ok(())
    })?;
    result.ok_or(StoreError::Skipped)
}

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("cannot open the store {path}: {reason}; check that the folder exists and is writable")]
    Open { path: PathBuf, reason: String },
    /// Another process has it open.
    #[error(
        "the store {0} is in use: stop the other tidegate, or give this one its own `state` folder"
    )]
    Locked(PathBuf),
    /// No space is left.
    #[error("the disk of the store is full: free some space, writing goes on by itself")]
    Full,
    /// The disk failed; what was written last may not be durable.
    #[error("the disk of the store failed ({0}): check the disk, then start again")]
    Disk(String),
    /// What is on disk is not what was written.
    #[error(
        "the store is damaged in {place}: {what}; restore it from a copy, or move it away to start empty"
    )]
    Damaged { place: String, what: String },
    /// Written by a newer version.
    #[error(
        "{place} has version {found}, this tidegate reads up to {known}: run the newer tidegate"
    )]
    Newer {
        place: String,
        found: u32,
        known: u32,
    },
    /// A row that was read whole but does not mean anything.
    #[error("a row of {place} cannot be understood: {what}")]
    Malformed { place: String, what: String },
    /// The state was made under another hash key.
    #[error(
        "the state belongs to hash key {found}, the configuration has {configured}: give back the key, or start with an empty `state` folder"
    )]
    Key { found: String, configured: String },
    /// The caller gave the work up.
    #[error("the transaction was given up: {0}")]
    GivenUp(String),
    /// A test let the process die here.
    #[error("crashed on purpose at step {0}")]
    Crashed(u64),
    /// The backend did not call the work.
    #[error("the store did not do the work: report this as a bug")]
    Skipped,
}

impl StoreError {
    /// How to meet it.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Full | Self::GivenUp(_) => Class::Retry,
            Self::Malformed { .. } => Class::Poison,
            Self::Disk(_) | Self::Damaged { .. } | Self::Crashed(_) | Self::Skipped => Class::Fatal,
            Self::Open { .. } | Self::Locked(_) | Self::Newer { .. } | Self::Key { .. } => {
                Class::Operator
            }
        }
    }
}
