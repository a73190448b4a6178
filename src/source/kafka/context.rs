//! What librdkafka tells besides records: its log, statistics once a second, and what its errors are about.
//!
//! Keeps the newest statistics and what the newest error is about until the source takes them. Never blocks the
//! client's threads for longer than a copy.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientContext, TopicPartitionList};
use serde::Deserialize;
use unpack::Refusal;

use super::anew::Told;
use super::broken;
use super::hearing::{Heard, patience};

/// What the statistics say of one partition; -1 or less where nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub high: i64,
    pub eof: i64,
    /// How much had been fetched and not given, of all partitions.
    pub waiting: u64,
    /// Its broker, if that has answered lately.
    pub heard: Option<Heard>,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: BTreeMap<String, BrokerStatistics>,
    #[serde(default)]
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct BrokerStatistics {
    nodeid: i32,
    source: String,
    state: String,
    /// Microseconds since the last answer; -1 if there was none.
    rxidle: i64,
    /// Per kind of request how many were sent.
    #[serde(default)]
    req: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<String, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    hi_offset: i64,
    eof_offset: i64,
    fetchq_cnt: u64,
    /// Whom it is read from; -1 for nobody.
    broker: i32,
}

impl BrokerStatistics {
    /// What is heard of it. A coordinator has a connection of its own, which brings no records.
    fn heard(&self, patience: Duration) -> Option<Heard> {
        let is_up = self.nodeid >= 0 && self.source != "logical" && self.state == "UP";
        let idle = Duration::from_micros(u64::try_from(self.rxidle).ok()?);
        (is_up && idle <= patience).then_some(Heard {
            broker: self.nodeid,
            fetches: self.req.get("Fetch").copied().unwrap_or(0),
        })
    }
}

/// librdkafka's own `fetch.wait.max.ms`.
const FETCH_WAIT_MS: u64 = 500;

/// Topic, partition, bounds.
pub(super) type Seen = Vec<(String, i32, Bounds)>;

/// What one report says; `None` for one that cannot be read.
fn parse(statistics: &[u8], patience: Duration) -> Option<Seen> {
    let statistics: Statistics = serde_json::from_slice(statistics).ok()?;
    let brokers = statistics.brokers.values();
    let heard: Vec<Heard> = brokers.filter_map(|b| b.heard(patience)).collect();
    let mut seen = Vec::new();
    for (name, topic) in statistics.topics {
        for (number, partition) in topic.partitions {
            // Partition -1 is where librdkafka keeps records without one.
            let Some(number) = number.parse().ok().filter(|n| *n >= 0) else {
                continue;
            };
            let bounds = Bounds {
                high: partition.hi_offset,
                eof: partition.eof_offset,
                waiting: partition.fetchq_cnt,
                heard: heard.iter().find(|h| h.broker == partition.broker).copied(),
            };
            seen.push((name.clone(), number, bounds));
        }
    }
    Some(seen)
}

/// The batch that an error is about.
#[derive(Clone, Debug)]
pub(super) enum About {
    Refused(Refusal),
    /// Its checksum does not hold; it begins at this offset, of some partition.
    Broken(i64),
}

pub(super) struct Context {
    /// How long a broker may be silent.
    patience: Duration,
    newest: Mutex<Option<Seen>>,
    /// How many reports have come, and how much in all that is neither a record nor an error.
    reports: AtomicU64,
    aside: AtomicU64,
    /// The batch that the error told last was about.
    about: Mutex<Option<About>>,
    /// The ids of topics.
    told: Told,
    /// The least of the client's log that is shown; below it stands what only we read.
    level: RDKafkaLogLevel,
}

