//! (T11) An endpoint is down for long, then up. What others notice is measured against a second tidegate that
//! reads the same topic at the same time and has no such endpoint: whatever else the machine does, it does to
//! both.
//!
//! Short on every change; `TIDEGATE_TEST_OUTAGE=600` for ten minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use tidegate::model::EventTime;

use super::row;
use super::silence::requests;
use crate::harness::daemon::{Daemon, Home};
use crate::harness::proxy::{Fault, Proxy};
use crate::harness::stub::{Stub, Taken};
use crate::harness::{fixture, kafka, sized};

/// How soon after its recovery an endpoint has all.
const RECOVERED_MAX: Duration = Duration::from_secs(60);
/// Time between two floods.
const PACE: Duration = Duration::from_millis(500);
/// Floods of which a 99th part is more than one or two.
const SAMPLES_MIN: usize = 500;
/// How long after it was picked a message may come to an endpoint that is not down.
const UNDER_WAY: Duration = Duration::from_secs(3);
/// Below this no share of a latency says anything.
const NOISE: Duration = Duration::from_millis(25);
/// Fewer pairs than so many times the root of their number differ by chance.
const SIGMAS: f64 = 3.0;

/// A tidegate over the topic with these webhooks for actions and alerts. Of each flood it asks for two actions: one
/// stands for so long, the other for an hour.
fn home(name: &str, topic: &str, ttl: &str, webhooks: &[(&str, String)]) -> Home {
    let hook = |(name, url): &(&str, String)| {
        format!("{{name: {name}, url: '{url}', secret_env: WEBHOOK_SECRET}}")
    };
    let hooks: Vec<String> = webhooks.iter().map(hook).collect();
    let sinks: String = webhooks
        .iter()
        .map(|(name, url)| format!("    - {{kind: webhook, name: {name}-soc, url: '{url}', secret_env: WEBHOOK_SECRET}}\n"))
        .collect();
    let home = Home::new(
        name,
        &format!(
            "sources: [{{kind: kafka, brokers: ['{}'], start: earliest, topics: [{{name: {topic}}}]}}]\n\
             detectors: {{dir: detectors}}\nalerts:\n  sinks:\n{sinks}\
             containment:\n  mode: enforce\n  webhooks: [{}]\n",
            kafka::shared().bootstrap(),
            hooks.join(", ")
        ),
    );
    std::fs::create_dir(home.file("detectors")).unwrap();
    let shipped = std::fs::read_to_string(fixture("detectors/containing.yml")).unwrap();
    let (long, _) = shipped.split_once("\n---\n").unwrap();
    let short = long.replace("ttl: 1h", &format!("ttl: {ttl}"));
    let long = long
        .replace("it-resets", "it-resets-long")
        .replace("block", "challenge");
    let long = long.replace("2e01", "2e03");
    std::fs::write(
        home.file("detectors/two.yml"),
        format!("{short}\n---\n{long}\n"),
    )
    .unwrap();
    home
}

/// Alerts and actions by the address they are about, and when an endpoint first took each.
fn first(taken: &[Taken], kind: &str, field: &str) -> BTreeMap<String, SystemTime> {
    let mut first = BTreeMap::new();
    for one in taken.iter().filter(|t| t.body["type"] == kind) {
        if let Some(address) = one.body["data"].pointer(field).and_then(|a| a.as_str()) {
            first.entry(address.to_owned()).or_insert(one.at);
        }
    }
    first
}

/// The same of alerts that are told for the first time.
pub(super) fn alerts(taken: &[Taken]) -> BTreeMap<String, SystemTime> {
    first(taken, "tidegate.alert.opened.v1", "/key/source.ip")
}

