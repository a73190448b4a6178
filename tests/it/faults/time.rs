//! (T18, T19, T20) Time that is not in order: shuffled and late events, producers and hosts whose
//! clocks are wrong, partitions that are silent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate::model::EventTime;

use super::{Scene, floods, goes_on, last_time, now, row};
use crate::harness::daemon::{Daemon, Home};
use crate::harness::receiver::Receiver;
use crate::harness::{alerts, fixture, kafka, lines, scratch};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const LATENESS: i64 = 5 * MINUTE;
/// 2026-01-12T08:00:00Z
const MORNING: i64 = 1_768_204_800_000;

/// Numbers without order, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        i64::try_from((self.0 >> 33) % u64::try_from(limit).unwrap()).unwrap()
    }
}

/// A request from an address at a time in milliseconds.
fn request(n: usize, time: i64, address: &str) -> String {
    format!(
        "{{\"event.kind\":\"recovery.requested\",\"event.id\":\"t-{n}\",\"time\":{time},\
         \"source.ip\":\"{address}\",\"user.target.id\":\"u-{n}\"}}\n"
    )
}

/// Bursts of addresses spread over `minutes`, each of 40 requests within a minute, in order of time.
fn bursts(start: i64, minutes: i64, addresses: i64) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    for address in 0..addresses {
        let begin = start + address * minutes * MINUTE / addresses;
        for n in 0..40 {
            all.push((begin + n * 1500, format!("203.0.113.{address}")));
        }
    }
    all.sort();
    all
}

fn text(events: &[(i64, String)]) -> String {
    let line = |(n, (time, address)): (usize, &(i64, String))| request(n, *time, address);
    events.iter().enumerate().map(line).collect()
}

fn ids<'a>(alerts: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    let id = |line: &String| {
        let alert: serde_json::Value = serde_json::from_str(line).unwrap();
        alert["alert_id"].to_string()
    };
    alerts.into_iter().map(id).collect()
}

/// The address that an alert is about.
fn address(alert: &str) -> String {
    let alert: serde_json::Value = serde_json::from_str(alert).unwrap();
    alert["key"]["source.ip"].as_str().unwrap().to_owned()
}

/// When each address was found; each floods once.
fn found<'a>(alerts: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    for line in alerts {
        let alert: serde_json::Value = serde_json::from_str(line).unwrap();
        if alert["revision"] == 0 {
            let time = EventTime::parse(alert["time"].as_str().unwrap()).unwrap();
            let before = found.insert(address(line), time.0);
            assert_eq!(before, None, "told twice: {line}");
        }
    }
    found
}

#[test]
fn disorder_changes_no_byte_where_keys_are_in_order_and_what_is_too_late_is_counted() {
    let topic = "faults-disorder";
    kafka::shared().topic(topic, 1);
    let sorted = bursts(MORNING, 30, 60);
    let mut dice = Dice(18);
    // Each comes up to five minutes after its time, all of an even address equally; one in a hundred ten
    // minutes after it.
    let (mut arriving, mut spared) = (Vec::new(), Vec::new());
    let mut delays: BTreeMap<&str, i64> = BTreeMap::new();
    for (n, (time, address)) in sorted.iter().enumerate() {
        let own = dice.below(LATENESS);
        let delay = if n % 100 == 99 {
            10 * MINUTE
        } else if address.ends_with(['0', '2', '4', '6', '8']) {
            *delays.entry(address).or_insert(own)
        } else {
            own
        };
        arriving.push((time + delay, n));
    }
    arriving.sort_unstable();
    let (mut last, mut overtaken) = (BTreeMap::new(), BTreeSet::new());
    let (mut newest, mut late, mut stream) = (i64::MIN, 0, String::new());
    for (_, n) in &arriving {
        let (time, address) = &sorted[*n];
        if newest != i64::MIN && *time <= newest - LATENESS {
            late += 1;
        } else {
            spared.push((*time, *n, address.clone()));
            if last
                .insert(address, time)
                .is_some_and(|before| before > time)
            {
                overtaken.insert(address.clone());
            }
        }
        newest = newest.max(*time);
        stream.push_str(&request(*n, *time, address));
    }
    assert!(late > 10, "{late} of {} are late", sorted.len());
    spared.sort();
    let want: String = spared.iter().map(|(t, n, a)| request(*n, *t, a)).collect();
    let scene = Scene::over(topic, "disorder", &want);
    let file = scene.home.file("stream.jsonl");
    std::fs::write(&file, stream).unwrap();
    kafka::shared().produce(topic, &file);
    let daemon = scene.home.start().ready();
    daemon.settled(sorted.len() as u64);
    assert_eq!(daemon.metric("tidegate_events_late_total", &[]), late);
    daemon.stop();
    // `replay` sorts within the lateness; a stream that lives is told as it comes. Where events of one address
    // overtake each other, its bound may be crossed in another slot of time, and the alert then has another id.
    assert_eq!(super::replayed(&file), scene.want, "replay of the disorder");
    let live = lines(&scene.home.file("alerts.ndjson"));
    let in_order = |lines: &[String]| -> Vec<String> {
        let own = lines
            .iter()
            .filter(|line| !overtaken.contains(&address(line)));
        own.map(|line| alerts::comparable(line)).collect()
    };
    let meant: Vec<String> = scene.want.iter().cloned().collect();
    alerts::assert_same_set("in order", &in_order(&live), &in_order(&meant));
    let (told, meant) = (found(&live), found(&scene.want));
    assert!(told.keys().eq(meant.keys()), "{told:?}, not {meant:?}");
    let off = |(key, time): (&String, &i64)| (time - meant[key]).abs() >= LATENESS;
    assert!(!told.iter().any(off), "{told:?}, not {meant:?}");
    let steady = told.len() - overtaken.len();
    assert!(steady >= 25, "{steady} of {} are in order", told.len());
    let (got, want) = (ids(&live), ids(&scene.want));
    let same = got.intersection(&want).count();
    assert!(
        10 * (same - steady) >= 9 * overtaken.len(),
        "{} of {} ids of those that are not in order",
        same - steady,
        overtaken.len()
    );
    row(
        "T18 out of order",
        &format!(
            "{} events shuffled within 5 min, 1 % 10 min late",
            sorted.len()
        ),
        &format!(
            "the {} alerts of the sorted stream: equal bytes for the {steady} addresses in order, equal ids for {} of the {} others; replay: equal bytes; {late} of {late} late ones counted",
            want.len(),
            same - steady,
            overtaken.len()
        ),
    );
}

