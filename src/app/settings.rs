//! From the configuration's shapes to what each part wants to know.
//!
//! The file's shape and the parts' settings change for different reasons, so neither knows the
//! other; this is the one place that knows both.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

use crate::api;
use crate::config::shape::{
    DeadLetters, Endpoint, KafkaSink, KafkaSource, Mechanism, Protocol, Scope, Security, Sets,
    Sink, Start,
};
use crate::config::value::{EnvName, HostPort};
use crate::config::{Config, Environment, secret};
use crate::deliver::settings::{
    FileSettings, Names, RetrySettings, SecretSource, Selection, StdoutSettings, TopicSettings,
};
use crate::deliver::{EndpointSettings, Settings as Delivery};
use crate::enrich::{self, ListSettings, TablesSettings};
use crate::model::Level;
use crate::source::kafka::settings as kafka;

/// Names an endpoint of `alerts.sinks` apart from those of `containment.webhooks`.
fn sink_name(sink: &Sink, index: usize, all: &[Sink]) -> String {
    let name = sink.name();
    let earlier = all.iter().take(index).filter(|s| s.name() == name).count();
    let name = if earlier == 0 {
        name.to_owned()
    } else {
        format!("{name}-{}", earlier + 1)
    };
    name.to_lowercase()
}

/// Everything that leaves: SOC sinks get alerts, containment webhooks get actions.
#[must_use]
pub fn delivery(config: &Config) -> Delivery {
    let mut delivery = Delivery {
        outbox_max: config.state.outbox_max,
        ..Delivery::default()
    };
    let sinks = &config.alerts.sinks;
    for (i, sink) in sinks.iter().enumerate() {
        let name = sink_name(sink, i, sinks);
        let alerts = |level_min: Level| Selection {
            types: vec!["tidegate.alert.*".to_owned()],
            level_min: Some(level_min),
            simulated: true,
        };
        match sink {
            Sink::Stdout(s) => {
                delivery.stdout = Some(StdoutSettings {
                    only: alerts(s.level_min),
                    ..StdoutSettings::default()
                });
            }
            Sink::File(s) => delivery.files.push(FileSettings {
                name,
                path: s.path.clone(),
                only: alerts(s.level_min),
                shape: crate::deliver::settings::Shape::default(),
                sync: crate::deliver::settings::Sync::default(),
            }),
            Sink::Kafka(s) => delivery.topics.push(TopicSettings {
                name,
                topic: s.topic.as_str().to_owned(),
                only: alerts(s.level_min),
                shape: crate::deliver::settings::Shape::default(),
            }),
            Sink::Webhook(s) => {
                delivery
                    .webhooks
                    .push(endpoint(&s.endpoint(), &name, alerts(s.level_min)));
            }
        }
    }
    for webhook in &config.containment.webhooks {
        let only = Selection {
            types: vec!["tidegate.action.*".to_owned()],
            level_min: None,
            simulated: true,
        };
        let found = webhook.endpoint();
        delivery
            .webhooks
            .push(endpoint(&found, &found.name.to_lowercase(), only));
    }
    delivery
}

fn endpoint(e: &Endpoint<'_>, name: &str, only: Selection) -> EndpointSettings {
    let names = |list: [Option<String>; 2]| Names::Several(list.into_iter().flatten().collect());
    let env = |name: Option<&EnvName>| name.map(|n| n.as_str().to_owned());
    let file = |path: Option<&PathBuf>| path.map(|p| p.display().to_string());
    let here = ["localhost", "127.0.0.1", "::1"].contains(&e.url.host());
    EndpointSettings {
        name: name.to_owned(),
        url: e.url.expose().to_owned(),
        secret_env: names([env(e.secret.0), env(e.previous.0)]),
        secret_file: names([file(e.secret.1), file(e.previous.1)]),
        only,
        retry: RetrySettings::default(),
        concurrency: 8,
        timeout: e.timeout.0,
        ca_file: e.ca_file.cloned(),
        // Validation lets plain http through on this machine only.
        allow_insecure: here && !e.url.is_https(),
        allow_private: here || e.allow_private,
    }
}

/// Secrets from the environment and files.
pub struct Secrets<'a>(pub &'a Environment);

impl SecretSource for Secrets<'_> {
    fn env(&self, name: &str) -> Option<String> {
        self.0.get(name).map(str::to_owned)
    }

    fn file(&self, path: &str) -> std::io::Result<String> {
        let read = secret::load(None, Some(&PathBuf::from(path)), self.0);
        let text = read.map_err(std::io::Error::other)?;
        Ok(text.map(|t| t.expose().to_owned()).unwrap_or_default())
    }
}

