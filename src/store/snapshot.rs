//! Snapshot files: a shard's whole state with the frontier up to which it counts.
//!
//! Owns the file form, not what the state means. A file is written aside, synced and renamed, the
//! one before it is kept, and nothing of a file is used before its checksum has been verified.

#![expect(
    clippy::disallowed_methods,
    reason = "an edge: these are the files it owns"
)]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::model::fault::Class;

/// First bytes of every snapshot file.
const MAGIC: &[u8; 8] = b"TIDEGATE";
/// Form of the header and footer.
const VERSION: u32 = 1;
/// Magic, version, generation, and the lengths of key id, name, frontier and body.
const HEADER_LEN: usize = 8 + 4 + 8 + 4 * 8;
/// A blake3 digest over everything before it.
const FOOTER_LEN: usize = 32;
/// The newest file and the one before it.
const KEPT: usize = 2;

/// One snapshot. Its body comes in one part, or to be written in several that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<B = Vec<u8>> {
    /// Rises with every snapshot of a name.
    pub generation: u64,
    /// The hash key the state was made under.
    pub key_id: String,
    /// Source positions inside the state, encoded by whoever owns them.
    pub frontier: Vec<u8>,
    /// The state, encoded by the engine.
    pub body: B,
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
    /// The newest good snapshot; none if there never was one.
    pub snapshot: Option<Snapshot>,
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
        "the snapshot {path} has version {found}, this tidegate reads up to {VERSION}: run the newer tidegate"
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
    if matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    ) {
        return SnapshotError::Full(path.to_owned());
    }
    SnapshotError::Disk {
        verb,
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn check_name(name: &str) -> Result<(), SnapshotError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 100 || !name.bytes().all(fits) {
        return Err(SnapshotError::Name(name.to_owned()));
    }
    Ok(())
}

/// Writes a snapshot durably and removes those older than the one before it.
///
/// # Errors
/// When it is not durable; the snapshots before it are untouched then.
pub fn write(
    dir: &Path,
    name: &str,
    snapshot: &Snapshot<impl Parts>,
) -> Result<PathBuf, SnapshotError> {
    check_name(name)?;
    make_dir(dir).map_err(|e| disk("write", dir, &e))?;
    let path = dir.join(format!("{name}.{:020}.snapshot", snapshot.generation));
    let aside = dir.join(format!("{name}.writing"));
    let result = write_aside(&aside, name, snapshot)
        .inspect(|()| crate::crash::point("snapshot-written"))
        .and_then(|()| fs::rename(&aside, &path))
        .inspect(|()| crate::crash::point("snapshot-renamed"))
        .and_then(|()| File::open(dir)?.sync_all());
    if let Err(error) = result {
        // What is left of it must not take the space that the next attempt needs.
        drop(fs::remove_file(&aside));
        return Err(disk("write", &path, &error));
    }
    for (_, old) in list(dir, name)?.into_iter().skip(KEPT) {
        fs::remove_file(&old).map_err(|e| disk("remove", &old, &e))?;
    }
    Ok(path)
}

/// Makes the folder; its name survives a power cut before anything in it counts.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    match dir.parent().filter(|above| !above.as_os_str().is_empty()) {
        Some(above) => File::open(above)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

fn write_aside(path: &Path, name: &str, snapshot: &Snapshot<impl Parts>) -> io::Result<()> {
    let mut file = File::create(path)?;
    crate::crash::point("snapshot-begun");
    let mut hasher = blake3::Hasher::new();
    let header = header(name, snapshot);
    let before: [&[u8]; 4] = [
        &header,
        snapshot.key_id.as_bytes(),
        name.as_bytes(),
        &snapshot.frontier,
    ];
    for part in before.into_iter().chain(snapshot.body.parts()) {
        hasher.update(part);
        file.write_all(part)?;
    }
    file.write_all(hasher.finalize().as_bytes())?;
    file.sync_all()
}

fn header(name: &str, snapshot: &Snapshot<impl Parts>) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_LEN);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&snapshot.generation.to_le_bytes());
    let lengths = [
        snapshot.key_id.len(),
        name.len(),
        snapshot.frontier.len(),
        snapshot.body.parts().map(<[u8]>::len).sum(),
    ];
    for length in lengths {
        header.extend_from_slice(&(length as u64).to_le_bytes());
    }
    header
}

/// Reads the newest good snapshot of a name; damaged newer ones are passed over and told.
///
/// # Errors
/// When files are there and none is good, or when one was written by a newer version or under
/// another key: then falling back would hide it.
pub fn read(dir: &Path, name: &str, key_id: &str) -> Result<Found, SnapshotError> {
    read_fitting(dir, name, key_id, &|_| Ok(()))
}

