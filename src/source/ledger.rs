//! Offsets in flight and done: the frontier of what is inside state.
//!
//! Pure. A partition's offsets may have gaps (compaction, transaction markers), so the ledger works
//! on ranges as they were received. Invariant: the frontier never passes an offset whose effects
//! are not done, and never moves back.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Per topic name and partition, the next offset that is not yet inside state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier(BTreeMap<String, BTreeMap<i32, i64>>);

impl Frontier {
    #[must_use]
    pub fn next(&self, topic: &str, partition: i32) -> Option<i64> {
        self.0.get(topic)?.get(&partition).copied()
    }

    /// Whether any partition of the topic is known.
    #[must_use]
    pub fn knows(&self, topic: &str) -> bool {
        self.0
            .get(topic)
            .is_some_and(|partitions| !partitions.is_empty())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeMap::is_empty)
    }

    /// Moves a partition's frontier forward; one behind is left where it is.
    pub fn advance(&mut self, topic: &str, partition: i32, next: i64) {
        if !self.0.contains_key(topic) {
            self.0.insert(topic.to_owned(), BTreeMap::new());
        }
        if let Some(partitions) = self.0.get_mut(topic) {
            let place = partitions.entry(partition).or_insert(next);
            *place = (*place).max(next);
        }
    }

    /// Forgets a partition, so that it begins anew where configuration says. For operators only.
    pub fn forget(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.0.get_mut(topic) {
            partitions.remove(&partition);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.0.iter().flat_map(|(topic, p)| {
            p.iter()
                .map(move |(number, next)| (topic.as_str(), *number, *next))
        })
    }
}

/// A received range that is not done yet; handed back with `Ledger::done`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "a range that is never done holds the frontier back for good"]
pub struct Ticket {
    topic: String,
    partition: i32,
    serial: u64,
}

#[derive(Clone, Debug)]
struct Range {
    serial: u64,
    /// One past the last offset of the range.
    end: i64,
    done: bool,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    /// One past the highest offset received.
    received: i64,
    flight: VecDeque<Range>,
}

/// What was received and what of it is done.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    frontier: Frontier,
    lanes: BTreeMap<(String, i32), Lane>,
    serial: u64,
}

impl Ledger {
    /// Goes on from a frontier that was kept with state.
    #[must_use]
    pub fn resume(frontier: Frontier) -> Self {
        let lanes = frontier
            .iter()
            .map(|(topic, partition, next)| {
                (
                    (topic.to_owned(), partition),
                    Lane {
                        received: next,
                        ..Lane::default()
                    },
                )
            })
            .collect();
        Self {
            frontier,
            lanes,
            serial: 0,
        }
    }

    /// Whether an offset is new: neither inside state nor in flight. A source that repeats itself
    /// after a reassignment is thereby harmless.
    #[must_use]
    pub fn is_new(&self, topic: &str, partition: i32, offset: i64) -> bool {
        self.lanes
            .get(&(topic.to_owned(), partition))
            .is_none_or(|lane| offset >= lane.received)
    }

    /// A range from `first` to `last` was received; `None` if all of it is old.
    pub fn received(
        &mut self,
        topic: &str,
        partition: i32,
        first: i64,
        last: i64,
    ) -> Option<Ticket> {
        let lane = self.lanes.entry((topic.to_owned(), partition)).or_default();
        if last < lane.received || last < first {
            return None;
        }
        self.serial += 1;
        lane.received = last + 1;
        lane.flight.push_back(Range {
            serial: self.serial,
            end: last + 1,
            done: false,
        });
        if self.frontier.next(topic, partition).is_none() {
            self.frontier.advance(topic, partition, first);
        }
        Some(Ticket {
            topic: topic.to_owned(),
            partition,
            serial: self.serial,
        })
    }

