//! (T11, T16, T17) Endpoints that fail in every way, and those beside them that do not.

use std::time::{Duration, Instant};

use super::{Scene, floods, floods_from, row};
use crate::harness::daemon::Daemon;
use crate::harness::{kafka, lines};

/// How long an attempt at one that hangs takes.
const ATTEMPT: Duration = Duration::from_secs(15);

/// Whether nothing waits for any of the endpoints: each has told so.
fn is_empty(daemon: &Daemon, endpoints: &[&str]) -> bool {
    endpoints.iter().all(|name| {
        let label = format!("endpoint=\"{name}\"");
        daemon.values("tidegate_outbox_depth", &[&label]) == [0.0]
    })
}

#[test]
fn what_was_refused_comes_again_in_order_when_the_endpoint_is_back() {
    let topic = "faults-outage";
    let events = floods(8, 40);
    kafka::shared().topic(topic, 1);
    // Twelve refusals of four kinds, then it works.
    let script = "500,503,429:1,500,502,500,429:1,500,503,500,500,500,200";
    let scene = Scene::of(
        &kafka::shared().bootstrap(),
        topic,
        "outage",
        &events,
        script,
    );
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let daemon = scene.home.start().ready();
    daemon.until("all told", |d| {
        let read = d.received() >= scene.records;
        (read && scene.is_told() && is_empty(d, &["file", "soc", "gateway"])).then_some(())
    });
    daemon.settled(scene.records);
    let failed = daemon.metric("tidegate_webhook_failures_total", &[]);
    assert!(failed >= 12, "{failed} failures");
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    in_order(&scene);
    row(
        "T11, T16 an endpoint answers 429 and 5xx",
        &format!("{failed} refusals"),
        "every message arrives, revisions of an alert and seq per target in order",
    );
}

/// Revisions of an alert rise, and so does `seq` on a target.
fn in_order(scene: &Scene) {
    let mut last = std::collections::BTreeMap::new();
    for request in scene.receiver.seen() {
        if !(200..300).contains(&request.status) {
            continue;
        }
        let (who, number) = if request.kind.starts_with("tidegate.alert") {
            (
                request.data["alert_id"].clone(),
                request.data["revision"].clone(),
            )
        } else {
            (request.data["target"].clone(), request.data["seq"].clone())
        };
        let (who, number) = (who.to_string(), number.as_u64().unwrap());
        let before = last.insert(who.clone(), number);
        assert!(
            before.is_none_or(|b| b < number),
            "{who}: {before:?} then {number}"
        );
    }
}

#[test]
fn an_endpoint_that_hangs_slows_no_other() {
    let topic = "faults-hang";
    let (first, second) = (floods(8, 40), floods_from(40, 4, 20));
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "hang", &(first.clone() + &second));
    let hangs = crate::harness::receiver::Receiver::start("hang");
    let more = format!(
        "  sinks:\n    - {{kind: webhook, name: hangs, url: '{}', secret_env: WEBHOOK_SECRET, timeout: 15s}}\n",
        hangs.url()
    );
    scene.reconfigure("  sinks:\n", &more);
    let part = scene.home.file("part.jsonl");
    let produce = |lines: &str| {
        std::fs::write(&part, lines).unwrap();
        kafka::shared().produce(topic, &part);
    };
    produce(&first);
    let daemon = scene.home.start().ready();
    let waiting = |d: &Daemon| d.gauge("tidegate_outbox_depth", &["endpoint=\"hangs\""]);
    daemon.until("messages that wait for the one that hangs", |d| {
        (waiting(d) > 0).then_some(())
    });
    // Attempts at it are young when the process is told to end.
    produce(&second);
    let began = Instant::now();
    daemon.until("the others have it all", |d| {
        let read = d.received() >= scene.records;
        (read && scene.is_told() && is_empty(d, &["file", "soc", "gateway"])).then_some(())
    });
    let took = began.elapsed();
    assert!(
        took < ATTEMPT,
        "{took:?}, as long as an attempt at the one that hangs"
    );
    assert!(waiting(&daemon) > 0);
    let began = Instant::now();
    daemon.stop();
    let stopped = began.elapsed();
    assert!(
        stopped < Duration::from_secs(10),
        "a hanging endpoint delays the exit for {stopped:?}"
    );
    let tally = scene.tally();
    tally.assert_once();
    row(
        "T17 an endpoint hangs after accept",
        "one of four",
        &format!(
            "the others have everything {:.1} s after the first look; SIGTERM ends it in {:.1} s",
            took.as_secs_f64(),
            stopped.as_secs_f64()
        ),
    );
}

#[test]
fn an_endpoint_that_is_gone_is_told_to_the_others() {
    let topic = "faults-gone";
    let events = floods(4, 20);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "gone", &events);
    let gone = crate::harness::receiver::Receiver::start("410");
    let more = format!(
        "  sinks:\n    - {{kind: webhook, name: left, url: '{}', secret_env: WEBHOOK_SECRET}}\n",
        gone.url()
    );
    scene.reconfigure("  sinks:\n", &more);
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let own = || {
        let told = lines(&scene.home.file("alerts.ndjson")).into_iter();
        let told = told.filter(|l| l.contains("tidegate-endpoint-gone"));
        told.collect::<Vec<_>>()
    };
    let daemon = scene.home.start().ready();
    daemon.until("an alert about the endpoint", |_| {
        (!own().is_empty()).then_some(())
    });
    daemon.stop();
    // Those that were under way at once, and no more.
    let tried = gone.seen().len();
    assert!(tried <= 16, "{tried} messages were sent to it");
    // A restart tries once more, and does not tell the same again.
    let daemon = scene.home.start().ready();
    daemon.until("another try", |_| (gone.seen().len() > tried).then_some(()));
    let heard = || scene.heard_of("tidegate-endpoint-gone");
    daemon.until("the SOC hears of it", |_| {
        (!heard().is_empty()).then_some(())
    });
    std::thread::sleep(Duration::from_millis(1500));
    daemon.stop();
    let own = own();
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!(heard(), ["tidegate.alert.opened.v1"]);
    let alert: serde_json::Value = serde_json::from_str(&own[0]).unwrap();
    assert_eq!(alert["detector"]["level"], "critical");
    assert_eq!(alert["key"]["endpoint"], "left");
    row(
        "T16 an endpoint says 410",
        "one of four",
        "nothing more is sent to it, a critical alert tells the others, once",
    );
}
