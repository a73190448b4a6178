//! MaxMind databases: checked record by record at load, then only searched.
//!
//! Owns what is taken from a record. Invariant: every record that a look-up can reach was read once
//! when the file was loaded, so a look-up decodes nothing and cannot fail.

use std::collections::BTreeMap;
use std::net::IpAddr;

use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;

/// Longest name of an organization that is kept, in bytes.
const NAME_MAX: usize = 256;
/// Zeros between search tree and records.
const SEPARATOR_LEN: usize = 16;

/// What is taken from a database's records.
pub(super) trait Record: Sized {
    /// What a database of another kind lacks.
    const WANTED: &'static str;
    /// A database that has it.
    const EXAMPLE: &'static str;
    /// Reads a record; `None` if it has nothing of use.
    fn read(found: &LookupResult<'_, Vec<u8>>) -> Result<Option<Self>, MaxMindDbError>;
}

/// An autonomous system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AsRecord {
    pub(super) number: u32,
    pub(super) name: Option<Box<str>>,
}

/// A country's two letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Country(pub(super) [u8; 2]);

impl Country {
    /// The code as text.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Record for AsRecord {
    const WANTED: &'static str = "autonomous systems";
    const EXAMPLE: &'static str = "GeoLite2-ASN";

    fn read(found: &LookupResult<'_, Vec<u8>>) -> Result<Option<Self>, MaxMindDbError> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            autonomous_system_number: Option<u32>,
            autonomous_system_organization: Option<&'a str>,
        }
        let raw = found.decode::<Raw<'_>>()?;
        Ok(raw.and_then(|raw| {
            let number = raw.autonomous_system_number.filter(|n| *n != 0)?;
            let name = raw.autonomous_system_organization.map(str::trim);
            let name = name
                .filter(|n| !n.is_empty())
                .map(|n| Box::from(shortened(n)));
            Some(Self { number, name })
        }))
    }
}

impl Record for Country {
    const WANTED: &'static str = "countries";
    const EXAMPLE: &'static str = "GeoLite2-Country";

    fn read(found: &LookupResult<'_, Vec<u8>>) -> Result<Option<Self>, MaxMindDbError> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            country: Option<Place<'a>>,
            #[serde(borrow)]
            registered_country: Option<Place<'a>>,
        }
        #[derive(Deserialize)]
        struct Place<'a> {
            iso_code: Option<&'a str>,
        }
        let raw = found.decode::<Raw<'_>>()?;
        let code = |place: Option<Place<'_>>| match place?.iso_code?.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        };
        Ok(raw.and_then(|raw| code(raw.country).or_else(|| code(raw.registered_country))))
    }
}

/// The longest beginning that fits.
fn shortened(name: &str) -> &str {
    let mut end = name.len().min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

/// Why bytes are not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// They are no such file, or not all of one.
    Damaged(String),
    /// A database of this kind, in which no record has what is wanted.
    WrongKind(String),
}

impl From<MaxMindDbError> for Refused {
    fn from(error: MaxMindDbError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// A loaded database.
pub(super) struct Database<R> {
    reader: Reader<Vec<u8>>,
    /// Where each record stands in the file, sorted.
    offsets: Vec<u32>,
    records: Vec<R>,
}

impl<R> std::fmt::Debug for Database<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = &self.reader.metadata().database_type;
        write!(f, "Database({kind}, {} records)", self.records.len())
    }
}

impl<R: Record> Database<R> {
    /// Takes over a file's bytes after reading every record in them.
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, Refused> {
        check_separator(&bytes)?;
        let reader = Reader::from_source(bytes)?;
        let known = read_all::<R>(&reader)?;
        if known.is_empty() {
            return Err(Refused::WrongKind(reader.metadata().database_type.clone()));
        }
        let (offsets, records) = known.into_iter().unzip();
        Ok(Self {
            reader,
            offsets,
            records,
        })
    }

    /// The number of the record for an address.
    #[inline]
    pub(super) fn find(&self, ip: IpAddr) -> Option<u32> {
        // An error is an IPv6 address in a database of IPv4: not found.
        let offset = self.reader.lookup(ip).ok()?.offset()?;
        let offset = u32::try_from(offset).ok()?;
        self.offsets
            .binary_search(&offset)
            .ok()
            .and_then(|i| u32::try_from(i).ok())
    }

    /// The record with a number that `find` gave.
    #[inline]
    pub(super) fn record(&self, number: u32) -> Option<&R> {
        self.records.get(usize::try_from(number).ok()?)
    }

    /// How many different records there are.
    pub(super) const fn len(&self) -> usize {
        self.records.len()
    }

    /// What the file says it is.
    pub(super) fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was made, in seconds of the epoch.
    pub(super) fn built_s(&self) -> u64 {
        self.reader.metadata().build_epoch
    }
}

/// Between tree and records stand zeros; anything else is a sign of damage or of a wrong node count.
fn check_separator(bytes: &[u8]) -> Result<(), Refused> {
    let reader = Reader::from_source(bytes)?;
    let metadata = reader.metadata();
    let nodes = usize::try_from(metadata.node_count).unwrap_or(usize::MAX);
    let start = nodes.saturating_mul(usize::from(metadata.record_size)) / 4;
    let zeros = start
        .checked_add(SEPARATOR_LEN)
        .and_then(|end| bytes.get(start..end));
    match zeros {
        Some(zeros) if zeros.iter().all(|b| *b == 0) => Ok(()),
        _ => Err(Refused::Damaged(
            "search tree and records do not meet".to_owned(),
        )),
    }
}

/// Walks the whole search tree and reads each record once.
fn read_all<R: Record>(reader: &Reader<Vec<u8>>) -> Result<BTreeMap<u32, R>, Refused> {
    // A sound tree of n nodes has at most n + 1 leaves, and aliases lead to no new ones.
    let leaves_max = u64::from(reader.metadata().node_count) * 3;
    let mut leaves = 0u64;
    let mut known = BTreeMap::new();
    let mut useless = std::collections::BTreeSet::new();
    for network in reader.networks(WithinOptions::default().include_networks_without_data())? {
        leaves += 1;
        if leaves > leaves_max {
            return Err(Refused::Damaged(
                "the search tree runs in a circle".to_owned(),
            ));
        }
        let found = network?;
        let Some(offset) = found.offset() else {
            continue;
        };
        let offset = u32::try_from(offset)
            .map_err(|_| Refused::Damaged("a record stands beyond 4 GiB".to_owned()))?;
        if known.contains_key(&offset) || useless.contains(&offset) {
            continue;
        }
        match R::read(&found)? {
            Some(record) => _ = known.insert(offset, record),
            None => _ = useless.insert(offset),
        }
    }
    Ok(known)
}

#[cfg(test)]
pub(super) mod tests;
