//! The form of one snapshot file: header, what it stands on, its parts, and a digest over all of it.
//!
//! Owns bytes, not which file is the newest. Invariant: nothing is taken out of a file whose digest is
//! not the one at its end, and what a file says of itself (name, generation, kind) has to be so.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use super::{Digest, Kind, Parts, Snapshot};

/// Form of the header and footer.
pub(super) const VERSION: u32 = 1;
/// A blake3 digest over everything before it.
pub(super) const FOOTER_LEN: usize = 32;
/// Magic, version, generation, and the lengths of key id, name, frontier and body.
const HEADER_LEN: usize = 8 + 4 + 8 + 4 * 8;

/// First bytes of every file of a kind.
const fn magic(kind: Kind) -> &'static [u8; 8] {
    match kind {
        Kind::Base => b"TIDEGATE",
        Kind::Increment => b"TIDEINCR",
    }
}

/// Writes a snapshot durably under a name that does not count yet; an increment names what it stands on.
pub(super) fn write(
    path: &Path,
    name: &str,
    snapshot: &Snapshot<impl Parts>,
    on: Option<&Digest>,
) -> io::Result<Digest> {
    let kind = on.map_or(Kind::Base, |_| Kind::Increment);
    let mut file = File::create(path)?;
    crate::crash::point(match kind {
        Kind::Base => "base-begun",
        Kind::Increment => "increment-begun",
    });
    let mut hasher = blake3::Hasher::new();
    let header = header(kind, name, snapshot);
    let before: [&[u8]; 5] = [
        &header,
        on.map_or(&[], |digest| &digest.0),
        snapshot.key_id.as_bytes(),
        name.as_bytes(),
        &snapshot.frontier,
    ];
    for part in before.into_iter().chain(snapshot.body.parts()) {
        hasher.update(part);
        file.write_all(part)?;
    }
    let digest = hasher.finalize();
    file.write_all(digest.as_bytes())?;
    file.sync_all()?;
    crate::crash::point(match kind {
        Kind::Base => "base-written",
        Kind::Increment => "increment-written",
    });
    Ok(Digest(*digest.as_bytes()))
}

fn header(kind: Kind, name: &str, snapshot: &Snapshot<impl Parts>) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_LEN);
    header.extend_from_slice(magic(kind));
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

/// What a good file holds.
pub(super) struct Opened {
    pub(super) snapshot: Snapshot,
    pub(super) digest: Digest,
    /// Of an increment: what it stands on.
    pub(super) on: Option<Digest>,
}

pub(super) enum Fault {
    Damaged(&'static str),
    Newer(u32),
}

/// Checks a whole file, then takes it apart. The version is read first, so that a newer form is
/// called newer and not damaged; a flipped version bit fails the checksum of its own form.
pub(super) fn parse(
    kind: Kind,
    name: &str,
    generation: u64,
    mut bytes: Vec<u8>,
) -> Result<Opened, Fault> {
    let damaged = |what| Fault::Damaged(what);
    if bytes.len() < HEADER_LEN + FOOTER_LEN {
        return Err(damaged("is cut short"));
    }
    let footer = bytes.split_off(bytes.len() - FOOTER_LEN);
    let digest = Digest(*blake3::hash(&bytes).as_bytes());
    if digest.0[..] != footer[..] {
        return Err(damaged("has a wrong checksum"));
    }
    let mut at = 0_usize;
    let mut take = |length: usize| {
        let part = bytes.get(at..at.checked_add(length)?)?;
        at += length;
        Some(part)
    };
    let short = || damaged("is shorter than it says");
    if take(8).ok_or_else(short)? != magic(kind) {
        return Err(damaged("is no snapshot of this kind"));
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
    let on = match kind {
        Kind::Base => None,
        Kind::Increment => {
            let on = take(FOOTER_LEN).and_then(|on| on.try_into().ok());
            Some(Digest(on.ok_or_else(short)?))
        }
    };
    let key_id = String::from_utf8_lossy(take(key_len).ok_or_else(short)?).into_owned();
    let own_name = take(name_len).ok_or_else(short)?.to_vec();
    let frontier = take(frontier_len).ok_or_else(short)?.to_vec();
    let body = take(body_len).ok_or_else(short)?.len();
    if at != bytes.len() {
        return Err(short());
    }
    if own_name != name.as_bytes() || inside != generation {
        return Err(damaged("is another snapshot under this name"));
    }
    // The body is most of the file: kept where it is instead of copied.
    bytes.drain(..at - body);
    let snapshot = Snapshot {
        generation,
        key_id,
        frontier,
        body: bytes,
    };
    Ok(Opened {
        snapshot,
        digest,
        on,
    })
}

/// Up to eight bytes as a number, lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |n, byte| (n << 8) | u64::from(*byte))
}
