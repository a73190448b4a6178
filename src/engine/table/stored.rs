//! A table as bytes: whole, in the order of its keys, or as what has changed in it.
//!
//! Owns the two forms, not the account of what changes (`Table` marks and lists). Invariant: nothing of
//! them depends on where entries stand in memory, but the order of an increment.

use std::fmt;

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{CHUNK, Entry, Table, Weigh};
use crate::engine::snapshot::changes::{Changing, Reader, Writer};

impl<E: Weigh> Table<E> {
    /// All keys and states, ordered by key: nothing that is output depends on the table's layout.
    #[must_use]
    pub fn sorted(&self) -> Vec<(u64, &E)> {
        let mut all: Vec<(u64, &E)> = self
            .chunks
            .iter()
            .flatten()
            .flatten()
            .map(|e| (e.key, &e.state))
            .collect();
        all.sort_by_key(|(key, _)| *key);
        all
    }

    /// The entries that may have changed since the table was last written.
    fn changed(&self) -> Vec<(u64, &E)> {
        let mut list = Vec::new();
        for (at, bits) in self.changed.iter().enumerate().filter(|(_, b)| **b != 0) {
            let marked = (0..CHUNK).filter(|n| bits & (1 << n) != 0);
            let entries = marked.filter_map(|n| self.entry(at * CHUNK + n));
            list.extend(entries.map(|e| (e.key, &e.state)));
        }
        list
    }
}

impl<E: Weigh + Serialize + DeserializeOwned> Changing for Table<E> {
    fn write(&self, to: &mut Writer) -> Result<(), postcard::Error> {
        to.put(&self.whole)?;
        if self.whole {
            return to.put(self);
        }
        to.put(&(self.bytes_max, self.evicted, self.refused, &self.gone))?;
        to.put(&self.changed())
    }

    fn apply(&mut self, from: &mut Reader<'_>) -> Result<(), postcard::Error> {
        if from.take()? {
            *self = from.take()?;
            return Ok(());
        }
        let gone: Vec<u64>;
        let bounds: usize;
        (bounds, self.evicted, self.refused, gone) = from.take()?;
        let fresh = Self::new(bounds);
        (self.keys_max, self.bytes_max) = (fresh.keys_max, fresh.bytes_max);
        for key in gone {
            self.remove(key);
        }
        for (key, state) in from.take::<Vec<(u64, E)>>()? {
            self.remove(key);
            self.put(Entry::new(key, state));
        }
        Ok(())
    }

    fn mark_written(&mut self) {
        self.changed.fill(0);
        self.gone.clear();
        self.whole = false;
    }
}

impl<E: Weigh + Serialize> Serialize for Table<E> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        (self.bytes_max, self.evicted, self.refused, self.sorted()).serialize(s)
    }
}

impl<'de, E: Weigh + Deserialize<'de>> Deserialize<'de> for Table<E> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (bytes_max, evicted, refused, Filled(mut table)) = Deserialize::deserialize(d)?;
        let bounds = Self::new(bytes_max);
        (table.keys_max, table.bytes_max) = (bounds.keys_max, bounds.bytes_max);
        (table.evicted, table.refused) = (evicted, refused);
        Ok(table)
    }
}

/// A table with the entries of a list, whose bounds are still to be set. The list itself never stands in
/// memory: it is as large as the table.
struct Filled<E>(Table<E>);

impl<'de, E: Weigh + Deserialize<'de>> Deserialize<'de> for Filled<E> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_seq(Self(Table::new(0)))
    }
}

impl<'de, E: Weigh + Deserialize<'de>> Visitor<'de> for Filled<E> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys and their states")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut entries: A) -> Result<Self, A::Error> {
        while let Some((key, state)) = entries.next_element::<(u64, E)>()? {
            self.0.put(Entry::new(key, state));
        }
        Ok(self)
    }
}
