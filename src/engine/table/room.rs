//! Keeps a table within its bound: lighter keys go, and what they leave behind is given back.
//!
//! Invariant: an event costs no more than a bound here, whatever the table holds.

use super::{CHUNK, KEYS_MIN, Slot, Table, Weigh};

/// Candidates looked at for an eviction.
const CANDIDATES: usize = 16;
/// Places looked at for them: where nearly all is pinned or free, an event costs no more than that.
pub(super) const STEPS_MAX: usize = 64 * CANDIDATES;
/// Chunks given back with one key that grows.
const GIVE_BACK_MAX: usize = 4;

impl<E: Weigh> Table<E> {
    /// After the entry at `index` has grown, lighter ones go until the table is within its bound.
    pub(super) fn make_room(&mut self, index: usize, watermark: i64) {
        while self.taken() > self.bytes_max
            && self.len > KEYS_MIN
            && self.evict_lightest(watermark, Some(index))
        {
            if self.len * 8 < self.slots.len() {
                self.reindex(self.slots.len() / 2);
            }
        }
        for _ in 0..GIVE_BACK_MAX {
            if self.free_places() < 2 * CHUNK || self.bytes() <= self.bytes_max {
                break;
            }
            self.give_back();
        }
    }

    /// Gives the last chunk back; its entries move to free places, of which there must be two chunks.
    fn give_back(&mut self) {
        let kept = (self.chunks.len() - 1) * CHUNK;
        let all = kept..kept + CHUNK;
        // On the list of free places they stay for now: to look for them would be to walk all of it.
        self.stale += all.clone().filter(|i| self.entry(*i).is_none()).count();
        for from in all {
            self.relocate(from, kept);
        }
        self.chunks.pop();
        self.changed.pop();
    }

    /// A free place below `end`, where all above it are given back.
    pub(super) fn free_place(&mut self, end: usize) -> Option<usize> {
        while let Some(index) = self.free.pop() {
            let index = index as usize;
            if index < end {
                return Some(index);
            }
            self.stale -= 1;
        }
        None
    }

    /// Moves the entry at `from`, if there is one, to a free place below `end`.
    fn relocate(&mut self, from: usize, end: usize) {
        let Some(key) = self.entry(from).map(|e| e.key) else {
            return;
        };
        if let (Ok((slot, _)), Some(to)) = (self.find(key), self.free_place(end)) {
            self.slots[slot] = Slot::new(to, key);
            self.chunks[to / CHUNK][to % CHUNK] = self.chunks[from / CHUNK][from % CHUNK].take();
            if self.changed[from / CHUNK] & (1 << (from % CHUNK)) != 0 {
                self.mark(to);
            }
        }
    }

    /// Takes out the lightest of a few that may go, but for the one at `but`; false if none may.
    pub(super) fn evict_lightest(&mut self, watermark: i64, but: Option<usize>) -> bool {
        let mut lightest: Option<(u64, usize)> = None;
        let mut looked = 0;
        // Empty places do not count as candidates: where there are many of them (the end of the last
        // chunk) one heavy entry behind them must not be the only choice.
        for _ in 0..STEPS_MAX.min(self.chunks.len() * CHUNK) {
            let Some(index) = self.step() else { break };
            let Some(entry) = self.entry(index).filter(|e| !e.state.pinned()) else {
                continue;
            };
            if but == Some(index) {
                continue;
            }
            if entry.state.dead(watermark) {
                self.remove_index(index);
                return true;
            }
            let weight = entry.state.weight();
            if lightest.is_none_or(|(w, _)| weight < w) {
                lightest = Some((weight, index));
            }
            looked += 1;
            if looked == CANDIDATES {
                break;
            }
        }
        if let Some((_, index)) = lightest {
            self.evicted += 1;
            self.remove_index(index);
        }
        lightest.is_some()
    }
}
