//! Lists of address ranges and autonomous systems, all of them in one look-up.
//!
//! Owns the text form: one range, address or `AS64500` per line; what stands behind it, and behind
//! `#`, is a remark. Invariant: of several lists that have an address, the first decides.

use std::net::IpAddr;
use std::path::Path;

use super::SourceKind;
use super::fault::{LineFaults, TableFault};
use super::ranges::{Range, Ranges};

/// Most entries of all lists together.
const ENTRIES_MAX: usize = 5_000_000;

/// All lists as one table. A rank is a list's place in the settings.
#[derive(Debug, Default)]
pub(super) struct Lists {
    four: Ranges<u32>,
    six: Ranges<u128>,
    /// Sorted by number, one entry each.
    systems: Vec<(u32, u32)>,
    kinds: Vec<SourceKind>,
}

/// What stands on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Four(u32, u32),
    Six(u128, u128),
    System(u32),
}

/// Entries as they are read, list after list.
#[derive(Debug, Default)]
pub(super) struct Draft {
    four: Vec<Range<u32>>,
    six: Vec<Range<u128>>,
    systems: Vec<(u32, u32)>,
    kinds: Vec<SourceKind>,
}

impl Draft {
    /// Takes in the next list's text; its faults go to `faults`. Returns how many entries it has.
    pub(super) fn add(
        &mut self,
        sets: SourceKind,
        file: &Path,
        text: &str,
        faults: &mut Vec<TableFault>,
    ) -> usize {
        let rank = u32::try_from(self.kinds.len()).unwrap_or(u32::MAX);
        let before = self.len();
        let mut lines = LineFaults::new(file);
        for (number, line) in (1..).zip(text.lines()) {
            match entry(line) {
                Ok(None) => continue,
                Ok(Some(Entry::Four(first, last))) => self.four.push(Range { first, last, rank }),
                Ok(Some(Entry::Six(first, last))) => self.six.push(Range { first, last, rank }),
                Ok(Some(Entry::System(system))) => self.systems.push((system, rank)),
                Err(what) => lines.push(number, what),
            }
            if self.len() > ENTRIES_MAX {
                let (file, entries_max) = (file.to_owned(), ENTRIES_MAX);
                faults.push(TableFault::TooMany { file, entries_max });
                break;
            }
        }
        lines.finish(faults);
        self.kinds.push(sets);
        self.len() - before
    }

    const fn len(&self) -> usize {
        self.four.len() + self.six.len() + self.systems.len()
    }

    /// Builds the look-up; none without a list.
    pub(super) fn finish(mut self) -> Option<Lists> {
        if self.kinds.is_empty() {
            return None;
        }
        self.systems.sort_unstable();
        self.systems.dedup_by_key(|(system, _)| *system);
        Some(Lists {
            four: Ranges::new(self.four),
            six: Ranges::new(self.six),
            systems: self.systems,
            kinds: self.kinds,
        })
    }
}

/// The first word of a line, nothing, or what is wrong; what stands behind it is a remark.
pub(super) fn word<'a>(line: &'a str, what: &str) -> Result<Option<&'a str>, String> {
    let plain = line.split('#').next().unwrap_or_default();
    let separates = |c: char| c.is_whitespace() || matches!(c, ',' | ';');
    let word = plain.trim_start().split(separates).next();
    if let Some(word) = word.filter(|w| !w.is_empty()) {
        return Ok(Some(word));
    }
    let alone = plain.trim();
    // A line of `;` is a remark, as in Spamhaus' lists; one that begins with `,` has no entry.
    if alone.is_empty() || alone.starts_with(';') {
        Ok(None)
    } else {
        Err(format!("begins with a comma; write the {what} first"))
    }
}

/// Reads a line: an entry, nothing, or what is wrong with it.
fn entry(line: &str) -> Result<Option<Entry>, String> {
    let Some(word) = word(line, "range")? else {
        return Ok(None);
    };
    if let Some(digits) = word
        .get(..2)
        .filter(|p| p.eq_ignore_ascii_case("as"))
        .and(word.get(2..))
    {
        let system = digits.parse().ok().filter(|n| *n != 0);
        return system.map(|n| Some(Entry::System(n))).ok_or_else(|| {
            format!(
                "{} is not an autonomous system; write it like AS64500",
                quoted(word)
            )
        });
    }
    network(word).map(Some)
}

fn network(word: &str) -> Result<Entry, String> {
    let (address, length) = word
        .split_once('/')
        .map_or((word, None), |(a, l)| (a, Some(l)));
    let wrong = || {
        format!(
            "{} is not a range; write it like 192.0.2.0/24, 2001:db8::/32 or AS64500",
            quoted(word)
        )
    };
    let ip: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits: u32 = if ip.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => bits,
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().map_err(|_| wrong())?
        }
        Some(_) => return Err(wrong()),
    };
    if length > bits {
        return Err(format!("{} has a prefix longer than {bits}", quoted(word)));
    }
    let entry = match ip {
        IpAddr::V4(v4) => four(v4.to_bits(), length),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) if length >= 96 => four(v4.to_bits(), length - 96),
            _ => six(v6.to_bits(), length),
        },
    };
    entry.map_err(|lowest| {
        format!(
            "{} has bits behind its prefix; did you mean {lowest}/{length}?",
            quoted(word)
        )
    })
}

/// The range, or its lowest address if the one given is another.
fn four(address: u32, length: u32) -> Result<Entry, IpAddr> {
    let host = u32::MAX.checked_shr(length).unwrap_or(0);
    if address & host == 0 {
        Ok(Entry::Four(address, address | host))
    } else {
        Err(IpAddr::V4((address & !host).into()))
    }
}

fn six(address: u128, length: u32) -> Result<Entry, IpAddr> {
    let host = u128::MAX.checked_shr(length).unwrap_or(0);
    if address & host == 0 {
        Ok(Entry::Six(address, address | host))
    } else {
        Err(IpAddr::V6((address & !host).into()))
    }
}

/// A word for a message, cut if long.
pub(super) fn quoted(word: &str) -> String {
    let short: String = word.chars().take(60).collect();
    format!("{short:?}")
}

impl Lists {
    /// The place of the first list that has the address.
    #[inline]
    pub(super) fn of_address(&self, ip: IpAddr) -> Option<u32> {
        match ip {
            IpAddr::V4(v4) => self.four.find(v4.to_bits()),
            IpAddr::V6(v6) => self.six.find(v6.to_bits()),
        }
    }

    /// The place of the first list that has the autonomous system.
    #[inline]
    pub(super) fn of_system(&self, number: u32) -> Option<u32> {
        let i = self
            .systems
            .binary_search_by_key(&number, |(system, _)| *system)
            .ok()?;
        self.systems.get(i).map(|(_, rank)| *rank)
    }

    /// What the list at a place sets.
    #[inline]
    pub(super) fn kind(&self, rank: u32) -> Option<SourceKind> {
        self.kinds.get(usize::try_from(rank).ok()?).copied()
    }

    /// Whether any list names autonomous systems.
    pub(super) const fn names_systems(&self) -> bool {
        !self.systems.is_empty()
    }
}

#[cfg(test)]
mod tests;
