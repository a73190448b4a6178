//! Partitions that state knows and the brokers no longer name: the topic was made anew with fewer, or
//! is gone.
//!
//! Invariant: none is passed over in silence. It stops, an operator decides, and it holds event time
//! back no longer. One whose loss is accepted at the start leaves the frontier, and nothing else is known of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::{Batch, Halt, Notice, Partition};
use super::survey::Leaders;
use super::{KafkaSource, Lane};

/// How long a partition may be missing in what the brokers say of its topic.
pub(super) const MISSING_MAX: Duration = Duration::from_secs(5);

impl KafkaSource {
    /// Stops partitions that the brokers have not named for long though state knows them, since
    /// nobody else would: they hold event time back. False while some are missing.
    pub(super) fn miss(&mut self, topic: u16, found: &Leaders, batch: &mut Batch) -> bool {
        let name = self.name(topic).to_owned();
        let kept = self.start.iter().filter(|(t, ..)| *t == name);
        let mut expected: BTreeMap<i32, i64> = kept.map(|(_, n, next)| (n, next)).collect();
        let lanes = self.lanes.iter().filter(|(p, _)| p.topic == topic);
        for (partition, lane) in lanes {
            if lane.halted.is_none() {
                expected.insert(partition.number, lane.next);
            } else {
                expected.remove(&partition.number);
            }
        }
        expected.retain(|number, _| !found.contains_key(number));
        self.missing
            .retain(|p, _| p.topic != topic || expected.contains_key(&p.number));
        let now = Instant::now();
        let (mut complete, mut is_read) = (true, false);
        for (number, next) in expected {
            let partition = Partition { topic, number };
            let since = *self.missing.entry(partition).or_insert(now);
            if now - since < MISSING_MAX {
                complete = false;
                continue;
            }
            self.missing.remove(&partition);
            self.unread.remove(&partition);
            let was_read = self.lanes.contains_key(&partition);
            // What was there when the operator accepted a loss is not what he meant.
            if !was_read && self.is_accepted(partition) {
                self.start.forget(&name, number);
                self.gone.insert(partition);
                batch.notices.push(Notice::Gone { partition });
                continue;
            }
            self.lanes.insert(partition, Lane::missing(next));
            batch.notices.push(Notice::Halted {
                partition,
                next,
                cause: Halt::Missing,
            });
            is_read |= was_read;
        }
        if is_read {
            self.reassign(batch);
        }
        complete
    }
}
