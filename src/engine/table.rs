//! Keyed state with a hard bound: a fixed-capacity table that never grows past its share.
//!
//! Open addressing over fingerprints, entries in chunks. The index carries half of each key, so that
//! a search stays in it until it has found its entry. When it is full, a new key replaces the lightest
//! of a few candidates (entries whose window has passed first), so a flood of fresh keys evicts fresh
//! keys, not an attacker's slowly growing one; and so does one that grows. Entries that are pinned (an
//! open episode) stay. It keeps account of what has changed since it was last written: no
//! entry can be had to change it without being marked.

use serde::{Deserialize, Serialize};

mod room;
mod stored;

/// What the table must know of its entries.
pub trait Weigh {
    /// Nothing in it matters any more at this event time.
    fn dead(&self, watermark: i64) -> bool;
    /// Must not be evicted.
    fn pinned(&self) -> bool;
    /// How much would be lost with it; the lightest goes first.
    fn weight(&self) -> u64;
    /// Bytes on the heap beyond the entry itself.
    fn heap(&self) -> usize;
}

/// Entries looked at for expiry with each new key.
const SWEEP: usize = 2;
/// Entries allocated at once: a rule with one key must not cost as if it had a thousand.
const CHUNK: usize = 64;
/// The least capacity of a table, however small its share.
const KEYS_MIN: usize = 64;
/// Keys that are gone are listed, for an increment, up to one for each so many that are there; beyond
/// that the next one writes the table whole. The list takes 2 bytes for each entry at most.
const ENTRIES_PER_GONE: usize = 4;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry<E> {
    key: u64,
    heap: u32,
    state: E,
}

impl<E: Weigh> Entry<E> {
    fn new(key: u64, state: E) -> Self {
        let heap = u32::try_from(state.heap()).unwrap_or(u32::MAX);
        Self { key, heap, state }
    }
}

/// A place of the index.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Index + 1 into the entries; 0 is free.
    entry: u32,
    /// The lower half of the key: it tells nearly every other key apart, and where its own place is.
    tag: u32,
}

impl Slot {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    fn new(index: usize, key: u64) -> Self {
        Self {
            entry: index as u32 + 1,
            tag: key as u32,
        }
    }

    /// The entry it leads to, if any.
    const fn index(self) -> Option<usize> {
        (self.entry as usize).checked_sub(1)
    }
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Table<E> {
    slots: Vec<Slot>,
    chunks: Vec<Vec<Option<Entry<E>>>>,
    /// Per chunk: the entries that were handed out to be changed, since the table was last written.
    changed: Vec<u64>,
    /// The keys that went since then.
    gone: Vec<u64>,
    /// What has changed is not known: all of it is written.
    whole: bool,
    /// Free places, and how many of them were in chunks that are given back.
    free: Vec<u32>,
    stale: usize,
    len: usize,
    keys_max: usize,
    bytes_max: usize,
    heap: usize,
    hand: usize,
    /// Keys that had to leave before their time.
    pub evicted: u64,
    /// Keys that found no place because all candidates were pinned.
    pub refused: u64,
}

/// A table whose bound can be moved, whatever it holds.
pub trait Bounded {
    /// Bytes in use, and the bound.
    fn memory(&self) -> (usize, usize);

    /// Sets the bound; if the table holds more than that, the lightest keys go.
    fn limit(&mut self, bytes_max: usize);

    /// Brings a key's entry into the processor's cache; says whether there is one.
    fn touch(&self, key: u64) -> bool;
}

impl<E: Weigh> Bounded for Table<E> {
    fn memory(&self) -> (usize, usize) {
        (self.bytes(), self.bytes_max)
    }

    fn touch(&self, key: u64) -> bool {
        self.get(key).is_some()
    }

