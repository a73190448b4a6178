//! (T16, T17) Many endpoints, some of which misbehave: what each failure costs its own messages, and that the
//! others do not notice. Times are from the line of the log that follows the commit to the request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use tidegate::model::EventTime;

use super::{floods, row};
use crate::harness::daemon::{Daemon, Home};
use crate::harness::proxy::{Fault, Proxy};
use crate::harness::stub::{Answer, CHUNK, Stub, Taken, no_tls};
use crate::harness::{fixture, kafka};

/// What a healthy endpoint may take beside those that are not.
const P99_MAX: Duration = Duration::from_secs(2);
/// The longest attempt, and what a busy machine adds to it.
const ATTEMPT_MAX: Duration = Duration::from_millis(15_500);
const OPENED: &str = "tidegate.alert.opened.v1";

fn sink(name: &str, url: &str, more: &str) -> String {
    format!(
        "    - {{kind: webhook, name: {name}, url: '{url}', secret_env: WEBHOOK_SECRET{more}}}\n"
    )
}

fn home(name: &str, topic: &str, sinks: &str) -> Home {
    let bootstrap = kafka::shared().bootstrap();
    Home::new(
        name,
        &format!(
            "sources: [{{kind: kafka, brokers: ['{bootstrap}'], topics: [{{name: {topic}}}]}}]\n\
             detectors: {{dir: '{}'}}\nalerts:\n  sinks:\n{sinks}",
            fixture("detectors").display()
        ),
    )
}

/// Floods, one after the other, of an address each.
struct Floods<'a> {
    topic: &'a str,
    home: &'a Home,
    count: usize,
}

impl<'a> Floods<'a> {
    const fn new(topic: &'a str, home: &'a Home) -> Self {
        Self {
            topic,
            home,
            count: 0,
        }
    }

    fn produce(&mut self) {
        let address = format!("198.51.100.{}", self.count);
        let events = floods(1, 12).replace("203.0.113.0", &address);
        let events = events.replace("f-0-", &format!("f-{address}-"));
        let file = self.home.file("flood.jsonl");
        std::fs::write(&file, events).unwrap();
        kafka::shared().produce(self.topic, &file);
        self.count += 1;
    }
}

/// The floods that an endpoint has heard of, by the message's id, and when it first did.
fn heard(taken: &[Taken]) -> BTreeMap<&str, SystemTime> {
    let mut heard = BTreeMap::new();
    for one in taken
        .iter()
        .filter(|t| t.body["type"] == OPENED && t.body["data"]["key"]["source.ip"].is_string())
    {
        heard.entry(one.id.as_str()).or_insert(one.at);
    }
    heard
}

/// When each alert was committed, as the log tells it.
fn committed(daemon: &Daemon) -> BTreeMap<String, SystemTime> {
    let log = daemon.log();
    let lines = log.lines().filter_map(|line| {
        let id = line.split(" alert=").nth(1)?.split(' ').next()?;
        let at = EventTime::parse(line.split(' ').next()?)?;
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at.0.unsigned_abs());
        // The webhook about its first revision.
        Some((format!("{id}_0"), at))
    });
    lines.collect()
}

/// How long messages took from the commit to the endpoint: the time that 99 of 100 keep.
fn p99<'a>(daemon: &Daemon, heard: impl IntoIterator<Item = (&'a str, SystemTime)>) -> Duration {
    let committed = committed(daemon);
    let took = |(id, at): (&str, SystemTime)| at.duration_since(committed[id]).unwrap_or_default();
    let mut times: Vec<Duration> = heard.into_iter().map(took).collect();
    times.sort();
    times[(times.len() * 99).div_ceil(100) - 1]
}

fn depth(daemon: &Daemon, endpoint: &str) -> u64 {
    let label = format!("endpoint=\"{endpoint}\"");
    daemon.metric("tidegate_outbox_depth", &[&label])
}

