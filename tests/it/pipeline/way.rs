//! (1) The whole way: a topic of events becomes alerts in a topic and a file, and webhooks that a
//! stranger's library believes; actions are simulated in shadow mode and real in enforce mode.

use std::collections::BTreeSet;

use super::{FAILURE, RESET, detectors, morning, replayed, source};
use crate::harness::daemon::Home;
use crate::harness::receiver::{Receiver, Request};
use crate::harness::{alerts, fixture, kafka, lines};

const ATTACKERS: [(&str, &str); 4] = [
    (RESET, "203.0.113.7"),
    (RESET, "198.51.100.23"),
    (RESET, "2001:db8:9::7"),
    (FAILURE, "192.0.2.9"),
];

/// What one run left behind.
struct Outcome {
    file: Vec<String>,
    topic: Vec<String>,
    alerts: Vec<Request>,
    actions: Vec<Request>,
    home: Home,
}

fn run(mode: &str) -> Outcome {
    let (events_topic, alerts_topic) = (format!("way-{mode}"), format!("way-{mode}-alerts"));
    let broker = kafka::shared();
    broker.topic(&events_topic, 1);
    broker.topic(&alerts_topic, 1);
    // The first answers are failures: what is refused comes again, under the same id.
    let (soc, gateway) = (Receiver::start("500,200"), Receiver::start("503,200"));
    let home = Home::new(
        &events_topic,
        &format!(
            "{}{}alerts:\n  sinks:\n    - {{kind: file, path: alerts.ndjson}}\n    - {{kind: kafka, brokers: ['{}'], topic: {alerts_topic}}}\n    - {{kind: webhook, url: '{}', secret_env: WEBHOOK_SECRET}}\n\
             containment:\n  mode: {mode}\n  webhooks: [{{name: gateway, url: '{}', secret_env: WEBHOOK_SECRET}}]\n",
            source(&events_topic),
            detectors(),
            broker.bootstrap(),
            soc.url(),
            gateway.url(),
        ),
    );
    let events = home.file("events.jsonl");
    std::fs::write(&events, morning(&ATTACKERS, 12)).unwrap();
    broker.produce(&events_topic, &events);

    let daemon = home.start().ready();
    daemon.settled(48);
    daemon.stop();
    let believed = Request::is_believed;
    Outcome {
        file: lines(&home.file("alerts.ndjson")),
        topic: broker.consume(&alerts_topic),
        alerts: soc.seen().into_iter().filter(believed).collect(),
        actions: gateway.seen().into_iter().filter(believed).collect(),
        home,
    }
}

/// Whatever the mode: every channel has the alerts of `replay`, once.
fn every_channel_agrees(got: &Outcome) {
    let want = replayed(&got.home.file("events.jsonl"), Some(fixture("detectors")));
    let comparable = |lines: &[String]| {
        lines
            .iter()
            .map(|l| alerts::comparable(l))
            .collect::<Vec<_>>()
    };
    alerts::assert_same_set("the alerts file", &comparable(&got.file), &want);

    let sorted = |lines: Vec<String>| lines.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(got.topic.len(), got.file.len());
    assert_eq!(
        sorted(got.topic.clone()),
        sorted(got.file.clone()),
        "the alerts topic"
    );

    let sent: Vec<String> = got.alerts.iter().map(|r| r.data.to_string()).collect();
    let filed = got.file.iter().map(|l| {
        serde_json::from_str::<serde_json::Value>(l)
            .unwrap()
            .to_string()
    });
    assert_eq!(sent.len(), got.file.len());
    assert_eq!(sorted(sent), filed.collect(), "the alerts' webhooks");

    let revisions: BTreeSet<_> = got
        .alerts
        .iter()
        .map(|r| alerts::revision(&r.data))
        .collect();
    assert_eq!(revisions.len(), got.alerts.len(), "one revision told twice");
    let opened: Vec<_> = got
        .alerts
        .iter()
        .filter(|r| r.data["revision"] == 0)
        .collect();
    let ids: BTreeSet<_> = opened
        .iter()
        .map(|r| r.data["alert_id"].to_string())
        .collect();
    assert_eq!(
        (opened.len(), ids.len()),
        (ATTACKERS.len(), ATTACKERS.len()),
        "alert ids are unique"
    );
    for request in got.alerts.iter().chain(&got.actions) {
        let known = [
            "alert.opened",
            "alert.updated",
            "alert.closed",
            "action.requested",
            "action.extended",
        ];
        assert!(
            known
                .iter()
                .any(|k| request.kind == format!("tidegate.{k}.v1")),
            "{request:?}"
        );
    }
}

/// The first request of each action: verb, target and whether it is only shown.
fn asked(got: &Outcome) -> BTreeSet<(String, String, bool)> {
    let requested = got
        .actions
        .iter()
        .filter(|r| r.kind == "tidegate.action.requested.v1");
    let tell = |r: &Request| {
        let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
        assert_eq!(r.data["target"]["scope"], "ip", "{r:?}");
        for key in [
            "action_id",
            "seq",
            "issued_at",
            "expires_at",
            "undo",
            "reason",
        ] {
            assert!(!r.data[key].is_null(), "no {key}: {r:?}");
        }
        let simulated = r.data["simulated"].as_bool().unwrap();
        (
            text(&r.data["verb"]),
            text(&r.data["target"]["value"]),
            simulated,
        )
    };
    let all: Vec<_> = requested.map(tell).collect();
    let set: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(
        all.len(),
        set.len(),
        "an action was asked for twice: {all:?}"
    );
    set
}

/// The detector of resets may contain; that of failed tokens is in shadow mode whatever the
/// configuration says.
fn expected(block_simulated: bool) -> BTreeSet<(String, String, bool)> {
    let of = |(kind, ip): (&str, &str)| match kind {
        RESET => ("block".to_owned(), ip.to_owned(), block_simulated),
        _ => ("challenge".to_owned(), ip.to_owned(), true),
    };
    ATTACKERS.map(of).into_iter().collect()
}

#[test]
fn in_shadow_mode_all_is_told_and_nothing_is_real() {
    let got = run("shadow");
    every_channel_agrees(&got);
    assert_eq!(asked(&got), expected(true));
}

#[test]
fn in_enforce_mode_only_a_detector_that_may_contain_acts() {
    let got = run("enforce");
    every_channel_agrees(&got);
    assert_eq!(asked(&got), expected(false));
}