    /// All effects of a range are inside state.
    pub fn done(&mut self, ticket: Ticket) {
        let Some(lane) = self
            .lanes
            .get_mut(&(ticket.topic.clone(), ticket.partition))
        else {
            return;
        };
        if let Some(range) = lane.flight.iter_mut().find(|r| r.serial == ticket.serial) {
            range.done = true;
        }
        while let Some(end) = lane.flight.front().filter(|r| r.done).map(|r| r.end) {
            lane.flight.pop_front();
            self.frontier.advance(&ticket.topic, ticket.partition, end);
        }
    }

    /// A partition was taken away or begins anew: what is in flight of it will not be done here.
    pub fn drop_flight(&mut self, topic: &str, partition: i32) {
        let next = self.frontier.next(topic, partition);
        if let Some(lane) = self.lanes.get_mut(&(topic.to_owned(), partition)) {
            lane.flight.clear();
            lane.received = next.unwrap_or(0);
        }
    }

    /// Ranges received and not done.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.lanes.values().map(|lane| lane.flight.len()).sum()
    }

    #[must_use]
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_frontier_waits_for_the_oldest_range() {
        let mut ledger = Ledger::default();
        let a = ledger.received("t", 0, 5, 9).unwrap();
        let b = ledger.received("t", 0, 12, 14).unwrap();
        let other = ledger.received("t", 1, 0, 0).unwrap();
        assert_eq!(ledger.frontier().next("t", 0), Some(5));
        ledger.done(b);
        assert_eq!(ledger.frontier().next("t", 0), Some(5));
        ledger.done(a);
        assert_eq!(ledger.frontier().next("t", 0), Some(15));
        ledger.done(other);
        assert_eq!(ledger.frontier().next("t", 1), Some(1));
        assert_eq!(ledger.in_flight(), 0);
    }

    #[test]
    fn what_is_old_is_not_received_again() {
        let mut frontier = Frontier::default();
        frontier.advance("t", 0, 10);
        frontier.advance("t", 0, 4);
        let mut ledger = Ledger::resume(frontier);
        assert!(!ledger.is_new("t", 0, 9) && ledger.is_new("t", 0, 10));
        assert_eq!(ledger.received("t", 0, 3, 9), None);
        let a = ledger.received("t", 0, 8, 11).unwrap();
        assert!(!ledger.is_new("t", 0, 11));
        ledger.drop_flight("t", 0);
        assert!(ledger.is_new("t", 0, 10));
        ledger.done(a);
        assert_eq!(ledger.frontier().next("t", 0), Some(10));
    }

    #[test]
    fn a_frontier_reads_back() {
        let mut frontier = Frontier::default();
        frontier.advance("a", 0, 7);
        frontier.advance("b", 3, 1);
        let text = serde_json::to_string(&frontier).unwrap();
        assert_eq!(text, r#"{"a":{"0":7},"b":{"3":1}}"#);
        assert_eq!(serde_json::from_str::<Frontier>(&text).unwrap(), frontier);
    }

    proptest! {
        #[test]
        fn never_past_what_is_not_done(steps in prop::collection::vec((0i32..3, 1i64..5, 0i64..3, any::<bool>(), any::<prop::sample::Index>()), 1..80)) {
            let mut ledger = Ledger::default();
            let mut next = [0i64; 3];
            let mut open: Vec<(i32, i64, Ticket)> = Vec::new();
            let mut before = [0i64; 3];
            for (partition, len, gap, finish, which) in steps {
                let place = &mut next[partition as usize];
                let first = *place + gap;
                *place = first + len;
                open.push((partition, first, ledger.received("t", partition, first, first + len - 1).unwrap()));
                if finish {
                    let (_, _, ticket) = open.remove(which.index(open.len()));
                    ledger.done(ticket);
                }
                for p in 0..3 {
                    let Some(frontier) = ledger.frontier().next("t", p) else { continue };
                    let oldest = open.iter().filter(|o| o.0 == p).map(|o| o.1).min();
                    prop_assert!(oldest.is_none_or(|first| frontier <= first));
                    prop_assert!(frontier >= before[p as usize]);
                    before[p as usize] = frontier;
                    if oldest.is_none() {
                        prop_assert_eq!(frontier, next[p as usize]);
                    }
                }
            }
        }
    }
}
