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

/// The client's library panics over such a name; it once ended the process, and again after each start.
#[test]
fn a_header_whose_name_is_no_text_stops_nothing() {
    let broker = kafka::shared();
    let topic = "headers-odd";
    broker.topic(topic, 1);
    let home = Home::new(topic, &format!("{}{}", source(topic), detectors()));
    let file = home.file("events.jsonl");
    let event = |second: u32| {
        format!(
            "{{\"event.kind\":\"recovery.requested\",\"time\":\"2026-01-12T08:00:{second:02}Z\",\
             \"source.ip\":\"203.0.113.7\",\"user.target.id\":\"u-1\"}}\n"
        )
    };
    std::fs::write(&file, event(1) + &event(1)).unwrap();
    broker.produce_with_odd_header(topic, &file, "event.id=a");
    broker.produce_with(topic, &file, "event.id=b");

    let daemon = home.start().ready();
    daemon.settled(4);
    let log = daemon.log();
    assert_eq!(log.matches("headers cannot be read").count(), 1, "{log}");
    assert!(!log.contains("panicked"), "{log}");
    // The first two go on without an id, the others have one and the same.
    assert_eq!(daemon.metric("tidegate_events_duplicate_total", &[]), 1);
    daemon.stop();
}