#[test]
fn producers_with_wrong_clocks_make_no_good_event_late() {
    let topic = "faults-producer-clock";
    kafka::shared().topic(topic, 1);
    // A producer whose clock is wrong stamps its records with it, too: what is wrong is judged by our
    // own clock, and the good events are of the last minute.
    let good = bursts(now() - MINUTE, 0, 8);
    let scene = Scene::over(topic, "producer-clock", &text(&good));
    let mut stream = Vec::new();
    let (mut behind, mut wrong) = (0, 0);
    for (n, (time, address)) in good.iter().enumerate() {
        if n % 10 == 5 {
            let (step, stranger) = [
                (70 * 365 * 1440 * MINUTE, "198.51.100.1"),
                (-1440 * MINUTE, "198.51.100.2"),
                (60 * MINUTE, "198.51.100.3"),
                (-90 * MINUTE, "198.51.100.4"),
            ][n / 10 % 4];
            // Few from each: wrong clocks, not floods.
            let address = format!("{stranger}{}", n / 40 % 10);
            stream.push((time + step, request(n + 10_000, time + step, &address)));
            behind += u64::from(step < 0);
            wrong += 1;
        }
        stream.push((*time, request(n, *time, address)));
    }
    kafka::shared().produce_stamped(topic, &stream);
    let daemon = scene.home.start().ready();
    daemon.settled(stream.len() as u64);
    assert_eq!(
        daemon.metric("tidegate_events_late_total", &[]),
        behind,
        "late are those of clocks that are behind, and no other"
    );
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T19 producers' clocks",
        &format!(
            "{wrong} events of {} are +70 years, -1 day, +1 h, -90 min, and so are their records",
            good.len() + wrong
        ),
        &format!("no good event is late; lost 0, extra 0 of {}", tally.alerts),
    );
}