/// The time that so many of 100 floods keep from the broker to the endpoint.
fn percentile(
    percent: usize,
    produced: &BTreeMap<String, SystemTime>,
    taken: &[Taken],
) -> Duration {
    let arrived = alerts(taken);
    let took = |(address, at): (&String, &SystemTime)| {
        arrived[address].duration_since(*at).unwrap_or_default()
    };
    let mut times: Vec<Duration> = produced.iter().map(took).collect();
    times.sort();
    times[(times.len() * percent).div_ceil(100) - 1]
}

/// Whether more floods came later to the first endpoint than to the second than the other way round, by more than
/// chance allows: each is held against itself, so that what the machine does to both counts for nothing. A tenth
/// of what it took is no difference.
pub(super) fn is_slower(produced: &BTreeMap<String, SystemTime>, a: &[Taken], b: &[Taken]) -> bool {
    let (a, b) = (alerts(a), alerts(b));
    let (mut later, mut earlier) = (0, 0);
    for (address, at) in produced {
        let took =
            |of: &BTreeMap<String, SystemTime>| of[address].duration_since(*at).unwrap_or_default();
        let (a, b) = (took(&a), took(&b));
        later += u32::from(a > b + (b / 10).max(NOISE));
        earlier += u32::from(b > a + (a / 10).max(NOISE));
    }
    f64::from(later) - f64::from(earlier) > SIGMAS * (produced.len() as f64).sqrt()
}

/// An action that an endpoint was asked for.
struct Asked {
    id: String,
    ends: SystemTime,
}

/// What an endpoint was asked for, each once: `seq` rises on each target, and none comes after its end.
fn asked(taken: &[Taken]) -> Vec<Asked> {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let (mut ids, mut asked) = (BTreeSet::new(), Vec::new());
    for one in taken {
        let kind = one.body["type"].as_str().unwrap();
        // What was under way when the network failed comes again, as it was.
        if !kind.starts_with("tidegate.action.") || !ids.insert(one.id.as_str()) {
            continue;
        }
        let data = &one.body["data"];
        let (target, seq) = (data["target"].to_string(), data["seq"].as_u64().unwrap());
        let before = last.insert(target.clone(), seq);
        assert!(
            before.is_none_or(|b| b < seq),
            "{target}: {before:?} then {seq}"
        );
        if kind == "tidegate.action.requested.v1" {
            let ends = EventTime::parse(data["expires_at"].as_str().unwrap()).unwrap();
            let ends = SystemTime::UNIX_EPOCH + Duration::from_millis(ends.0.unsigned_abs());
            assert!(one.at < ends + UNDER_WAY, "an action past its end: {data}");
            let id = one.id.clone();
            asked.push(Asked { id, ends });
        }
    }
    asked
}

/// Of what a healthy endpoint was asked for, one that is back was asked for all that had not expired by now.
fn all_that_stood(back: &[Asked], healthy: &[Asked], now: SystemTime) {
    let all = healthy.len();
    assert!(back.len() < all, "none of {all} has expired");
    let standing: Vec<&Asked> = healthy.iter().filter(|a| a.ends > now).collect();
    assert!(!standing.is_empty(), "all of {all} have expired");
    let missed = |a: &&&Asked| !back.iter().any(|b| b.id == a.id);
    let missed: Vec<_> = standing.iter().filter(missed).map(|a| &a.id).collect();
    assert!(missed.is_empty(), "not expired and not sent: {missed:?}");
}

fn waiting(daemon: &Daemon, endpoint: &str) -> u64 {
    daemon.gauge(
        "tidegate_outbox_depth",
        &[&format!("endpoint=\"{endpoint}\"")],
    )
}

