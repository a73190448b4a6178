//! (2) A broken event of every kind ends as a dead letter with its reason; the rest is unaffected.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{RESET, detectors, morning, replayed, source};
use crate::harness::daemon::Home;
use crate::harness::{alerts, fixture, kafka, lines};

/// A canary: nothing of a broken record may come out again.
const CANARY: &str = "canary-4711";

/// Reason and record, one for every reason there is.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let time = "\"time\":\"2026-01-12T08:00:00Z\"";
    let kind = "\"event.kind\":\"x.y\"";
    let deep = format!(
        "{{{kind},{time},\"a\":{}1{}}}",
        "[".repeat(100),
        "]".repeat(100)
    );
    let members: Vec<String> = (0..5000).map(|n| format!("\"m{n}\":{n}")).collect();
    let texts = [
        ("empty", "  ".to_owned()),
        (
            "invalid_json",
            format!("{{{kind},{time},\"note\":\"{CANARY}\""),
        ),
        ("too_deep", deep),
        (
            "too_many_fields",
            format!("{{{kind},{time},{}}}", members.join(",")),
        ),
        ("unknown_schema", format!("{{\"note\":\"{CANARY}\"}}")),
        ("missing_kind", format!("{{{time},\"note\":\"{CANARY}\"}}")),
        ("missing_time", format!("{{{kind},\"note\":\"{CANARY}\"}}")),
        ("invalid_time", format!("{{{kind},\"time\":\"{CANARY}\"}}")),
        (
            "wrong_type",
            format!("{{{kind},{time},\"user.id\":{{\"a\":\"{CANARY}\"}}}}"),
        ),
        (
            "invalid_value",
            format!("{{{kind},{time},\"source.ip\":\"{CANARY}\"}}"),
        ),
        (
            "too_large",
            format!("{{{kind},{time},\"note\":\"{}\"}}", CANARY.repeat(200_000)),
        ),
    ];
    let mut all: Vec<_> = texts
        .into_iter()
        .map(|(reason, text)| (reason, text.into_bytes()))
        .collect();
    let mut bad = format!("{{{kind},{time},\"note\":\"{CANARY} ?\"}}").into_bytes();
    let at = bad.iter().position(|b| *b == b'?').unwrap();
    bad[at] = 0xff;
    all.push(("invalid_utf8", bad));
    all
}

#[test]
fn every_kind_of_broken_event_is_a_dead_letter_and_the_rest_goes_on() {
    let (topic, letters) = ("dead", "dead-letters");
    let broker = kafka::shared();
    broker.topic(topic, 1);
    broker.topic(letters, 1);
    let home = Home::new(
        topic,
        &format!(
            "{}{}alerts: {{sinks: [{{kind: file, path: alerts.ndjson}}]}}\n\
             dead_letters: {{kind: kafka, brokers: ['{}'], topic: {letters}}}\n",
            source(topic),
            detectors(),
            broker.bootstrap()
        ),
    );
    // A good event before, between and after: each broken one stands among them.
    let good = morning(&[(RESET, "203.0.113.7")], 13);
    let events = home.file("events.jsonl");
    std::fs::write(&events, &good).unwrap();
    let broken = broken();
    for (n, line) in good.lines().enumerate() {
        let record = home.file("record");
        std::fs::write(&record, line).unwrap();
        broker.produce_whole(topic, &record);
        if let Some((_, bytes)) = broken.get(n) {
            std::fs::write(&record, bytes).unwrap();
            broker.produce_whole(topic, &record);
        }
    }

    let daemon = home.start().ready();
    daemon.settled(25);
    let want: BTreeMap<String, u64> = broken
        .iter()
        .map(|(reason, _)| ((*reason).to_owned(), 1))
        .collect();
    assert_eq!(
        daemon.dead_letters(),
        want,
        "dead letters by reason in /metrics"
    );
    assert_eq!(daemon.metric("tidegate_events_decoded_total", &[]), 13);
    daemon.stop();

    let told = broker.consume(letters);
    for (n, (reason, _)) in broken.iter().enumerate() {
        let offset = 2 * n + 1;
        let letter: Value = serde_json::from_str(&told[n]).unwrap();
        assert_eq!(letter["reason"], *reason, "{letter}");
        assert_eq!(letter["offset"], offset, "{letter}");
        assert!(!letter["detail"].as_str().unwrap().is_empty(), "{letter}");
        assert!(!told[n].contains(CANARY), "content came out: {letter}");
    }
    assert_eq!(told.len(), broken.len());

    let got: Vec<String> = lines(&home.file("alerts.ndjson"))
        .iter()
        .map(|l| alerts::comparable(l))
        .collect();
    alerts::assert_same(
        "alerts on the good events",
        &got,
        &replayed(&events, Some(fixture("detectors"))),
    );
}
