//! (T11, T17, T21, T41) The network fails: slow, reset, half-open, a black hole, and a broker that
//! sends no more and does not say so. On the side of the broker and on that of an endpoint.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{FLAT, RESUME_MAX, Scene, floods_from, revisions, row};
use crate::harness::daemon::Daemon;
use crate::harness::kafka::{self, Broker};
use crate::harness::proxy::{Fault, Proxy};
use crate::harness::receiver::Receiver;

const SLOW: Duration = Duration::from_millis(250);
const ADDRESSES: u32 = 8;
/// How long records may stay away that stop without an error: T41 allows 90 s where a stall is one after 60 s;
/// here it is one after 3 s.
const STALL_MAX: Duration = Duration::from_secs(33);
/// How long a fault stands that does not pass by itself.
const STANDS: Duration = Duration::from_secs(3);

/// A part of the stream, with addresses of its own.
struct Part {
    addresses: String,
    events: String,
}

fn parts(count: u32) -> Vec<Part> {
    let part = |n: u32| {
        let addresses = format!("198.51.{}.", 100 + n);
        let events = floods_from(n * 60, ADDRESSES, 10).replace("203.0.113.", &addresses);
        Part { addresses, events }
    };
    (0..count).map(part).collect()
}

fn all(parts: &[Part]) -> String {
    parts.iter().map(|p| p.events.as_str()).collect()
}

/// Whether the receiver has heard of every flood of a part.
fn knows(receiver: &Receiver, part: &Part) -> bool {
    let mut seen = receiver.seen();
    seen.retain(|r| r.is_believed() && r.kind == "tidegate.alert.opened.v1");
    let addresses = seen
        .iter()
        .filter_map(|r| r.data["key"]["source.ip"].as_str());
    let own = addresses.filter(|a| a.starts_with(&part.addresses));
    own.collect::<BTreeSet<_>>().len() == ADDRESSES as usize
}

fn failures(daemon: &Daemon) -> u64 {
    daemon.metric("tidegate_webhook_failures_total", &["endpoint=\"far\""])
}

/// Attempts at the far one: all of them, those that took up to 2.5 s, and those that took more than 5 s.
fn attempts(daemon: &Daemon) -> (u64, u64, u64) {
    let name = "tidegate_webhook_latency_seconds";
    let all = daemon.metric(&format!("{name}_count"), &["endpoint=\"far\""]);
    let within = |le: &str| {
        let bound = format!("le=\"{le}\"");
        let found = daemon.values(&format!("{name}_bucket"), &["endpoint=\"far\"", &bound]);
        assert_eq!(found.len(), 1, "buckets up to {le} s");
        found[0] as u64
    };
    (all, within("2.5"), all - within("5.0"))
}

#[test]
fn a_network_that_fails_before_an_endpoint_costs_its_own_messages_time_and_nothing_else() {
    let faults = [
        Fault::None,
        Fault::Latency(SLOW),
        Fault::Reset,
        Fault::HalfOpen,
        Fault::Blackhole,
    ];
    let parts = parts(5);
    let topic = "faults-network-endpoint";
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "network-endpoint", &all(&parts));
    let (proxy, far) = (Proxy::start(), Receiver::start("200"));
    proxy.to(&far.address());
    scene.reconfigure(
        "  sinks:\n",
        &format!(
            "  sinks:\n    - {{kind: webhook, name: far, url: 'http://127.0.0.1:{}/hook', secret_env: WEBHOOK_SECRET, timeout: 2s}}\n",
            proxy.port()
        ),
    );
    let daemon = scene.home.start().ready();
    let file = scene.home.file("part.jsonl");
    for (fault, part) in faults.into_iter().zip(&parts) {
        let before = failures(&daemon);
        proxy.set(fault);
        std::fs::write(&file, &part.events).unwrap();
        kafka::shared().produce(topic, &file);
        let began = Instant::now();
        daemon.until("the endpoint beside it has all", |_| {
            knows(&scene.receiver, part).then_some(())
        });
        let beside = began.elapsed();
        assert!(beside < Duration::from_secs(10), "{fault:?}: {beside:?}");
        if matches!(fault, Fault::Reset | Fault::Blackhole) {
            daemon.until("a failure", |d| (failures(d) > before).then_some(()));
            assert!(!knows(&far, part), "{fault:?} lets something through");
            proxy.set(Fault::None);
        }
        let lifted = Instant::now();
        daemon.until("the far endpoint has all", |_| {
            knows(&far, part).then_some(())
        });
        row(
            "T11, T17 network before an endpoint",
            &format!("{fault:?}"),
            &format!(
                "the one beside it has all after {:.1} s; this one {:.1} s later, {} failed attempts",
                beside.as_secs_f64(),
                lifted.elapsed().as_secs_f64(),
                failures(&daemon) - before
            ),
        );
    }
    daemon.settled(scene.records);
    let (attempts, usual, long) = attempts(&daemon);
    assert_eq!(
        long, 0,
        "attempts took longer than 5 s, their timeout is 2 s"
    );
    // A busy machine may be late for one or two of them.
    let timeouts = daemon.metric(
        "tidegate_webhook_failures_total",
        &["endpoint=\"far\"", "reason=\"timeout\""],
    );
    assert!(timeouts > 0, "nothing of the black hole");
    assert!(
        2 * (attempts - usual) <= timeouts,
        "{attempts} attempts with a timeout of 2 s, of which {timeouts} met it: {usual} within 2.5 s"
    );
    daemon.stop();
    let tally = scene.tally();
    tally.assert_once();
    let (near, far) = (revisions(&scene.receiver), revisions(&far));
    assert!(near.keys().eq(far.keys()), "both have the same alerts");
    row(
        "T11, T17 network before an endpoint",
        "all of these",
        &format!(
            "lost 0, extra 0 of {}; {} delivered again, same id and bytes; {attempts} attempts, none longer than its timeout",
            tally.alerts,
            far.values().map(|n| n - 1).sum::<usize>()
        ),
    );
}

