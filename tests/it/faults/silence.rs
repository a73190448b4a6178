//! (T19, T21) Nothing is heard of the log for much longer than events may be late: the broker cannot be
//! reached, or tidegate itself stands still. What was written meanwhile is not late.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::{FLAT, RESUME_MAX, Scene, goes_on, last_time, now, row};
use crate::harness::daemon::Daemon;
use crate::harness::kafka::Broker;
use crate::harness::proxy::{Fault, Proxy};

/// `engine.lateness` here (ms).
const LATENESS: i64 = 5000;
/// How long nothing is heard; five times the lateness.
const SILENCE: Duration = Duration::from_secs(25);
/// How long event time is watched afterwards.
const WATCHED: Duration = Duration::from_secs(5);
const BURSTS: u32 = 6;

/// Requests from an address, dated now.
pub(super) fn requests(name: &str, count: u32, address: &str) -> String {
    let (now, mut text) = (now(), String::new());
    for n in 0..i64::from(count) {
        writeln!(
            text,
            "{{\"event.kind\":\"recovery.requested\",\"event.id\":\"s-{name}-{n}\",\"time\":{},\
             \"source.ip\":\"{address}\",\"user.target.id\":\"u-{name}-{n}\"}}",
            now + n,
        )
        .unwrap();
    }
    text
}

fn late(daemon: &Daemon) -> u64 {
    daemon.metric("tidegate_events_late_total", &[])
}

/// A life in which nothing is heard from `begin` to `end`, while a flood is written.
fn silence(topic: &str, what: &str, begin: fn(&Daemon, &Proxy), end: fn(&Daemon, &Proxy)) {
    let proxy = Proxy::start();
    let broker = Broker::behind(&proxy, topic);
    broker.topic(topic, 1);
    let bootstrap = format!("127.0.0.1:{}", proxy.port());
    let mut all = requests("before", 12, "203.0.113.1");
    let scene = Scene::of(&bootstrap, topic, topic, &all, "200");
    scene.reconfigure("memory: 2GiB", "memory: 2GiB, lateness: 5s");
    let file = scene.home.file("part.jsonl");
    let produce = |text: &str| {
        std::fs::write(&file, text).unwrap();
        broker.produce(topic, &file);
    };
    let daemon = scene.home.start().ready();
    produce(&all);
    daemon.settled(12);
    // Long enough for the end of the log to be known, and event time to go on by the clock.
    std::thread::sleep(Duration::from_secs(4));
    let before = daemon.memory("VmRSS");
    daemon.forget_highest();
    begin(&daemon, &proxy);
    for n in 0..BURSTS {
        std::thread::sleep(Duration::from_secs(1));
        let burst = requests(&format!("burst-{n}"), 10, "203.0.113.2");
        produce(&burst);
        all += &burst;
    }
    std::thread::sleep(SILENCE);
    end(&daemon, &proxy);
    let (back, back_at, records) = (Instant::now(), now(), all.lines().count() as u64);
    daemon.until("the rest", |d| (d.received() >= records).then_some(()));
    let took = back.elapsed();
    assert!(took <= RESUME_MAX, "reading again after {took:?}");
    daemon.settled(records);
    let more = daemon.memory("VmHWM").saturating_sub(before);
    assert!(more <= FLAT, "{more} KiB more memory");
    assert_eq!(late(&daemon), 0, "{}", daemon.log());
    let since = goes_on(&daemon, last_time(&all), LATENESS, WATCHED) - back_at;
    let limit = RESUME_MAX.as_millis() as i64;
    assert!(since <= limit, "event time goes on after {since} ms");
    daemon.stop();
    std::fs::write(scene.home.file("events.jsonl"), &all).unwrap();
    let scene = scene.with_oracle();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T21 nothing is heard for longer than the lateness",
        what,
        &format!(
            "reading again after {:.1} s, event time goes on after {:.1} s, at most {:.1} MiB more in memory; late 0 of {records}; lost 0, extra 0 of {}",
            took.as_secs_f64(),
            since as f64 / 1000.0,
            more as f64 / 1024.0,
            tally.alerts
        ),
    );
}

#[test]
fn what_is_written_while_the_broker_cannot_be_reached_is_not_late() {
    silence(
        "silence-network",
        "black hole of 31 s, lateness 5 s",
        |_, proxy| proxy.set(Fault::Blackhole),
        |_, proxy| proxy.set(Fault::None),
    );
}

#[test]
fn what_is_written_while_the_process_stands_still_is_not_late() {
    silence(
        "silence-process",
        "SIGSTOP of 31 s, lateness 5 s",
        |daemon, _| daemon.freeze(),
        |daemon, _| daemon.thaw(),
    );
}
