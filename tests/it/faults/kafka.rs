//! (T21, T22) The broker goes, comes back, and comes back with less than it had.

use std::time::{Duration, Instant};

use super::{FLAT, RESUME_MAX, Scene, floods, floods_from, row};
use crate::harness::kafka::Broker;

#[test]
fn a_broker_that_restarts_costs_nothing() {
    let broker = Broker::own("faults-restart");
    broker.topic("t21", 1);
    let events = floods(8, 40);
    let scene = Scene::of(&broker.bootstrap(), "t21", "broker-restart", &events, "200");
    let part = scene.home.file("part.jsonl");
    let all: Vec<&str> = events.lines().collect();
    let produce = |lines: &[&str]| {
        std::fs::write(&part, lines.join("\n") + "\n").unwrap();
        broker.produce("t21", &part);
    };
    let (first, rest) = all.split_at(all.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    produce(first);
    let daemon = scene.home.start().ready();
    daemon.settled(first.len() as u64);
    let before = daemon.memory("VmRSS");

    let mut records = first.len() as u64;
    for (how, name, lines) in [
        (&[][..], "SIGTERM", second),
        (&["--kill"], "kill -9", third),
    ] {
        broker.restart(how);
        let back = Instant::now();
        produce(lines);
        records += lines.len() as u64;
        daemon.until("the rest", |d| (d.received() >= records).then_some(()));
        let took = back.elapsed();
        assert!(took <= RESUME_MAX, "{name}: reading again after {took:?}");
        row(
            "T21 broker ended and restarted",
            &format!("{name} in the middle of a stream"),
            &format!(
                "reading again {:.1} s after it was back",
                took.as_secs_f64()
            ),
        );
    }
    daemon.settled(scene.records);
    assert_eq!(daemon.received(), scene.records, "nothing is read twice");
    let more = daemon.memory("VmRSS").saturating_sub(before);
    assert!(more <= FLAT, "{more} KiB more memory");
    daemon.stop();
    let tally = scene.tally();
    tally.assert_once();
}

#[test]
fn a_log_shorter_than_the_frontier_stops_the_partition_and_says_so() {
    let broker = Broker::own("faults-lost");
    broker.topic("t22", 1);
    let events = floods(4, 20);
    let scene = Scene::of(&broker.bootstrap(), "t22", "broker-lost", &events, "200");
    broker.produce("t22", &scene.home.file("events.jsonl"));
    let daemon = scene.home.start().ready();
    daemon.settled(scene.records);
    daemon.stop();

    broker.stop();
    broker.lose("t22");
    broker.restart(&[]);
    let few = scene.home.file("few.jsonl");
    std::fs::write(&few, floods(1, 3)).unwrap();
    let few_records = 4;
    broker.produce("t22", &few);
    let daemon = scene.home.start();
    let began = Instant::now();
    let alert = daemon.until("the alert", |d| d.halted().into_iter().next());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "told after {took:?}");
    assert_eq!(alert["detector"]["level"], "critical");
    assert_eq!(alert["key"]["source"], "t22");
    daemon.until("not ready", |d| (d.get("/readyz").0 == 503).then_some(()));
    assert_eq!(daemon.received(), 0, "nothing is read from the new log");
    let heard = || scene.heard_of("tidegate-partition-halted");
    daemon.until("the SOC hears of it", |_| {
        (!heard().is_empty()).then_some(())
    });
    daemon.stop();

    // The same trouble is not told again.
    let daemon = scene.home.start();
    daemon.until("not ready", |d| (d.get("/readyz").0 == 503).then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(daemon.halted().len(), 1);
    daemon.stop();
    assert_eq!(heard(), ["tidegate.alert.opened.v1"]);

    // The operator's word for it, and it goes on with what there is.
    let daemon = scene.home.start_and(&["--accept-loss", "t22/0"]).ready();
    daemon.settled(few_records);
    assert_eq!(daemon.received(), few_records);
    daemon.stop();
    let daemon = scene.home.start_and(&["--accept-loss", "t22/0"]).ready();
    daemon.settled(0);
    assert_eq!(
        daemon.received(),
        0,
        "nothing is read again where nothing is lost"
    );
    daemon.stop();
    row(
        "T22 the broker lost acknowledged records",
        "log removed while the broker was down",
        &format!(
            "the partition stands, critical alert after {:.1} s, told once; goes on with --accept-loss",
            took.as_secs_f64()
        ),
    );
}

#[test]
fn a_log_that_grew_past_the_frontier_again_is_told_from_the_one_that_was_read() {
    let broker = Broker::own("faults-regrown");
    broker.topic("t22b", 1);
    let events = floods(4, 20);
    let scene = Scene::of(
        &broker.bootstrap(),
        "t22b",
        "broker-regrown",
        &events,
        "200",
    );
    let file = scene.home.file("events.jsonl");
    broker.produce("t22b", &file);
    let daemon = scene.home.start().ready();
    daemon.settled(scene.records);
    daemon.stop();

    // The same log goes on.
    broker.restart(&[]);
    let daemon = scene.home.start().ready();
    daemon.settled(0);
    assert_eq!(daemon.received(), 0, "nothing is read twice");
    daemon.stop();

    broker.stop();
    broker.lose("t22b");
    broker.restart(&[]);
    let other = scene.home.file("other.jsonl");
    let text = floods_from(60, 4, 40);
    std::fs::write(&other, &text).unwrap();
    broker.produce("t22b", &other);
    let records = text.lines().count() as u64;
    assert!(records > scene.records, "it reaches past the frontier");
    let daemon = scene.home.start();
    let began = Instant::now();
    let alert = daemon.until("the alert", |d| d.halted().into_iter().next());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "told after {took:?}");
    let summary = alert["summary"].as_str().unwrap();
    assert!(summary.contains("not the one that was read"), "{summary}");
    daemon.until("not ready", |d| (d.get("/readyz").0 == 503).then_some(()));
    assert_eq!(daemon.received(), 0, "nothing is read from the new log");
    daemon.stop();

    let daemon = scene.home.start_and(&["--accept-loss", "t22b/0"]).ready();
    daemon.settled(records);
    assert_eq!(daemon.received(), records);
    daemon.stop();
    row(
        "T22 a log made anew has grown past the frontier",
        &format!("{records} other records where {} were read", scene.records),
        &format!(
            "the partition stands, critical alert after {:.1} s; goes on with --accept-loss",
            took.as_secs_f64()
        ),
    );
}

