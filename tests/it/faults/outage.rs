//! (T11) An endpoint is down for long, then up. What others notice is measured against a second tidegate that
//! reads the same topic at the same time and has no such endpoint: whatever else the machine does, it does to
//! both.
//!
//! Short on every change; `TIDEGATE_TEST_OUTAGE=600` for ten minutes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use tidegate::model::EventTime;
use tidegate::store::rows::messages::PER_ENDPOINT_MAX;

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

fn alerts(taken: &[Taken]) -> BTreeMap<String, SystemTime> {
    first(taken, "tidegate.alert.opened.v1", "/key/source.ip")
}

/// The time that 99 of 100 floods take from the broker to the endpoint.
fn p99(produced: &BTreeMap<String, SystemTime>, taken: &[Taken]) -> Duration {
    let arrived = alerts(taken);
    let took = |(address, at): (&String, &SystemTime)| {
        arrived[address].duration_since(*at).unwrap_or_default()
    };
    let mut times: Vec<Duration> = produced.iter().map(took).collect();
    times.sort();
    times[(times.len() * 99).div_ceil(100) - 1]
}

/// Whether more floods came later to the first endpoint than to the second than the other way round, by more than
/// chance allows: each is held against itself, so that what the machine does to both counts for nothing. A tenth
/// of what it took is no difference.
fn is_slower(produced: &BTreeMap<String, SystemTime>, a: &[Taken], b: &[Taken]) -> bool {
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
    let (mut ids, mut asked) = (std::collections::BTreeSet::new(), Vec::new());
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
            assert!(
                one.at < ends + Duration::from_secs(1),
                "an action past its end: {data}"
            );
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
    daemon.metric(
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
        kafka::send(&producer, topic, &requests(&address, 6, &address));
        produced.insert(address, SystemTime::now());
        most = most.max(waiting(&daemons[0], "down") + waiting(&daemons[0], "down-soc"));
        let next = PACE * u32::try_from(produced.len()).unwrap();
        std::thread::sleep(next.saturating_sub(began.elapsed()));
    }
    for (daemon, stub) in daemons.iter().zip([&with, &without]) {
        daemon.until("all at the fine one", |_| {
            (alerts(&stub.taken("fine")).len() == produced.len()).then_some(())
        });
    }
    let [a, b] = [&with, &without].map(|stub| p99(&produced, &stub.taken("fine")));
    // Of a few floods the slowest says nothing: a share of it is for the long run.
    let slack = if produced.len() >= SAMPLES_MIN {
        (b / 10).max(NOISE)
    } else {
        Duration::from_secs(1)
    };
    assert!(a <= b + slack, "p99 {a:?} with it, {b:?} without");
    let slower = is_slower(&produced, &with.taken("fine"), &without.taken("fine"));
    assert!(
        !slower,
        "nearly all come later with it, p99 {a:?} and {b:?}"
    );
    assert!(
        most <= PER_ENDPOINT_MAX && most as usize >= produced.len(),
        "{most} waited"
    );
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
            "p99 from the broker to the other endpoint {:.0} ms, {:.0} ms without; {most} messages waited; all that has not expired {:.1} s after it was back, in order: {} of {} actions",
            a.as_secs_f64() * 1e3,
            b.as_secs_f64() * 1e3,
            took.as_secs_f64(),
            down.len(),
            fine.len()
        ),
    );
}
