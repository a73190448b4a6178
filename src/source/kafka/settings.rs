//! The settings of a Kafka connection and how they become librdkafka's.
//!
//! Owns the keys people write and the ones they may not override. Secrets come from the environment
//! or a file and are in no `Debug`, error or serialised form.

#![expect(clippy::disallowed_methods, reason = "reads the password's file")]

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Topic;
use crate::model::Span;

/// A connection to Kafka and the topics read from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Host and port of one or more brokers.
    pub brokers: Vec<String>,
    /// The topics to read.
    #[schemars(with = "Vec<TopicForm>")]
    pub topics: Vec<TopicSettings>,
    /// The consumer group whose offsets show how far state has come. They are never read back.
    #[serde(default = "default_group")]
    pub group: String,
    /// Where a topic is read from that state does not know yet.
    #[serde(default)]
    pub start: Start,
    /// Encryption and authentication.
    #[serde(default)]
    pub security: Security,
    /// Needed with `sasl_plaintext` and `sasl_tls`.
    #[serde(default)]
    pub sasl_mechanism: Option<Mechanism>,
    #[serde(default)]
    pub username: Option<String>,
    /// The environment variable that holds the password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// The file that holds the password; its last line break is left out.
    #[serde(default)]
    pub password_file: Option<String>,
    /// Certificates to trust, as a PEM file; without it those of the system.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// Our own certificate, as a PEM file.
    #[serde(default)]
    pub certificate_file: Option<String>,
    /// Its key, as a PEM file.
    #[serde(default)]
    pub key_file: Option<String>,
    /// After this long without records though there are some, the client is made anew; if that brings none, after twice as
    /// long, up to a minute.
    #[serde(default = "default_stall", with = "span")]
    #[schemars(with = "String")]
    pub stall_after: Span,
    /// How often new partitions are looked for.
    #[serde(default = "default_refresh", with = "span")]
    #[schemars(with = "String")]
    pub refresh_every: Span,
    /// Further librdkafka properties, as librdkafka names them.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// A topic by its name, or by its name and its schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicSettings {
    pub name: String,
    pub schema: Option<String>,
}

/// The two forms in which a topic may be written.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a form and is never made")]
enum TopicForm {
    /// The schema is told from each record's shape.
    Name(String),
    Full(FullTopic),
}

/// A topic whose records all have one schema.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FullTopic {
    name: String,
    /// `tidegate`, `okta`, `keycloak`, `ses`, `github`, or `auto`.
    #[serde(default)]
    schema: Option<String>,
}

// By hand, since serde's untagged enums forget where in the file a fault is.
impl<'de> Deserialize<'de> for TopicSettings {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> serde::de::Visitor<'de> for Form {
            type Value = TopicSettings;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a topic's name, or an object with name and schema")
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<TopicSettings, E> {
                Ok(TopicSettings {
                    name: name.to_owned(),
                    schema: None,
                })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<TopicSettings, A::Error> {
                let full =
                    FullTopic::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(TopicSettings {
                    name: full.name,
                    schema: full.schema,
                })
            }
        }
        d.deserialize_any(Form)
    }
}

impl TopicSettings {
    /// The name and the schema; `auto` is none.
    #[must_use]
    pub fn topic(&self) -> Topic {
        let schema = self
            .schema
            .clone()
            .filter(|s| !s.eq_ignore_ascii_case("auto"));
        Topic {
            name: self.name.clone(),
            schema,
        }
    }
}

/// The beginning of a topic, or only what comes from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    Earliest,
    #[default]
    Latest,
}

/// Encryption and authentication of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    #[default]
    Plaintext,
    Tls,
    SaslPlaintext,
    SaslTls,
}

/// How a password is shown to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    #[serde(rename = "plain")]
    Plain,
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

fn default_group() -> String {
    "tidegate".to_owned()
}

const fn default_stall() -> Span {
    Span::minutes(1)
}

const fn default_refresh() -> Span {
    Span::minutes(1)
}

/// Spans as texts with a unit.
mod span {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Span;

    pub(super) fn serialize<S: Serializer>(span: &Span, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(span)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Span, D::Error> {
        let text = String::deserialize(d)?;
        Span::parse(&text).filter(|span| span.0 > 0).ok_or_else(|| {
            serde::de::Error::custom(
                "not a span of time; write a number with a unit, such as \"60s\"",
            )
        })
    }
}

/// What correctness rests on; not for `properties`.
const FIXED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("check.crcs", "true"),
    ("enable.partition.eof", "true"),
    ("statistics.interval.ms", "1000"),
];