    fn limit(&mut self, bytes_max: usize) {
        let over = self.bytes() > bytes_max;
        let fresh = Self::new(bytes_max);
        if !over {
            (self.keys_max, self.bytes_max) = (fresh.keys_max, fresh.bytes_max);
            return;
        }
        let old = std::mem::replace(self, fresh);
        (self.evicted, self.refused) = (old.evicted, old.refused);
        let mut all: Vec<Entry<E>> = old.chunks.into_iter().flatten().flatten().collect();
        all.sort_by_key(|e| {
            let rank = (!e.state.pinned(), std::cmp::Reverse(e.state.weight()));
            (rank, e.key)
        });
        for entry in all {
            if self.is_full() {
                self.evicted += 1;
            } else {
                self.put(entry);
            }
        }
    }
}

impl<E: Weigh> Table<E> {
    /// A table that keeps itself below `bytes_max`.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let per_key = size_of::<Option<Entry<E>>>() + 2 * size_of::<Slot>();
        let keys_max = (bytes_max / per_key).clamp(KEYS_MIN, 1 << 27);
        Self {
            slots: Vec::new(),
            chunks: Vec::new(),
            changed: Vec::new(),
            gone: Vec::new(),
            whole: true,
            free: Vec::new(),
            stale: 0,
            len: 0,
            keys_max,
            bytes_max,
            heap: 0,
            hand: 0,
            evicted: 0,
            refused: 0,
        }
    }

    /// Puts back an entry taken from another table.
    fn put(&mut self, entry: Entry<E>) {
        let heap = entry.heap;
        if let Some(index) = self.place(entry.key, entry.state)
            && let Some(placed) = self.entry_mut(index)
        {
            placed.heap = heap;
            self.heap += heap as usize;
        }
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in use: chunks, index and what entries hold on the heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.taken() + self.free_places() * size_of::<Option<Entry<E>>>()
    }

    fn free_places(&self) -> usize {
        self.free.len() - self.stale
    }

    /// Those of them that are not in free places. The bound is for these: keys that went have left free
    /// places, and whole chunks of such are given back.
    fn taken(&self) -> usize {
        self.len * size_of::<Option<Entry<E>>>() + self.slots.len() * size_of::<Slot>() + self.heap
    }

    fn is_full(&self) -> bool {
        let over = self.len >= self.keys_max || self.taken() > self.bytes_max;
        over && self.len >= KEYS_MIN
    }

