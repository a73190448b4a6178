//! What a configuration names: files that must be there, secrets, and environment variables.
//!
//! Owns the lists only; `reading::load` looks. Invariant: a new key that names a file or a secret
//! is listed here, or `check` cannot see that it is missing.

use std::path::PathBuf;

use serde_json::Value as Json;

use crate::config::overlay::Environment;
use crate::config::reading::Reading;
use crate::config::schema::{Kind, join, schema, variable};
use crate::config::shape::{Config, DeadLetters, Security, Sink, Source};
use crate::config::value::EnvName;
use crate::yaml::nearest;

/// A secret: its key, and the variable or file that holds it.
pub(crate) type Held<'a> = (String, Option<&'a EnvName>, Option<&'a PathBuf>);

/// Every connection to Kafka, with the path of its `security`.
fn kafkas(config: &Config) -> Vec<(String, &Security)> {
    let sources = config
        .sources
        .iter()
        .enumerate()
        .filter_map(|(i, source)| match source {
            Source::Kafka(kafka) => Some((format!("sources[{i}].security"), &kafka.security)),
            Source::File(_) | Source::Stdin(_) => None,
        });
    let sinks = config
        .alerts
        .sinks
        .iter()
        .enumerate()
        .filter_map(|(i, sink)| match sink {
            Sink::Kafka(kafka) => Some((format!("alerts.sinks[{i}].security"), &kafka.security)),
            Sink::Stdout(_) | Sink::File(_) | Sink::Webhook(_) => None,
        });
    let letters = match &config.dead_letters {
        DeadLetters::Kafka(topic) => Some(("dead_letters.security".to_owned(), &topic.security)),
        DeadLetters::File(_) => None,
    };
    sources.chain(sinks).chain(letters).collect()
}

/// Every webhook, with its path.
fn endpoints(config: &Config) -> Vec<(String, crate::config::shape::Endpoint<'_>)> {
    let sinks = config
        .alerts
        .sinks
        .iter()
        .enumerate()
        .filter_map(|(i, sink)| match sink {
            Sink::Webhook(hook) => Some((format!("alerts.sinks[{i}]"), hook.endpoint())),
            Sink::Stdout(_) | Sink::File(_) | Sink::Kafka(_) => None,
        });
    let hooks = config.containment.webhooks.iter().enumerate();
    let hooks = hooks.map(|(i, hook)| (format!("containment.webhooks[{i}]"), hook.endpoint()));
    sinks.chain(hooks).collect()
}

/// Every file and folder that must be there, with its key.
pub(crate) fn files(config: &Config) -> Vec<(String, PathBuf)> {
    let mut files: Vec<(String, Option<&PathBuf>)> = vec![
        ("detectors.dir".to_owned(), Some(&config.detectors.dir)),
        (
            "engine.hash_key_file".to_owned(),
            config.engine.hash_key_file.as_ref(),
        ),
        ("enrich.asn".to_owned(), config.enrich.asn.as_ref()),
        ("enrich.country".to_owned(), config.enrich.country.as_ref()),
        (
            "enrich.honeytokens".to_owned(),
            config.enrich.honeytokens.as_ref(),
        ),
    ];
    for (i, list) in config.enrich.lists.iter().enumerate() {
        files.push((format!("enrich.lists[{i}].file"), Some(&list.file)));
    }
    for (i, source) in config.sources.iter().enumerate() {
        if let Source::File(file) = source {
            files.push((format!("sources[{i}].path"), Some(&file.path)));
        }
    }
    for (path, security) in kafkas(config) {
        files.push((format!("{path}.ca_file"), security.ca_file.as_ref()));
        files.push((
            format!("{path}.certificate_file"),
            security.certificate_file.as_ref(),
        ));
        files.push((format!("{path}.key_file"), security.key_file.as_ref()));
    }
    for (path, endpoint) in endpoints(config) {
        files.push((format!("{path}.ca_file"), endpoint.ca_file));
    }
    files
        .into_iter()
        .filter_map(|(key, file)| Some((key, file?.clone())))
        .collect()
}

/// Every secret that running needs.
pub(crate) fn secrets(config: &Config) -> Vec<Held<'_>> {
    let mut held = Vec::new();
    for (path, security) in kafkas(config) {
        let (variable, file) = (
            security.password_env.as_ref(),
            security.password_file.as_ref(),
        );
        held.push((format!("{path}.password"), variable, file));
    }
    for (path, endpoint) in endpoints(config) {
        held.push((
            format!("{path}.secret"),
            endpoint.secret.0,
            endpoint.secret.1,
        ));
        held.push((
            format!("{path}.previous_secret"),
            endpoint.previous.0,
            endpoint.previous.1,
        ));
    }
    for (i, token) in config.http.tokens.iter().enumerate() {
        let (variable, file) = (token.token_env.as_ref(), token.token_file.as_ref());
        held.push((format!("http.tokens[{i}].token"), variable, file));
    }
    held.retain(|(_, variable, file)| variable.is_some() || file.is_some());
    for (path, variable, _) in &mut held {
        path.push_str(if variable.is_some() { "_env" } else { "_file" });
    }
    held
}

/// Lints variables that look like ours but name no key: a typing fault would go unseen.
pub(crate) fn variables(env: &Environment, config: &Config, reading: &mut Reading) {
    let held = secrets(config);
    let mut known = Vec::new();
    collect(schema(), "", &mut known);
    let known: Vec<String> = known.iter().map(|path| variable(path)).collect();
    for name in env.names_from("TIDEGATE_") {
        let holds_secret = held
            .iter()
            .any(|(_, v, _)| v.is_some_and(|v| v.as_str() == name));
        let first = numbers_to_zero(name);
        if holds_secret || known.contains(&first) {
            continue;
        }
        // The common start would make everything look alike.
        let bare = |name: &'_ str| name.strip_prefix("TIDEGATE_").unwrap_or(name).to_owned();
        let shorts: Vec<String> = known.iter().map(|k| bare(k)).collect();
        if let Some(near) = nearest(&bare(&first), shorts.iter().map(String::as_str)) {
            let message = format!("environment variable {name} names no key");
            reading.lint("", message, format!("did you mean TIDEGATE_{near}?"));
        }
    }
}

/// `SOURCES_3_KIND` as `SOURCES_0_KIND`: all items of a list have the same keys.
fn numbers_to_zero(name: &str) -> String {
    let part = |part| if is_number(part) { "0" } else { part };
    name.split('_').map(part).collect::<Vec<_>>().join("_")
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
}

/// The paths of all keys that a variable can set, with 0 for every index.
pub(crate) fn collect(schema: &Json, path: &str, paths: &mut Vec<String>) {
    match Kind::of(schema) {
        Some(Kind::Section(section)) => {
            for (key, inner) in section.properties {
                collect(inner, &join(path, key), paths);
            }
        }
        Some(Kind::Tagged(branches)) => branches.iter().for_each(|b| collect(b, path, paths)),
        Some(Kind::List(item, _)) if !Kind::of(item).is_some_and(|k| k.is_plain()) => {
            collect(item, &format!("{path}[0]"), paths);
        }
        Some(Kind::Names(..)) | None => {}
        Some(_) => paths.push(path.to_owned()),
    }
    paths.sort();
    paths.dedup();
}
