//! (T16, T17) Many endpoints, some of which misbehave: what each failure costs its own messages, and that the
//! others do not notice. Whatever the machine is busy with is no endpoint's fault: beside the tidegate that has the
//! bad ones stands a twin over the same topic whose endpoints are all well, and each message is held against its own
//! in the twin.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use rdkafka::producer::BaseProducer;

use super::outage::{alerts, is_slower};
use super::{floods, row};
use crate::harness::daemon::{Daemon, Home, logged_at};
use crate::harness::proxy::{Fault, Proxy};
use crate::harness::stub::{Answer, CHUNK, Stub, Taken, no_tls};
use crate::harness::{fixture, kafka};

/// What a healthy endpoint may take beside those that are not.
const P99_MAX: Duration = Duration::from_secs(2);
/// Where the twin takes longer the machine is too busy to tell anything of the others.
const TWIN_MAX: Duration = Duration::from_secs(1);
/// Messages of which a 99th part is more than a few.
const JUDGED_MIN: usize = 500;
/// How long it is tried to have so many, and enough of them to tell what is usual.
const JUDGED_WITHIN: Duration = Duration::from_secs(120);
/// Time between two floods.
const PACE: Duration = Duration::from_millis(250);
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
struct Floods {
    topic: &'static str,
    producer: BaseProducer,
    /// When each was sent, by its address.
    at: BTreeMap<String, SystemTime>,
}

impl Floods {
    fn new(topic: &'static str) -> Self {
        let producer = kafka::shared().producer();
        Self {
            topic,
            producer,
            at: BTreeMap::new(),
        }
    }

    fn produce(&mut self) {
        let number = self.at.len();
        let address = format!("198.51.{}.{}", 100 + number / 250, number % 250);
        let events = floods(1, 12).replace("203.0.113.0", &address);
        let events = events.replace("f-0-", &format!("f-{address}-"));
        // Before: what is in the topic may arrive before the producer hears so.
        self.at.insert(address, SystemTime::now());
        kafka::send(&self.producer, self.topic, &events);
    }

    /// So many, at their pace.
    fn produce_all(&mut self, count: usize) {
        for _ in 0..count {
            self.produce();
            std::thread::sleep(PACE);
        }
    }

    fn count(&self) -> usize {
        self.at.len()
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
        // The webhook about its first revision.
        Some((format!("{id}_0"), logged_at(line)?))
    });
    lines.collect()
}

/// Waits until these endpoints have heard of so many floods; how long each message took from the line of the log
/// that follows its commit, by endpoint and id.
fn took(
    daemon: &Daemon,
    stub: &Stub,
    names: &[String],
    floods: usize,
) -> BTreeMap<(String, String), Duration> {
    let taken: Vec<_> = names
        .iter()
        .map(|name| {
            daemon.until(&format!("all floods at {name}"), |_| {
                let taken = stub.taken(name);
                (heard(&taken).len() >= floods).then_some(taken)
            })
        })
        .collect();
    let committed = committed(daemon);
    let mut took = BTreeMap::new();
    for (name, taken) in names.iter().zip(&taken) {
        for (id, at) in heard(taken) {
            let time = at.duration_since(committed[id]).unwrap_or_default();
            took.insert((name.clone(), id.to_owned()), time);
        }
    }
    took
}

/// The time that 99 of 100 keep.
fn p99(times: impl IntoIterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.into_iter().collect();
    times.sort();
    let place = (times.len() * 99).div_ceil(100);
    place.checked_sub(1).map_or(Duration::MAX, |at| times[at])
}

fn depth(daemon: &Daemon, endpoint: &str) -> u64 {
    let label = format!("endpoint=\"{endpoint}\"");
    daemon.gauge("tidegate_outbox_depth", &[&label])
}