    fn entry(&self, index: usize) -> Option<&Entry<E>> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)?.as_ref()
    }

    /// Who asks may change it.
    fn entry_mut(&mut self, index: usize) -> Option<&mut Entry<E>> {
        self.mark(index);
        self.chunks
            .get_mut(index / CHUNK)?
            .get_mut(index % CHUNK)?
            .as_mut()
    }

    fn mark(&mut self, index: usize) {
        if let Some(chunk) = self.changed.get_mut(index / CHUNK) {
            *chunk |= 1 << (index % CHUNK);
        }
    }

    /// The slot of a key: `Ok((slot, entry index))`, or the free slot where it would stand.
    fn find(&self, key: u64) -> Result<(usize, usize), usize> {
        let mask = self.slots.len() - 1;
        let wanted = Slot::new(0, key);
        let mut at = wanted.tag as usize & mask;
        loop {
            let slot = self.slots[at];
            let Some(index) = slot.index() else {
                return Err(at);
            };
            if slot.tag == wanted.tag && self.entry(index).is_some_and(|e| e.key == key) {
                return Ok((at, index));
            }
            at = (at + 1) & mask;
        }
    }

    #[must_use]
    pub fn get(&self, key: u64) -> Option<&E> {
        if self.slots.is_empty() {
            return None;
        }
        let (_, index) = self.find(key).ok()?;
        self.entry(index).map(|e| &e.state)
    }

    #[must_use]
    pub fn get_mut(&mut self, key: u64) -> Option<&mut E> {
        if self.slots.is_empty() {
            return None;
        }
        let (_, index) = self.find(key).ok()?;
        self.entry_mut(index).map(|e| &mut e.state)
    }

    /// Runs `change` on the key's state, made by `fresh` if there is none, and keeps account of
    /// its bytes. `None` if the table is full of pinned entries.
    pub fn update<R>(
        &mut self,
        key: u64,
        watermark: i64,
        fresh: impl FnOnce() -> E,
        change: impl FnOnce(&mut E) -> R,
    ) -> Option<R> {
        let index = match self.slots.is_empty() {
            false => self.find(key).map(|(_, index)| index).ok(),
            true => None,
        };
        let index = match index {
            Some(index) => {
                // Swept or not: nobody can tell what is dead from what was never there.
                let state = &mut self.entry_mut(index)?.state;
                if !state.pinned() && state.dead(watermark) {
                    *state = fresh();
                }
                index
            }
            None => self.admit(key, watermark, fresh())?,
        };
        let entry = self.entry_mut(index)?;
        let result = change(&mut entry.state);
        let (before, after) = (
            entry.heap,
            u32::try_from(entry.state.heap()).unwrap_or(u32::MAX),
        );
        entry.heap = after;
        self.heap = self.heap + after as usize - before as usize;
        if after > before {
            self.make_room(index, watermark);
        }
        Some(result)
    }

    fn admit(&mut self, key: u64, watermark: i64, state: E) -> Option<usize> {
        for _ in 0..SWEEP {
            self.sweep_one(watermark);
        }
        if self.is_full() && !self.evict_lightest(watermark, None) {
            self.refused += 1;
            return None;
        }
        self.place(key, state)
    }

    fn place(&mut self, key: u64, state: E) -> Option<usize> {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.reindex((self.slots.len() * 2).max(64));
        }
        let index = match self.free_place(self.chunks.len() * CHUNK) {
            Some(index) => index,
            None => {
                let index = self.chunks.len() * CHUNK;
                self.chunks.push((0..CHUNK).map(|_| None).collect());
                self.changed.push(0);
                let fresh = (index + 1..index + CHUNK).rev();
                self.free
                    .extend(fresh.filter_map(|i| u32::try_from(i).ok()));
                index
            }
        };
        let Err(slot) = self.find(key) else {
            return None;
        };
        self.slots[slot] = Slot::new(index, key);
        self.mark(index);
        *self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)? = Some(Entry {
            key,
            heap: 0,
            state,
        });
        self.len += 1;
        Some(index)
    }

    /// Makes the index `size` slots large, a power of two; entries do not move.
    fn reindex(&mut self, size: usize) {
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); size]);
        for slot in old.into_iter().filter(|s| s.index().is_some()) {
            let mut at = slot.tag as usize & (size - 1);
            while self.slots[at].index().is_some() {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }

    fn step(&mut self) -> Option<usize> {
        let capacity = self.chunks.len() * CHUNK;
        if capacity == 0 {
            return None;
        }
        self.hand = (self.hand + 1) % capacity;
        Some(self.hand)
    }

    fn sweep_one(&mut self, watermark: i64) {
        let Some(index) = self.step() else { return };
        if self
            .entry(index)
            .is_some_and(|e| !e.state.pinned() && e.state.dead(watermark))
        {
            self.remove_index(index);
        }
    }

    pub fn remove(&mut self, key: u64) {
        if !self.slots.is_empty()
            && let Ok((_, index)) = self.find(key)
        {
            self.remove_index(index);
        }
    }

    fn remove_index(&mut self, index: usize) {
        let Some(key) = self.entry(index).map(|e| e.key) else {
            return;
        };
        if let Ok((slot, _)) = self.find(key) {
            self.close_gap(slot);
        }
        if let Some(place) = self
            .chunks
            .get_mut(index / CHUNK)
            .and_then(|c| c.get_mut(index % CHUNK))
            && let Some(entry) = place.take()
        {
            self.heap -= entry.heap as usize;
            self.len -= 1;
            self.free.push(u32::try_from(index).unwrap_or(0));
            self.note_gone(key);
        }
    }

    fn note_gone(&mut self, key: u64) {
        self.whole |= self.gone.len() >= (self.len / ENTRIES_PER_GONE).max(KEYS_MIN);
        if self.whole {
            self.gone = Vec::new();
        } else {
            self.gone.push(key);
        }
    }

    /// Backward-shift deletion: probes need no tombstones.
    fn close_gap(&mut self, slot: usize) {
        let mask = self.slots.len() - 1;
        let mut gap = slot;
        let mut at = (slot + 1) & mask;
        while self.slots[at].index().is_some() {
            let home = self.slots[at].tag as usize & mask;
            let moves = (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask);
            if moves {
                self.slots[gap] = self.slots[at];
                gap = at;
            }
            at = (at + 1) & mask;
        }
        self.slots[gap] = Slot::default();
    }
}