#[test]
fn a_batch_whose_checksum_does_not_hold_stops_its_partition_and_is_not_left_out_unseen() {
    let topic = "broken";
    let broker = Broker::own("faults-broken");
    broker.topic(topic, 2);
    let parts = [
        floods(4, 20),
        floods_from(40, 4, 20),
        floods_from(60, 4, 20),
    ];
    let scene = Scene::of(
        &broker.bootstrap(),
        topic,
        "broker-broken",
        &parts.concat(),
        "200",
    );
    let part = scene.home.file("part.jsonl");
    let each = parts[0].lines().count() as u64;
    for lines in &parts {
        std::fs::write(&part, lines).unwrap();
        broker.produce_to(topic, 1, &part);
        if *lines == parts[1] {
            // Right behind it one that is whole and cannot be read, either.
            broker.produce_packed((topic, 1), "gzip", 64, 1).unwrap();
        }
    }
    // Before it a partition that ends where the broken batch begins: it might be its own.
    std::fs::write(&part, floods_from(80, 4, 20)).unwrap();
    broker.produce_to(topic, 0, &part);
    broker.stop();
    let broken = parts[1].lines().next().unwrap();
    broker.damage((topic, 1), broken);
    broker.restart(&[]);

    let daemon = scene.home.start();
    let began = Instant::now();
    let alert = daemon.until("the alert", |d| d.halted().into_iter().next());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "told after {took:?}");
    assert_eq!(alert["key"]["partition"], "1");
    let summary = alert["summary"].as_str().unwrap();
    let said = format!("the batch at {each} is damaged");
    assert!(summary.contains(&said), "{summary}");
    daemon.until("not ready", |d| (d.get("/readyz").0 == 503).then_some(()));
    daemon.until("what is before it, and elsewhere", |d| {
        (d.received() >= 2 * each).then_some(())
    });
    assert_eq!(daemon.gauge("tidegate_partitions_halted", &[]), 1);
    assert_eq!(daemon.received(), 2 * each, "nothing from behind it");
    daemon.stop();

    let place = format!("{topic}/1");
    let daemon = scene.home.start_and(&["--accept-loss", &place]).ready();
    daemon.settled(each);
    assert_eq!(daemon.received(), each, "what is behind it");
    assert_eq!(daemon.metric("tidegate_batches_passed_over_total", &[]), 1);
    assert!(daemon.values("tidegate_partitions_halted", &[]).is_empty());
    daemon.stop();
    row(
        "a batch that the broker's disk has damaged",
        "one bit of a record, in a partition of two",
        &format!(
            "its partition stands before it, critical alert after {:.1} s, the other goes on; goes on behind it with --accept-loss",
            took.as_secs_f64()
        ),
    );
}