#[test]
fn one_black_hole_among_fifty_endpoints_delays_no_other() {
    const FINE: usize = 49;
    /// Before the black hole: its connections stand when it begins.
    const BEFORE: usize = 2;
    const FLOODS: usize = 12;
    let topic = "faults-fifty";
    let (stub, beside, proxy) = (Stub::start(), Stub::start(), Proxy::start());
    proxy.to(&stub.address());
    let names: Vec<String> = (0..FINE).map(|n| format!("fine-{n}")).collect();
    let sinks =
        |stub: &Stub| -> String { names.iter().map(|n| sink(n, &stub.url(n), "")).collect() };
    let far = sink("far", &format!("http://127.0.0.1:{}/far", proxy.port()), "");
    kafka::shared().topic(topic, 1);
    let homes = [
        home(topic, topic, &(sinks(&stub) + &far)),
        home("faults-fifty-spared", topic, &sinks(&beside)),
    ];
    let [daemon, spared] = homes.each_ref().map(|home| home.start().ready());
    let mut floods = Floods::new(topic);
    floods.produce_all(BEFORE);
    daemon.until("all floods through the proxy", |_| {
        (heard(&stub.taken("far")).len() == BEFORE).then_some(())
    });
    let known = took(&daemon, &stub, &names, BEFORE);

    proxy.set(Fault::Blackhole);
    let began = Instant::now();
    let (messages, with, without) = loop {
        floods.produce_all(FLOODS);
        let mut with = took(&daemon, &stub, &names, floods.count());
        let without = took(&spared, &beside, &names, floods.count());
        with.retain(|one, _| !known.contains_key(one));
        assert_eq!(with.len(), (floods.count() - BEFORE) * FINE);
        // Of a flood that one endpoint of the twin waited for, none is judged.
        let slow = without.iter().filter(|(_, took)| **took >= TWIN_MAX);
        let slow: BTreeSet<&str> = slow.map(|((_, id), _)| id.as_str()).collect();
        with.retain(|(_, id), _| !slow.contains(id.as_str()));
        let (messages, time) = (with.len(), p99(with.values().copied()));
        if messages >= JUDGED_MIN && time <= P99_MAX {
            let same = with.keys().map(|one| without[one]);
            break (messages, time, p99(same));
        }
        // One flood for which the machine had time in the twin alone is 49 messages: more tell what is usual.
        assert!(
            began.elapsed() < JUDGED_WITHIN,
            "p99 {time:?} of {messages} messages"
        );
    };
    assert_eq!(
        heard(&stub.taken("far")).len(),
        BEFORE,
        "the black hole lets something pass"
    );
    assert!(depth(&daemon, "far") > 0);
    // What waited arrives once it can.
    proxy.set(Fault::None);
    daemon.until("the far one has all", |_| {
        (heard(&stub.taken("far")).len() == floods.count()).then_some(())
    });
    daemon.stop();
    spared.stop();
    row(
        "T17 one endpoint a black hole, 49 fine",
        &format!(
            "{messages} of {} messages to those, a twin without it took less than {} s for them",
            (floods.count() - BEFORE) * FINE,
            TWIN_MAX.as_secs()
        ),
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
/// What the one that is busy asks for, and how soon after it a message must come.
const RETRY_AFTER: Duration = Duration::from_secs(4);
const AGAIN_WITHIN: Duration = Duration::from_secs(6);
/// How long what is under way when a refusal is heard may take to arrive.
const UNDER_WAY: Duration = Duration::from_millis(500);
/// How long an attempt takes by default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(15);
/// What a machine that is busy adds to the shortest of several attempts, or takes from the longest: its time begins
/// before it connects.
const BUSY: Duration = Duration::from_secs(1);

/// How long attempts took that an endpoint did not end: the shortest and the longest, once there are some.
fn stayed(stub: &Stub, name: &str) -> Option<(Duration, Duration)> {
    const SOME: usize = 4;
    let mut all: Vec<_> = stub.taken(name).iter().filter_map(|t| t.stayed).collect();
    all.sort();
    (all.len() >= SOME).then(|| (all[0], all[all.len() - 1]))
}

/// Of a stream of floods the first is refused with a pause asked for, and nothing more comes before it is over.
fn first_is_refused(floods: &mut Floods, daemon: &Daemon, stub: &Stub, rest: usize) -> Duration {
    floods.produce();
    let refused = daemon.until("the refusal is heard", |d| {
        let log = d.log();
        let mut failed = log.lines().filter(|l| l.contains("a delivery failed"));
        logged_at(failed.find(|l| l.contains("endpoint=busy"))?)
    });
    floods.produce_all(rest);
    let asked_at = stub.taken("busy")[0].at;
    let again = daemon.until("a message after the pause", |_| {
        let taken = stub.taken("busy").into_iter();
        taken.map(|t| t.at).find(|at| *at > refused + UNDER_WAY)
    });
    let pause = again.duration_since(asked_at).unwrap();
    assert!(pause >= RETRY_AFTER, "again after {pause:?}");
    assert!(pause <= RETRY_AFTER + AGAIN_WITHIN, "again after {pause:?}");
    pause
}

#[test]
fn endpoints_that_misbehave_in_every_way_cost_their_own_messages_time_and_nothing_else() {
    const FLOODS: usize = 32;
    let topic = "faults-misbehaving";
    // What is measured has a thread of its own here: what the one without end does to its own is not tidegate's.
    let [stub, vast, well, beside] = [(); 4].map(|()| Stub::start());
    // Each costs many looks at all connections of the machine: a few are enough.
    let huge = Answer::Huge(HUGE);
    let vast_then_well = [huge, huge, huge, huge, Answer::Status(200)];
    let scripts: &[(&str, &[Answer], &str)] = &[
        (
            "fails",
            &[
                Answer::Status(500),
                Answer::Status(503),
                Answer::Status(500),
                Answer::Status(200),
            ],
            "",
        ),
        (
            "busy",
            &[Answer::With(429, "retry-after: 4"), Answer::Status(200)],
            "",
        ),
        ("left", &[Answer::Status(410)], ""),
        ("moved", &[Answer::With(301, "location: /elsewhere")], ""),
        ("drips", &[Answer::SlowLoris], ", timeout: 15s"),
        ("huge", &vast_then_well, ", timeout: 15s"),
        ("hangs", &[Answer::Hang], ""),
    ];
    let mut sinks = sink("fine", &well.url("fine"), "") + &sink("no-tls", &no_tls(&stub), "");
    // As many messages for the twin, to endpoints that are all well.
    let mut fine = sink("fine", &beside.url("fine"), "") + &sink("no-tls", &beside.url("tls"), "");
    for (name, script, more) in scripts {
        let at = if *name == "huge" { &vast } else { &stub };
        at.script(name, script);
        sinks += &sink(name, &at.url(name), more);
        fine += &sink(name, &beside.url(name), more);
    }
    kafka::shared().topic(topic, 1);
    let homes = [
        home("faults-spared", topic, &fine),
        home(topic, topic, &sinks),
    ];
    let [spared, daemon] = homes.each_ref().map(|home| home.start().ready());
    let mut floods = Floods::new(topic);
    let before = daemon.memory("VmRSS");
    // 429: nothing more until the time it asked for, then all.
    let pause = first_is_refused(&mut floods, &daemon, &stub, FLOODS - 1);
    let failures = |endpoint: &str, reason: &str| {
        let labels = [
            format!("endpoint=\"{endpoint}\""),
            format!("reason=\"{reason}\""),
        ];
        daemon.metric("tidegate_webhook_failures_total", &[&labels[0], &labels[1]])
    };
    for (stub, name) in [
        (&well, "fine"),
        (&stub, "fails"),
        (&stub, "busy"),
        (&vast, "huge"),
    ] {
        daemon.until(&format!("all at {name}"), |_| {
            let has_all = heard(&stub.taken(name)).len() >= FLOODS;
            (has_all && depth(&daemon, name) == 0).then_some(())
        });
    }
    spared.until("all at the one beside", |_| {
        (heard(&beside.taken("fine")).len() >= FLOODS).then_some(())
    });
    let (with, without) = (well.taken("fine"), beside.taken("fine"));
    let [fine, spared_fine] = [&with, &without].map(|taken| {
        let arrived = alerts(taken);
        p99(floods
            .at
            .iter()
            .map(|(address, at)| arrived[address].duration_since(*at).unwrap_or_default()))
    });
    assert!(
        !is_slower(&floods.at, &with, &without),
        "nearly all come later beside them, p99 {fine:?} and {spared_fine:?}"
    );

    // 500: the same messages again, until they are believed.
    assert!(failures("fails", "server") >= 3);
    // 410: disabled, and told to the others.
    let told = || {
        let mut taken = well.taken("fine");
        taken.retain(|t| t.body["data"]["detector"]["id"] == "tidegate-endpoint-gone");
        taken.len()
    };
    daemon.until("an alert about the one that left", |_| {
        (told() > 0).then_some(())
    });
    let left = stub.taken("left").len();
    assert!(left <= 8, "{left} requests to the one that left");
    // 301: a failure, and nobody follows.
    assert!(failures("moved", "redirect") > 0);
    assert!(!stub.endpoints().contains(&"elsewhere".to_owned()));
    // Garbage for TLS.
    assert!(failures("no-tls", "connection") > 0);
    // A gibibyte: 64 KiB of it are read.
    let given = vast.taken("huge").iter().map(|t| t.given).max().unwrap();
    assert!(
        (CHUNK..=ANSWER_MAX).contains(&given),
        "{given} bytes were read"
    );

    // Those that say nothing, or drip, are left after their timeout: ten seconds by default, fifteen at most.
    let [hung, dripped] = ["hangs", "drips"]
        .map(|name| daemon.until(&format!("{name} is left"), |_| stayed(&stub, name)));
    assert!(hung.1 <= ATTEMPT_MAX, "{hung:?}");
    assert!(hung.0 <= TIMEOUT + BUSY, "{hung:?}");
    assert!(hung.1 >= TIMEOUT - BUSY, "{hung:?}");
    assert!(dripped.0 <= ATTEMPT_MAX + BUSY, "{dripped:?}");
    assert!(dripped.1 >= ATTEMPT_MAX - BUSY, "{dripped:?}");
    daemon.until("timeouts", |_| {
        (failures("hangs", "timeout") > 0 && failures("drips", "timeout") > 0).then_some(())
    });
    assert_eq!(stub.taken("left").len(), left, "nothing more after 410");
    let more = daemon.memory("VmHWM").saturating_sub(before);
    assert!(more < 64 << 10, "{more} KiB more memory");
    daemon.stop();
    spared.stop();
    assert_eq!(told(), 1, "told once");
    row(
        "T16 endpoints that misbehave",
        "500, 429, 410, 301, slow loris, 1 GiB, hang, no TLS; beside a twin with none of those",
        &format!(
            "tried again; after {:.1} s of the {} asked for; left alone and told; a failure, not followed; \
             left after {:.1} s of the 10 it may take and {:.1} s of 15; {:.0} KiB read; p99 from the broker to the one beside \
             them {:.0} ms, {:.0} ms in the twin, and no slower flood by flood",
            pause.as_secs_f64(),
            RETRY_AFTER.as_secs(),
            hung.0.as_secs_f64(),
            dripped.0.as_secs_f64(),
            given as f64 / 1024.0,
            fine.as_secs_f64() * 1e3,
            spared_fine.as_secs_f64() * 1e3
        ),
    );
}
