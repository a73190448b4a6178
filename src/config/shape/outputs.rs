//! `alerts` and `dead_letters`, and the webhooks of both kinds: everything that leaves.
//!
//! Owns shapes and defaults only. Invariant: the default sends nothing anywhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sources::Security;
use crate::config::value::{Duration, EnvName, HostPort, Name, Size, Topic, Url};
use crate::model::{Level, Span};

/// Where alerts go.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// All of them get every alert at or above their level. Without any, alerts are seen in the
    /// console and the API only.
    pub sinks: Vec<Sink>,
}

/// One receiver of alerts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Sink {
    /// One JSON line per alert on standard output.
    Stdout(StdoutSink),
    /// One JSON line per alert, appended to a file.
    File(FileSink),
    /// A Kafka topic, keyed by alert id.
    Kafka(KafkaSink),
    /// A signed webhook (Standard Webhooks).
    Webhook(WebhookSink),
}

impl Sink {
    /// The name given, or the kind's.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Stdout(s) => s.name.as_ref().map_or("stdout", Name::as_str),
            Self::File(s) => s.name.as_ref().map_or("file", Name::as_str),
            Self::Kafka(s) => s.name.as_ref().map_or("kafka", Name::as_str),
            Self::Webhook(s) => s.name.as_ref().map_or("webhook", Name::as_str),
        }
    }
}

/// Standard output.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutSink {
    /// How it is called in logs and metrics; default: its kind.
    #[serde(default)]
    pub name: Option<Name>,
    /// Alerts below this level are not sent.
    #[serde(default = "lowest")]
    #[schemars(with = "LevelName")]
    pub level_min: Level,
}

/// A file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// How it is called in logs and metrics; default: its kind.
    #[serde(default)]
    pub name: Option<Name>,
    /// The file; made if missing, readable by the owner only.
    pub path: PathBuf,
    /// Alerts below this level are not sent.
    #[serde(default = "lowest")]
    #[schemars(with = "LevelName")]
    pub level_min: Level,
}

/// A Kafka topic.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSink {
    /// How it is called in logs and metrics; default: its kind.
    #[serde(default)]
    pub name: Option<Name>,
    /// Brokers to ask first; the others are learnt from them.
    #[schemars(length(min = 1))]
    pub brokers: Vec<HostPort>,
    /// The topic; it must exist.
    pub topic: Topic,
    /// Encryption and log-in.
    #[serde(default)]
    pub security: Security,
    /// Further settings of librdkafka by their own names.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Alerts below this level are not sent.
    #[serde(default = "lowest")]
    #[schemars(with = "LevelName")]
    pub level_min: Level,
}

fn lowest() -> Level {
    Level::Informational
}

/// Sigma's levels, for the schema; `model` knows nothing of schemas.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes model::Level in the JSON Schema")]
enum LevelName {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

/// An alert webhook.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSink {
    /// How it is called in logs and metrics; default: its kind.
    #[serde(default)]
    pub name: Option<Name>,
    /// Where to send; https only, unless the host is this machine. Only its host is ever shown.
    pub url: Url,
    /// Environment variable that holds the signing secret: whsec_… (HMAC) or whsk_… (ed25519).
    #[serde(default)]
    pub secret_env: Option<EnvName>,
    /// File that holds the signing secret.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Environment variable that holds the secret before a rotation; both then sign.
    #[serde(default)]
    pub previous_secret_env: Option<EnvName>,
    /// File that holds the secret before a rotation; both then sign.
    #[serde(default)]
    pub previous_secret_file: Option<PathBuf>,
    /// The longest one attempt may take, answer included.
    #[serde(default = "timeout")]
    pub timeout: Duration,
    /// PEM file of the authorities to trust; default: the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Lets this host have a loopback or private address, for a receiver inside your network;
    /// link-local ones, where clouds keep credentials, stay refused.
    #[serde(default)]
    pub allow_private: bool,
    /// Alerts below this level are not sent.
    #[serde(default = "lowest")]
    #[schemars(with = "LevelName")]
    pub level_min: Level,
}

/// A containment webhook.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// How it is called in logs, metrics and receipts.
    pub name: Name,
    /// Where to send; https only, unless the host is this machine. Only its host is ever shown.
    pub url: Url,
    /// Environment variable that holds the signing secret: whsec_… (HMAC) or whsk_… (ed25519).
    #[serde(default)]
    pub secret_env: Option<EnvName>,
    /// File that holds the signing secret.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Environment variable that holds the secret before a rotation; both then sign.
    #[serde(default)]
    pub previous_secret_env: Option<EnvName>,
    /// File that holds the secret before a rotation; both then sign.
    #[serde(default)]
    pub previous_secret_file: Option<PathBuf>,
    /// The longest one attempt may take, answer included.
    #[serde(default = "timeout")]
    pub timeout: Duration,
    /// PEM file of the authorities to trust; default: the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Lets this host have a loopback or private address, for a receiver inside your network;
    /// link-local ones, where clouds keep credentials, stay refused.
    #[serde(default)]
    pub allow_private: bool,
}

fn timeout() -> Duration {
    Duration(Span::seconds(10))
}

/// What both kinds of webhook have, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// How it is called.
    pub name: &'a str,
    /// Where to send.
    pub url: &'a Url,
    /// The signing secret's variable or file.
    pub secret: (Option<&'a EnvName>, Option<&'a PathBuf>),
    /// The secret before a rotation.
    pub previous: (Option<&'a EnvName>, Option<&'a PathBuf>),
    /// The longest one attempt may take.
    pub timeout: Duration,
    /// Authorities to trust.
    pub ca_file: Option<&'a PathBuf>,
    /// Loopback and private addresses are allowed.
    pub allow_private: bool,
}

macro_rules! endpoint {
    ($self:ident, $name:expr) => {
        Endpoint {
            name: $name,
            url: &$self.url,
            secret: ($self.secret_env.as_ref(), $self.secret_file.as_ref()),
            previous: (
                $self.previous_secret_env.as_ref(),
                $self.previous_secret_file.as_ref(),
            ),
            timeout: $self.timeout,
            ca_file: $self.ca_file.as_ref(),
            allow_private: $self.allow_private,
        }
    };
}

impl Webhook {
    /// What it has in common with an alert webhook.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint<'_> {
        endpoint!(self, self.name.as_str())
    }
}

impl WebhookSink {
    /// What it has in common with a containment webhook.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint<'_> {
        endpoint!(self, self.name.as_ref().map_or("webhook", Name::as_str))
    }
}

/// Where input goes that could not be read.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DeadLetters {
    /// One JSON line per dead letter, appended to a file.
    File(DeadLetterFile),
    /// A Kafka topic.
    Kafka(DeadLetterTopic),
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self::File(DeadLetterFile::default())
    }
}

/// A file of dead letters.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterFile {
    /// The file; default: dead-letters.jsonl in the state folder.
    pub path: Option<PathBuf>,
    /// At this size nothing more is written to the file: dead letters are counted, told in the log and
    /// dropped, until it is moved away; then a new one is begun.
    pub size_max: Size,
}

impl Default for DeadLetterFile {
    fn default() -> Self {
        Self {
            path: None,
            size_max: Size::mib(256),
        }
    }
}

/// A topic of dead letters.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterTopic {
    /// Brokers to ask first; the others are learnt from them.
    #[schemars(length(min = 1))]
    pub brokers: Vec<HostPort>,
    /// The topic; it must exist.
    pub topic: Topic,
    /// Encryption and log-in.
    #[serde(default)]
    pub security: Security,
    /// Further settings of librdkafka by their own names.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}