/// The tables of `enrich`.
#[must_use]
pub fn tables(config: &Config) -> TablesSettings {
    let wanted = &config.enrich;
    let source = enrich::Sets::Source;
    let sets = |sets| match sets {
        Sets::Hosting => source(enrich::SourceKind::Hosting),
        Sets::Proxy => source(enrich::SourceKind::Proxy),
        Sets::Tor => source(enrich::SourceKind::Tor),
        Sets::Residential => source(enrich::SourceKind::Residential),
        Sets::Disposable => enrich::Sets::Disposable,
        Sets::Voip => enrich::Sets::Voip,
    };
    TablesSettings {
        asn: wanted.asn.clone(),
        country: wanted.country.clone(),
        lists: wanted
            .lists
            .iter()
            .map(|l| ListSettings {
                name: l.name.as_str().to_owned(),
                file: l.file.clone(),
                sets: sets(l.sets),
            })
            .collect(),
        honeytokens: wanted.honeytokens.clone(),
    }
}

/// A Kafka source's connection.
#[must_use]
pub fn kafka_source(source: &KafkaSource) -> kafka::Settings {
    let mut settings = connection(&source.brokers, &source.security, &source.properties);
    settings.topics = source
        .topics
        .iter()
        .map(|t| kafka::TopicSettings {
            name: t.name.as_str().to_owned(),
            schema: Some(t.schema.clone()),
        })
        .collect();
    settings.group.clone_from(&source.group);
    settings.stall_after = source.stall_after.0;
    settings.start = match source.start {
        Start::Earliest => kafka::Start::Earliest,
        Start::Latest => kafka::Start::Latest,
    };
    settings
}

/// A Kafka sink's connection.
#[must_use]
pub fn kafka_sink(sink: &KafkaSink) -> kafka::Settings {
    connection(&sink.brokers, &sink.security, &sink.properties)
}

/// The dead-letter topic's connection and name, if there is one.
#[must_use]
pub fn dead_letter_topic(config: &Config) -> Option<(kafka::Settings, String)> {
    match &config.dead_letters {
        DeadLetters::Kafka(t) => Some((
            connection(&t.brokers, &t.security, &t.properties),
            t.topic.as_str().to_owned(),
        )),
        DeadLetters::File(_) => None,
    }
}

fn connection(
    brokers: &[HostPort],
    security: &Security,
    properties: &std::collections::BTreeMap<String, String>,
) -> kafka::Settings {
    let brokers: Vec<&str> = brokers.iter().map(HostPort::as_str).collect();
    let mut settings = kafka::Settings::new(&brokers, &[]);
    settings.security = match security.protocol {
        Protocol::Plaintext => kafka::Security::Plaintext,
        Protocol::Ssl => kafka::Security::Tls,
        Protocol::SaslPlaintext => kafka::Security::SaslPlaintext,
        Protocol::SaslSsl => kafka::Security::SaslTls,
    };
    settings.sasl_mechanism = security.mechanism.map(|m| match m {
        Mechanism::Plain => kafka::Mechanism::Plain,
        Mechanism::ScramSha256 => kafka::Mechanism::ScramSha256,
        Mechanism::ScramSha512 => kafka::Mechanism::ScramSha512,
    });
    let text = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
    settings.username.clone_from(&security.username);
    settings.password_env = security
        .password_env
        .as_ref()
        .map(|n| n.as_str().to_owned());
    settings.password_file = text(&security.password_file);
    settings.ca_file = text(&security.ca_file);
    settings.certificate_file = text(&security.certificate_file);
    settings.key_file = text(&security.key_file);
    settings.properties.clone_from(properties);
    settings
}

/// The API's address and tokens.
///
/// # Errors
/// A token cannot be read.
pub fn api(config: &Config, env: &Environment) -> anyhow::Result<api::Settings> {
    let mut tokens = Vec::new();
    for token in &config.http.tokens {
        let read = secret::load(token.token_env.as_ref(), token.token_file.as_ref(), env);
        let name = token.name.as_str();
        let secret = read.with_context(|| format!("http token {name}"))?;
        let secret = secret
            .ok_or_else(|| anyhow!("http token {name} has neither token_env nor token_file"))?;
        let scopes = token.scopes.iter().map(|s| match s {
            Scope::Read => api::Scope::Read,
            Scope::Operate => api::Scope::Operate,
            Scope::Contain => api::Scope::Contain,
            Scope::Admin => api::Scope::Admin,
        });
        tokens.push(api::Token::new(name, scopes.collect(), secret.expose()));
    }
    Ok(api::Settings {
        listen: config.http.listen.0,
        tokens,
        limits: api::Limits::default(),
    })
}