impl Context {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let wait = config.get("fetch.wait.max.ms").and_then(|w| w.parse().ok());
        Self {
            patience: patience(Duration::from_millis(wait.unwrap_or(FETCH_WAIT_MS))),
            newest: Mutex::new(None),
            reports: AtomicU64::new(0),
            aside: AtomicU64::new(0),
            about: Mutex::new(None),
            told: Told::default(),
            level: config.log_level,
        }
    }

    /// The newest statistics, once.
    pub(super) fn take(&self) -> Option<Seen> {
        self.newest.lock().ok()?.take()
    }

    /// How many reports have come, and how much in all that is neither a record nor an error: a poll that takes one
    /// of them looks like one that found nothing.
    pub(super) fn beside(&self) -> (u64, u64) {
        let [reports, aside] = [&self.reports, &self.aside].map(|n| n.load(Ordering::Relaxed));
        (reports, aside)
    }

    fn came_aside(&self) {
        self.aside.fetch_add(1, Ordering::Relaxed);
    }

    /// The ids of topics, as far as they were told.
    pub(super) const fn told(&self) -> &Told {
        &self.told
    }

    /// The batch that the last error was about, once.
    pub(super) fn about(&self) -> Option<About> {
        self.about.lock().ok()?.take()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.came_aside();
        self.told.hear(message);
        if level as u8 <= self.level as u8 {
            log(level, facility, message);
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.came_aside();
        self.reports.fetch_add(1, Ordering::Relaxed);
        if let Some(seen) = parse(statistics, self.patience)
            && let Ok(mut newest) = self.newest.lock()
        {
            *newest = Some(seen);
        }
    }

    // Comes before the error itself, which has no place for the partition.
    fn error(&self, error: KafkaError, reason: &str) {
        self.came_aside();
        tracing::debug!(target: "kafka", %error, reason);
        if let Ok(mut about) = self.about.lock() {
            let refused = Refusal::read(reason).map(About::Refused);
            *about = refused.or_else(|| broken::read(reason).map(About::Broken));
        }
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        self.came_aside();
        if let Err(error) = result {
            tracing::debug!(target: "kafka", %error, "the group's offsets were not taken");
        }
    }
}

/// The client's own log lines; they hold addresses of brokers, never credentials or payloads.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::warn!(target: "kafka", facility, message),
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(target: "kafka", facility, message);
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "kafka", facility, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As librdkafka 2.12 wrote it, shortened to two brokers of three connections.
    fn report(rxidle: i64, state: &str) -> String {
        format!(
            r#"{{"name":"tidegate#consumer-1","ts":1,"brokers":{{
            "b:9092/1":{{"name":"b:9092/1","nodeid":1,"source":"learned","state":"{state}","rxidle":{rxidle},"req":{{"Fetch":7,"Metadata":2}}}},
            "b:9092/2":{{"name":"b:9092/2","nodeid":2,"source":"configured","state":"UP","rxidle":9,"req":{{"Fetch":4}}}},
            "GroupCoordinator":{{"name":"GroupCoordinator","nodeid":1,"source":"logical","state":"UP","rxidle":1,"req":{{}}}}}},
            "topics":{{"t":{{"topic":"t","partitions":{{
            "0":{{"partition":0,"broker":1,"leader":1,"hi_offset":5,"eof_offset":5,"fetchq_cnt":3}},
            "1":{{"partition":1,"broker":2,"leader":2,"hi_offset":8,"eof_offset":-1001,"fetchq_cnt":3}},
            "-1":{{"partition":-1,"broker":-1,"leader":-1,"hi_offset":-1001,"eof_offset":-1001,"fetchq_cnt":3}}}}}}}}}}"#
        )
    }

    fn heard(rxidle: i64, state: &str) -> Vec<Option<i64>> {
        let seen = parse(
            report(rxidle, state).as_bytes(),
            Duration::from_millis(2500),
        )
        .unwrap();
        assert_eq!(seen.len(), 2, "{seen:?}");
        seen.iter().map(|s| Some(s.2.heard?.fetches)).collect()
    }

    /// It comes through the queue of records, and a poll that takes it gives none.
    #[test]
    fn a_word_of_the_log_is_counted_also_where_it_is_not_shown() {
        let context = Context::new(&ClientConfig::new());
        context.log(RDKafkaLogLevel::Debug, "METADATA", "Topic t [0] Leader 1");
        assert_eq!(context.beside(), (0, 1));
        context.stats_raw(b"{}");
        assert_eq!(context.beside(), (1, 2));
    }

    #[test]
    fn a_partition_is_heard_while_its_own_broker_answers() {
        assert_eq!(heard(400_000, "UP"), [Some(7), Some(4)]);
        assert_eq!(heard(3_000_000, "UP"), [None, Some(4)], "long silent");
        assert_eq!(heard(-1, "UP"), [None, Some(4)], "connected, never heard");
        assert_eq!(heard(10, "TRY_CONNECT"), [None, Some(4)]);
    }
}