#[cfg(test)]
mod tests {
    use super::room::STEPS_MAX;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
    struct Count {
        n: u64,
        last: i64,
    }
    impl Weigh for Count {
        fn dead(&self, watermark: i64) -> bool {
            self.last < watermark
        }
        fn pinned(&self) -> bool {
            false
        }
        fn weight(&self) -> u64 {
            self.n
        }
        fn heap(&self) -> usize {
            0
        }
    }

    /// Grows by a hundred bytes with each event, as a set of distinct values does.
    #[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
    struct Values(u64);
    impl Weigh for Values {
        fn dead(&self, _: i64) -> bool {
            false
        }
        fn pinned(&self) -> bool {
            false
        }
        fn weight(&self) -> u64 {
            self.0
        }
        fn heap(&self) -> usize {
            usize::try_from(self.0).unwrap() * 100
        }
    }

    proptest! {
        #[test]
        fn is_a_map_while_there_is_room(ops in prop::collection::vec((0u64..50, any::<bool>()), 0..400)) {
            let mut table = Table::new(1 << 20);
            let mut model: BTreeMap<u64, u64> = BTreeMap::new();
            for (key, remove) in ops {
                let key = key << 60 | key; // long probe chains
                if remove { table.remove(key); model.remove(&key); }
                else {
                    table.update(key, -1, || Count { n: 0, last: 0 }, |c| c.n += 1);
                    *model.entry(key).or_default() += 1;
                }
            }
            let got: BTreeMap<u64, u64> = table.sorted().into_iter().map(|(k, c)| (k, c.n)).collect();
            prop_assert_eq!(got, model);
            let bytes = postcard::to_stdvec(&table).unwrap();
            let again: Table<Count> = postcard::from_bytes(&bytes).unwrap();
            prop_assert_eq!(again.sorted(), table.sorted());
        }
    }

    #[test]
    fn a_key_flood_does_not_evict_a_heavy_key_or_grow() {
        let mut table = Table::new(64 << 10);
        for _ in 0..50 {
            table.update(7, 0, || Count { n: 0, last: 9 }, |c| c.n += 1);
        }
        let mut most = 0;
        for i in 0..1_000_000u64 {
            let key = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            table.update(key, 0, || Count { n: 0, last: 9 }, |c| c.n += 1);
            most = most.max(table.bytes());
        }
        assert!(most < 160 << 10, "{most}");
        assert_eq!(table.get(7).map(|c| c.n), Some(50));
        assert!(table.evicted > 900_000);
    }

