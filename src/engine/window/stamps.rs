//! The latest event times of one key, sorted: an exact sliding count up to a cap.
//!
//! A count reaches n in `(t - span, t]` exactly when the n-th latest stamp is younger than
//! `t - span`, so n stamps are enough for a bound of n. Older ones fall out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

const FEW: usize = 4;

/// Sorted times (ms); the first few inline, since most keys are seen a few times only.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stamps {
    few: [i64; FEW],
    len: u8,
    many: Option<Box<VecDeque<i64>>>,
}

impl Stamps {
    /// Inserts `time` in order, dropping the oldest beyond `cap`. Returns its index from the old
    /// end, or `None` if it was older than everything kept at the cap.
    pub fn insert(&mut self, time: i64, cap: usize) -> Option<usize> {
        if self.many.is_none() {
            let len = usize::from(self.len);
            if len < FEW && len < cap {
                let at = self.few[..len]
                    .iter()
                    .rposition(|t| *t <= time)
                    .map_or(0, |i| i + 1);
                self.few.copy_within(at..len, at + 1);
                self.few[at] = time;
                self.len += 1;
                return Some(at);
            }
            self.many = Some(Box::new(self.few[..len].iter().copied().collect()));
            self.len = 0;
        }
        let many = self.many.as_mut()?;
        let mut at = if many.back().is_none_or(|last| *last <= time) {
            many.push_back(time);
            many.len() - 1
        } else {
            let at = many.partition_point(|t| *t <= time);
            many.insert(at, time);
            at
        };
        if many.len() > cap {
            many.pop_front();
            at = at.checked_sub(1)?;
        }
        Some(at)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.many
            .as_ref()
            .map_or(usize::from(self.len), |m| m.len())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The stamp at an index from the old end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i64> {
        match &self.many {
            Some(many) => many.get(index).copied(),
            None => self.few[..usize::from(self.len)].get(index).copied(),
        }
    }

    /// The n-th latest stamp, n from 1.
    #[must_use]
    pub fn latest(&self, n: usize) -> Option<i64> {
        self.get(self.len().checked_sub(n)?)
    }

    /// How many stamps lie in `(from, to]`.
    #[must_use]
    pub fn count(&self, from: i64, to: i64) -> usize {
        match &self.many {
            Some(many) => many.partition_point(|t| *t <= to) - many.partition_point(|t| *t <= from),
            None => self.few[..usize::from(self.len)]
                .iter()
                .filter(|t| **t > from && **t <= to)
                .count(),
        }
    }

    /// The oldest stamp younger than `from`.
    #[must_use]
    pub fn first_after(&self, from: i64) -> Option<i64> {
        match &self.many {
            Some(many) => many.get(many.partition_point(|t| *t <= from)).copied(),
            None => self.few[..usize::from(self.len)]
                .iter()
                .copied()
                .find(|t| *t > from),
        }
    }

    /// The first index at or after `from` at which the n-th latest stamp is within `span`: where
    /// sorted input would have crossed the bound n.
    #[must_use]
    pub fn crossing(&self, from: usize, n: usize, span: i64) -> Option<usize> {
        (from.max(n - 1)..self.len()).find(
            |j| matches!((self.get(*j), self.get(j + 1 - n)), (Some(b), Some(a)) if b - a < span),
        )
    }

    /// Until when (exclusive) the count stays at n or more, from the crossing at index `at` on.
    #[must_use]
    pub fn holds_until(&self, at: usize, n: usize, span: i64) -> i64 {
        let mut until = i64::MIN;
        for j in at..self.len() {
            let (Some(time), Some(oldest)) = (self.get(j), self.get(j + 1 - n)) else {
                break;
            };
            if until != i64::MIN && time > until {
                break;
            }
            until = until.max(oldest + span);
        }
        until
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap(&self) -> usize {
        self.many.as_ref().map_or(0, |m| m.capacity() * 8 + 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the definition: the first time in sorted order at which n stamps lie in the window.
        #[test]
        fn crossing_is_that_of_sorted_input(mut times in prop::collection::vec(0i64..500, 1..60), n in 1usize..8, span in 1i64..100) {
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let want = sorted.iter().enumerate()
                .find(|(i, t)| sorted[..=*i].iter().filter(|s| **s > **t - span).count() >= n)
                .map(|(_, t)| *t);
            let mut stamps = Stamps::default();
            let mut first = None;
            for t in times.drain(..) {
                if let Some(at) = stamps.insert(t, 1000)
                    && let Some(j) = stamps.crossing(at, n, span) {
                        let found = stamps.get(j).unwrap();
                        first = Some(first.map_or(found, |f: i64| f.min(found)));
                }
            }
            prop_assert_eq!(first, want);
        }

        #[test]
        fn counts_are_exact(times in prop::collection::vec(0i64..200, 0..50), from in 0i64..200, len in 0i64..100) {
            let mut stamps = Stamps::default();
            for t in &times { stamps.insert(*t, 1000); }
            let want = times.iter().filter(|t| **t > from && **t <= from + len).count();
            prop_assert_eq!(stamps.count(from, from + len), want);
        }
    }
}
