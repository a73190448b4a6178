//! The rules for connections: Kafka's security and properties, webhooks.
//!
//! Owns the list of librdkafka settings that tidegate keeps for itself. Invariant: a secret or a
//! setting that a guarantee rests on is never taken from `properties`.

use std::collections::BTreeMap;

use super::{one_secret, span};
use crate::config::reading::Reading;
use crate::config::shape::{Endpoint, Mechanism, Protocol, Security};
use crate::model::Span;

/// Settings of librdkafka that tidegate decides, each with where to say it instead.
const KEPT: [(&str, &str); 22] = [
    ("bootstrap.servers", "use `brokers`"),
    ("metadata.broker.list", "use `brokers`"),
    ("group.id", "use `group`"),
    ("security.protocol", "use `security.protocol`"),
    ("sasl.mechanism", "use `security.mechanism`"),
    ("sasl.mechanisms", "use `security.mechanism`"),
    ("sasl.username", "use `security.username`"),
    ("sasl.password", "use `security.password_env`"),
    (
        "sasl.oauthbearer.client.secret",
        "put secrets into files or variables",
    ),
    (
        "ssl.key.password",
        "use a key file without password, readable by this user only",
    ),
    ("ssl.keystore.password", "use `security.key_file`"),
    ("ssl.key.pem", "use `security.key_file`"),
    ("ssl.ca.location", "use `security.ca_file`"),
    (
        "ssl.certificate.location",
        "use `security.certificate_file`",
    ),
    ("ssl.key.location", "use `security.key_file`"),
    (
        "enable.ssl.certificate.verification",
        "use `security.ca_file` to trust your own authority",
    ),
    (
        "enable.auto.commit",
        "tidegate stores positions with its state",
    ),
    (
        "enable.auto.offset.store",
        "tidegate stores positions with its state",
    ),
    (
        "auto.offset.reset",
        "use `start`; lost positions are never skipped silently",
    ),
    (
        "enable.partition.eof",
        "tidegate needs it to know idle partitions",
    ),
    ("check.crcs", "tidegate always checks"),
    ("enable.idempotence", "tidegate always asks for it"),
];

/// Checks librdkafka's own settings.
pub(super) fn properties(reading: &mut Reading, path: &str, properties: &BTreeMap<String, String>) {
    for key in properties.keys() {
        let kept = KEPT.iter().find(|(name, _)| name == key);
        let secret = ["password", "secret", ".pem"]
            .iter()
            .any(|word| key.contains(word));
        if let Some((_, hint)) = kept {
            reading.fault(
                &format!("{path}.{key}"),
                format!("`{key}` is not free to set"),
                *hint,
            );
        } else if secret {
            let message = format!("`{key}` may hold a secret");
            reading.fault(
                &format!("{path}.{key}"),
                message,
                "put secrets into files or variables",
            );
        }
    }
}

/// Checks encryption and log-in of a Kafka connection.
pub(super) fn security(reading: &mut Reading, path: &str, security: &Security) {
    let login = security.protocol.has_login();
    let word = security.protocol.word();
    if login {
        if security.mechanism.is_none() {
            let message = format!("`{word}` needs a `mechanism`");
            reading.fault(path, message, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
        }
        if security.username.is_none() {
            reading.fault(
                path,
                format!("`{word}` needs a `username`"),
                "add `username: ...`",
            );
        }
        let file = security.password_file.as_deref();
        one_secret(
            reading,
            path,
            "password",
            security.password_env.as_ref(),
            file,
        );
    } else {
        let given = [
            ("mechanism", security.mechanism.is_some()),
            ("username", security.username.is_some()),
            ("password_env", security.password_env.is_some()),
            ("password_file", security.password_file.is_some()),
        ];
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            let message = format!("`{key}` has no effect with protocol `{word}`");
            reading.fault(
                &format!("{path}.{key}"),
                message,
                "set `protocol: sasl_ssl`",
            );
        }
    }
    let files = [
        ("ca_file", security.ca_file.is_some()),
        ("certificate_file", security.certificate_file.is_some()),
        ("key_file", security.key_file.is_some()),
    ];
    for (key, _) in files
        .iter()
        .filter(|(_, given)| *given && !security.protocol.is_encrypted())
    {
        let message = format!("`{key}` has no effect with protocol `{word}`");
        let hint = if login {
            "set `protocol: sasl_ssl`"
        } else {
            "set `protocol: ssl`"
        };
        reading.fault(&format!("{path}.{key}"), message, hint);
    }
    if security.certificate_file.is_some() != security.key_file.is_some() {
        let hint = "give both or neither";
        reading.fault(
            path,
            "`certificate_file` and `key_file` belong together",
            hint,
        );
    }
    let bare = security.protocol == Protocol::SaslPlaintext;
    if bare && security.mechanism == Some(Mechanism::Plain) {
        let hint = "use sasl_ssl or a SCRAM mechanism";
        reading.lint(path, "the password is sent in the clear", hint);
    }
}

/// Checks a webhook.
pub(super) fn endpoint(reading: &mut Reading, path: &str, endpoint: Endpoint<'_>) {
    let url = format!("{path}.url");
    let host = endpoint.url.host();
    let here = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if !endpoint.url.is_https() && !here {
        reading.fault(
            &url,
            "the URL is not https",
            "use https; http is for this machine only",
        );
    }
    if endpoint.url.has_user() {
        let hint = "take it out; requests are signed with the secret";
        reading.fault(&url, "the URL holds a user or a password", hint);
    }
    span(
        reading,
        &format!("{path}.timeout"),
        endpoint.timeout,
        Span(100),
        Span::seconds(15),
    );
    let (variable, file) = endpoint.secret;
    one_secret(
        reading,
        path,
        "secret",
        variable,
        file.map(std::path::PathBuf::as_path),
    );
    if let (Some(_), Some(_)) = endpoint.previous {
        let path = format!("{path}.previous_secret_file");
        let hint = "give either `previous_secret_env` or `previous_secret_file`";
        reading.fault(&path, "the previous secret is given twice", hint);
    }
}
