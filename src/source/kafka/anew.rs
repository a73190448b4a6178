//! Topics that are deleted and made anew while they are read. librdkafka goes on in the new log at the old offset,
//! without a word where that log has it already; that the topic has another id stands in its debug log only.
//!
//! It stands there before anything of the new log is asked for. Invariant: no record of another log is taken for
//! one of the log that was read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::consumer::Consumer as _;

use super::super::{Batch, Halt, Partition};
use super::KafkaSource;

/// The id of a topic that brokers know by its name alone.
const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The newest ids of topics, as one client is told them.
#[derive(Debug, Default)]
pub(super) struct Told {
    ids: Mutex<BTreeMap<String, String>>,
    changes: AtomicU64,
}

impl Told {
    /// Takes in a line of the client's log.
    pub(super) fn hear(&self, line: &str) {
        if let Some((topic, id)) = read(line)
            && let Ok(mut ids) = self.ids.lock()
        {
            ids.insert(topic.to_owned(), id.to_owned());
            self.changes.fetch_add(1, Ordering::Release);
        }
    }
}

/// The ids of the topics that are read.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: BTreeMap<String, String>,
    /// How many changes of the client were looked at.
    changes: u64,
    /// Topics that have another id.
    anew: BTreeSet<String>,
}

impl Ids {
    /// Whether some topic is another one than before, by what the client was told. Cheap where it was told nothing.
    pub(super) fn differ(&mut self, told: &Told) -> bool {
        let changes = told.changes.load(Ordering::Acquire);
        if changes != self.changes
            && let Ok(ids) = told.ids.lock()
        {
            self.changes = changes;
            for (topic, id) in ids.iter() {
                let before = self.known.insert(topic.clone(), id.clone());
                if before.is_some_and(|before| before != *id) {
                    self.anew.insert(topic.clone());
                }
            }
        }
        !self.anew.is_empty()
    }

    /// Whether this topic is among them.
    pub(super) fn is_anew(&mut self, told: &Told, topic: &str) -> bool {
        self.differ(told) && self.anew.contains(topic)
    }

    /// Another client was told nothing yet.
    pub(super) fn begin(&mut self) {
        self.changes = 0;
    }
}

impl KafkaSource {
    /// Stops the partitions of topics that were made anew, or goes on at the beginning of their new logs where an
    /// operator has accepted that.
    pub(super) fn part(&mut self, batch: &mut Batch) {
        if !self.ids.differ(self.consumer.context().told()) {
            return;
        }
        for topic in std::mem::take(&mut self.ids.anew) {
            let of_topic = |p: &Partition| self.name(p.topic) == topic;
            // Where there was nothing, nothing is lost.
            let running = self
                .lanes
                .iter()
                .filter(|(_, lane)| lane.halted.is_none() && lane.reached().max(lane.high) > 0);
            let running: Vec<Partition> = running.map(|(p, _)| *p).filter(of_topic).collect();
            for partition in running {
                if self.is_accepted(partition) {
                    self.accept(partition, 0, Halt::Anew, batch);
                    if let Some(lane) = self.lanes.get_mut(&partition) {
                        (lane.low, lane.high) = (0, 0);
                    }
                } else {
                    self.halt(partition, Halt::Anew, batch);
                }
            }
        }
        // It may have fewer partitions, or more.
        self.refresh_at = self.reported_at;
        self.reassign(batch);
    }
}

/// Finds a topic and its new id in a line such as
/// `[thrd:main]: Topic logins changed id from AAAAAAAAAAAAAAAAAAAAAA to qCgtQXFPTU2rq0YKRBCmEw`.
fn read(line: &str) -> Option<(&str, &str)> {
    let (before, after) = line.split_once(" changed id from ")?;
    let (_, topic) = before.rsplit_once("Topic ")?;
    let (_, id) = after.split_once(" to ")?;
    (id != NONE).then_some((topic, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(topic: &str, from: &str, to: &str) -> String {
        format!("[thrd:main]: Topic {topic} changed id from {from} to {to}")
    }

    #[test]
    fn a_topic_and_its_id_are_read_from_the_clients_words() {
        let told = line("logins.v1", NONE, "qCgtQXFPTU2rq0YKRBCmEw");
        assert_eq!(read(&told), Some(("logins.v1", "qCgtQXFPTU2rq0YKRBCmEw")));
        assert_eq!(read(&line("t", "qCgtQXFPTU2rq0YKRBCmEw", NONE)), None);
        assert_eq!(read("[thrd:main]: Topic t [0] Leader 1 Epoch 0"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn a_topic_is_another_one_where_its_id_is_also_for_another_client() {
        let (mut ids, told) = (Ids::default(), Told::default());
        assert!(!ids.differ(&told));
        told.hear(&line("t", NONE, "a"));
        told.hear(&line("u", NONE, "b"));
        assert!(!ids.differ(&told));
        ids.begin();
        let told = Told::default();
        told.hear(&line("t", NONE, "a"));
        assert!(!ids.differ(&told));
        told.hear(&line("u", NONE, "c"));
        assert!(ids.differ(&told));
        assert!(ids.is_anew(&told, "u") && !ids.is_anew(&told, "t"));
    }
}
