//! (T40) A task panics: the process ends and says so, or goes on whole; never half-dead.

use std::time::Duration;

use super::{Scene, floods, row};
use crate::harness::kafka;

/// One point in each thread and task.
const TASKS: &[(&str, &str)] = &[
    ("source", "source-polled"),
    ("decoder", "batch-decoded"),
    ("engine", "batch-taken"),
    ("commit", "alert-written"),
    ("delivery", "outbox-loaded"),
    ("delivery's end", "message-sent"),
];
const FAILED: i32 = 3;

#[test]
fn a_panic_ends_the_process_and_a_restart_is_whole() {
    let events = floods(4, 20);
    let topic = "faults-panic";
    let first = Scene::over(topic, "panic-produce", &events);
    kafka::shared().topic(topic, 1);
    kafka::shared().produce(topic, &first.home.file("events.jsonl"));
    for (task, point) in TASKS {
        let scene = Scene::over(topic, &format!("panic-{point}"), &events);
        let mut daemon = scene
            .home
            .start_faulty("TIDEGATE_PANIC", &format!("{point}:1"));
        let status = daemon.ended(Duration::from_secs(30));
        assert_eq!(status.code(), Some(FAILED), "{task}: {}", daemon.log());
        let tally = scene.recover();
        assert_eq!((tally.lost, tally.extra), (0, 0), "{task}: {tally:?}");
    }
    row(
        "T40 a panic in a task",
        &format!("{} tasks", TASKS.len()),
        "ends with code 3; after a restart lost 0, extra 0",
    );
}

#[test]
fn a_record_on_which_decoding_panics_is_a_dead_letter() {
    let events = floods(4, 20);
    let topic = "faults-defect";
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "panic-decode", &events);
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let daemon = scene
        .home
        .start_faulty("TIDEGATE_PANIC", "record-decoding:3")
        .addressed()
        .ready();
    daemon.settled(scene.records);
    let dead = daemon.dead_letters();
    assert_eq!(
        (dead.get("defect"), dead.get("invalid_json")),
        (Some(&1), Some(&scene.wrong))
    );
    daemon.stop();
    row(
        "T40 a panic on a record",
        "1 of 82 records",
        "a dead letter with the reason defect; the rest goes on",
    );
}