/// How often the source gave nothing though there was more.
fn stalls_told(daemon: &Daemon) -> usize {
    daemon.log().matches("there was more; reconnected").count()
}

#[test]
fn a_network_that_fails_before_the_broker_costs_time_and_nothing_else() {
    let faults = [
        Fault::None,
        Fault::Latency(SLOW),
        Fault::Reset,
        Fault::HalfOpen,
        Fault::Blackhole,
        Fault::NoFetch,
        Fault::NoFetchThenMute,
    ];
    let parts = parts(7);
    let proxy = Proxy::start();
    let broker = Broker::behind(&proxy, "faults-network");
    let topic = "network";
    broker.topic(topic, 1);
    let bootstrap = format!("127.0.0.1:{}", proxy.port());
    let scene = Scene::of(&bootstrap, topic, "network-broker", &all(&parts), "200");
    scene.reconfigure("topics: [", "stall_after: 3s, topics: [");
    let daemon = scene.home.start().ready();
    let file = scene.home.file("part.jsonl");
    let (mut records, mut usual) = (0, 0);
    for (fault, part) in faults.into_iter().zip(&parts) {
        let stalls = stalls_told(&daemon);
        proxy.set(fault);
        // A request that waits at the broker is still answered, for half a second.
        std::thread::sleep(Duration::from_secs(1));
        std::fs::write(&file, &part.events).unwrap();
        broker.produce(topic, &file);
        let mut began = Instant::now();
        if matches!(fault, Fault::Reset | Fault::Blackhole) {
            std::thread::sleep(STANDS);
            assert_eq!(
                daemon.received(),
                records,
                "{fault:?} lets something through"
            );
            proxy.set(Fault::None);
            began = Instant::now();
        }
        records += part.events.lines().count() as u64;
        daemon.until("the part", |d| (d.received() >= records).then_some(()));
        let took = began.elapsed();
        // On a connection whose other side is gone records stop without an error, too.
        let is_stall = matches!(
            fault,
            Fault::HalfOpen | Fault::NoFetch | Fault::NoFetchThenMute
        );
        let limit = if is_stall { STALL_MAX } else { RESUME_MAX };
        assert!(took <= limit, "{fault:?}: {took:?}");
        assert!(
            !is_stall || stalls_told(&daemon) > stalls,
            "{}",
            daemon.log()
        );
        if fault == Fault::None {
            daemon.settled(records);
            usual = daemon.memory("VmRSS");
        }
        let id = if is_stall { "T41" } else { "T21" };
        row(
            &format!("{id} network before the broker"),
            &format!("{fault:?}"),
            &format!("reading again after {:.1} s", took.as_secs_f64()),
        );
    }
    daemon.settled(records);
    assert_eq!(daemon.received(), scene.records, "nothing is read twice");
    let more = daemon.memory("VmRSS").saturating_sub(usual);
    assert!(more <= FLAT, "{more} KiB more memory");
    daemon.stop();
    let tally = scene.tally();
    tally.assert_once();
    row(
        "T21, T41 network before the broker",
        "all of these",
        &format!(
            "lost 0, extra 0, duplicates 0 of {} alert revisions; {:.1} MiB more in memory",
            tally.alerts,
            more as f64 / 1024.0
        ),
    );
}
