//! (T2) The process aborts at every point where it could: nothing is lost, nothing is new.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use tidegate::crash::POINTS;

use super::{Scene, Tally, floods, row};
use crate::harness::{kafka, store};

const ABORTED: i32 = 6;

/// Points that a life over these few records passes only so often.
const SELDOM: &[(&str, u64)] = &[
    ("source-polled", 2),
    ("batch-decoded", 2),
    ("batch-taken", 2),
    ("alerts-told", 1),
    ("dead-letters-written", 1),
    ("base-begun", 1),
    ("base-written", 1),
    ("base-renamed", 1),
    ("snapshots-pruning", 1),
    ("outbox-loaded", 2),
    ("draining", 1),
];

/// `TIDEGATE_TEST_ROUNDS=10` for the long run: at the 1st, 2nd, ... pass of each point.
fn rounds() -> u64 {
    std::env::var("TIDEGATE_TEST_ROUNDS").map_or(1, |n| n.parse().expect("a number"))
}

/// The pass at which it dies in this round, from the first one again where there are no more.
fn pass(point: &str, round: u64) -> u64 {
    let seldom = SELDOM.iter().find(|(name, _)| *name == point);
    seldom.map_or(round, |(_, passes)| (round - 1) % passes + 1)
}

#[test]
fn after_an_abort_at_every_point_every_alert_is_there() {
    let events = floods(8, 40);
    let first = Scene::over("faults", "crash-produce", &events);
    kafka::shared().topic("faults", 1);
    kafka::shared().produce("faults", &first.home.file("events.jsonl"));
    let mut sum = Tally::default();
    let mut crashes = 0;
    for point in POINTS {
        for round in 1..=rounds() {
            let scene = Scene::over("faults", &format!("crash-{point}"), &events);
            let mut daemon = scene
                .home
                .start_faulty("TIDEGATE_CRASH", &format!("{point}:{}", pass(point, round)));
            if *point == "draining" {
                std::thread::sleep(Duration::from_secs(3));
                daemon.terminate();
            }
            let status = daemon.ended(Duration::from_secs(60));
            assert_eq!(status.signal(), Some(ABORTED), "{point}:{round}: {status}");
            crashes += 1;
            let tally = scene.recover();
            assert_eq!(
                (tally.lost, tally.extra),
                (0, 0),
                "{point}:{round}: {tally:?}"
            );
            sum.alerts += tally.alerts;
            sum.duplicates += tally.duplicates;
        }
    }
    row(
        "T2 abort at every crash point",
        &format!("{} points, {crashes} aborts, {}", POINTS.len(), store()),
        &format!(
            "lost 0, extra 0 of {} alert revisions; {} delivered again, same id and bytes",
            sum.alerts, sum.duplicates
        ),
    );
}
