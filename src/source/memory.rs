//! Records from memory, for tests, the simulation and embedded use.
//!
//! Keeps the contract of a log: partitions with offsets that rise from 0, reading from a frontier,
//! ends reported once. Knows no clock and never waits.

use std::collections::VecDeque;
use std::time::Duration;

use super::ledger::Frontier;
use super::{Batch, Error, Lag, Notice, Partition, Polled, Record, Source, Stamp, Topic};

#[derive(Clone, Debug)]
struct Kept {
    partition: Partition,
    offset: i64,
    stamp: Stamp,
    payload: Vec<u8>,
}

/// A log in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    topics: Vec<Topic>,
    queue: VecDeque<Kept>,
    /// Per partition: offsets given out, next to read, whether its end was reported.
    lanes: Vec<(Partition, i64, i64, bool)>,
    closed: bool,
    /// What was last published.
    pub published: Frontier,
}

impl MemorySource {
    #[must_use]
    pub fn new(topics: Vec<Topic>) -> Self {
        Self {
            topics,
            ..Self::default()
        }
    }

    /// Appends a record and returns its offset.
    pub fn append(&mut self, topic: u16, number: i32, stamp: Stamp, payload: &[u8]) -> i64 {
        let partition = Partition { topic, number };
        let lane = match self.lanes.iter_mut().position(|l| l.0 == partition) {
            Some(i) => self.lanes.get_mut(i),
            None => {
                self.lanes.push((partition, 0, 0, false));
                self.lanes.last_mut()
            }
        };
        let offset = lane.map_or(0, |lane| {
            lane.1 += 1;
            lane.1 - 1
        });
        self.queue.push_back(Kept {
            partition,
            offset,
            stamp,
            payload: payload.to_vec(),
        });
        offset
    }

    /// No more records will be appended: after the last one the source is at its end.
    pub fn close(&mut self) {
        self.closed = true;
    }
}

impl Source for MemorySource {
    fn topics(&self) -> &[Topic] {
        &self.topics
    }

    fn poll(&mut self, batch: &mut Batch, _wait: Duration) -> Result<Polled, Error> {
        for (partition, appended, next, reported) in &mut self.lanes {
            if *reported && appended != next {
                *reported = false;
                let partition = *partition;
                batch.notices.push(Notice::Behind { partition });
            }
        }
        while !batch.is_full() {
            let Some(kept) = self.queue.pop_front() else {
                break;
            };
            if let Some(lane) = self.lanes.iter_mut().find(|l| l.0 == kept.partition) {
                lane.2 = kept.offset + 1;
            }
            batch.push(Record {
                partition: kept.partition,
                offset: kept.offset,
                stamp: kept.stamp,
                payload: &kept.payload,
                event_id: None,
                traceparent: None,
            });
        }
        for (partition, appended, next, reported) in &mut self.lanes {
            if appended == next && !*reported {
                *reported = true;
                batch.notices.push(Notice::End {
                    partition: *partition,
                    next: *next,
                });
            }
        }
        Ok(match (batch.is_empty(), self.closed) {
            (false, _) => Polled::Some,
            (true, true) => Polled::End,
            (true, false) => Polled::Nothing,
        })
    }

    fn publish(&mut self, frontier: &Frontier) {
        self.published = frontier.clone();
    }

    fn lag(&self) -> Vec<Lag> {
        self.lanes
            .iter()
            .map(|(partition, appended, next, _)| Lag {
                partition: *partition,
                next: *next,
                records: appended - next,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_ends() {
        let mut source = MemorySource::new(vec![Topic {
            name: "t".into(),
            schema: None,
        }]);
        let wait = Duration::ZERO;
        let mut batch = Batch::default();
        assert_eq!(source.append(0, 0, Stamp::None, b"a"), 0);
        assert_eq!(source.append(0, 0, Stamp::None, b"b"), 1);
        assert_eq!(source.lag()[0].records, 2);
        assert_eq!(source.poll(&mut batch, wait).unwrap(), Polled::Some);
        let seen: Vec<_> = batch.records().map(|r| (r.offset, r.payload)).collect();
        assert_eq!(seen, [(0, &b"a"[..]), (1, b"b")]);
        let partition = Partition::default();
        assert_eq!(batch.notices, [Notice::End { partition, next: 2 }]);
        batch.clear();
        source.close();
        assert_eq!(source.poll(&mut batch, wait).unwrap(), Polled::End);
    }
}
