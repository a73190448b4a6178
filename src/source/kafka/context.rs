//! What librdkafka tells besides records: its log, and statistics once a second.
//!
//! Keeps the newest statistics until the source takes them. Never blocks the client's threads for
//! longer than a copy.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use serde::Deserialize;

/// What the statistics say of one partition; -1 or less where nothing is known.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Bounds {
    #[serde(rename = "hi_offset")]
    pub high: i64,
    #[serde(rename = "eof_offset")]
    pub eof: i64,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<String, Bounds>,
}

/// Topic, partition, bounds.
pub(super) type Seen = Vec<(String, i32, Bounds)>;

pub(super) struct Context {
    /// For making the client anew.
    config: ClientConfig,
    newest: Mutex<Option<Seen>>,
}

impl Context {
    pub(super) const fn new(config: ClientConfig) -> Self {
        Self {
            config,
            newest: Mutex::new(None),
        }
    }

    /// The newest statistics, once.
    pub(super) fn take(&self) -> Option<Seen> {
        self.newest.lock().ok()?.take()
    }

    /// Another consumer with the same configuration.
    pub(super) fn recreate(&self) -> Result<BaseConsumer<Self>, KafkaError> {
        self.config
            .create_with_context(Self::new(self.config.clone()))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else {
            return;
        };
        let seen = statistics
            .topics
            .into_iter()
            .flat_map(|(name, topic)| {
                topic
                    .partitions
                    .into_iter()
                    .filter_map(move |(number, bounds)| {
                        // Partition -1 is where librdkafka keeps records without one.
                        let number = number.parse().ok().filter(|n| *n >= 0)?;
                        Some((name.clone(), number, bounds))
                    })
            })
            .collect();
        if let Ok(mut newest) = self.newest.lock() {
            *newest = Some(seen);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "kafka", %error, reason);
    }
}

impl ConsumerContext for Context {}

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
