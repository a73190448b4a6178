//! A broker within this process, for `demo` and tests: librdkafka's mock cluster.
//!
//! Owns the cluster and its topics. It speaks the real protocol on loopback, keeps everything in
//! memory and drops the oldest records beyond 5 MiB a partition; it is no broker to rely on.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::source::Error;

/// A broker that lives as long as this value.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts a broker with these topics, each with that many partitions.
    ///
    /// # Errors
    /// librdkafka cannot start it, or refuses a topic.
    pub fn start(topics: &[&str], partitions: i32) -> Result<Self, Error> {
        let cluster = MockCluster::new(1)
            .map_err(|error| Error::Kafka(format!("no embedded broker: {error}")))?;
        let broker = Self { cluster };
        for topic in topics {
            broker.create(topic, partitions)?;
        }
        Ok(broker)
    }

    /// Makes one more topic.
    ///
    /// # Errors
    /// librdkafka refuses it.
    pub fn create(&self, topic: &str, partitions: i32) -> Result<(), Error> {
        self.cluster
            .create_topic(topic, partitions, 1)
            .map_err(|error| {
                Error::Kafka(format!(
                    "the embedded broker refuses topic `{topic}`: {error}"
                ))
            })
    }

    /// Where clients find it: `host:port`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}