    /// A table full of light keys that then grew held many times its share, and a restart threw away what was
    /// too much: nothing went as long as no new key came.
    #[test]
    fn keys_that_grow_push_out_lighter_ones() {
        const BYTES_MAX: usize = 1 << 20;
        let mut table = Table::new(BYTES_MAX);
        let key = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for i in 0..20_000 {
            table.update(key(i), 0, || Values(0), |v| v.0 = 1);
        }
        let full = table.len();
        // Beyond 160 the least number of keys alone would be more than the bound.
        for round in 2..150 {
            for i in 0..500 {
                table.update(key(i), 0, || Values(0), |v| v.0 = v.0.max(round));
            }
            let over = table.bytes().saturating_sub(BYTES_MAX);
            let free_places = 2 * CHUNK * size_of::<Option<Entry<Values>>>();
            assert!(over <= free_places, "{over} in round {round}");
        }
        assert!(table.len() < full / 2, "{} of {full}", table.len());
        let heaviest = table.sorted().iter().map(|(_, v)| v.0).max();
        assert_eq!(heaviest, Some(149));
    }

    proptest! {
        /// Whatever goes and moves: what is left is what was put in, and it is found.
        #[test]
        fn a_crowded_table_keeps_its_keys_whole(ops in prop::collection::vec((0u64..600, 1u64..40), 0..4000)) {
            let mut table = Table::new(48 << 10);
            let mut model: BTreeMap<u64, u64> = BTreeMap::new();
            for (key, more) in ops {
                let before = table.get(key).map_or(0, |v: &Values| v.0);
                prop_assert!(before == 0 || model.get(&key) == Some(&before));
                table.update(key, 0, || Values(0), |v| v.0 += more);
                model.insert(key, before + more);
                prop_assert!(table.taken() <= (48 << 10) + 64 * 100 * 40 || table.len() <= KEYS_MIN);
            }
            let all = table.sorted();
            prop_assert_eq!(all.len(), table.len());
            for (key, state) in all {
                prop_assert_eq!(model.get(&key), Some(&state.0));
                prop_assert_eq!(table.get(key), Some(state));
            }
        }
    }

    /// Open for as long as it is there.
    #[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
    struct Open(u64);
    impl Weigh for Open {
        fn dead(&self, _: i64) -> bool {
            false
        }
        fn pinned(&self) -> bool {
            self.0 > 0
        }
        fn weight(&self) -> u64 {
            self.0
        }
        fn heap(&self) -> usize {
            usize::try_from(self.0).unwrap()
        }
    }

    /// An event looked at every key there was for one that might go.
    #[test]
    fn where_all_is_pinned_an_event_walks_no_more_than_a_bound() {
        let mut table = Table::new(1 << 20);
        let full = table.keys_max as u64;
        for i in 0..full {
            table.update(i.wrapping_mul(0x9E37_79B9_7F4A_7C15), 0, || Open(1), |_| ());
        }
        let len = table.len();
        assert!(len > 8 * STEPS_MAX, "{len}");
        let before = table.hand;
        assert!(table.update(1, 0, || Open(0), |_| ()).is_none());
        let walked =
            (table.hand + table.chunks.len() * CHUNK - before) % (table.chunks.len() * CHUNK);
        assert!(walked <= STEPS_MAX + SWEEP, "{walked} of {len}");
        assert_eq!(table.refused, 1);
    }

    /// Free places stood beside a bound that was lowered, and the next key that grew paid for all of them.
    #[test]
    fn a_lower_bound_takes_back_free_places() {
        let mut table = Table::new(1 << 20);
        let key = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for i in 0..8_000 {
            table.update(key(i), 0, || Values(0), |_| ());
        }
        (100..8_000).for_each(|i| table.remove(key(i)));
        assert!(table.bytes() > 256 << 10);
        table.limit(256 << 10);
        assert!(table.bytes() <= 256 << 10, "{}", table.bytes());
        assert_eq!((table.len(), table.evicted), (100, 0));
    }

    #[test]
    fn dead_entries_leave_first_and_are_no_evictions() {
        let mut table = Table::new(64 << 10);
        for i in 0..100_000u64 {
            let t = i64::try_from(i).unwrap();
            let key = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            table.update(key, t - 100, || Count { n: 0, last: t }, |c| c.n += 1);
        }
        assert_eq!(table.evicted, 0);
        assert!(table.len() < 1100);
    }
}
