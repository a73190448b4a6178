//! The engine's state as bytes: what it stands on (key, rules) and what it holds.
//!
//! Versioned: older forms are read as far back as `OLDEST`, newer ones refused; a snapshot made under
//! another hash key is refused, never merged. The file around it (checksum, rename) is the store's.

use serde::Deserialize;

use super::program::Program;
use super::shard::ShardImage;
use super::watermark::Sequencer;

mod older;

/// Form of the bytes; raised with every change of a state's shape, and what changed is said in `older`.
pub const VERSION: u32 = 4;
/// The oldest form that is read. Form 1 named a rule by numbers of fields that depended on what else was
/// loaded: which rule a state of it belongs to cannot be told any more.
pub const OLDEST: u32 = 2;

#[derive(Deserialize)]
struct Head<'a> {
    version: u32,
    key_id: String,
    /// Identity of each rule, in order.
    rules: Vec<u64>,
    sequencer: Sequencer,
    /// Last, since `write` puts them behind the rest; where they stand, since they are most of it.
    #[serde(borrow)]
    shards: Vec<&'a [u8]>,
}

/// What a snapshot gave back, or a reload kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Rules that go on with their windows.
    pub kept: usize,
    /// Rules that are new or changed and start afresh.
    pub fresh: usize,
}

impl Restored {
    pub(super) fn of(keep: &[Option<usize>]) -> Self {
        let kept = keep.iter().flatten().count();
        Self {
            kept,
            fresh: keep.len() - kept,
        }
    }
}

/// Why a snapshot was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    #[error(
        "the snapshot has format {found}, this binary reads {OLDEST} to {VERSION}; use the binary that wrote it, or move the snapshots away: what the log still holds is read again then"
    )]
    Version { found: u32 },
    #[error(
        "the snapshot was made under hash key {found}, the configured key is {ours}; restore the key file that belongs to this state"
    )]
    Key { found: String, ours: String },
    #[error(
        "the snapshot has {found} shards, this run {ours}; start once with engine.shards: {found}"
    )]
    Shards { found: usize, ours: usize },
}

pub(super) struct Image {
    pub sequencer: Sequencer,
    pub shards: Vec<ShardImage>,
    /// Per rule of the program: the index it had in the snapshot.
    pub keep: Vec<Option<usize>>,
    pub restored: Restored,
}

/// Writes a snapshot of `shards` (each from `Shard::snapshot`) between two packets: its bytes in parts
/// that follow one another, since the shards are most of it and need not be copied for it.
#[must_use]
pub fn write(program: &Program, sequencer: &Sequencer, shards: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    // A `Head`, field by field: the sequencer need not be copied for it, either.
    let head = (VERSION, program.key.id(), program.identities(), sequencer);
    let mut bytes = postcard::to_stdvec(&head).unwrap_or_default();
    bytes.extend(length(shards.len()));
    let mut parts = vec![bytes];
    for shard in shards {
        parts.push(length(shard.len()));
        parts.push(shard);
    }
    parts
}

/// A list's length as it stands before the list.
fn length(of: usize) -> Vec<u8> {
    postcard::to_stdvec(&of).unwrap_or_default()
}

/// How many shards a snapshot was cut into, if it is one.
#[must_use]
pub fn shards(bytes: &[u8]) -> Option<usize> {
    Some(head(bytes).ok()?.shards.len())
}

pub(super) fn read(
    program: &Program,
    bytes: &[u8],
    shards: usize,
    topics: &[String],
) -> Result<Image, Refused> {
    let head = head(bytes)?;
    if head.key_id != program.key.id() {
        return Err(Refused::Key {
            found: head.key_id,
            ours: program.key.id(),
        });
    }
    if head.shards.len() != shards {
        return Err(Refused::Shards {
            found: head.shards.len(),
            ours: shards,
        });
    }
    let mut images: Vec<ShardImage> = Vec::with_capacity(shards);
    for shard in &head.shards {
        images.push(of_form(head.version, shard)?);
    }
    let keep = program.keep(&head.rules);
    let mut sequencer = head.sequencer;
    let now = &program.settings.sources;
    let place = |old: &String| {
        now.iter()
            .position(|n| n == old)
            .and_then(|i| u16::try_from(i).ok())
    };
    sequencer.resume();
    sequencer.renumber(&keep, &topics.iter().map(place).collect::<Vec<_>>());
    let restored = Restored::of(&keep);
    Ok(Image {
        sequencer,
        shards: images,
        keep,
        restored,
    })
}

/// Everything but what is in the shards.
fn head(bytes: &[u8]) -> Result<Head<'_>, Refused> {
    let (found, _) = postcard::take_from_bytes::<u32>(bytes).map_err(damaged)?;
    if !(OLDEST..=VERSION).contains(&found) {
        return Err(Refused::Version { found });
    }
    of_form(found, bytes)
}

fn of_form<'de, T: Deserialize<'de>>(version: u32, bytes: &'de [u8]) -> Result<T, Refused> {
    let read = match version {
        VERSION => postcard::from_bytes(bytes),
        older => older::read(older, older::LATER, bytes),
    };
    read.map_err(damaged)
}

fn damaged(error: postcard::Error) -> Refused {
    Refused::Damaged(error.to_string())
}