/// The file that holds by how many seconds the host's clock is ahead, and what gives a process that clock.
fn stepped() -> (PathBuf, [(&'static str, String); 2]) {
    let shim = super::shim("clock");
    let step = scratch("clock").join("step");
    let env = [
        ("LD_PRELOAD", shim.to_str().unwrap().to_owned()),
        ("CLOCK_STEP", step.to_str().unwrap().to_owned()),
    ];
    (step, env)
}

#[test]
fn a_host_clock_that_is_stepped_changes_no_id_and_ends_no_action() {
    let topic = "faults-host-clock";
    kafka::shared().topic(topic, 1);
    let events = floods(8, 60);
    let (step, env) = stepped();
    // The receiver stands on the same machine.
    let receiver = Receiver::start_with("200", &env);
    let bootstrap = kafka::shared().bootstrap();
    let scene = Scene::to(receiver, &bootstrap, topic, "host-clock", &events);
    let daemon = scene.home.start_with(&env).ready();
    let third = events.lines().count() / 3;
    let lines: Vec<&str> = events.lines().collect();
    let mut records = 0;
    for (part, seconds) in lines.chunks(third + 1).zip(["0", "3600", "-3600"]) {
        std::fs::write(&step, seconds).unwrap();
        let file = scene.home.file("part.jsonl");
        std::fs::write(&file, part.join("\n") + "\n").unwrap();
        kafka::shared().produce(topic, &file);
        records += part.len() as u64;
        daemon.settled(records);
        let active = daemon.gauge("tidegate_actions_active", &[]);
        assert_eq!(active, 8, "after a step of {seconds} s");
        let ended = |state: &str| daemon.metric("tidegate_actions_total", &[state]);
        assert_eq!(ended("state=\"expired\"") + ended("state=\"reverted\""), 0);
    }
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T19 the host's clock",
        "+1 h, then -1 h, while running",
        &format!(
            "no action of an hour ends; lost 0, extra 0 of {}, same ids",
            tally.alerts
        ),
    );
}

/// The least that an action may stand, and how soon it has ended then.
const TTL: Duration = Duration::from_secs(10);
const ENDED_MAX: Duration = Duration::from_secs(3);

#[test]
fn an_action_ends_in_time_across_steps_of_the_host_clock() {
    let topic = "faults-host-clock-ends";
    kafka::shared().topic(topic, 1);
    let (step, env) = stepped();
    let receiver = Receiver::start_with("200", &env);
    let body = super::body(&kafka::shared().bootstrap(), topic, &receiver.url());
    let home = Home::new(topic, &body);
    let detectors = fixture("detectors").display().to_string();
    home.reconfigure(&format!("'{detectors}'"), "detectors");
    let long = std::fs::read_to_string(fixture("detectors/containing.yml")).unwrap();
    let short = long.replace("ttl: 1h", &format!("ttl: {}s", TTL.as_secs()));
    std::fs::create_dir(home.file("detectors")).unwrap();
    std::fs::write(home.file("detectors/short.yml"), short).unwrap();
    let daemon = home.start_with(&env).ready();
    let ended = |d: &Daemon| d.metric("tidegate_actions_total", &["state=\"expired\""]);
    let file = home.file("flood.jsonl");
    let (mut slowest, mut records) = (Duration::ZERO, 0);
    for (n, seconds) in (1..).zip(["-3600", "3600", "0"]) {
        let events = floods(1, 12).replace("203.0.113.0", &format!("203.0.113.{n}"));
        std::fs::write(&file, events.replace("f-0-", &format!("f-{n}-"))).unwrap();
        records += events.lines().count() as u64;
        let before = Instant::now();
        kafka::shared().produce(topic, &file);
        daemon.until("an action", |d| {
            (d.values("tidegate_actions_active", &[]) == [1.0]).then_some(())
        });
        let asked = Instant::now();
        // What is under way when the clock is stepped has a signature of another hour.
        daemon.settled(records);
        std::fs::write(&step, seconds).unwrap();
        daemon.until("its end", |d| (ended(d) == n).then_some(()));
        assert!(
            before.elapsed() >= TTL,
            "ended early at a step to {seconds} s"
        );
        slowest = slowest.max(asked.elapsed());
    }
    assert!(slowest <= TTL + ENDED_MAX, "{slowest:?}");
    daemon.settled(records);
    daemon.stop();
    let mut told = receiver.seen();
    told.retain(|r| r.kind.starts_with("tidegate.action."));
    let kinds: Vec<&str> = told.iter().map(|r| r.kind.as_str()).collect();
    let each = ["tidegate.action.requested.v1", "tidegate.action.expired.v1"];
    assert_eq!(kinds, [each; 3].concat());
    row(
        "T19 the host's clock",
        "-1 h, +2 h, -1 h, each while an action of 10 s stands",
        &format!(
            "each ends, and that is told, at most {:.1} s after it was asked for",
            slowest.as_secs_f64()
        ),
    );
}

#[test]
fn silent_partitions_hold_event_time_back_no_longer_than_two_seconds() {
    let topic = "faults-silent";
    kafka::shared().topic(topic, 64);
    let receiver = Receiver::start("200");
    let body = super::body(&kafka::shared().bootstrap(), topic, &receiver.url());
    let home = Home::new(topic, &body);
    home.reconfigure("memory: 2GiB", "memory: 2GiB, lateness: 1s");
    let daemon = home.start().ready();
    // A broker may not lead all of a topic's partitions yet that was made a moment ago.
    daemon.until("all partitions", |d| {
        (d.values("tidegate_consumer_lag_events", &[]).len() == 64).then_some(())
    });
    let (mut slowest, mut records) = (0, 0);
    for round in 0..3 {
        let mut some = String::new();
        for n in 0..100 {
            write!(some, "{}", request(round * 100 + n, now(), "203.0.113.1")).unwrap();
        }
        produce_to(&home, topic, &some);
        let produced = now();
        records += 100;
        daemon.until("the records", |d| (d.received() >= records).then_some(()));
        let since = goes_on(&daemon, last_time(&some), SECOND, Duration::from_secs(6));
        slowest = slowest.max(since - produced);
    }
    assert!(slowest <= 2 * SECOND, "{slowest} ms");
    daemon.stop();
    row(
        "T20 63 of 64 partitions are silent",
        "three bursts into one",
        &format!(
            "event time goes on {:.1} s after the end of the log, and as fast as the clock",
            slowest as f64 / 1000.0
        ),
    );
}

fn produce_to(home: &Home, topic: &str, text: &str) {
    let file = home.file("burst.jsonl");
    std::fs::write(&file, text).unwrap();
    kafka::shared().produce_to(topic, 5, Path::new(&file));
}
