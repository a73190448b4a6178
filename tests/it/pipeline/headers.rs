//! An event without an id of its own has that of its record's header: it counts once.

use super::{detectors, source};
use crate::harness::daemon::Home;
use crate::harness::kafka;

#[test]
fn a_header_gives_an_event_its_id() {
    let broker = kafka::shared();
    broker.topic("headers", 1);
    let home = Home::new("headers", &format!("{}{}", source("headers"), detectors()));
    let event = |second: u32, id: &str| {
        format!(
            "{{\"event.kind\":\"recovery.requested\",{id}\"time\":\"2026-01-12T08:00:{second:02}Z\",\
             \"source.ip\":\"203.0.113.7\",\"user.target.id\":\"u-1\"}}\n"
        )
    };
    let file = home.file("events.jsonl");
    let produce = |text: &str, header: &str| {
        std::fs::write(&file, text).unwrap();
        broker.produce_with("headers", &file, header);
    };
    produce(&event(1, ""), "event.id=a");
    produce(&event(1, ""), "event.id=a");
    produce(&event(1, ""), "ce_id=b");
    // Its own id is what counts where it has one.
    produce(&event(1, "\"event.id\":\"c\","), "event.id=a");
    produce(&event(1, "\"event.id\":\"c\","), "event.id=b");

    let daemon = home.start().ready();
    daemon.settled(5);
    assert_eq!(daemon.metric("tidegate_events_duplicate_total", &[]), 2);
    daemon.stop();
}