/// Better defaults than librdkafka's; `properties` may change them.
const TUNED: &[(&str, &str)] = &[
    ("client.id", "tidegate"),
    // At the default of 1000 a full queue starves the reader for a second at a time.
    ("fetch.queue.backoff.ms", "5"),
    ("queued.max.messages.kbytes", "16384"),
    // Each message costs half a KiB beside its bytes; at the default of 100,000 that is the most of it.
    ("queued.min.messages", "20000"),
    // All that one answer brings is held, and unpacked as far as there is room, before any of it is read.
    // `receive.message.max.bytes` stays at its 100 MB: what is larger ends the connection, again and again.
    ("fetch.max.bytes", "2097152"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.max.ms", "2000"),
];

impl Settings {
    /// Sets the properties of a protected connection.
    fn protect(
        &self,
        config: &mut ClientConfig,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        let protocol = match self.security {
            Security::Plaintext => "plaintext",
            Security::Tls => "ssl",
            Security::SaslPlaintext => "sasl_plaintext",
            Security::SaslTls => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        for (key, value) in [
            ("ssl.ca.location", &self.ca_file),
            ("ssl.certificate.location", &self.certificate_file),
            ("ssl.key.location", &self.key_file),
        ] {
            if let Some(value) = value {
                config.set(key, value);
            }
        }
        if !matches!(self.security, Security::SaslPlaintext | Security::SaslTls) {
            let idle = self.sasl_mechanism.is_some() || self.username.is_some();
            return if idle {
                Err(
                    "sasl_mechanism and username need security: sasl_tls or sasl_plaintext"
                        .to_owned(),
                )
            } else {
                Ok(())
            };
        }
        let mechanism = match self.sasl_mechanism {
            Some(Mechanism::Plain) => "PLAIN",
            Some(Mechanism::ScramSha256) => "SCRAM-SHA-256",
            Some(Mechanism::ScramSha512) => "SCRAM-SHA-512",
            None => {
                return Err(
                    "sasl_mechanism is missing; write plain, scram-sha-256 or scram-sha-512"
                        .to_owned(),
                );
            }
        };
        let username = self.username.as_deref().ok_or("username is missing")?;
        config
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", username);
        config.set("sasl.password", self.password(env)?);
        Ok(())
    }

    fn password(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
        match (&self.password_env, &self.password_file) {
            (Some(name), None) => env(name).ok_or_else(|| {
                format!("the environment variable {name} is not set; it should hold the password")
            }),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|e| format!("the password cannot be read from {path}: {e}")),
            _ => Err("name one of password_env and password_file".to_owned()),
        }
    }
}

impl Settings {
    /// Settings with defaults for everything but brokers and topics.
    #[must_use]
    pub fn new(brokers: &[&str], topics: &[&str]) -> Self {
        Self {
            brokers: brokers.iter().map(|b| (*b).to_owned()).collect(),
            topics: topics
                .iter()
                .map(|t| TopicSettings {
                    name: (*t).to_owned(),
                    schema: None,
                })
                .collect(),
            group: default_group(),
            start: Start::default(),
            security: Security::default(),
            sasl_mechanism: None,
            username: None,
            password_env: None,
            password_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            stall_after: default_stall(),
            refresh_every: default_refresh(),
            properties: BTreeMap::new(),
        }
    }

    pub(super) fn stall_after(&self) -> Duration {
        Duration::from_millis(self.stall_after.0.unsigned_abs())
    }

    pub(super) fn refresh_every(&self) -> Duration {
        Duration::from_millis(self.refresh_every.0.unsigned_abs())
    }

    /// The configuration of a client, consumer or producer, without its own part.
    fn client(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<ClientConfig, String> {
        if self.brokers.iter().all(|b| b.trim().is_empty()) {
            return Err("brokers is empty; name at least one host and port".to_owned());
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers.join(","));
        self.protect(&mut config, env)?;
        Ok(config)
    }

    /// The consumer's configuration.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn consumer(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<ClientConfig, String> {
        if self.topics.is_empty() {
            return Err("topics is empty; name at least one".to_owned());
        }
        let mut names: Vec<String> = self.topics.iter().map(|t| t.topic().name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err("topics names a topic twice".to_owned());
        }
        let mut config = self.client(env)?;
        for (key, value) in TUNED.iter().chain(FIXED) {
            config.set(*key, *value);
        }
        config.set("group.id", &self.group);
        self.with_properties(config)
    }

    /// A producer's configuration: no record lost or doubled by the client, a bounded queue.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn producer(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<ClientConfig, String> {
        let mut config = self.client(env)?;
        for (key, value) in [
            ("client.id", "tidegate"),
            ("enable.idempotence", "true"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            ("queue.buffering.max.messages", "10000"),
            ("queue.buffering.max.kbytes", "16384"),
            ("message.timeout.ms", "60000"),
            ("socket.keepalive.enable", "true"),
        ] {
            config.set(key, value);
        }
        for (key, value) in &self.properties {
            let consumer_only = key.starts_with("fetch.") || key.starts_with("queued.");
            if !consumer_only && !FIXED.iter().any(|(fixed, _)| fixed == key) {
                config.set(key, value);
            }
        }
        Ok(config)
    }

    fn with_properties(&self, mut config: ClientConfig) -> Result<ClientConfig, String> {
        const OWN: &[(&str, &str)] = &[
            ("bootstrap.servers", "brokers"),
            ("metadata.broker.list", "brokers"),
            ("group.id", "group"),
            ("security.protocol", "security"),
            ("sasl.mechanism", "sasl_mechanism"),
            ("sasl.mechanisms", "sasl_mechanism"),
            ("sasl.username", "username"),
            ("sasl.password", "password_env or password_file"),
        ];
        for (key, value) in &self.properties {
            if FIXED.iter().any(|(fixed, _)| fixed == key) {
                return Err(format!(
                    "the property {key} is fixed, since what state promises rests on it; remove it"
                ));
            }
            if let Some((_, name)) = OWN.iter().find(|(own, _)| own == key) {
                return Err(format!("write {name} instead of the property {key}"));
            }
            config.set(key, value);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(yaml: &str) -> Result<Settings, String> {
        serde_saphyr::from_str(yaml).map_err(|e| e.to_string())
    }

    const NO_ENV: &dyn Fn(&str) -> Option<String> = &|_| None;

    #[test]
    fn defaults_and_topics() {
        let settings = parse("brokers: [a:9092, b:9092]\ntopics:\n- logins\n- {name: okta-log, schema: okta}\n- {name: x, schema: auto}\n").unwrap();
        assert_eq!(settings.start, Start::Latest);
        let topics: Vec<_> = settings.topics.iter().map(TopicSettings::topic).collect();
        assert_eq!(
            topics[1],
            Topic {
                name: "okta-log".into(),
                schema: Some("okta".into())
            }
        );
        assert_eq!(topics[2].schema, None);
        let config = settings.consumer(NO_ENV).unwrap();
        for (key, value) in [
            ("bootstrap.servers", "a:9092,b:9092"),
            ("group.id", "tidegate"),
            ("auto.offset.reset", "error"),
            ("fetch.queue.backoff.ms", "5"),
            ("enable.auto.commit", "false"),
            ("security.protocol", "plaintext"),
        ] {
            assert_eq!(config.get(key), Some(value), "{key}");
        }
    }

    #[test]
    fn access_and_secrets() {
        let yaml = "brokers: [a:9093]\ntopics: [t]\nsecurity: sasl_tls\nsasl_mechanism: scram-sha-512\nusername: tide\npassword_env: KAFKA_PASSWORD\nca_file: ca.pem\nstall_after: 90s\n";
        let settings = parse(yaml).unwrap();
        assert_eq!(settings.stall_after, Span::seconds(90));
        let error = settings.consumer(NO_ENV).unwrap_err();
        assert!(error.contains("KAFKA_PASSWORD"), "{error}");
        let config = settings
            .consumer(&|name| (name == "KAFKA_PASSWORD").then(|| "p4ss".to_owned()))
            .unwrap();
        assert_eq!(config.get("sasl.password"), Some("p4ss"));
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("ssl.ca.location"), Some("ca.pem"));
        assert!(!format!("{settings:?}").contains("p4ss"));
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        for (yaml, want) in [
            ("brokers: []\ntopics: [t]\n", "brokers is empty"),
            ("brokers: [a]\ntopics: []\n", "topics is empty"),
            ("brokers: [a]\ntopics: [t, t]\n", "twice"),
            (
                "brokers: [a]\ntopics: [t]\nproperties: {auto.offset.reset: earliest}\n",
                "fixed",
            ),
            (
                "brokers: [a]\ntopics: [t]\nproperties: {group.id: x}\n",
                "write group",
            ),
            (
                "brokers: [a]\ntopics: [t]\nsecurity: sasl_tls\nusername: u\n",
                "sasl_mechanism is missing",
            ),
            ("brokers: [a]\ntopics: [t]\nusername: u\n", "need security"),
        ] {
            let error = parse(yaml)
                .and_then(|s| s.consumer(NO_ENV).map(|_| ()))
                .unwrap_err();
            assert!(error.contains(want), "{yaml}: {error}");
        }
        for yaml in [
            "brokers: [a]\ntopics: [t]\nbroker: x\n",
            "brokers: [a]\ntopics: [t]\nstall_after: 60\n",
            "brokers: [a]\ntopics: [{name: t, scheme: okta}]\n",
        ] {
            assert!(parse(yaml).is_err(), "{yaml}");
        }
    }
}
