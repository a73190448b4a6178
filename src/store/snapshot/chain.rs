//! Which snapshot files there are: bases, and behind each the increments that stand on it.
//!
//! Two bases are kept, each with its chain. Reading takes the newest good base and the increments behind
//! it for as far as each is good and stands on the one before; then the base before it. Invariant: what
//! is removed is never what the newest good snapshot is made of.

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{self, Fault, Opened};
use super::{Digest, Found, Kind, Parts, Snapshot, SnapshotError, Written, disk};
use crate::store::disk::sync_dir;

/// The newest base and the one before it.
const KEPT: usize = 2;

const fn extension(kind: Kind) -> &'static str {
    match kind {
        Kind::Base => "snapshot",
        Kind::Increment => "increment",
    }
}

/// A file by what its name says.
struct Entry {
    generation: u64,
    kind: Kind,
    path: PathBuf,
}

fn check_name(name: &str) -> Result<(), SnapshotError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 100 || !name.bytes().all(fits) {
        return Err(SnapshotError::Name(name.to_owned()));
    }
    Ok(())
}

/// Writes a base durably and removes what is older than the base before it, with its chain.
///
/// # Errors
/// When it is not durable; the snapshots before it are untouched then.
pub fn write(
    dir: &Path,
    name: &str,
    snapshot: &Snapshot<impl Parts>,
) -> Result<Written, SnapshotError> {
    let written = put(dir, name, snapshot, None)?;
    crate::crash::point("snapshots-pruning");
    prune(dir, name, snapshot.generation)?;
    Ok(written)
}

/// Writes an increment durably that stands on the snapshot before it.
///
/// # Errors
/// When it is not durable; the snapshots before it are untouched then.
pub fn append(
    dir: &Path,
    name: &str,
    snapshot: &Snapshot<impl Parts>,
    on: &Digest,
) -> Result<Written, SnapshotError> {
    put(dir, name, snapshot, Some(on))
}

fn put(
    dir: &Path,
    name: &str,
    snapshot: &Snapshot<impl Parts>,
    on: Option<&Digest>,
) -> Result<Written, SnapshotError> {
    check_name(name)?;
    make_dir(dir).map_err(|e| disk("write", dir, &e))?;
    let kind = on.map_or(Kind::Base, |_| Kind::Increment);
    let (generation, extension) = (snapshot.generation, extension(kind));
    let path = dir.join(format!("{name}.{generation:020}.{extension}"));
    let aside = dir.join(format!("{name}.writing"));
    let result = file::write(&aside, name, snapshot, on).and_then(|digest| {
        fs::rename(&aside, &path)?;
        crate::crash::point(match kind {
            Kind::Base => "base-renamed",
            Kind::Increment => "increment-renamed",
        });
        sync_dir(dir)?;
        Ok(digest)
    });
    match result {
        Ok(digest) => Ok(Written { path, digest }),
        Err(error) => {
            // What is left of it must not take the space that the next attempt needs.
            drop(fs::remove_file(&aside));
            Err(disk("write", &path, &error))
        }
    }
}

/// Makes the folder; its name survives a power cut before anything in it counts.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    match dir.parent().filter(|above| !above.as_os_str().is_empty()) {
        Some(above) => sync_dir(above),
        None => sync_dir(Path::new(".")),
    }
}

/// Removes what the base of this generation makes needless: what is older than the base before it, and
/// what is newer than it, which was passed over. Each file goes before what it stands on, so that a crash
/// between two leaves whole chains.
fn prune(dir: &Path, name: &str, newest: u64) -> Result<(), SnapshotError> {
    let (above, files): (Vec<Entry>, Vec<Entry>) = list(dir, name)?
        .into_iter()
        .partition(|f| (f.generation, f.kind) > (newest, Kind::Base));
    let bases = files.iter().filter(|f| f.kind == Kind::Base);
    let oldest = bases.take(KEPT).last().map_or(0, |f| f.generation);
    let below = files.iter().filter(|f| f.generation < oldest);
    for file in above.iter().chain(below) {
        fs::remove_file(&file.path).map_err(|e| disk("remove", &file.path, &e))?;
    }
    Ok(())
}

/// Reads the newest good snapshot of a name; damaged newer files are passed over and told.
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
    // Increments that were met before the base below them.
    let mut above = Vec::new();
    for file in list(dir, name)? {
        if file.kind == Kind::Increment {
            above.push(file);
            continue;
        }
        let increments = std::mem::take(&mut above);
        let mut newest = match open(&file, name, key_id, fits)? {
            Ok(base) => base,
            Err(why) => {
                found.damaged.push((file.path, why));
                continue;
            }
        };
        for file in increments.into_iter().rev() {
            let next = open(&file, name, key_id, fits)?.and_then(|next| {
                let follows = next.on == Some(newest.digest);
                let stray = || "does not stand on the one before it".to_owned();
                follows.then_some(next).ok_or_else(stray)
            });
            match next {
                Ok(next) => found
                    .chain
                    .push(std::mem::replace(&mut newest, next).snapshot),
                Err(why) => {
                    found.damaged.push((file.path, why));
                    break;
                }
            }
        }
        found.chain.push(newest.snapshot);
        return Ok(found);
    }
    let orphan = |file: Entry| (file.path, "stands on a base that is gone".to_owned());
    found.damaged.extend(above.pop().map(orphan));
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

/// A file that is good and fits, or why it is passed over.
fn open(
    file: &Entry,
    name: &str,
    key_id: &str,
    fits: &dyn Fn(&Snapshot) -> Result<(), String>,
) -> Result<Result<Opened, String>, SnapshotError> {
    let Entry {
        generation,
        kind,
        path,
    } = file;
    let bytes = fs::read(path).map_err(|e| disk("read", path, &e))?;
    match file::parse(*kind, name, *generation, bytes) {
        Ok(opened) if opened.snapshot.key_id != key_id => Err(SnapshotError::Key {
            path: path.clone(),
            found: opened.snapshot.key_id,
            configured: key_id.to_owned(),
        }),
        Ok(opened) => Ok(fits(&opened.snapshot).map(|()| opened)),
        Err(Fault::Newer(found)) => Err(SnapshotError::Newer {
            path: path.clone(),
            found,
        }),
        Err(Fault::Damaged(what)) => Ok(Err(what.to_owned())),
    }
}

/// The snapshot files of a name, newest first; a base before an increment of the same number, which does
/// not stand on it.
fn list(dir: &Path, name: &str) -> Result<Vec<Entry>, SnapshotError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk("list", dir, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| disk("list", dir, &e))?.path();
        for kind in [Kind::Base, Kind::Increment] {
            let generation = path.file_name().and_then(|file| {
                let rest = file.to_str()?.strip_prefix(name)?.strip_prefix('.')?;
                let number = rest.strip_suffix(extension(kind))?.strip_suffix('.')?;
                number.parse().ok()
            });
            if let Some(generation) = generation {
                let path = path.clone();
                files.push(Entry {
                    generation,
                    kind,
                    path,
                });
            }
        }
    }
    files.sort_by_key(|f| (Reverse(f.generation), f.kind));
    Ok(files)
}

#[cfg(test)]
pub(super) fn generations(dir: &Path, name: &str) -> Vec<(u64, Kind)> {
    let files = list(dir, name).unwrap();
    files.iter().map(|f| (f.generation, f.kind)).collect()
}
