//! What stands at the end of a log and is no event: the state has passed it all the same.

use super::{RESET, detectors, morning};
use crate::harness::daemon::Home;
use crate::harness::{kafka, lines};

#[test]
fn a_log_that_ends_in_garbage_or_a_commit_is_not_read_again_and_may_expire() {
    let broker = kafka::shared();
    let topics = ["tail-garbage", "tail-commit"];
    topics.iter().for_each(|t| broker.topic(t, 1));
    let body = format!(
        "sources: [{{kind: kafka, brokers: ['{}'], topics: [{{name: {}}}, {{name: {}}}]}}]\n{}",
        broker.bootstrap(),
        topics[0],
        topics[1],
        detectors()
    );
    let home = Home::new("tail", &body);
    let file = home.file("part.jsonl");
    let events: Vec<String> = morning(&[(RESET, "203.0.113.7")], 3)
        .lines()
        .map(str::to_owned)
        .collect();
    std::fs::write(&file, events.join("\n") + "\n{ garbage\n").unwrap();
    broker.produce("tail-garbage", &file);
    broker.produce_committed("tail-commit", &events);

    let daemon = home.start().ready();
    daemon.settled(7);
    daemon.stop();
    let dead = || lines(&home.file("state/dead-letters.jsonl")).len();
    assert_eq!(dead(), 1);

    topics.iter().for_each(|t| broker.expire(t));
    let daemon = home.start().ready();
    std::fs::write(&file, morning(&[(RESET, "203.0.113.8")], 1)).unwrap();
    topics.iter().for_each(|t| broker.produce(t, &file));
    daemon.settled(2);
    assert_eq!(daemon.received(), 2, "nothing is read again");
    assert_eq!(dead(), 1, "nor buried again");
    let halted = daemon.halted();
    assert!(halted.is_empty(), "{halted:?}");
    daemon.stop();
}
