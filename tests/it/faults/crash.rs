//! (T2) The process aborts at every point where it could: nothing is lost, nothing is new.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Mutex;
use std::time::Duration;

use tidegate::crash::{BESIDE, POINTS};

use super::panic::{knock, scene};
use super::{Scene, Tally, floods, row};
use crate::harness::{kafka, share, sized, store};

const ABORTED: i32 = 6;
/// How often each point is asked for.
const ROUNDS: u64 = 10;
/// How soon a life passes any point.
const LIMIT: Duration = Duration::from_secs(60);
/// Daemons at once: they mostly wait.
const AT_ONCE: usize = 4;

/// Points that a life over these few records passes only so often.
const SELDOM: &[(&str, u64)] = &[
    ("state-read", 1),
    ("state-restored", 1),
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
    ("input-read", 1),
    ("letters-sending", 1),
    ("reports-served", 2),
];

/// `TIDEGATE_TEST_ROUNDS=10` for the long run: at the 1st, 2nd, ... pass of each point.
fn rounds() -> u64 {
    sized("TIDEGATE_TEST_ROUNDS", 1)
}

/// The pass at which it dies in this round, from the first one again where there are no more.
fn pass(point: &str, round: u64) -> u64 {
    let seldom = SELDOM.iter().find(|(name, _)| *name == point);
    seldom.map_or(round, |(_, passes)| (round - 1) % passes + 1)
}

/// A life that ends at this pass of the point, and one that recovers.
fn aborts_at(topic: &str, point: &str, round: u64, events: &str) -> Tally {
    let is_beside = BESIDE.contains(&point);
    let scene = match is_beside {
        true => scene(topic, &format!("crash-{point}"), events),
        false => Scene::over(topic, &format!("crash-{point}"), events),
    };
    if point.starts_with("state-") {
        // There is a state only for a second life.
        let daemon = scene.home.start().ready();
        daemon.until("a snapshot", |_| {
            let mut snapshots = scene.home.file("state/snapshots").read_dir().ok()?;
            snapshots.next().map(drop)
        });
        daemon.settled(scene.records);
        daemon.kill();
    }
    let fault = format!("{point}:{}", pass(point, round));
    let mut daemon = scene.home.start_faulty("TIDEGATE_CRASH", &fault);
    if point == "draining" {
        std::thread::sleep(Duration::from_secs(3));
        daemon.terminate();
    }
    // Some points beside are met by whoever asks.
    while is_beside && daemon.is_alive() && daemon.began.elapsed() < LIMIT {
        daemon.door().iter().for_each(|address| knock(address));
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = daemon.ended(LIMIT);
    assert_eq!(status.signal(), Some(ABORTED), "{fault}: {status}");
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{fault}: {tally:?}");
    tally
}

#[test]
fn after_an_abort_at_every_point_every_alert_is_there() {
    let topic = "faults-crash";
    for name in ["", "-dead", "-alerts"] {
        kafka::shared().topic(&format!("{topic}{name}"), 1);
    }
    let events = floods(8, 40);
    let first = Scene::over(topic, "crash-produce", &events);
    kafka::shared().produce(topic, &first.home.file("events.jsonl"));
    let points: Vec<&str> = POINTS.iter().chain(BESIDE).copied().collect();
    let every = |round| points.iter().map(move |point| (*point, round));
    let all: Vec<_> = (1..=rounds()).flat_map(every).collect();
    let (waiting, sum) = (Mutex::new(all.clone()), Mutex::new(Tally::default()));
    let next = || waiting.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((point, round)) = next() {
                    let tally = aborts_at(topic, point, round, &events);
                    let mut sum = sum.lock().unwrap();
                    sum.alerts += tally.alerts;
                    sum.duplicates += tally.duplicates;
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    row(
        "T2 abort at every crash point",
        &format!(
            "{} of {} points, {} aborts, {}",
            points.len(),
            POINTS.len() + BESIDE.len(),
            share(all.len() as u64, points.len() as u64 * ROUNDS),
            store()
        ),
        &format!(
            "lost 0, extra 0 of {} alert revisions; {} delivered again, same id and bytes",
            sum.alerts, sum.duplicates
        ),
    );
}