#[test]
fn one_black_hole_among_fifty_endpoints_delays_no_other() {
    const FINE: usize = 49;
    const FLOODS: usize = 12;
    let topic = "faults-fifty";
    let (stub, proxy) = (Stub::start(), Proxy::start());
    proxy.to(&stub.address());
    let names: Vec<String> = (0..FINE).map(|n| format!("fine-{n}")).collect();
    let mut sinks: String = names.iter().map(|n| sink(n, &stub.url(n), "")).collect();
    sinks += &sink("far", &format!("http://127.0.0.1:{}/far", proxy.port()), "");
    kafka::shared().topic(topic, 1);
    let home = home(topic, topic, &sinks);
    let daemon = home.start().ready();
    let mut floods = Floods::new(topic, &home);
    let mut known = BTreeSet::new();
    let times = [Fault::None, Fault::Blackhole].map(|fault| {
        proxy.set(fault);
        (0..FLOODS).for_each(|_| floods.produce());
        let taken = names.iter().map(|name| {
            daemon.until(&format!("all floods at {name}"), |_| {
                let taken = stub.taken(name);
                (heard(&taken).len() >= floods.count).then_some(taken)
            })
        });
        let taken: Vec<_> = taken.collect();
        if fault == Fault::None {
            daemon.until("all floods through the proxy", |_| {
                (heard(&stub.taken("far")).len() == FLOODS).then_some(())
            });
        }
        let all = taken.iter().flat_map(|t| heard(t));
        let time = p99(&daemon, all.filter(|(id, _)| !known.contains(*id)));
        known.extend(heard(&taken[0]).into_keys().map(str::to_owned));
        time
    });
    assert_eq!(
        heard(&stub.taken("far")).len(),
        FLOODS,
        "the black hole lets something pass"
    );
    assert!(depth(&daemon, "far") > 0);
    let [without, with] = times;
    // A machine that is too busy for it without a black hole cannot show more than that one adds little.
    assert!(
        with <= P99_MAX.max(without * 2),
        "p99 {with:?}, {without:?} without the black hole"
    );
    // What waited arrives once it can.
    proxy.set(Fault::None);
    daemon.until("the far one has all", |_| {
        (heard(&stub.taken("far")).len() == 2 * FLOODS).then_some(())
    });
    daemon.stop();
    row(
        "T17 one endpoint a black hole, 49 fine",
        &format!("{} messages to those", 2 * FLOODS * FINE),
        &format!(
            "p99 from the commit to the endpoint {:.2} s, {:.2} s without it; nothing lost",
            with.as_secs_f64(),
            without.as_secs_f64()
        ),
    );
}

const HUGE: u64 = 1 << 30;
/// What may be read of an answer, and what the HTTP library has read ahead by then.
const ANSWER_MAX: u64 = (64 << 10) + 2 * CHUNK;

