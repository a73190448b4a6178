//! What was loaded, in figures: for the log, `check` and the console.
//!
//! Owns the summary only. Shows files and counts, never entries.

use std::fmt;
use std::path::Path;

use super::Tables;
use crate::model::WallTime;

/// One loaded table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded<'a> {
    /// `asn`, `country`, `honeytokens`, or the list's name.
    pub name: &'a str,
    /// Where it came from.
    pub file: &'a Path,
    /// How many entries it has: different records of a database, lines of a text.
    pub entries: usize,
    /// What a database says it is, and when it was made.
    pub database: Option<(&'a str, WallTime)>,
}

impl fmt::Display for Loaded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} entries from {}",
            self.name,
            self.entries,
            self.file.display()
        )?;
        match self.database {
            Some((kind, built)) => write!(f, " ({kind}, made {built})"),
            None => Ok(()),
        }
    }
}

impl Tables {
    /// The loaded tables in the order of the settings.
    pub fn loaded(&self) -> impl Iterator<Item = Loaded<'_>> {
        let settings = self.settings();
        let asn = self
            .asn
            .as_ref()
            .zip(settings.asn.as_deref())
            .map(|(table, file)| Loaded {
                name: "asn",
                file,
                entries: table.len(),
                database: Some((table.kind(), made(table.built_s()))),
            });
        let country = self.country.as_ref().zip(settings.country.as_deref());
        let country = country.map(|(table, file)| Loaded {
            name: "country",
            file,
            entries: table.len(),
            database: Some((table.kind(), made(table.built_s()))),
        });
        let lists = settings
            .lists
            .iter()
            .enumerate()
            .filter_map(|(place, list)| {
                Some(Loaded {
                    name: &list.name,
                    file: &list.file,
                    entries: self.entries(place)?,
                    database: None,
                })
            });
        let honeytokens = self
            .honeytokens
            .as_ref()
            .zip(settings.honeytokens.as_deref());
        let honeytokens = honeytokens.map(|(table, file)| Loaded {
            name: "honeytokens",
            file,
            entries: table.len(),
            database: None,
        });
        asn.into_iter()
            .chain(country)
            .chain(lists)
            .chain(honeytokens)
    }
}

fn made(epoch_s: u64) -> WallTime {
    WallTime(i64::try_from(epoch_s).unwrap_or(0).saturating_mul(1000))
}
