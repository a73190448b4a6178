//! The engine's state as bytes: a base, which is what it stands on (key, rules) and all that it holds,
//! and increments, each of which is what has changed since the one before it.
//!
//! Versioned: older forms are read as far back as `OLDEST`, newer ones refused; a snapshot made under
//! another hash key is refused, never merged; an increment is taken up only as the one that follows. The
//! files around them (checksum, rename, which stands on which) are the store's.

use serde::Deserialize;

use self::changes::{Changing as _, Reader, Writer};
use super::program::Program;
use super::shard::ShardImage;
use super::watermark::Sequencer;

pub mod changes;
mod older;

/// Form of the bytes; raised with every change of a state's shape, and what changed is said in `older`.
pub const VERSION: u32 = 5;
/// The oldest form that is read. Form 1 named a rule by numbers of fields that depended on what else was
/// loaded: which rule a state of it belongs to cannot be told any more.
pub const OLDEST: u32 = 2;

/// What a snapshot tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// All of the state.
    Base,
    /// What has changed in it since the snapshot before.
    Increment,
}

/// A snapshot: its bytes in parts that follow one another.
#[derive(Clone, Debug)]
pub struct Taken {
    pub kind: Kind,
    pub body: Vec<Vec<u8>>,
}

#[derive(Debug, Deserialize)]
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

#[derive(Debug, Deserialize)]
struct Increment<'a> {
    version: u32,
    /// How many snapshots its base and it are behind: none may be missing.
    nth: u64,
    /// What has changed: in the sequencer, then in each shard.
    #[serde(borrow)]
    parts: Vec<&'a [u8]>,
}

/// A base and the increments that stand on it, opened.
#[derive(Debug)]
pub struct Saved<'a> {
    head: Head<'a>,
    increments: Vec<Increment<'a>>,
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

/// Writes a base of `shards` (each from `Shard::snapshot`) between two packets. The shards are most of it
/// and need not be copied for it.
#[must_use]
pub(super) fn base(program: &Program, sequencer: &Sequencer, shards: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    // A `Head`, field by field: the sequencer need not be copied for it, either.
    let head = (VERSION, program.key.id(), program.identities(), sequencer);
    let mut to = Writer::with_room(sequencer.stored_about());
    let written = to.put(&head).map(|()| to.done());
    behind(written.unwrap_or_default(), shards)
}

/// Writes what has changed in `shards` and in the sequencer; it is the `nth` increment of its base.
#[must_use]
pub(super) fn increment(nth: u64, sequencer: &Sequencer, shards: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut to = Writer::default();
    let written = sequencer.write(&mut to).map(|()| to.done());
    let mut parts = vec![written.unwrap_or_default()];
    parts.extend(shards);
    // An `Increment`, field by field.
    behind(
        postcard::to_stdvec(&(VERSION, nth)).unwrap_or_default(),
        parts,
    )
}

/// Puts a list of parts behind what comes before it.
fn behind(mut head: Vec<u8>, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    head.extend(length(parts.len()));
    let mut all = vec![head];
    for part in parts {
        all.push(length(part.len()));
        all.push(part);
    }
    all
}

/// A list's length as it stands before the list.
fn length(of: usize) -> Vec<u8> {
    postcard::to_stdvec(&of).unwrap_or_default()
}

impl<'a> Saved<'a> {
    /// Opens a base and its increments, in their order; what is in the shards stays as it is.
    ///
    /// # Errors
    /// They are not a base and what follows it, or of a form that is not read.
    pub fn read<B: AsRef<[u8]>>(chain: &'a [B]) -> Result<Self, Refused> {
        let mut bodies = chain.iter().map(AsRef::as_ref);
        let base = bodies.next().unwrap_or_default();
        let head: Head<'_> = of_form(version(base)?, base)?;
        let mut increments: Vec<Increment<'_>> = Vec::with_capacity(bodies.len());
        for (body, nth) in bodies.zip(1..) {
            let next: Increment<'_> = of_form(version(body)?, body)?;
            if next.nth != nth || next.parts.len() != head.shards.len() + 1 {
                return Err(Refused::Damaged(format!(
                    "increment {nth} does not follow the one before it"
                )));
            }
            increments.push(next);
        }
        Ok(Self { head, increments })
    }

    /// How many shards it was cut into.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.head.shards.len()
    }

    pub(super) fn take_up(
        self,
        program: &Program,
        shards: usize,
        topics: &[String],
    ) -> Result<Image, Refused> {
        if self.head.key_id != program.key.id() {
            return Err(Refused::Key {
                found: self.head.key_id,
                ours: program.key.id(),
            });
        }
        if self.shards() != shards {
            return Err(Refused::Shards {
                found: self.shards(),
                ours: shards,
            });
        }
        let (head, images) = self.merged()?;
        let keep = program.keep(&head.rules);
        let now = &program.settings.sources;
        let place = |old: &String| {
            now.iter()
                .position(|n| n == old)
                .and_then(|i| u16::try_from(i).ok())
        };
        let mut sequencer = head.sequencer;
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

    /// The state as the last increment left it: the head's part of it, and the shards'.
    fn merged(self) -> Result<(Head<'a>, Vec<ShardImage>), Refused> {
        let Self {
            mut head,
            increments,
        } = self;
        let mut images: Vec<ShardImage> = Vec::with_capacity(head.shards.len());
        for shard in &head.shards {
            images.push(of_form(head.version, shard)?);
        }
        for increment in increments {
            let mut parts = increment.parts.into_iter();
            let mut next = || Reader::new(increment.version, parts.next().unwrap_or_default());
            let mut from = next();
            let applied = head.sequencer.apply(&mut from);
            applied.and_then(|()| from.end()).map_err(damaged)?;
            for image in &mut images {
                let mut from = next();
                let applied = image.apply(&mut from);
                applied.and_then(|()| from.end()).map_err(damaged)?;
            }
        }
        Ok((head, images))
    }
}

/// The form of a snapshot's bytes, if it is read.
fn version(bytes: &[u8]) -> Result<u32, Refused> {
    let (found, _) = postcard::take_from_bytes::<u32>(bytes).map_err(damaged)?;
    match (OLDEST..=VERSION).contains(&found) {
        true => Ok(found),
        false => Err(Refused::Version { found }),
    }
}

fn of_form<'de, T: Deserialize<'de>>(version: u32, bytes: &'de [u8]) -> Result<T, Refused> {
    Reader::new(version, bytes).take().map_err(damaged)
}

fn damaged(error: postcard::Error) -> Refused {
    Refused::Damaged(error.to_string())
}

#[cfg(test)]
mod tests;
