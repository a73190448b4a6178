//! Reads table files, and reads them again when they change: the only I/O of enrichment.
//!
//! Owns paths, sizes and file stamps; what is in a file is its table's business. Invariants: no
//! more is read than the limits say, every file is looked at before anything is refused, and tables
//! in use are never touched: a damaged new version leaves them as they are.

#![allow(
    clippy::disallowed_methods,
    reason = "an edge: these are the files it owns"
)]

use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::contacts;
use super::fault::{LoadError, TableFault};
use super::honeytokens::Honeytokens;
use super::lists::{self, Lists};
use super::maxmind::{self, Database, Record, Refused};
use super::{ListSettings, Sets, Tables, TablesSettings};
use crate::model::HashKey;
use crate::model::contacts::Contacts;

/// Largest MaxMind database.
const DATABASE_BYTES_MAX: u64 = 1 << 30;
/// Largest list or honeytokens file.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// Where tables came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    settings: TablesSettings,
    asn: Option<Stamp>,
    country: Option<Stamp>,
    lists: Vec<ListOrigin>,
    honeytokens: Option<Stamp>,
}

/// Where a list came from, and how many entries it had.
#[derive(Clone, Copy, Debug)]
struct ListOrigin {
    stamp: Stamp,
    entries: usize,
}

/// What tells one version of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The stamp a file has now; `None` if it cannot be seen.
    fn now(file: &Path) -> Option<Self> {
        fs::metadata(file).ok().map(|m| Self::of(&m))
    }
}

impl Tables {
    /// Loads the tables that the settings name.
    ///
    /// # Errors
    /// All faults of all files; nothing is loaded then.
    pub fn load(settings: &TablesSettings, key: &HashKey) -> Result<Self, LoadError> {
        let nothing = Self {
            key: key.clone(),
            ..Self::default()
        };
        load(settings, &nothing)
    }

    /// Whether a file is not what it was when it was read.
    #[must_use]
    pub fn stale(&self) -> bool {
        self.origin.now() != self.origin.stamps()
    }

    /// How many entries the list at a place of the settings has, as written.
    pub(super) fn entries(&self, place: usize) -> Option<usize> {
        self.origin.lists.get(place).map(|l| l.entries)
    }

    /// What was asked for.
    pub(super) const fn settings(&self) -> &TablesSettings {
        &self.origin.settings
    }

    /// Loads the files that have changed and keeps the other tables.
    ///
    /// # Errors
    /// As in `load`. These tables stay good.
    pub fn reload(&self) -> Result<Self, LoadError> {
        load(&self.origin.settings, self)
    }
}

impl Origin {
    /// The stamps of what was read, in the order of `files`.
    fn stamps(&self) -> Vec<Option<Stamp>> {
        let lists = self.lists.iter().map(|l| Some(l.stamp));
        let one = |named: &Option<PathBuf>, stamp| named.as_ref().map(|_| stamp);
        let ends = one(&self.settings.honeytokens, self.honeytokens);
        one(&self.settings.asn, self.asn)
            .into_iter()
            .chain(one(&self.settings.country, self.country))
            .chain(lists)
            .chain(ends)
            .collect()
    }

    /// The stamps as they are on disk.
    fn now(&self) -> Vec<Option<Stamp>> {
        self.settings.files().map(Stamp::now).collect()
    }
}

impl TablesSettings {
    /// All files named.
    fn files(&self) -> impl Iterator<Item = &Path> {
        let lists = self.lists.iter().map(|l| l.file.as_path());
        (self.asn.as_deref().into_iter())
            .chain(self.country.as_deref())
            .chain(lists)
            .chain(self.honeytokens.as_deref())
    }
}

