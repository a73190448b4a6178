//! `sources`: where events come from, and how a Kafka cluster is reached (also used by sinks).
//!
//! Owns shapes and defaults only. Invariant: no secret can be written into the file itself; only
//! the name of a variable or of a file that holds it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::config::value::{Duration, EnvName, HostPort, Name, Topic};
use crate::decode;
use crate::model::Span;

/// One place events come from.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Source {
    /// Topics of a Kafka cluster.
    Kafka(Box<KafkaSource>),
    /// A file of JSON lines, read once to its end; .gz and .zst are read as they are.
    File(FileSource),
    /// Standard input, JSON lines.
    Stdin(StdinSource),
}

impl Source {
    /// The name given, or the kind's.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Kafka(s) => s.name.as_ref().map_or("kafka", Name::as_str),
            Self::File(s) => s.name.as_ref().map_or("file", Name::as_str),
            Self::Stdin(s) => s.name.as_ref().map_or("stdin", Name::as_str),
        }
    }
}

/// Topics of a Kafka cluster.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSource {
    /// Tells it from other sources for readers of this file; default: its kind. Alerts, metrics and stored
    /// positions go by the names of topics.
    #[serde(default)]
    pub name: Option<Name>,
    /// Brokers to ask first; the others are learnt from them.
    #[schemars(length(min = 1))]
    pub brokers: Vec<HostPort>,
    /// The topics to read.
    #[schemars(length(min = 1))]
    pub topics: Vec<TopicSource>,
    /// The consumer group under which progress is shown to others. Partitions are not shared by it:
    /// every instance reads all of them, from its own state.
    #[serde(default = "group")]
    #[schemars(length(min = 1, max = 255))]
    pub group: String,
    /// Where to begin when there is no stored position.
    #[serde(default)]
    pub start: Start,
    /// After this long without a record from a partition that has some, the client is made anew; if that brings none, after
    /// twice as long, up to a minute.
    #[serde(default = "stall_after")]
    pub stall_after: Duration,
    /// Encryption and log-in.
    #[serde(default)]
    pub security: Security,
    /// Further settings of librdkafka by their own names. What tidegate's guarantees rest on
    /// (offsets, commits, group) and secrets are refused here.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

fn group() -> String {
    "tidegate".to_owned()
}

fn stall_after() -> Duration {
    Duration(Span::minutes(1))
}

/// One topic.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicSource {
    /// The topic.
    pub name: Topic,
    /// The events' schema; `auto` tells it from each event.
    #[serde(default = "auto")]
    #[schemars(schema_with = "schema_names")]
    pub schema: String,
}

fn auto() -> String {
    "auto".to_owned()
}

fn schema_names(_: &mut SchemaGenerator) -> Schema {
    let known = decode::Schema::ALL.iter().map(|schema| schema.name());
    let names: Vec<&str> = std::iter::once("auto").chain(known).collect();
    json_schema!({ "type": "string", "enum": names })
}

/// Where a source without a stored position begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At the oldest record that is kept.
    #[default]
    Earliest,
    /// At what comes in from now on.
    Latest,
}

/// A file of JSON lines.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// Tells it from other sources for readers of this file; default: its kind.
    #[serde(default)]
    pub name: Option<Name>,
    /// The file.
    pub path: PathBuf,
    /// The events' schema; `auto` tells it from each event.
    #[serde(default = "auto")]
    #[schemars(schema_with = "schema_names")]
    pub schema: String,
}

/// Standard input.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdinSource {
    /// Tells it from other sources for readers of this file; default: its kind.
    #[serde(default)]
    pub name: Option<Name>,
    /// The events' schema; `auto` tells it from each event.
    #[serde(default = "auto")]
    #[schemars(schema_with = "schema_names")]
    pub schema: String,
}

/// How a Kafka cluster is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Encryption and log-in.
    pub protocol: Protocol,
    /// PEM file of the authorities to trust; default: the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client's certificate, for mutual TLS.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the client's private key, for mutual TLS.
    pub key_file: Option<PathBuf>,
    /// How to log in; needed with a sasl_ protocol.
    pub mechanism: Option<Mechanism>,
    /// Who logs in.
    pub username: Option<String>,
    /// Environment variable that holds the password.
    pub password_env: Option<EnvName>,
    /// File that holds the password; one line feed at its end is ignored.
    pub password_file: Option<PathBuf>,
}

/// Encryption and log-in of a Kafka connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither.
    #[default]
    Plaintext,
    /// Encrypted.
    Ssl,
    /// Log-in without encryption.
    SaslPlaintext,
    /// Log-in, encrypted.
    SaslSsl,
}

impl Protocol {
    /// Whether it logs in.
    #[must_use]
    pub const fn has_login(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// Whether it encrypts.
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// librdkafka's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }
}

/// How a Kafka client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// The password itself is sent.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Challenge and response over SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Challenge and response over SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    /// librdkafka's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}
