//! Event ids seen lately, so that an event delivered twice counts once.
//!
//! Two generations of fixed-size open-addressing tables: when the young one is full, the old one
//! is forgotten. A duplicate is found if at most `GENERATION` other ids came in between.

use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::engine::snapshot::changes::{Changing, Reader, Writer};

/// Ids remembered at least.
pub const GENERATION: usize = 1 << 18;
const TABLE: usize = GENERATION * 2;

#[derive(Clone, Debug, Default)]
pub struct Seen {
    young: Vec<u64>,
    old: Vec<u64>,
    count: usize,
    /// Those that came since it was last written, in their order; of more than a generation, one more
    /// than that (2 MiB), and all is written.
    since: Vec<u64>,
}

impl Seen {
    /// The most bytes it takes to store it.
    #[must_use]
    pub const fn stored_most(&self) -> usize {
        // An id takes ten bytes at most, a length less.
        (self.count + self.old.len() / 2 + 2) * 10
    }

    /// Remembers the id; false if it was known.
    pub fn insert(&mut self, id: u64) -> bool {
        if self.young.is_empty() {
            self.young = vec![0; TABLE];
        }
        let Err(place) = find(&self.young, id) else {
            return false;
        };
        if find(&self.old, id).is_ok() {
            return false;
        }
        self.young[place] = id;
        self.count += 1;
        if self.since.len() <= GENERATION {
            self.since.push(id);
        }
        if self.count == GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.count = 0;
        }
        true
    }
}

/// What is stored of a table: its ids, not its free places, which are half of it and more. They begin behind a
/// free place, so that in their order each comes to stand where it was.
struct Ids<'a>(&'a [u64]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let free = self.0.iter().position(|id| *id == 0).unwrap_or(0);
        let (end, begin) = self.0.split_at(free);
        let ids = || begin.iter().chain(end).filter(|id| **id != 0);
        // Not collected: they are megabytes, and a base is written again and again.
        let mut all = s.serialize_seq(Some(ids().count()))?;
        for id in ids() {
            all.serialize_element(id)?;
        }
        all.end()
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        (Ids(&self.young), Ids(&self.old)).serialize(s)
    }
}

impl Changing for Seen {
    fn write(&self, to: &mut Writer) -> Result<(), postcard::Error> {
        let whole = self.since.len() > GENERATION;
        to.put(&whole)?;
        match whole {
            true => to.put(self),
            false => to.put(&self.since),
        }
    }

    fn apply(&mut self, from: &mut Reader<'_>) -> Result<(), postcard::Error> {
        if from.take()? {
            *self = from.take()?;
            return Ok(());
        }
        for id in from.take::<Vec<u64>>()? {
            self.insert(id);
        }
        Ok(())
    }

    fn mark_written(&mut self) {
        self.since.clear();
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (young, old) = <(Vec<u64>, Vec<u64>)>::deserialize(d)?;
        let count = young.len();
        let table = |ids: Vec<u64>| {
            let mut table = vec![0; if ids.is_empty() { 0 } else { TABLE }];
            // A generation at most: damaged bytes must not fill the table.
            for id in ids.into_iter().take(GENERATION) {
                if let Err(place) = find(&table, id) {
                    table[place] = id;
                }
            }
            table
        };
        Ok(Self {
            young: table(young),
            old: table(old),
            count: count.min(GENERATION - 1),
            since: Vec::new(),
        })
    }
}

/// Where the id stands, or where it would.
fn find(table: &[u64], id: u64) -> Result<usize, usize> {
    if table.is_empty() {
        return Err(0);
    }
    let mask = table.len() - 1;
    let mut at = usize::try_from(id >> 20).unwrap_or(0) & mask;
    loop {
        match table[at] {
            0 => return Err(at),
            found if found == id => return Ok(at),
            _ => at = (at + 1) & mask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Across two generations, with few ids between two increments, and with more than a generation.
    #[test]
    fn what_has_changed_is_enough() {
        let id = |i: u64| (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (mut seen, mut next) = (Seen::default(), 0);
        let mut other = Seen::default();
        seen.mark_written();
        for many in [1000, 0, 200_000, 150_000, 300_000, 10] {
            for _ in 0..many {
                seen.insert(id(next));
                next += 1;
            }
            let mut to = Writer::default();
            seen.write(&mut to).unwrap();
            seen.mark_written();
            let changes = to.done();
            let mut from = Reader::new(crate::engine::snapshot::VERSION, &changes);
            other.apply(&mut from).unwrap();
            from.end().unwrap();
            let bytes = |seen: &Seen| postcard::to_stdvec(seen).unwrap();
            assert!(bytes(&other) == bytes(&seen), "{next}");
            assert!(changes.len() < 11 * many + 100 || many > GENERATION);
        }
    }

    #[test]
    fn finds_repeats_across_generations() {
        let mut seen = Seen::default();
        let id = |i: u64| (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for i in 0..400_000 {
            assert!(seen.insert(id(i)));
            if i > 0 {
                assert!(!seen.insert(id(i - 1)));
            }
        }
        assert!(!seen.insert(id(399_000)));
        let bytes = postcard::to_stdvec(&seen).unwrap();
        assert!(bytes.len() <= seen.stored_most());
        let mut again: Seen = postcard::from_bytes(&bytes).unwrap();
        assert!(
            !again.insert(id(399_000)) && !again.insert(id(200_000)) && again.insert(id(400_000))
        );
    }
}