#[test]
fn an_endpoint_that_is_down_for_long_delays_nothing_else_and_gets_what_has_not_expired() {
    let seconds = sized("TIDEGATE_TEST_OUTAGE", 16);
    let topic = "faults-long-outage";
    kafka::shared().topic(topic, 1);
    let (with, without, proxy) = (Stub::start(), Stub::start(), Proxy::start());
    proxy.to(&with.address());
    let down = format!("http://127.0.0.1:{}/down", proxy.port());
    let ttl = format!("{}s", seconds / 2);
    let homes = [
        home(
            "outage-with",
            topic,
            &ttl,
            &[("fine", with.url("fine")), ("down", down)],
        ),
        home(
            "outage-without",
            topic,
            &ttl,
            &[("fine", without.url("fine"))],
        ),
    ];
    let daemons = homes.each_ref().map(|home| home.start().ready());
    proxy.set(Fault::Reset);
    let producer = kafka::shared().producer();
    let (began, mut produced, mut most) = (Instant::now(), BTreeMap::new(), 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        let n = produced.len();
        let address = format!("198.{}.{}.{}", 18 + n / 62_500, n / 250 % 250, n % 250);
        // Before: what is in the topic may arrive before the producer hears so.
        let at = SystemTime::now();
        kafka::send(&producer, topic, &requests(&address, 6, &address));
        produced.insert(address, at);
        most = most.max(waiting(&daemons[0], "down") + waiting(&daemons[0], "down-soc"));
        let next = PACE * u32::try_from(produced.len()).unwrap();
        std::thread::sleep(next.saturating_sub(began.elapsed()));
    }
    for (daemon, stub) in daemons.iter().zip([&with, &without]) {
        daemon.until("all at the fine one", |_| {
            (alerts(&stub.taken("fine")).len() == produced.len()).then_some(())
        });
    }
    let [fine, spared] = [&with, &without].map(|stub| stub.taken("fine"));
    // Of a few floods the slowest tells of the machine: for them it is the one in the middle.
    let (percent, noise) = if produced.len() >= SAMPLES_MIN {
        (99, NOISE)
    } else {
        (50, NOISE * 2)
    };
    let [a, b] = [&fine, &spared].map(|taken| percentile(percent, &produced, taken));
    assert!(
        a <= b + (b / 10).max(noise),
        "{percent} % within {a:?} with it, {b:?} without"
    );
    assert!(
        !is_slower(&produced, &fine, &spared),
        "most come later with it, {percent} % within {a:?} and {b:?}"
    );
    assert!(most as usize >= produced.len(), "{most} waited");
    assert!(with.taken("down").is_empty(), "it was not down");

    proxy.set(Fault::None);
    let back = Instant::now();
    daemons[0].until("all that has not expired", |d| {
        let empty = waiting(d, "down") + waiting(d, "down-soc") == 0;
        (empty && alerts(&with.taken("down")).len() == produced.len()).then_some(())
    });
    let (took, by_now) = (back.elapsed(), SystemTime::now());
    assert!(took <= RECOVERED_MAX, "all after {took:?}");
    daemons.into_iter().for_each(Daemon::stop);
    let [down, fine] = ["down", "fine"].map(|name| asked(&with.taken(name)));
    all_that_stood(&down, &fine, by_now);
    row(
        "T11 an endpoint down for long",
        &format!(
            "{seconds} s, {} floods; beside a tidegate without that endpoint",
            produced.len()
        ),
        &format!(
            "{percent} % from the broker to the other endpoint within {:.0} ms, {:.0} ms without; {most} messages waited; all that has not expired {:.1} s after it was back, in order: {} of {} actions",
            a.as_secs_f64() * 1e3,
            b.as_secs_f64() * 1e3,
            took.as_secs_f64(),
            down.len(),
            fine.len()
        ),
    );
}

/// `state.outbox_max` here: the least it may be.
const OUTBOX_MAX: u64 = 100;
/// Floods, of two alerts each: more than have room.
const TOO_MANY: usize = 90;

/// What was dropped for an endpoint because its outbox was full.
fn gave_way(daemon: &Daemon, endpoint: &str) -> u64 {
    let label = format!("endpoint=\"{endpoint}\"");
    daemon.metric(
        "tidegate_messages_dropped_total",
        &[&label, "reason=\"outbox full\""],
    )
}