/// As `read`, but passes over those that `fits` refuses, with its reason.
///
/// # Errors
/// As `read`.
pub fn read_fitting(
    dir: &Path,
    name: &str,
    key_id: &str,
    fits: &dyn Fn(&Snapshot) -> Result<(), String>,
) -> Result<Found, SnapshotError> {
    check_name(name)?;
    let mut found = Found::default();
    for (generation, path) in list(dir, name)? {
        let bytes = fs::read(&path).map_err(|e| disk("read", &path, &e))?;
        match parse(name, generation, bytes) {
            Ok(snapshot) if snapshot.key_id != key_id => {
                let (found, configured) = (snapshot.key_id, key_id.to_owned());
                return Err(SnapshotError::Key {
                    path,
                    found,
                    configured,
                });
            }
            Ok(snapshot) => match fits(&snapshot) {
                Ok(()) => {
                    found.snapshot = Some(snapshot);
                    return Ok(found);
                }
                Err(why) => found.damaged.push((path, why)),
            },
            Err(Fault::Newer(version)) => {
                return Err(SnapshotError::Newer {
                    path,
                    found: version,
                });
            }
            Err(Fault::Damaged(what)) => found.damaged.push((path, what.to_owned())),
        }
    }
    if found.damaged.is_empty() {
        return Ok(found);
    }
    let what: Vec<String> = found
        .damaged
        .iter()
        .map(|(path, what)| format!("{} {what}", path.display()))
        .collect();
    Err(SnapshotError::NoneGood {
        name: name.to_owned(),
        what: what.join(", "),
    })
}

/// The snapshot files of a name, newest first.
fn list(dir: &Path, name: &str) -> Result<Vec<(u64, PathBuf)>, SnapshotError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk("list", dir, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| disk("list", dir, &e))?;
        let file = entry.file_name();
        let generation = file.to_str().and_then(|file| {
            let rest = file.strip_prefix(name)?.strip_prefix('.')?;
            rest.strip_suffix(".snapshot")?.parse::<u64>().ok()
        });
        if let Some(generation) = generation {
            files.push((generation, entry.path()));
        }
    }
    files.sort_by_key(|(generation, _)| std::cmp::Reverse(*generation));
    Ok(files)
}

enum Fault {
    Damaged(&'static str),
    Newer(u32),
}

/// Checks a whole file, then takes it apart. The version is read first, so that a newer form is
/// called newer and not damaged; a flipped version bit fails the checksum of its own form.
fn parse(name: &str, generation: u64, mut bytes: Vec<u8>) -> Result<Snapshot, Fault> {
    let damaged = |what| Fault::Damaged(what);
    if bytes.len() < HEADER_LEN + FOOTER_LEN {
        return Err(damaged("is cut short"));
    }
    let footer = bytes.split_off(bytes.len() - FOOTER_LEN);
    if blake3::hash(&bytes).as_bytes()[..] != footer[..] {
        return Err(damaged("has a wrong checksum"));
    }
    let mut at = 0_usize;
    let mut take = |length: usize| {
        let part = bytes.get(at..at.checked_add(length)?)?;
        at += length;
        Some(part)
    };
    let short = || damaged("is shorter than it says");
    if take(8).ok_or_else(short)? != MAGIC {
        return Err(damaged("is no snapshot"));
    }
    let version = number(take(4).ok_or_else(short)?);
    if version != u64::from(VERSION) {
        return Err(Fault::Newer(u32::try_from(version).unwrap_or(u32::MAX)));
    }
    let inside = number(take(8).ok_or_else(short)?);
    let mut lengths = [0; 4];
    for length in &mut lengths {
        let stated = number(take(8).ok_or_else(short)?);
        *length = usize::try_from(stated).map_err(|_| short())?;
    }
    let [key_len, name_len, frontier_len, body_len] = lengths;
    let key_id = String::from_utf8_lossy(take(key_len).ok_or_else(short)?).into_owned();
    let own_name = take(name_len).ok_or_else(short)?.to_vec();
    let frontier = take(frontier_len).ok_or_else(short)?.to_vec();
    let body_at = HEADER_LEN + key_len + name_len + frontier_len;
    if take(body_len).is_none() || body_at + body_len != bytes.len() {
        return Err(short());
    }
    if own_name != name.as_bytes() || inside != generation {
        return Err(damaged("is another snapshot under this name"));
    }
    // The body is most of the file: kept where it is instead of copied.
    bytes.drain(..body_at);
    Ok(Snapshot {
        generation,
        key_id,
        frontier,
        body: bytes,
    })
}

/// Up to eight bytes as a number, lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |n, byte| (n << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests;