/// Loads what has changed since `prior`.
fn load(settings: &TablesSettings, prior: &Tables) -> Result<Tables, LoadError> {
    let mut faults = Vec::new();
    let key = &prior.key;
    let old = &prior.origin;
    let asn = kept_or(
        settings.asn.as_deref(),
        old.asn,
        prior.asn.as_ref(),
        |file| database(file, &mut faults),
    );
    let country = kept_or(
        settings.country.as_deref(),
        old.country,
        prior.country.as_ref(),
        |file| database(file, &mut faults),
    );
    let listed = listed(&settings.lists, prior, &mut faults);
    let honey = prior.honeytokens.as_ref();
    let honeytokens = kept_or(
        settings.honeytokens.as_deref(),
        old.honeytokens,
        honey,
        |file| {
            let (text, stamp) = text(file, &mut faults)?;
            let table = Honeytokens::parse(file, &text, key, &mut faults)?;
            Some((Arc::new(table), stamp))
        },
    );
    if !faults.is_empty() {
        return Err(LoadError::new(faults));
    }
    let (asn, asn_stamp) = asn.unzip();
    let (country, country_stamp) = country.unzip();
    let (honeytokens, honeytokens_stamp) = honeytokens.unzip();
    let origin = Origin {
        settings: settings.clone(),
        asn: asn_stamp,
        country: country_stamp,
        lists: listed.origin,
        honeytokens: honeytokens_stamp,
    };
    Ok(Tables {
        asn,
        country,
        lists: listed.sources,
        contacts: listed.contacts,
        honeytokens,
        key: key.clone(),
        origin,
    })
}

/// The table in use if its file is still the same, else what `read` makes of it.
fn kept_or<T>(
    file: Option<&Path>,
    stamp: Option<Stamp>,
    table: Option<&Arc<T>>,
    read: impl FnOnce(&Path) -> Option<(Arc<T>, Stamp)>,
) -> Option<(Arc<T>, Stamp)> {
    let file = file?;
    match (stamp, table) {
        (Some(stamp), Some(table)) if Stamp::now(file) == Some(stamp) => {
            Some((Arc::clone(table), stamp))
        }
        _ => read(file),
    }
}

/// What all lists make: one table per place that looks things up.
#[derive(Default)]
struct Listed {
    sources: Option<Arc<Lists>>,
    contacts: Option<Arc<Contacts>>,
    origin: Vec<ListOrigin>,
}

/// All lists, read anew if one of them has changed.
fn listed(lists: &[ListSettings], prior: &Tables, faults: &mut Vec<TableFault>) -> Listed {
    let old = &prior.origin.lists;
    let now = lists.iter().map(|l| Stamp::now(&l.file));
    if now.eq(old.iter().map(|l| Some(l.stamp))) {
        return Listed {
            sources: prior.lists.clone(),
            contacts: prior.contacts.clone(),
            origin: old.clone(),
        };
    }
    let (mut sources, mut contacts) = (lists::Draft::default(), contacts::Draft::new(&prior.key));
    let mut origin = Vec::new();
    for ListSettings { file, sets, .. } in lists {
        let Some((text, stamp)) = text(file, faults) else {
            continue;
        };
        let entries = match sets {
            Sets::Source(kind) => sources.add(*kind, file, &text, faults),
            Sets::Disposable => contacts.add_domains(file, &text, faults),
            Sets::Voip => contacts.add_numbers(file, &text, faults),
        };
        origin.push(ListOrigin { stamp, entries });
    }
    if !faults.is_empty() {
        return Listed::default();
    }
    Listed {
        sources: sources.finish().map(Arc::new),
        contacts: contacts.finish().map(Arc::new),
        origin,
    }
}

fn database<R: Record>(
    file: &Path,
    faults: &mut Vec<TableFault>,
) -> Option<(Arc<Database<R>>, Stamp)> {
    let (bytes, stamp) = taken(read(file, DATABASE_BYTES_MAX), faults)?;
    let path = || file.to_owned();
    if bytes.is_empty() {
        faults.push(TableFault::Empty { file: path() });
        return None;
    }
    let (wanted, example) = (R::WANTED, R::EXAMPLE);
    let table = Database::new(bytes).map_err(|refused| match refused {
        Refused::Damaged(reason) => TableFault::Damaged {
            file: path(),
            reason,
        },
        Refused::WrongKind(kind) => TableFault::WrongKind {
            file: path(),
            kind,
            wanted,
            example,
        },
        Refused::TooMany => TableFault::TooMany {
            file: path(),
            entries_max: maxmind::RANGES_MAX,
        },
    });
    Some((Arc::new(taken(table, faults)?), stamp))
}

