//! (T1, T21) The first start: "from now on" is from the first start on, whatever ends it.

use std::time::Duration;

use super::{Scene, floods, row};
use crate::harness::kafka;

#[test]
fn a_kill_before_the_first_snapshot_is_due_leaves_no_gap() {
    let topic = "faults-latest";
    let events = floods(8, 40);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "latest", &events);
    scene.reconfigure("topics: [", "start: latest, topics: [");
    scene.reconfigure("snapshot_every: 1s", "snapshot_every: 1h");
    let part = scene.home.file("part.jsonl");
    let produce = |text: &str| {
        std::fs::write(&part, text).unwrap();
        kafka::shared().produce(topic, &part);
    };
    // What was there before is not read.
    produce(&events.replace("203.0.113.", "198.51.100."));
    scene.home.start().ready().kill();

    // Nobody runs.
    let (first, second) = events.split_at(events.match_indices('\n').nth(160).unwrap().0 + 1);
    produce(first);
    let daemon = scene.home.start().ready();
    daemon.until("what came meanwhile", |d| {
        (d.received() >= first.lines().count() as u64).then_some(())
    });
    produce(second);
    daemon.until("the rest", |d| {
        (d.received() >= scene.records).then_some(())
    });
    std::thread::sleep(Duration::from_millis(200));
    daemon.kill();
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T1 kill -9 before the first snapshot is due",
        "start: latest, twice",
        &format!(
            "goes on where the first start began: lost 0, extra 0 of {}",
            tally.alerts
        ),
    );
}
