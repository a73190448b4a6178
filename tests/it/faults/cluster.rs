//! (T21) Two brokers, of which one goes: the leader and the group's coordinator move to the other; what only
//! the one that went had is waited for as long as `stall_after`, and no longer.

use std::time::{Duration, Instant, SystemTime};

use super::silence::requests;
use super::{FLAT, RESUME_MAX, STEADY, Scene, floods, goes_on, last_time, row};
use crate::harness::daemon::Daemon;
use crate::harness::kafka::Broker;

/// `sources[].stall_after` here, and how soon after it the silence is told.
const STALL: Duration = Duration::from_secs(8);
const TOLD_MAX: Duration = Duration::from_secs(20);
const TOLD: &str = "nobody answers for the partition";
/// How soon after it event time goes on (ms).
const SOON: i64 = 2000;
/// How often the client says who is heard: a silence may have begun so long before the broker went.
const REPORT: Duration = Duration::from_secs(1);
/// `engine.lateness` here (ms), and how long event time is watched.
const LATENESS: i64 = 2000;
const WATCHED: Duration = Duration::from_secs(3);

/// A stream whose partition is on both brokers, and whose leader moves.
struct Moves<'a> {
    scene: Scene,
    daemon: Daemon,
    brokers: &'a (Broker, Broker),
    rest: String,
    memory: u64,
}

impl<'a> Moves<'a> {
    fn start(brokers: &'a (Broker, Broker)) -> Self {
        let first = &brokers.0;
        first.topic_on("moves", "@2:1");
        let events = floods(8, 40);
        let scene = Scene::of(&first.bootstrap(), "moves", "leader-moves", &events, "200");
        let (some, rest) = events.split_at(events.match_indices('\n').nth(160).unwrap().0 + 1);
        let daemon = scene.home.start().ready();
        produce(first, &scene, "moves", 0, some);
        daemon.settled(some.lines().count() as u64);
        let memory = daemon.memory("VmRSS");
        let rest = rest.to_owned();
        Self {
            scene,
            daemon,
            brokers,
            rest,
            memory,
        }
    }

    /// The leader has gone.
    fn goes_on(self) {
        let (scene, daemon, first) = (&self.scene, &self.daemon, &self.brokers.0);
        let began = Instant::now();
        produce(first, scene, "moves", 0, &self.rest);
        daemon.until("the rest", |d| {
            (d.received() >= scene.records).then_some(())
        });
        let took = began.elapsed();
        assert!(took <= RESUME_MAX, "reading again after {took:?}");
        // The coordinator has moved, too: how far state has come is told to the new one.
        let all = i64::try_from(scene.records).unwrap();
        daemon.until("the group's offset", |_| {
            (first.published("tidegate", "moves") == Some(all)).then_some(())
        });
        daemon.settled(scene.records);
        assert_eq!(daemon.received(), scene.records, "nothing is read twice");
        let more = daemon.memory("VmRSS").saturating_sub(self.memory);
        assert!(more <= FLAT, "{more} KiB more memory");
        self.daemon.stop();
        let tally = self.scene.tally();
        tally.assert_once();
        row(
            "T21 leader and coordinator move",
            "SIGTERM to the broker that was both, of two",
            &format!(
                "reading again after {:.1} s, the group's offset follows, {:.1} MiB more in memory; lost 0, extra 0, duplicates 0 of {}",
                took.as_secs_f64(),
                more as f64 / 1024.0,
                tally.alerts
            ),
        );
    }
}

fn produce(broker: &Broker, scene: &Scene, topic: &str, partition: u32, text: &str) {
    let file = scene.home.file("part.jsonl");
    std::fs::write(&file, text).unwrap();
    broker.produce_to(topic, partition, &file);
}

/// Waits until the silence is told, by the log's own time: no sooner than `stall_after` after `since`, and soon.
fn told(daemon: &Daemon, since: SystemTime, early: Duration) -> (SystemTime, Duration) {
    let at = daemon.until("the silence is told", |d| d.said(TOLD));
    let took = at.duration_since(since).expect("told before it was");
    assert!(took + early >= STALL, "given up after {took:?}");
    assert!(took <= STALL + TOLD_MAX, "told after {took:?}");
    (at, took)
}

