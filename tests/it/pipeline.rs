//! The main job against the real broker: Kafka in, detectors, alerts, signed webhooks out.

mod dead;
mod headers;
mod log_in;
mod million;
mod mutes;
mod reload;
mod restart;
mod tables;
mod tail;
mod way;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::harness::command::tidegate;
use crate::harness::{alerts, fixture, kafka};

const RESET: &str = "recovery.requested";
const FAILURE: &str = "token.failed";

/// One morning: `count` events of each kind and address, a second apart, each about an account of
/// its own.
fn morning(attackers: &[(&str, &str)], count: u32) -> String {
    let mut text = String::new();
    for second in 0..count {
        for (i, (kind, ip)) in attackers.iter().enumerate() {
            writeln!(
                text,
                "{{\"event.kind\":\"{kind}\",\"event.id\":\"e-{i}-{second}\",\
                 \"time\":\"2026-01-12T08:00:{second:02}.{i:03}Z\",\
                 \"source.ip\":\"{ip}\",\"user.target.id\":\"u-{i}-{second}\"}}"
            )
            .unwrap();
        }
    }
    text
}

/// `sources:` on one topic of the shared broker.
fn source(topic: &str) -> String {
    let broker = kafka::shared().bootstrap();
    format!("sources: [{{kind: kafka, brokers: ['{broker}'], topics: [{{name: {topic}}}]}}]\n")
}

/// The detectors that these tests look with.
fn detectors() -> String {
    format!("detectors: {{dir: '{}'}}\n", fixture("detectors").display())
}

/// `replay` as the daemon sees a stream: event time stays where the last event has brought it.
const NO_END: &str = "1970-01-01T00:00:00Z";

/// The alerts of `replay`, comparable; `None` looks with the shipped detectors.
fn replayed(events: &Path, detectors: Option<PathBuf>) -> Vec<String> {
    let dir = detectors.map(|dir| dir.display().to_string());
    let mut arguments = vec![
        "replay",
        "--input",
        events.to_str().unwrap(),
        "--until",
        NO_END,
    ];
    if let Some(dir) = &dir {
        arguments.extend(["--detectors", dir]);
    }
    let lines = tidegate(&arguments).ok().lines();
    assert!(
        !lines.is_empty(),
        "replay of {} raised nothing",
        events.display()
    );
    lines.iter().map(|line| alerts::comparable(line)).collect()
}