#[test]
fn a_full_outbox_gives_up_its_oldest_alerts_and_no_action_and_says_so() {
    let topic = "faults-full-outbox";
    kafka::shared().topic(topic, 1);
    let (stub, proxy) = (Stub::start(), Proxy::start());
    proxy.to(&stub.address());
    let url = |name: &str| format!("http://127.0.0.1:{}/{name}", proxy.port());
    let webhooks = [("fine", stub.url("fine")), ("down", url("down"))];
    let home = home(topic, topic, "1h", &webhooks);
    home.reconfigure(&url("down"), &url("soc"));
    home.reconfigure("state: {", &format!("state: {{outbox_max: {OUTBOX_MAX}, "));
    let daemon = home.start().ready();
    proxy.set(Fault::Reset);
    let (producer, mut most) = (kafka::shared().producer(), 0);
    let opened = |taken: &[Taken]| -> Vec<String> {
        let all = taken
            .iter()
            .filter(|t| t.body["type"] == "tidegate.alert.opened.v1");
        all.map(|t| t.id.clone()).collect()
    };
    for n in 0..TOO_MANY {
        let address = format!("198.18.0.{n}");
        kafka::send(&producer, topic, &requests(&address, 6, &address));
        most = most.max(waiting(&daemon, "down-soc"));
    }
    daemon.until("all at the fine one", |d| {
        most = most.max(waiting(d, "down-soc"));
        let all = opened(&stub.taken("fine")).len() == 2 * TOO_MANY;
        (all && waiting(d, "fine") + waiting(d, "fine-soc") == 0).then_some(())
    });
    let dropped = 2 * TOO_MANY as u64 - OUTBOX_MAX;
    daemon.until("all that gave way is counted", |d| {
        let full = waiting(d, "down-soc") == OUTBOX_MAX;
        (full && gave_way(d, "down-soc") == dropped).then_some(())
    });
    // One that has given way may be under way.
    assert!(most <= OUTBOX_MAX + 1, "{most} waited");
    assert!(daemon.said("the outbox is full").is_some());
    for endpoint in ["fine", "fine-soc", "down"] {
        assert_eq!(gave_way(&daemon, endpoint), 0, "{endpoint}");
    }
    // It stays so over a restart.
    daemon.stop();
    let daemon = home.start().ready();
    daemon.until("what waits", |d| (waiting(d, "down-soc") > 0).then_some(()));
    assert_eq!(waiting(&daemon, "down-soc"), OUTBOX_MAX);
    assert!(stub.taken("soc").is_empty(), "it was not down");

    proxy.set(Fault::None);
    let back = Instant::now();
    daemon.until("all that waited", |d| {
        let told = opened(&stub.taken("soc")).len() as u64 >= OUTBOX_MAX;
        (told && waiting(d, "down") + waiting(d, "down-soc") == 0).then_some(())
    });
    let took = back.elapsed();
    assert!(took <= RECOVERED_MAX, "all after {took:?}");
    daemon.stop();
    // The newest, in their order, and every action.
    let (fine, late) = (opened(&stub.taken("fine")), opened(&stub.taken("soc")));
    let newest: BTreeSet<&String> = fine[dropped as usize..].iter().collect();
    assert_eq!(late.iter().collect::<BTreeSet<_>>(), newest);
    let [down, fine] = ["down", "fine"].map(|name| {
        let ids = asked(&stub.taken(name)).into_iter().map(|a| a.id);
        ids.collect::<BTreeSet<_>>()
    });
    assert!(!fine.is_empty() && down == fine, "{down:?} of {fine:?}");
    row(
        "T11 an outbox is full",
        &format!(
            "{} alerts for an endpoint that is down, room for {OUTBOX_MAX}",
            2 * TOO_MANY
        ),
        &format!(
            "at most {most} wait; the oldest {dropped} are given up, counted and told; the newest {} and all {} actions arrive {:.1} s after it was back",
            late.len(),
            down.len(),
            took.as_secs_f64()
        ),
    );
}
