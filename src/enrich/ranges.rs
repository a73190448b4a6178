//! Ranges of addresses with a rank, flattened so that one bisection finds the best rank.
//!
//! Owns the flattening and the search; knows no files and no meaning of ranks. Invariant: segments
//! are disjoint and sorted, neighbours of one rank are merged, and the lowest rank covers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A number that addresses are compared by.
pub(super) trait Key: Copy + Ord {
    /// The next number; `None` after the last one.
    fn next(self) -> Option<Self>;
    /// The number before; `None` before the first one.
    fn prior(self) -> Option<Self>;
}

impl Key for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn prior(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

impl Key for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn prior(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

/// One range as written, both ends included; a lower rank beats a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range<K> {
    pub(super) first: K,
    pub(super) last: K,
    pub(super) rank: u32,
}

/// The flattened ranges, each part in its own column: the search touches the first one only.
#[derive(Clone, Debug)]
pub(super) struct Ranges<K> {
    firsts: Vec<K>,
    lasts: Vec<K>,
    ranks: Vec<u32>,
}

impl<K> Default for Ranges<K> {
    fn default() -> Self {
        Self {
            firsts: Vec::new(),
            lasts: Vec::new(),
            ranks: Vec::new(),
        }
    }
}

impl<K: Key> Ranges<K> {
    /// Flattens ranges in any order, overlapping or not.
    pub(super) fn new(mut ranges: Vec<Range<K>>) -> Self {
        ranges.sort_unstable();
        let mut flat = Self::default();
        // Ranges that have begun, best rank on top; ended ones are dropped when they come up.
        let mut open: BinaryHeap<Reverse<(u32, K)>> = BinaryHeap::new();
        let mut coming = ranges.into_iter().peekable();
        let mut from = coming.peek().map(|r| r.first);
        while let Some(at) = from {
            while let Some(range) = coming.next_if(|r| r.first <= at) {
                open.push(Reverse((range.rank, range.last)));
            }
            while open.peek().is_some_and(|Reverse((_, last))| *last < at) {
                open.pop();
            }
            let next_first = coming.peek().map(|r| r.first);
            let Some(Reverse((rank, last))) = open.peek().copied() else {
                from = next_first;
                continue;
            };
            let end = match next_first.and_then(Key::prior) {
                Some(before) if before < last => before,
                _ => last,
            };
            flat.push(at, end, rank);
            from = end.next();
        }
        flat.shrink();
        flat
    }

    /// Adds a segment behind all others; `false` if it is not behind them.
    pub(super) fn push(&mut self, first: K, last: K, rank: u32) -> bool {
        if let (Some(end), Some(same)) = (self.lasts.last_mut(), self.ranks.last()) {
            if first <= *end {
                return false;
            }
            if *same == rank && end.next() == Some(first) {
                *end = last;
                return true;
            }
        }
        self.firsts.push(first);
        self.lasts.push(last);
        self.ranks.push(rank);
        true
    }

    /// Gives back what was set aside for more.
    pub(super) fn shrink(&mut self) {
        self.firsts.shrink_to_fit();
        self.lasts.shrink_to_fit();
        self.ranks.shrink_to_fit();
    }

    /// The best rank at an address.
    #[inline]
    pub(super) fn find(&self, at: K) -> Option<u32> {
        let i = self
            .firsts
            .partition_point(|first| *first <= at)
            .checked_sub(1)?;
        let inside = at <= *self.lasts.get(i)?;
        if inside {
            self.ranks.get(i).copied()
        } else {
            None
        }
    }

    /// How many segments there are.
    pub(super) const fn len(&self) -> usize {
        self.firsts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range<K>(first: K, last: K, rank: u32) -> Range<K> {
        Range { first, last, rank }
    }

    fn scan<K: Key>(ranges: &[Range<K>], at: K) -> Option<u32> {
        ranges
            .iter()
            .filter(|r| r.first <= at && at <= r.last)
            .map(|r| r.rank)
            .min()
    }

    #[test]
    fn neighbours_merge_and_the_lowest_rank_covers() {
        let flat = Ranges::new(vec![
            range(10u32, 19, 1),
            range(20, 29, 1),
            range(15, 15, 0),
        ]);
        assert_eq!(flat.firsts, [10, 15, 16]);
        assert_eq!(flat.lasts, [14, 15, 29]);
        assert_eq!(flat.ranks, [1, 0, 1]);
        assert_eq!(
            [9, 10, 15, 29, 30].map(|n| flat.find(n)),
            [None, Some(1), Some(0), Some(1), None]
        );
    }

    #[test]
    fn both_ends_of_the_address_space() {
        let flat = Ranges::new(vec![
            range(0u128, u128::MAX, 3),
            range(u128::MAX, u128::MAX, 1),
        ]);
        assert_eq!(flat.find(0), Some(3));
        assert_eq!(flat.find(u128::MAX - 1), Some(3));
        assert_eq!(flat.find(u128::MAX), Some(1));
        assert_eq!(Ranges::<u32>::new(Vec::new()).find(7), None);
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_finds(written in proptest::collection::vec((0u32..200, 0u32..60, 0u32..5), 0..40)) {
            let small: Vec<_> = written.iter().map(|(a, n, r)| range(*a, a + n, *r)).collect();
            let flat = Ranges::new(small.clone());
            for at in 0..270 {
                prop_assert_eq!(flat.find(at), scan(&small, at));
            }
            // The same at the far end of 128 bits.
            let far = |n: u32| u128::MAX - 269 + u128::from(n);
            let large: Vec<_> = small.iter().map(|r| range(far(r.first), far(r.last), r.rank)).collect();
            let flat = Ranges::new(large.clone());
            for at in 0..270 {
                prop_assert_eq!(flat.find(far(at)), scan(&large, far(at)));
            }
            for pair in flat.firsts.windows(2).zip(&flat.lasts) {
                prop_assert!(*pair.1 < pair.0[1]);
            }
        }
    }
}
