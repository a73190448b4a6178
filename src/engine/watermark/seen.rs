//! Event ids seen lately, so that an event delivered twice counts once.
//!
//! Two generations of fixed-size open-addressing tables: when the young one is full, the old one
//! is forgotten. A duplicate is found if at most `GENERATION` other ids came in between.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ids remembered at least.
pub const GENERATION: usize = 1 << 18;
const TABLE: usize = GENERATION * 2;

#[derive(Clone, Debug, Default)]
pub struct Seen {
    young: Vec<u64>,
    old: Vec<u64>,
    count: usize,
}

impl Seen {
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
        if self.count == GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.count = 0;
        }
        true
    }
}

/// Stored are the ids, not the tables, most of which is empty.
impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let ids =
            |table: &[u64]| -> Vec<u64> { table.iter().copied().filter(|id| *id != 0).collect() };
        (ids(&self.young), ids(&self.old)).serialize(s)
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
        let mut again: Seen = postcard::from_bytes(&bytes).unwrap();
        assert!(
            !again.insert(id(399_000)) && !again.insert(id(200_000)) && again.insert(id(400_000))
        );
    }
}
