//! Partitions that the brokers name and that cannot be read yet: none leads them, or whoever does gives no
//! answer.
//!
//! Invariant: what they hold is waited for as long as for a broker that falls silent (`stall_after`), and no
//! longer: event time neither runs away from them at once nor stands still for good.

use std::time::{Duration, Instant};

use super::super::{Batch, Notice, Partition};
use super::KafkaSource;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    since: Instant,
    given_up: bool,
}

impl KafkaSource {
    /// Waits for these partitions of a topic.
    pub(super) fn await_leaders<'a>(
        &mut self,
        topic: u16,
        numbers: impl Iterator<Item = &'a i32>,
        batch: &mut Batch,
    ) {
        for number in numbers {
            let partition = Partition {
                topic,
                number: *number,
            };
            self.unread.entry(partition).or_insert_with(|| {
                batch.notices.push(Notice::Behind { partition });
                Unread {
                    since: Instant::now(),
                    given_up: false,
                }
            });
        }
    }

    /// Nobody answers: waits for all partitions that state knows and that are not read.
    pub(super) fn await_known(&mut self, batch: &mut Batch) {
        let known = self.start.iter().filter_map(|(topic, number, _)| {
            let partition = self.find(topic, number)?;
            (!self.lanes.contains_key(&partition)).then_some(partition)
        });
        let known: Vec<Partition> = known.collect();
        for partition in known {
            self.await_leaders(partition.topic, [&partition.number].into_iter(), batch);
        }
    }

    /// It is read from now on.
    pub(super) fn is_read(&mut self, partition: Partition, batch: &mut Batch) {
        if self.unread.remove(&partition).is_some_and(|u| u.given_up) {
            batch.notices.push(Notice::Behind { partition });
        }
    }

    /// This process stood still: nobody looked for them meanwhile.
    pub(super) fn await_anew(&mut self) {
        let now = Instant::now();
        let waiting = self.unread.values_mut().filter(|u| !u.given_up);
        waiting.for_each(|unread| unread.since = now);
    }

    /// Those that have been waited for as long as `limit` hold event time back no longer.
    pub(super) fn give_up_unread(&mut self, limit: Duration, batch: &mut Batch) {
        for (partition, unread) in &mut self.unread {
            if !unread.given_up && unread.since.elapsed() > limit {
                unread.given_up = true;
                let partition = *partition;
                batch.notices.push(Notice::Silent { partition });
            }
        }
    }
}
