//! MaxMind databases: read whole at load into ranges and records, then only searched.
//!
//! Owns what is taken from a record. The file's own tree is not kept: a bisection over flat ranges
//! touches far less memory. Invariants: every network was walked and every record read once before a
//! database is taken, so a look-up decodes nothing and cannot fail; it finds what the file says.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::ranges::Ranges;

/// Longest name of an organization that is kept, in bytes.
const NAME_MAX: usize = 256;
/// Most ranges that are kept; what GeoIP2 City has, several times over.
pub(super) const RANGES_MAX: usize = 20_000_000;
/// Zeros between search tree and records.
const SEPARATOR_LEN: usize = 16;

/// What is taken from a database's records.
pub(super) trait Record: Clone + Ord {
    /// What a database of another kind lacks.
    const WANTED: &'static str;
    /// A database that has it.
    const EXAMPLE: &'static str;
    /// Reads a record; `None` if it has nothing of use.
    fn read(found: &LookupResult<'_, Vec<u8>>) -> Result<Option<Self>, MaxMindDbError>;
}

/// An autonomous system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AsRecord {
    pub(super) number: u32,
    pub(super) name: Option<Box<str>>,
}

/// A country's two letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
            autonomous_system_number: Option<Number>,
            autonomous_system_organization: Option<&'a str>,
        }
        let raw = found.decode::<Raw<'_>>()?;
        Ok(raw.and_then(|raw| {
            let number = raw
                .autonomous_system_number
                .map(|n| n.0)
                .filter(|n| *n != 0)?;
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

/// A whole number of any width: not every writer of these files picks the same one.
struct Number(u32);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of at most 32 bits")
            }

            fn visit_u64<E: Error>(self, n: u64) -> Result<Number, E> {
                u32::try_from(n).map(Number).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, n: i64) -> Result<Number, E> {
                u32::try_from(n).map(Number).map_err(E::custom)
            }
        }
        from.deserialize_any(Whole)
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
    /// It has more ranges than are kept.
    TooMany,
}

impl From<MaxMindDbError> for Refused {
    fn from(error: MaxMindDbError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// A loaded database.
pub(super) struct Database<R> {
    kind: String,
    built_s: u64,
    four: Ranges<u32>,
    six: Ranges<u128>,
    records: Vec<R>,
}

impl<R> fmt::Debug for Database<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({}, {} records)", self.kind, self.records.len())
    }
}

impl<R: Record> Database<R> {
    /// Takes what is of use from a file's bytes.
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, Refused> {
        check_separator(&bytes)?;
        let reader = Reader::from_source(bytes)?;
        let metadata = reader.metadata();
        let mut draft = Draft::<R>::default();
        draft.walk(&reader)?;
        if draft.records.is_empty() {
            return Err(Refused::WrongKind(metadata.database_type.clone()));
        }
        draft.four.shrink();
        draft.six.shrink();
        Ok(Self {
            kind: metadata.database_type.clone(),
            built_s: metadata.build_epoch,
            four: draft.four,
            six: draft.six,
            records: draft.records,
        })
    }

    /// The number of the record for an address.
    #[inline]
    pub(super) fn find(&self, ip: IpAddr) -> Option<u32> {
        match ip.to_canonical() {
            IpAddr::V4(v4) => self.four.find(v4.to_bits()),
            IpAddr::V6(v6) => self.six.find(v6.to_bits()).or_else(|| {
                // 6to4: the address of the site is inside.
                let [first, high, low, ..] = v6.segments();
                let site = u32::from(high) << 16 | u32::from(low);
                if first == 0x2002 {
                    self.four.find(site)
                } else {
                    None
                }
            }),
        }
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
        &self.kind
    }

    /// When it was made, in seconds of the epoch.
    pub(super) const fn built_s(&self) -> u64 {
        self.built_s
    }
}

/// Whether bytes bear the mark of such a database.
pub(super) fn is_marked(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"\xab\xcd\xefMaxMind.com").is_some()
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

/// What a walk has found so far.
struct Draft<R> {
    four: Ranges<u32>,
    six: Ranges<u128>,
    records: Vec<R>,
    /// The number of each record.
    numbers: BTreeMap<R, u32>,
    /// The number of the record at each offset; `None` if it has nothing of use.
    read: BTreeMap<usize, Option<u32>>,
}

impl<R> Default for Draft<R> {
    fn default() -> Self {
        Self {
            four: Ranges::default(),
            six: Ranges::default(),
            records: Vec::new(),
            numbers: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }
}

impl<R: Record> Draft<R> {
    /// Walks the whole search tree and reads each record once.
    fn walk(&mut self, reader: &Reader<Vec<u8>>) -> Result<(), Refused> {
        // Where IPv4 has a tree of its own, other ways into it are left out; `find` knows them.
        let apart = reader
            .lookup(Ipv4Addr::UNSPECIFIED.into())?
            .network()?
            .is_ipv4();
        let mut options = WithinOptions::default().include_networks_without_data();
        if !apart {
            options = options.include_aliased_networks();
        }
        // A sound tree has one leaf more than nodes; a loop would have no end of them.
        let leaves_max = u64::from(reader.metadata().node_count).saturating_mul(3);
        for (leaves, network) in (1u64..).zip(reader.networks(options)?) {
            let found = network?;
            if leaves > leaves_max {
                return Err(Refused::Damaged(
                    "the search tree runs in a circle".to_owned(),
                ));
            }
            if let Some(number) = self.number(&found)? {
                let network = found.network()?;
                if !self.keep(network.network(), network.prefix(), number) {
                    return Err(Refused::Damaged("networks out of order".to_owned()));
                }
                if self.four.len() + self.six.len() > RANGES_MAX {
                    return Err(Refused::TooMany);
                }
            }
        }
        Ok(())
    }

    /// The number of the record that was found.
    fn number(&mut self, found: &LookupResult<'_, Vec<u8>>) -> Result<Option<u32>, Refused> {
        let Some(offset) = found.offset() else {
            return Ok(None);
        };
        if let Some(number) = self.read.get(&offset) {
            return Ok(*number);
        }
        let number = match R::read(found)? {
            None => None,
            Some(record) => match self.numbers.get(&record) {
                Some(number) => Some(*number),
                None => {
                    let number = u32::try_from(self.records.len())
                        .map_err(|_| Refused::Damaged("too many records".to_owned()))?;
                    self.numbers.insert(record.clone(), number);
                    self.records.push(record);
                    Some(number)
                }
            },
        };
        self.read.insert(offset, number);
        Ok(number)
    }

    /// Keeps a network with the number of its record.
    fn keep(&mut self, network: IpAddr, prefix: u8, number: u32) -> bool {
        match network {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                self.four.push(v4.to_bits(), v4.to_bits() | host, number)
            }
            IpAddr::V6(v6) => {
                let first = v6.to_bits();
                let last = first | u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                // IPv4 stands in the lowest 32 bits; a leaf above holds all or part of it.
                let part = u32::try_from(first).map(|low| (low, u32::try_from(last)));
                let kept = part.map_or(true, |(low, high)| {
                    self.four.push(low, high.unwrap_or(u32::MAX), number)
                });
                kept && self.six.push(first, last, number)
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