/// Event time went on as soon as the silence was told.
fn follows(told: SystemTime, goes_on: i64) {
    let told = told.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let after = goes_on - i64::try_from(told.as_millis()).unwrap();
    assert!(
        (-STEADY..=SOON).contains(&after),
        "{after} ms after it was told"
    );
}

/// At a start a partition that cannot be read holds event time back, as long as that, and no longer; how long that
/// took.
fn waits_and_gives_up(daemon: &Daemon) -> Duration {
    let started = SystemTime::now() - daemon.began.elapsed();
    let mut seen: Vec<(SystemTime, f64)> = Vec::new();
    daemon.until("the silence is told", |d| {
        let behind = d.values("tidegate_watermark_delay_seconds", &[]);
        seen.extend(behind.first().map(|b| (SystemTime::now(), *b)));
        d.said(TOLD)
    });
    let (at, took) = told(daemon, started, Duration::ZERO);
    // Until then event time stands, and the clock goes on.
    seen.retain(|(seen_at, _)| *seen_at < at);
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    let passed = last.0.duration_since(first.0).unwrap();
    assert!(passed >= STALL / 2, "seen for no more than {passed:?}");
    assert!(
        last.1 >= first.1 + passed.as_secs_f64() - 2.0,
        "event time went on: {:.0} s behind, {passed:?} later {:.0} s",
        first.1,
        last.1
    );
    took
}

#[test]
fn a_broker_of_two_that_goes_holds_up_neither_what_the_other_has_nor_event_time() {
    let brokers = Broker::two("faults-cluster");
    let (first, second) = &brokers;
    // As many partitions as `dev/kafka/kafka` says, all led by the broker that will go.
    first.topic_on("__consumer_offsets", "@2:1,2:1,2:1,2:1");
    let moves = Moves::start(&brokers);

    // One partition here, one there.
    first.topic_on("away", "@1,2");
    let scene = Scene::of(&first.bootstrap(), "away", "away", &floods(1, 6), "200");
    scene.reconfigure("memory: 2GiB", "memory: 2GiB, lateness: 2s");
    let stall = format!("stall_after: {}s, topics: [", STALL.as_secs());
    scene.reconfigure("topics: [", &stall);
    let daemon = scene.home.start().ready();
    let write = |partition: u32, name: &str, daemon: &Daemon, before: u64| {
        let events = requests(name, 3, "203.0.113.9");
        produce(first, &scene, "away", partition, &events);
        daemon.until(name, |d| (d.received() >= before + 3).then_some(()));
        last_time(&events)
    };
    write(0, "here", &daemon, 0);
    let last = write(1, "there", &daemon, 3);
    goes_on(&daemon, last, LATENESS, WATCHED);

    let gone = SystemTime::now();
    second.stop();
    moves.goes_on();
    let last = write(0, "here-again", &daemon, 6);
    let (at, running) = told(&daemon, gone, REPORT);
    follows(at, goes_on(&daemon, last, LATENESS, WATCHED));
    daemon.stop();

    // It is still away at a start: its partition has no leader.
    produce(
        first,
        &scene,
        "away",
        0,
        &requests("here-later", 3, "203.0.113.9"),
    );
    let daemon = scene.home.start();
    let starting = waits_and_gives_up(&daemon);
    let daemon = daemon.ready();
    assert_eq!(daemon.received(), 3, "what the other broker has");
    let last = write(0, "here-at-last", &daemon, 3);
    goes_on(&daemon, last, LATENESS, WATCHED);
    second.restart(&[]);
    write(1, "there-later", &daemon, 6);
    daemon.stop();
    row(
        "T21 a broker stays away with what only it has",
        &format!("longer than stall_after ({} s)", STALL.as_secs()),
        &format!(
            "event time goes on without its partition {:.0} s after it went, {:.0} s after a start without it; what it brings later is read",
            running.as_secs_f64(),
            starting.as_secs_f64()
        ),
    );
}
