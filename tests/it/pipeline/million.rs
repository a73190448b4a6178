//! (4) Many events through Kafka: each counted once, alerts equal to `replay` of the same file.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{replayed, source};
use crate::harness::command::tidegate;
use crate::harness::daemon::Home;
use crate::harness::{alerts, kafka, lines, tell};

/// `TIDEGATE_TEST_EVENTS=1000000` for the full measure.
fn count(default: u64) -> u64 {
    std::env::var("TIDEGATE_TEST_EVENTS").map_or(default, |n| {
        n.parse().expect("TIDEGATE_TEST_EVENTS is a number")
    })
}

fn simulate(events: &Path, count: u64) {
    let count = count.to_string();
    let done = tidegate(&[
        "simulate",
        "--scenario",
        "mixed",
        "--seed",
        "7",
        "--events",
        &count,
    ])
    .ok();
    std::fs::write(events, done.stdout).unwrap();
}

#[test]
fn every_event_is_counted_once_and_alerts_are_those_of_replay() {
    let count = count(200_000);
    kafka::shared().topic("million", 1);
    let sinks = "alerts: {sinks: [{kind: file, path: alerts.ndjson}]}\n";
    let home = Home::new("million", &format!("{}{sinks}", source("million")));
    let events = home.file("events.jsonl");
    simulate(&events, count);
    kafka::shared().produce("million", &events);

    let daemon = home.start();
    daemon.until("all events", |d| (d.received() >= count).then_some(()));
    let seconds = daemon.began.elapsed().as_secs_f64();
    daemon.settled(count);
    std::thread::sleep(Duration::from_secs(1));
    let metric = |name: &str| daemon.metric(name, &[]);
    let counted = (
        daemon.received(),
        metric("tidegate_events_decoded_total"),
        metric("tidegate_events_dead_lettered_total"),
        metric("tidegate_events_late_total"),
        metric("tidegate_events_duplicate_total"),
    );
    daemon.stop();
    assert_eq!(
        counted,
        (count, count, 0, 0, 0),
        "received, decoded, dead, late, duplicate"
    );

    let got: Vec<String> = lines(&home.file("alerts.ndjson"))
        .iter()
        .map(|l| alerts::comparable(l))
        .collect();
    let began = std::time::Instant::now();
    let want = replayed(&events, None);
    let replay_seconds = began.elapsed().as_secs_f64();
    alerts::assert_same_set("alerts through Kafka and by replay", &got, &want);
    tell(&format!(
        "pipeline: {count} events through Kafka in {seconds:.1} s from process start, {:.0} events/s; \
         replay {replay_seconds:.1} s, {:.0} events/s; {} alert lines, byte-equal",
        count as f64 / seconds,
        count as f64 / replay_seconds,
        got.len()
    ));
}

#[test]
fn over_four_partitions_the_same_alerts_open() {
    let count = count(400_000) / 4;
    kafka::shared().topic("quarter", 4);
    let sinks = "alerts: {sinks: [{kind: file, path: alerts.ndjson}]}\n";
    let home = Home::new("quarter", &format!("{}{sinks}", source("quarter")));
    let (events, keyed) = (home.file("events.jsonl"), home.file("keyed.tsv"));
    simulate(&events, count);
    let text = std::fs::read_to_string(&events).unwrap();
    let by_address = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        format!(
            "{}\t{line}\n",
            event["source.ip"].as_str().unwrap_or("none")
        )
    };
    std::fs::write(&keyed, text.lines().map(by_address).collect::<String>()).unwrap();
    kafka::shared().produce_keyed("quarter", &keyed);

    let daemon = home.start();
    daemon.settled(count);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        (
            daemon.received(),
            daemon.metric("tidegate_events_late_total", &[])
        ),
        (count, 0)
    );
    daemon.stop();

    // The order of two events in one millisecond is the broker's; what opens when is not.
    let opened = |lines: &[String]| -> BTreeSet<(String, String)> {
        let parsed = lines
            .iter()
            .map(|l| serde_json::from_str::<Value>(l).unwrap());
        parsed
            .filter(|a| a["revision"] == 0)
            .map(|a| (a["alert_id"].to_string(), a["time"].to_string()))
            .collect()
    };
    let (got, want) = (
        opened(&lines(&home.file("alerts.ndjson"))),
        opened(&replayed(&events, None)),
    );
    assert_eq!(got, want, "alert ids and times, wanted those of replay");
}