/// A text file, without its byte order mark. One without even a remark is a download gone wrong.
fn text(file: &Path, faults: &mut Vec<TableFault>) -> Option<(String, Stamp)> {
    let (bytes, stamp) = taken(read(file, TEXT_BYTES_MAX), faults)?;
    let hint = if maxmind::is_marked(&bytes) {
        "it is a MaxMind database: name it under asn or country"
    } else {
        "save it as plain text"
    };
    let file = file.to_owned();
    let text = match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text,
        Ok(_) | Err(_) => {
            faults.push(TableFault::NotText { file, hint });
            return None;
        }
    };
    let plain = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if plain.trim().is_empty() {
        faults.push(TableFault::Empty { file });
        return None;
    }
    if plain.len() == text.len() {
        Some((text, stamp))
    } else {
        Some((plain.to_owned(), stamp))
    }
}

fn taken<T>(read: Result<T, TableFault>, faults: &mut Vec<TableFault>) -> Option<T> {
    read.map_err(|fault| faults.push(fault)).ok()
}

/// A whole file, if it is a plain one within the limit and did not change meanwhile.
fn read(file: &Path, bytes_max: u64) -> Result<(Vec<u8>, Stamp), TableFault> {
    let path = || file.to_owned();
    let refused = |e: std::io::Error| TableFault::Unreadable {
        file: path(),
        reason: e.to_string(),
    };
    // Looked at before it is opened: opening a pipe would wait for a writer.
    if !fs::metadata(file).map_err(refused)?.is_file() {
        return Err(TableFault::NotAFile { file: path() });
    }
    let mut open = File::open(file).map_err(refused)?;
    let before = open.metadata().map_err(refused)?;
    if before.len() > bytes_max {
        return Err(TableFault::TooLarge {
            file: path(),
            bytes: before.len(),
            bytes_max,
        });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or(0));
    (&mut open)
        .take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    let stamp = Stamp::of(&before);
    if Stamp::of(&open.metadata().map_err(refused)?) != stamp
        || u64::try_from(bytes.len()) != Ok(before.len())
    {
        return Err(TableFault::Changing { file: path() });
    }
    match packed(&bytes) {
        Some(what) => Err(TableFault::Packed { file: path(), what }),
        None => Ok((bytes, stamp)),
    }
}

/// What archives and compressed files begin with.
fn packed(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 5] = [
        (&[0x1f, 0x8b], "compressed with gzip"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "compressed with zstd"),
        (b"PK\x03\x04", "a zip archive"),
        (b"BZh", "compressed with bzip2"),
        (&[0xfd, b'7', b'z', b'X', b'Z'], "compressed with xz"),
    ];
    KNOWN
        .iter()
        .find(|(begin, _)| bytes.starts_with(begin))
        .map(|(_, what)| *what)
}

/// What a look at the files found.
#[derive(Debug)]
pub enum Look {
    /// Nothing new; also if the damaged version told of before is still there.
    Same,
    /// The files have changed: these are the tables now.
    New(Arc<Tables>),
    /// The files have changed and cannot be used: the tables before stay in use.
    Refused(LoadError),
}

/// Looks for changed files on a timer; tells of each damaged version once.
#[derive(Debug)]
pub struct Watch {
    tables: Arc<Tables>,
    refused: Option<Vec<Option<Stamp>>>,
}

impl Watch {
    /// Watches the files of these tables.
    #[must_use]
    pub const fn new(tables: Arc<Tables>) -> Self {
        Self {
            tables,
            refused: None,
        }
    }

    /// The tables in use.
    #[must_use]
    pub const fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// Looks at the files, and loads them if they have changed.
    pub fn look(&mut self) -> Look {
        let now = self.tables.origin.now();
        if now == self.tables.origin.stamps() {
            self.refused = None;
            return Look::Same;
        }
        if self.refused.as_ref() == Some(&now) {
            return Look::Same;
        }
        match self.tables.reload() {
            Ok(tables) => {
                self.refused = None;
                self.tables = Arc::new(tables);
                Look::New(Arc::clone(&self.tables))
            }
            Err(error) => {
                // The stamps were taken first: a file that changed since is looked at again.
                self.refused = Some(now);
                Look::Refused(error)
            }
        }
    }
}
