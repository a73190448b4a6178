//! Kafka: see the next change.
