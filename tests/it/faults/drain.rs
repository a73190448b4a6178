//! (T1, T46) Ended in the middle of a burst: politely, and not.

use std::time::{Duration, Instant};

use super::{Scene, floods, row};
use crate::harness::{kafka, store};

/// `TIDEGATE_TEST_KILLS=200` for the long run.
fn kills() -> u32 {
    std::env::var("TIDEGATE_TEST_KILLS").map_or(20, |n| n.parse().expect("a number"))
}

#[test]
fn killed_again_and_again_in_the_middle() {
    let topic = "faults-kill";
    let events = floods(200, 600);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "kill", &events);
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let mut alive = 0;
    for n in 0..kills() {
        let mut daemon = scene.home.start();
        // Spread over start, reading, committing and the time after.
        std::thread::sleep(Duration::from_millis(u64::from(n * 97 % 700)));
        alive += u32::from(daemon.is_alive());
        daemon.kill();
    }
    assert_eq!(alive, kills(), "it did not die by itself");
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    assert!(tally.alerts >= 300, "{tally:?}");
    row(
        "T1 kill -9",
        &format!(
            "{} kills over {} records, {}",
            kills(),
            scene.records,
            store()
        ),
        &format!(
            "lost 0, extra 0 of {} alert revisions; {} delivered again, same id and bytes",
            tally.alerts, tally.duplicates
        ),
    );
}

#[test]
fn sigterm_in_a_burst_ends_within_ten_seconds() {
    let topic = "faults-term";
    let events = floods(100, 600);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "term", &events);
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let mut daemon = scene.home.start();
    daemon.until("some records", |d| (d.received() > 5000).then_some(()));
    let began = Instant::now();
    daemon.terminate();
    let status = daemon.ended(Duration::from_secs(30));
    let took = began.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let tally = scene.recover();
    assert_eq!(
        (tally.lost, tally.extra, tally.duplicates),
        (0, 0, 0),
        "{tally:?}"
    );
    row(
        "T46 SIGTERM in a burst",
        &format!("{} records", scene.records),
        &format!(
            "ended in {:.1} s; lost 0, extra 0, duplicates 0",
            took.as_secs_f64()
        ),
    );
}
