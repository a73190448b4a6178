//! (5) TLS and SASL against the broker's SASL_SSL listener; a wrong password says what is wrong.

use super::{RESET, detectors, morning};
use crate::harness::daemon::Home;
use crate::harness::{kafka, lines};

fn home(topic: &str, mechanism: &str, user: &str, password: &str) -> Home {
    let broker = kafka::tls();
    let sinks = "alerts: {sinks: [{kind: file, path: alerts.ndjson}]}\n";
    let body = format!(
        "sources:\n  - kind: kafka\n    brokers: ['{}']\n    topics: [{{name: {topic}}}]\n    security: {{protocol: sasl_ssl, mechanism: {mechanism}, username: {user}, password_env: KAFKA_PASSWORD, ca_file: '{}'}}\n{}{sinks}",
        broker.bootstrap_sasl_ssl(),
        broker.ca_file().display(),
        detectors(),
    );
    Home::new(topic, &body).with_env("KAFKA_PASSWORD", password)
}

fn reads_with(mechanism: &str, topic: &str) {
    let broker = kafka::tls();
    let of = broker.credentials();
    let short = if mechanism == "PLAIN" {
        "PLAIN"
    } else {
        "SCRAM"
    };
    let (user, password) = (
        &of[&format!("{short}_USER")],
        &of[&format!("{short}_PASSWORD")],
    );
    broker.topic(topic, 2);
    let home = home(topic, mechanism, user, password);
    let events = home.file("events.jsonl");
    std::fs::write(&events, morning(&[(RESET, "203.0.113.7")], 10)).unwrap();
    broker.produce(topic, &events);
    let daemon = home.start().ready();
    daemon.settled(10);
    assert_eq!(daemon.received(), 10);
    assert!(
        !daemon.log().contains(password.as_str()),
        "the log holds the password"
    );
    daemon.stop();
    assert!(!lines(&home.file("alerts.ndjson")).is_empty(), "no alert");
}

#[test]
fn plain_over_tls_reads() {
    reads_with("PLAIN", "tls-plain");
}

#[test]
fn scram_sha_512_over_tls_reads() {
    reads_with("SCRAM-SHA-512", "tls-scram");
}

#[test]
fn a_wrong_password_is_said_and_never_ready() {
    let broker = kafka::tls();
    let user = &broker.credentials()["SCRAM_USER"];
    broker.topic("tls-wrong", 1);
    let home = home("tls-wrong", "SCRAM-SHA-512", user, "not the right one");
    let daemon = home.start();
    daemon.until("an error about the log-in", |d| {
        d.log()
            .to_lowercase()
            .contains("authentication failed")
            .then_some(())
    });
    let (status, body) = daemon.get("/readyz");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("source"), "/readyz names the part: {body}");
    assert!(
        !daemon.log().contains("not the right one"),
        "the log holds the password"
    );
    daemon.stop();
}
