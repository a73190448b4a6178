//! A queue ordered by time, cheap when items come almost in order.
//!
//! In-order items go through a plain ring; only stragglers pay for a heap. Equal times keep the
//! order in which they were pushed.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Item<T> {
    time: i64,
    seq: u64,
    item: T,
}

impl<T> PartialEq for Item<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<T> Eq for Item<T> {}
impl<T> PartialOrd for Item<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Item<T> {
    /// Reversed, so that the heap's greatest is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.seq).cmp(&(self.time, self.seq))
    }
}

/// See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct TimeQueue<T> {
    line: VecDeque<Item<T>>,
    stray: BinaryHeap<Item<T>>,
    seq: u64,
}

impl<T> Default for TimeQueue<T> {
    fn default() -> Self {
        Self {
            line: VecDeque::new(),
            stray: BinaryHeap::new(),
            seq: 0,
        }
    }
}

impl<T> TimeQueue<T> {
    pub fn push(&mut self, time: i64, item: T) {
        let item = Item {
            time,
            seq: self.seq,
            item,
        };
        self.seq += 1;
        if self.line.back().is_none_or(|last| last.time <= time) {
            self.line.push_back(item);
        } else {
            self.stray.push(item);
        }
    }

    /// The earliest time in the queue.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        match (self.line.front(), self.stray.peek()) {
            (Some(a), Some(b)) => Some(a.time.min(b.time)),
            (a, b) => a.or(b).map(|item| item.time),
        }
    }

    /// Takes the earliest item if its time is at most `limit`.
    pub fn pop_until(&mut self, limit: i64) -> Option<(i64, T)> {
        let stray_first = match (self.line.front(), self.stray.peek()) {
            (Some(a), Some(b)) => b > a,
            (None, Some(_)) => true,
            _ => false,
        };
        if self.next()? > limit {
            return None;
        }
        let item = if stray_first {
            self.stray.pop()
        } else {
            self.line.pop_front()
        }?;
        Some((item.time, item.item))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.line.len() + self.stray.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.is_empty() && self.stray.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_a_stable_sort(times in prop::collection::vec(0i64..50, 0..100)) {
            let mut queue = TimeQueue::default();
            for (i, t) in times.iter().enumerate() { queue.push(*t, i); }
            let mut want: Vec<(i64, usize)> = times.iter().copied().enumerate().map(|(i, t)| (t, i)).collect();
            want.sort_unstable();
            let got: Vec<_> = std::iter::from_fn(|| queue.pop_until(i64::MAX)).collect();
            prop_assert_eq!(got, want);
        }
    }
}
