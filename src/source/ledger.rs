//! Where each partition stands: the frontier of what is inside state, the last record before it, and of which
//! log that is.
//!
//! Pure. All are kept with the state. Invariant: a frontier never moves back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Fingerprint;

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

/// Per topic name and partition, the last record inside state: its offset and its fingerprint. By it a log
/// that lost its end and has grown again is told from the one that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last(BTreeMap<String, BTreeMap<i32, (i64, u64)>>);

impl Last {
    pub fn note(&mut self, topic: &str, partition: i32, offset: i64, fingerprint: Fingerprint) {
        if !self.0.contains_key(topic) {
            self.0.insert(topic.to_owned(), BTreeMap::new());
        }
        if let Some(partitions) = self.0.get_mut(topic) {
            partitions.insert(partition, (offset, fingerprint.0));
        }
    }

    /// The fingerprint of the record just before `next`, if it is known.
    #[must_use]
    pub fn before(&self, topic: &str, partition: i32, next: i64) -> Option<Fingerprint> {
        let (offset, fingerprint) = self.0.get(topic)?.get(&partition)?;
        (offset + 1 == next).then_some(Fingerprint(*fingerprint))
    }
}

/// Tells a log from another one that a topic of the same name has after it was made anew: half of the id that the
/// brokers gave the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogId(pub u64);

/// Per topic name and partition, which log it is that state has read, as far as that was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs(BTreeMap<String, BTreeMap<i32, LogId>>);

impl Logs {
    pub fn note(&mut self, topic: &str, partition: i32, id: LogId) {
        let partitions = self.0.entry(topic.to_owned()).or_default();
        partitions.insert(partition, id);
    }

    pub fn forget(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.0.get_mut(topic) {
            partitions.remove(&partition);
        }
    }

    #[must_use]
    pub fn of(&self, topic: &str, partition: i32) -> Option<LogId> {
        self.0.get(topic)?.get(&partition).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_log_it_was_reads_back() {
        let mut logs = Logs::default();
        logs.note("t", 1, LogId(7));
        logs.note("t", 1, LogId(u64::MAX));
        logs.note("t", 2, LogId(8));
        logs.forget("t", 2);
        let text = serde_json::to_string(&logs).unwrap();
        assert_eq!(text, format!(r#"{{"t":{{"1":{}}}}}"#, u64::MAX));
        let read: Logs = serde_json::from_str(&text).unwrap();
        assert_eq!(read.of("t", 1), Some(LogId(u64::MAX)));
        assert_eq!(read.of("t", 2).or(read.of("u", 1)), None);
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

    #[test]
    fn the_last_record_is_known_where_the_frontier_follows_it() {
        let mut last = Last::default();
        last.note("t", 0, 6, Fingerprint(9));
        last.note("t", 0, 7, Fingerprint(u64::MAX));
        assert_eq!(last.before("t", 0, 8), Some(Fingerprint(u64::MAX)));
        assert_eq!(last.before("t", 0, 7), None);
        assert_eq!(last.before("t", 1, 8), None);
        let text = serde_json::to_string(&last).unwrap();
        assert_eq!(serde_json::from_str::<Last>(&text).unwrap(), last);
    }
}
