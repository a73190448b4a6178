//! What needs more than one key, or knowledge of the world, to be wrong.
//!
//! Owns the rules between settings. Knows nothing of places: it names paths, `Reading` finds where
//! they stand. Invariant: every rule is checked, whatever the others found.

use std::collections::BTreeMap;
use std::path::Path;

use super::reading::Reading;
use super::shape::{Config, ContainmentMode, DeadLetters, Sink, Source};
use super::value::{Duration, EnvName, Size};
use crate::model::Span;

mod connect;
mod named;

#[cfg(test)]
pub(super) use named::collect;
pub(super) use named::{files, secrets, variables};

/// Checks a configuration that is sound key by key.
pub(super) fn validate(config: &Config, reading: &mut Reading) {
    limits(config, reading);
    sources(config, reading);
    outputs(config, reading);
    containment(config, reading);
    http(config, reading);
}

fn limits(config: &Config, reading: &mut Reading) {
    let engine = &config.engine;
    span(
        reading,
        "engine.lateness",
        engine.lateness,
        Span::ZERO,
        Span::hours(24),
    );
    span(
        reading,
        "state.snapshot_every",
        config.state.snapshot_every,
        Span::seconds(1),
        Span::hours(1),
    );
    span(
        reading,
        "state.keep",
        config.state.keep,
        Span::hours(1),
        Span::days(3650),
    );
    span(
        reading,
        "enrich.reload",
        config.enrich.reload,
        Span::seconds(1),
        Span::hours(24),
    );
    span(
        reading,
        "detectors.reload",
        config.detectors.reload,
        Span::seconds(1),
        Span::hours(24),
    );
    size(
        reading,
        "engine.memory",
        engine.memory,
        Size::mib(16),
        Size::mib(1 << 20),
    );
    if let DeadLetters::File(file) = &config.dead_letters {
        size(
            reading,
            "dead_letters.size_max",
            file.size_max,
            Size::mib(1),
            Size::mib(1 << 20),
        );
    }
}

fn span(reading: &mut Reading, path: &str, value: Duration, least: Span, most: Span) {
    if value.0 < least || value.0 > most {
        let hint = format!("give between {least} and {most}");
        reading.fault(path, format!("{value} is out of range"), hint);
    }
}

fn size(reading: &mut Reading, path: &str, value: Size, least: Size, most: Size) {
    if value < least || value > most {
        let hint = format!("give between {least} and {most}");
        reading.fault(path, format!("{value} is out of range"), hint);
    }
}

/// Reports every name that an earlier one has too.
fn unique<'a>(reading: &mut Reading, names: impl Iterator<Item = (String, &'a str)>, hint: &str) {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for (path, name) in names {
        match seen.get(name) {
            Some(first) => {
                reading.fault(
                    &path,
                    format!("`{name}` is already the name of {first}"),
                    hint,
                );
            }
            None => {
                seen.insert(name, path);
            }
        }
    }
}

fn sources(config: &Config, reading: &mut Reading) {
    if config.sources.is_empty() {
        reading.fault(
            "sources",
            "there are no sources",
            "name at least one, e.g. `- kind: stdin`",
        );
    }
    let named = config.sources.iter().enumerate();
    let names = named.map(|(i, s)| (format!("sources[{i}]"), s.name()));
    unique(reading, names, "give each source a `name` of its own");
    let stdin = config
        .sources
        .iter()
        .filter(|s| matches!(s, Source::Stdin(_)))
        .count();
    if stdin > 1 {
        reading.fault(
            "sources",
            "standard input can be read only once",
            "keep one `kind: stdin`",
        );
    }
    let mut streams: Vec<(String, &str)> = Vec::new();
    for (i, source) in config.sources.iter().enumerate() {
        let path = format!("sources[{i}]");
        match source {
            Source::Kafka(kafka) => {
                connect::security(reading, &format!("{path}.security"), &kafka.security);
                connect::properties(reading, &format!("{path}.properties"), &kafka.properties);
                let topics = kafka.topics.iter().enumerate();
                streams.extend(
                    topics.map(|(t, topic)| {
                        (format!("{path}.topics[{t}].name"), topic.name.as_str())
                    }),
                );
            }
            Source::File(file) => {
                let name = file.path.to_str().unwrap_or_default();
                streams.push((format!("{path}.path"), name));
            }
            Source::Stdin(_) => {}
        }
    }
    // Positions are kept by these names: two logs of one name would share one.
    let hint = "name each topic and file once; of two clusters with the same topic, mirror one under another name or run a tidegate for each";
    unique(reading, streams.into_iter(), hint);
    let lists = config.enrich.lists.iter().enumerate();
    let names = lists.map(|(i, l)| (format!("enrich.lists[{i}].name"), l.name.as_str()));
    unique(reading, names, "give each list a name of its own");
}