#[test]
fn endpoints_that_misbehave_in_every_way_cost_their_own_messages_time_and_nothing_else() {
    const FLOODS: usize = 8;
    let topic = "faults-misbehaving";
    let stub = Stub::start();
    let scripts: &[(&str, &[Answer])] = &[
        ("fine", &[Answer::Status(200)]),
        (
            "fails",
            &[
                Answer::Status(500),
                Answer::Status(503),
                Answer::Status(500),
                Answer::Status(200),
            ],
        ),
        (
            "busy",
            &[Answer::With(429, "retry-after: 4"), Answer::Status(200)],
        ),
        ("left", &[Answer::Status(410)]),
        ("moved", &[Answer::With(301, "location: /elsewhere")]),
        ("drips", &[Answer::SlowLoris]),
        ("huge", &[Answer::Huge(HUGE)]),
        ("hangs", &[Answer::Hang]),
    ];
    let mut sinks = sink("no-tls", &no_tls(&stub), "");
    for (name, script) in scripts {
        stub.script(name, script);
        sinks += &sink(name, &stub.url(name), "");
    }
    kafka::shared().topic(topic, 1);
    // Beside it one that has none of those.
    let beside = Stub::start();
    let fine = sink("fine", &beside.url("fine"), "");
    let spared = home("faults-spared", topic, &fine).start().ready();
    let home = home(topic, topic, &sinks);
    let daemon = home.start().ready();
    let mut floods = Floods::new(topic, &home);
    let before = daemon.memory("VmRSS");
    for _ in 0..FLOODS {
        floods.produce();
    }
    let failures = |endpoint: &str, reason: &str| {
        let labels = [
            format!("endpoint=\"{endpoint}\""),
            format!("reason=\"{reason}\""),
        ];
        daemon.metric("tidegate_webhook_failures_total", &[&labels[0], &labels[1]])
    };
    for name in ["fine", "fails", "busy", "huge"] {
        daemon.until(&format!("all at {name}"), |_| {
            let has_all = heard(&stub.taken(name)).len() >= FLOODS;
            (has_all && depth(&daemon, name) == 0).then_some(())
        });
    }
    spared.until("all at the one beside", |_| {
        (heard(&beside.taken("fine")).len() >= FLOODS).then_some(())
    });
    let without = p99(&spared, heard(&beside.taken("fine")));
    let fine = p99(&daemon, heard(&stub.taken("fine")));
    assert!(
        fine <= P99_MAX.max(without * 2),
        "p99 {fine:?}, {without:?} without them"
    );

    // 500: the same messages again, until they are believed.
    assert!(failures("fails", "server") >= 3);
    // 429: nothing more until the time it asked for.
    let busy = stub.taken("busy");
    let again = busy
        .iter()
        .find(|t| t.at > busy[0].at + Duration::from_secs(2));
    let pause = again.unwrap().at.duration_since(busy[0].at).unwrap();
    assert!(pause >= Duration::from_secs(4), "again after {pause:?}");
    // 410: disabled, and told to the others.
    daemon.until("an alert about the one that left", |_| {
        let told = |t: &Taken| t.body["data"]["detector"]["id"] == "tidegate-endpoint-gone";
        stub.taken("fine").iter().any(told).then_some(())
    });
    let left = stub.taken("left").len();
    assert!(left <= 8, "{left} requests to the one that left");
    // 301: a failure, and nobody follows.
    assert!(failures("moved", "redirect") > 0);
    assert!(!stub.endpoints().contains(&"elsewhere".to_owned()));
    // Garbage for TLS.
    assert!(failures("no-tls", "connection") > 0);
    // A gibibyte: 64 KiB of it are read.
    let given = stub.taken("huge").iter().map(|t| t.given).max().unwrap();
    assert!(given <= ANSWER_MAX, "{given} bytes were read");

    // Those that say nothing, or drip, are left after fifteen seconds.
    let mut longest = Duration::ZERO;
    for name in ["hangs", "drips"] {
        let stayed = daemon.until(&format!("{name} is left"), |_| {
            stub.taken(name).first()?.stayed
        });
        assert!(stayed <= ATTEMPT_MAX, "{name}: {stayed:?}");
        assert!(stayed > Duration::from_secs(5), "{name}: {stayed:?}");
        longest = longest.max(stayed);
    }
    daemon.until("timeouts", |_| {
        (failures("hangs", "timeout") > 0 && failures("drips", "timeout") > 0).then_some(())
    });
    assert_eq!(stub.taken("left").len(), left, "nothing more after 410");
    let more = daemon.memory("VmHWM").saturating_sub(before);
    assert!(more < 64 << 10, "{more} KiB more memory");
    daemon.stop();
    row(
        "T16 endpoints that misbehave",
        "500, 429, 410, 301, slow loris, 1 GiB, hang, no TLS",
        &format!(
            "tried again; after {:.1} s of the 4 asked for; left alone and told; a failure, not followed; \
             left after {:.1} s; {:.0} KiB read; p99 of the one beside them {:.2} s, {:.2} s without them",
            pause.as_secs_f64(),
            longest.as_secs_f64(),
            given as f64 / 1024.0,
            fine.as_secs_f64(),
            without.as_secs_f64()
        ),
    );
}
