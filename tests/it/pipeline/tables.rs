//! Enrichment tables change under a running daemon: new ones are taken, damaged ones are not.

use super::source;
use crate::harness::daemon::{Daemon, Home};
use crate::harness::{kafka, lines};

const DETECTOR: &str = "
title: A reset from a data centre
name: it-hosted
logsource: {product: tidegate}
detection:
  hosted: {event.kind: recovery.requested, source.kind: hosting}
  condition: hosted
fields: [source.ip]
---
title: A reset to a throw-away mailbox
name: it-disposable
logsource: {product: tidegate}
detection:
  disposable: {event.kind: recovery.requested, mailbox.kind: disposable}
  condition: disposable
fields: [source.ip]
";

/// One reset from this address, told once per test.
fn produce(home: &Home, second: u32, ip: &str) {
    let file = home.file("events.jsonl");
    let event = format!(
        "{{\"event.kind\":\"recovery.requested\",\"time\":\"2026-01-12T08:00:{second:02}Z\",\
         \"source.ip\":\"{ip}\",\"user.email\":\"bob@throw-away.example\"}}\n"
    );
    std::fs::write(&file, event).unwrap();
    kafka::shared().produce("tables", &file);
}

fn reloaded(daemon: &Daemon, outcome: &str, times: u64) {
    let labels = ["what=\"tables\"", &format!("outcome=\"{outcome}\"")];
    daemon.until(&format!("tables {outcome}"), |d| {
        (d.metric("tidegate_reloads_total", &labels) >= times).then_some(())
    });
}

#[test]
fn a_changed_list_is_used_and_a_damaged_one_is_not() {
    kafka::shared().topic("tables", 1);
    let home = Home::new(
        "tables",
        &format!(
            "{}detectors: {{dir: detectors}}\nalerts: {{sinks: [{{kind: file, path: alerts.ndjson}}]}}\n\
             enrich: {{reload: 1s, lists: [{{name: hosts, file: hosts.txt, sets: hosting}},\
             {{name: mail, file: mail.txt, sets: disposable}}]}}\n",
            source("tables")
        ),
    );
    std::fs::create_dir(home.file("detectors")).unwrap();
    std::fs::write(home.file("detectors/detector.yml"), DETECTOR).unwrap();
    let hosts = home.file("hosts.txt");
    std::fs::write(&hosts, "192.0.2.0/24\n").unwrap();
    std::fs::write(home.file("mail.txt"), "other.example\n").unwrap();

    let daemon = home.start().ready();
    produce(&home, 1, "203.0.113.7");
    daemon.settled(1);
    assert!(
        lines(&home.file("alerts.ndjson")).is_empty(),
        "not in the list yet"
    );

    std::fs::write(&hosts, "192.0.2.0/24\n203.0.113.0/24\n").unwrap();
    reloaded(&daemon, "done", 1);
    produce(&home, 2, "203.0.113.7");
    daemon.settled(2);
    assert_eq!(lines(&home.file("alerts.ndjson")).len(), 1);

    std::fs::write(home.file("mail.txt"), "throw-away.example\n").unwrap();
    reloaded(&daemon, "done", 2);
    produce(&home, 3, "198.51.100.7");
    daemon.settled(3);
    let told = lines(&home.file("alerts.ndjson"));
    assert_eq!(told.len(), 2, "a mailbox that is listed now");
    assert!(!told.concat().contains("throw-away.example"), "{told:?}");

    std::fs::write(&hosts, "203.0.113.0/99\n").unwrap();
    reloaded(&daemon, "refused", 1);
    produce(&home, 4, "203.0.113.8");
    daemon.settled(4);
    assert_eq!(
        lines(&home.file("alerts.ndjson")).len(),
        4,
        "the tables before it stay"
    );
    daemon.stop();
}
