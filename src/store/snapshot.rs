//! Snapshot files: the engine's whole state with the frontier up to which it counts (a base), and what
//! has changed since (increments, each of which stands on the one before it).
//!
//! Owns the files, not what the state means: `file` is the form of one, `chain` which of them are there and
//! which are used. A file is written aside, synced and renamed, and nothing of one is used before its
//! checksum, and that of what it stands on, have been verified.

#![expect(
    clippy::disallowed_methods,
    reason = "an edge: these are the files it owns"
)]

use std::io;
use std::path::{Path, PathBuf};

use super::disk::is_full;
use crate::engine::snapshot::Kind;
use crate::model::fault::Class;

mod chain;
mod file;

pub use chain::{append, read, read_fitting, write};

/// One snapshot. Its body comes in one part, or to be written in several that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<B = Vec<u8>> {
    /// Rises with every snapshot of a name.
    pub generation: u64,
    /// The hash key the state was made under.
    pub key_id: String,
    /// Source positions inside the state, encoded by whoever owns them.
    pub frontier: Vec<u8>,
    /// The state, or what has changed in it, encoded by the engine.
    pub body: B,
}

/// Tells a snapshot file from every other: a blake3 digest over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; file::FOOTER_LEN]);

/// A file that is durable.
#[derive(Clone, Debug)]
pub struct Written {
    pub path: PathBuf,
    /// What an increment names that stands on it.
    pub digest: Digest,
}

/// Bytes in parts.
pub trait Parts {
    /// The parts in their order.
    fn parts(&self) -> impl Iterator<Item = &[u8]>;
}

impl Parts for Vec<u8> {
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.as_slice())
    }
}

impl Parts for Vec<Vec<u8>> {
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(Vec::as_slice)
    }
}

/// What was found on disk.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest good snapshot: a base and the increments that stand on it, in their order. Empty if
    /// there never was one.
    pub chain: Vec<Snapshot>,
    /// Newer files that are damaged, or do not fit, and were passed over.
    pub damaged: Vec<(PathBuf, String)>,
}

/// What can go wrong with snapshot files.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A name that would not be a file name.
    #[error("snapshot name {0:?} may hold only a-z, 0-9, - and _")]
    Name(String),
    /// The disk is full.
    #[error("no space is left for the snapshot {0}: free some, the next one is tried as planned")]
    Full(PathBuf),
    /// Reading or writing failed.
    #[error("cannot {verb} the snapshot {path}: {reason}; check the disk and the folder's rights")]
    Disk {
        verb: &'static str,
        path: PathBuf,
        reason: String,
    },
    /// Files are there and none is good.
    #[error(
        "no snapshot of {name} is good: {what}; move them away to rebuild the state from the log"
    )]
    NoneGood { name: String, what: String },
    /// Written by a newer version.
    #[error(
        "the snapshot {path} has version {found}, this tidegate reads up to {}: run the newer tidegate",
        file::VERSION
    )]
    Newer { path: PathBuf, found: u32 },
    /// Made under another hash key.
    #[error(
        "the snapshot {path} belongs to hash key {found}, the configuration has {configured}: give back the key, or move the file away to start empty"
    )]
    Key {
        path: PathBuf,
        found: String,
        configured: String,
    },
}

impl SnapshotError {
    /// How to meet it.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Full(_) => Class::Retry,
            Self::Disk { .. } => Class::Fatal,
            Self::Name(_) | Self::NoneGood { .. } | Self::Newer { .. } | Self::Key { .. } => {
                Class::Operator
            }
        }
    }
}

fn disk(verb: &'static str, path: &Path, error: &io::Error) -> SnapshotError {
    if is_full(error) {
        return SnapshotError::Full(path.to_owned());
    }
    SnapshotError::Disk {
        verb,
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