fn outputs(config: &Config, reading: &mut Reading) {
    let sinks = config.alerts.sinks.iter().enumerate();
    let sinks = sinks.map(|(i, s)| (format!("alerts.sinks[{i}]"), s.name()));
    let hooks = config.containment.webhooks.iter().enumerate();
    let hooks = hooks.map(|(i, w)| (format!("containment.webhooks[{i}].name"), w.name.as_str()));
    unique(
        reading,
        sinks.chain(hooks),
        "give each sink and webhook a `name` of its own",
    );
    for (i, sink) in config.alerts.sinks.iter().enumerate() {
        let path = format!("alerts.sinks[{i}]");
        match sink {
            Sink::Kafka(kafka) => {
                connect::security(reading, &format!("{path}.security"), &kafka.security);
                connect::properties(reading, &format!("{path}.properties"), &kafka.properties);
            }
            Sink::Webhook(hook) => connect::endpoint(reading, &path, hook.endpoint()),
            Sink::Stdout(_) | Sink::File(_) => {}
        }
    }
    for (i, hook) in config.containment.webhooks.iter().enumerate() {
        connect::endpoint(
            reading,
            &format!("containment.webhooks[{i}]"),
            hook.endpoint(),
        );
    }
    if let DeadLetters::Kafka(topic) = &config.dead_letters {
        connect::security(reading, "dead_letters.security", &topic.security);
        connect::properties(reading, "dead_letters.properties", &topic.properties);
    }
    if config.alerts.sinks.is_empty() {
        reading.lint(
            "alerts",
            "alerts are sent nowhere",
            "add a sink, e.g. `- kind: stdout`",
        );
    }
}

fn containment(config: &Config, reading: &mut Reading) {
    let rules = &config.containment;
    for text in rules.policy().faults() {
        // The policy names its key first: "ttl_min must be above zero".
        let key = text.split(' ').next().unwrap_or_default();
        let hint = "change one of the two, see docs/configuration.md";
        reading.fault(&format!("containment.{key}"), text.clone(), hint);
    }
    if rules.mode == ContainmentMode::Shadow {
        return;
    }
    if rules.webhooks.is_empty() {
        let hint = "add a webhook, unless enforcers pull /api/v1/actions/stream";
        reading.lint(
            "containment.webhooks",
            "containment is enforced but nobody is told",
            hint,
        );
    }
    let allow = &rules.allow;
    if allow.ips.is_empty() && allow.cidrs.is_empty() && allow.accounts.is_empty() {
        let hint = "name your own egress and break-glass accounts";
        reading.lint(
            "containment.allow",
            "containment is enforced without an allow-list",
            hint,
        );
    }
}

fn http(config: &Config, reading: &mut Reading) {
    let http = &config.http;
    if !http.listen.0.ip().is_loopback() && http.tokens.is_empty() {
        let message = format!(
            "{} is open to the network but there are no tokens",
            http.listen
        );
        reading.fault(
            "http.listen",
            message,
            "add `http.tokens`, or listen on 127.0.0.1",
        );
    }
    let tokens = http.tokens.iter().enumerate();
    let names = tokens.map(|(i, t)| (format!("http.tokens[{i}].name"), t.name.as_str()));
    unique(reading, names, "give each token a name of its own");
    for (i, token) in http.tokens.iter().enumerate() {
        let path = format!("http.tokens[{i}]");
        one_secret(
            reading,
            &path,
            "token",
            token.token_env.as_ref(),
            token.token_file.as_deref(),
        );
    }
}

/// Exactly one of `NAME_env` and `NAME_file` is given.
fn one_secret(
    reading: &mut Reading,
    path: &str,
    name: &str,
    variable: Option<&EnvName>,
    file: Option<&Path>,
) {
    let hint = format!("give either `{name}_env` or `{name}_file`");
    match (variable, file) {
        (Some(_), Some(_)) => {
            let path = format!("{path}.{name}_file");
            reading.fault(&path, format!("the {name} is given twice"), hint);
        }
        (None, None) => reading.fault(path, format!("the {name} is missing"), hint),
        (Some(_), None) | (None, Some(_)) => {}
    }
}
