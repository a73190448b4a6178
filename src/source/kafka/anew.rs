//! Topics that are deleted and made anew while they are read, or while nothing ran. librdkafka goes on in the new log
//! at the old offset, without a word where that log has it already; that the topic has another id stands in its
//! debug log only.
//!
//! It stands there before anything of the new log is asked for. Invariant: no record of another log is taken for
//! one of the log that was read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use rdkafka::consumer::Consumer as _;

use super::super::ledger::LogId;
use super::super::{Batch, Halt, Notice, Partition};
use super::KafkaSource;
use super::lane::Lane;

/// The newest ids of topics, as one client is told them.
#[derive(Debug, Default)]
pub(super) struct Told {
    ids: Mutex<BTreeMap<String, LogId>>,
    changes: AtomicU64,
}

impl Told {
    /// Takes in a line of the client's log.
    pub(super) fn hear(&self, line: &str) {
        if let Some((topic, id)) = read(line) {
            let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
            ids.insert(topic.to_owned(), id);
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// How often it was told anything.
    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn id(&self, topic: &str) -> Option<LogId> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.get(topic).copied()
    }

    fn ids(&self) -> BTreeMap<String, LogId> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.clone()
    }
}

impl KafkaSource {
    /// Whether what comes is of another log than what was read of the partition. Cheap where nothing was told. What
    /// comes is not taken then: `part` has it read again, or not at all.
    pub(super) fn is_anew(&self, partition: Partition, offset: i64) -> bool {
        let told = self.consumer.context().told();
        // As long as the record before it can show that, the id is not asked.
        let is_open = |lane: &&Lane| lane.proof.is_none() || offset >= lane.next;
        let lane = self.lanes.get(&partition).filter(is_open);
        told.changes() != self.parted
            && lane.and_then(|lane| lane.log).is_some_and(|before| {
                let now = told.id(self.name(partition.topic));
                now.is_some_and(|now| now != before)
            })
    }

    /// Stops the partitions of topics that were made anew, or goes on at the beginning of their new logs where an
    /// operator has accepted that. Says which log it is that the others are read from.
    pub(super) fn part(&mut self, batch: &mut Batch) {
        let told = self.consumer.context().told();
        let changes = told.changes();
        if changes == self.parted {
            return;
        }
        let ids = told.ids();
        self.parted = changes;
        let (mut lost, mut is_anew, mut is_open) = (Vec::new(), false, false);
        for (partition, lane) in self.lanes.iter_mut().filter(|(_, l)| l.halted.is_none()) {
            let topic = self.topics.get(usize::from(partition.topic));
            let Some(id) = topic.and_then(|t| ids.get(&t.name)).copied() else {
                continue;
            };
            if lane.proof.is_some() && lane.log.is_some_and(|before| before != id) {
                is_open = true;
                continue;
            }
            let had_some = lane.reached().max(lane.high) > 0;
            match lane.log.replace(id) {
                Some(before) if before == id => {}
                Some(_) if had_some => lost.push(*partition),
                before => {
                    // Where there was nothing, nothing is lost.
                    is_anew |= before.is_some();
                    let partition = *partition;
                    batch.notices.push(Notice::Log { partition, id });
                }
            }
        }
        if is_open {
            self.parted = 0;
        }
        if lost.is_empty() && !is_anew {
            return;
        }
        for partition in lost {
            if self.is_accepted(partition) {
                self.accept(partition, 0, Halt::Anew, batch);
                if let Some(lane) = self.lanes.get_mut(&partition) {
                    (lane.low, lane.high) = (0, 0);
                }
            } else {
                self.halt(partition, Halt::Anew, batch);
            }
        }
        // It may have fewer partitions, or more; and what was fetched of it is fetched again.
        self.refresh_at = self.reported_at;
        self.reassign(batch);
    }
}

/// Finds a topic and its new id in a line such as
/// `[thrd:main]: Topic logins changed id from AAAAAAAAAAAAAAAAAAAAAA to qCgtQXFPTU2rq0YKRBCmEw`. Brokers before
/// Kafka 2.8 know topics by their names alone: that id is 0.
fn read(line: &str) -> Option<(&str, LogId)> {
    let (before, after) = line.split_once(" changed id from ")?;
    let (_, topic) = before.rsplit_once("Topic ")?;
    let (_, id) = after.split_once(" to ")?;
    let bytes = BASE64_STANDARD_NO_PAD.decode(id.get(..22)?).ok()?;
    let id = u64::from_be_bytes(*bytes.first_chunk()?);
    (id != 0).then_some((topic, LogId(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_and_its_id_are_read_from_the_clients_words() {
        const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
        const SOME: &str = "qCgtQXFPTU2rq0YKRBCmEw";
        let line = |topic: &str, from: &str, to: &str| {
            format!("[thrd:main]: Topic {topic} changed id from {from} to {to}")
        };
        let id = LogId(0xa828_2d41_714f_4d4d);
        assert_eq!(
            read(&line("logins.v1", NONE, SOME)),
            Some(("logins.v1", id))
        );
        let other = line("t", NONE, "+/AtQXFPTU2rq0YKRBCmEw");
        assert_eq!(read(&other), Some(("t", LogId(0xfbf0_2d41_714f_4d4d))));
        assert_eq!(read(&line("t", SOME, NONE)), None);
        assert_eq!(read(&line("t", NONE, "short")), None);
        assert_eq!(read("[thrd:main]: Topic t [0] Leader 1 Epoch 0"), None);
        assert_eq!(read(""), None);
    }
}
