//! A queue ordered by time, cheap when items come almost in order.
//!
//! In-order items go through a plain ring; only stragglers pay for a heap. Equal times keep the
//! order in which they were pushed. What was pushed since it was last written is told by its number;
//! of what was there before, the earliest have gone, so that their count says which.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

use crate::engine::snapshot::changes::{Changing, Reader, Writer};

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
    #[serde(serialize_with = "in_order")]
    stray: BinaryHeap<Item<T>>,
    seq: u64,
    /// The number of the first item that came since the queue was last written.
    #[serde(skip)]
    written: u64,
    /// How many of those before it have gone since then.
    #[serde(skip)]
    taken: u64,
}

/// A heap's own order depends on how it came about; nothing that is output may.
fn in_order<T: Serialize, S: Serializer>(
    stray: &BinaryHeap<Item<T>>,
    s: S,
) -> Result<S::Ok, S::Error> {
    let mut items: Vec<&Item<T>> = stray.iter().collect();
    items.sort();
    s.collect_seq(items)
}

impl<T> Default for TimeQueue<T> {
    fn default() -> Self {
        Self {
            line: VecDeque::new(),
            stray: BinaryHeap::new(),
            seq: 0,
            written: 0,
            taken: 0,
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
        self.taken += u64::from(item.seq < self.written);
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

impl<T: Serialize + DeserializeOwned> Changing for TimeQueue<T> {
    fn write(&self, to: &mut Writer) -> Result<(), postcard::Error> {
        let fresh = self.line.partition_point(|item| item.seq < self.written);
        let line: Vec<&Item<T>> = self.line.range(fresh..).collect();
        let is_fresh = |item: &&Item<T>| item.seq >= self.written;
        let mut stray: Vec<&Item<T>> = self.stray.iter().filter(is_fresh).collect();
        stray.sort();
        to.put(&(self.taken, line, stray, self.seq))
    }

    fn apply(&mut self, from: &mut Reader<'_>) -> Result<(), postcard::Error> {
        let (taken, line, stray, seq): (u64, Vec<Item<T>>, Vec<Item<T>>, u64) = from.take()?;
        for _ in 0..taken {
            self.pop_until(i64::MAX)
                .ok_or(postcard::Error::DeserializeBadEncoding)?;
        }
        self.line.extend(line);
        self.stray.extend(stray);
        self.seq = seq;
        Ok(())
    }

    fn mark_written(&mut self) {
        (self.written, self.taken) = (self.seq, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(queue: &TimeQueue<usize>) -> Vec<u8> {
        postcard::to_stdvec(queue).unwrap()
    }

    proptest! {
        /// `Some` is pushed, `None` takes the earliest.
        #[test]
        fn what_has_changed_is_enough(before in prop::collection::vec(prop::option::weighted(0.7, 0i64..50), 0..60), rounds in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.6, 0i64..50), 0..40), 1..4)) {
            let mut queue = TimeQueue::default();
            let turn = |queue: &mut TimeQueue<usize>, list: &[Option<i64>]| for (i, time) in list.iter().enumerate() {
                match time {
                    Some(time) => queue.push(*time, i),
                    None => drop(queue.pop_until(i64::MAX)),
                }
            };
            turn(&mut queue, &before);
            let mut other: TimeQueue<usize> = postcard::from_bytes(&bytes(&queue)).unwrap();
            queue.mark_written();
            for round in &rounds {
                turn(&mut queue, round);
                let mut to = Writer::default();
                queue.write(&mut to).unwrap();
                queue.mark_written();
                let changes = to.done();
                let mut from = Reader::new(crate::engine::snapshot::VERSION, &changes);
                other.apply(&mut from).unwrap();
                from.end().unwrap();
                prop_assert_eq!(bytes(&other), bytes(&queue));
            }
        }

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
