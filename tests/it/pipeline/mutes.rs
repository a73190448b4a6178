//! What a person mutes on a running daemon, over the command line: stored, counted, not told, not
//! acted upon, through a kill; and what comes of it at the end.

use serde_json::Value;

use super::{RESET, detectors, morning, source};
use crate::harness::command::{Done, tidegate};
use crate::harness::daemon::{Daemon, Home};
use crate::harness::{kafka, lines};

const TOPIC: &str = "mutes";

fn home() -> Home {
    Home::new(
        "mutes",
        &format!(
            "{}{}alerts: {{sinks: [{{kind: file, path: alerts.ndjson}}]}}\n\
             containment: {{mode: enforce}}\n",
            source(TOPIC),
            detectors()
        ),
    )
}

fn ask(daemon: &Daemon, arguments: &[&str]) -> Done {
    let server = ["--server", daemon.address()];
    tidegate(&[arguments, &server].concat()).run()
}

/// A flood from one address.
fn flood(home: &Home, daemon: &Daemon, ip: &str, before: u64) {
    let file = home.file("events.jsonl");
    std::fs::write(&file, morning(&[(RESET, ip)], 6).replace("e-0", ip)).unwrap();
    kafka::shared().produce(TOPIC, &file);
    daemon.settled(before + 6);
}

fn told(home: &Home, ip: &str) -> usize {
    let all = lines(&home.file("alerts.ndjson"));
    all.iter().filter(|l| l.contains(ip)).count()
}

/// The stored alert about an address.
fn stored(daemon: &Daemon, ip: &str) -> Value {
    let path = format!("/api/v1/alerts?key={ip}");
    daemon.until("the alert", |d| {
        d.json(&path)["items"].as_array().unwrap().first().cloned()
    })
}

fn active(daemon: &Daemon) -> usize {
    let page = daemon.json("/api/v1/actions?phase=active");
    page["items"].as_array().unwrap().len()
}

#[test]
fn what_is_muted_is_kept_and_told_when_the_silence_ends() {
    kafka::shared().topic(TOPIC, 1);
    let home = home();
    let daemon = home.start().ready();
    let who = ["--author", "ada", "--comment", "load test"];
    let add = [
        &["silences", "add", "source.ip=~203[.]0[.]113[.].*"],
        &who[..],
    ]
    .concat();
    ask(&daemon, &add).code(2).says("add --yes");
    let add = [&add[..], &["--yes", "-o", "ndjson"]].concat();
    let made = ask(&daemon, &add).code(0).says("would have muted 0").json();
    flood(&home, &daemon, "203.0.113.7", 0);
    assert_eq!(
        stored(&daemon, "203.0.113.7")["silenced"],
        made[0]["silence_id"]
    );
    let labels = ["detector=\"it-resets\"", "reason=\"silence\""];
    assert_eq!(
        daemon.metric("tidegate_alerts_suppressed_total", &labels),
        1
    );

    // Another address is told all the same, and a preview shows both sides.
    flood(&home, &daemon, "198.51.100.9", 6);
    daemon.until("what is not muted", |_| {
        (told(&home, "198.51.100.9") > 0).then_some(())
    });
    let other = [&["silences", "add", "source.ip=198.51.100.9"], &who[..]].concat();
    ask(&daemon, &other).says("would have muted 1 of the newest 2 alerts, 1 of them open");
    assert_eq!((told(&home, "203.0.113.7"), active(&daemon)), (0, 1));

    // Killed, it goes on where it was: still muted, until somebody ends it.
    daemon.kill();
    let daemon = home.start().ready();
    ask(&daemon, &["silences", "list"])
        .code(0)
        .says("load test");
    assert_eq!(told(&home, "203.0.113.7"), 0);
    let id = made[0]["silence_id"].as_str().unwrap();
    ask(&daemon, &["silences", "expire", &id[..12]]).code(0);
    daemon.until("the alert", |_| {
        (told(&home, "203.0.113.7") > 0).then_some(())
    });
    daemon.until("its action", |d| (active(d) == 2).then_some(()));
    ask(&daemon, &["silences", "expire", &id[..12]]).code(2);

    // An entry of the allow-list takes back what stands, and keeps off what comes.
    let allow = [
        "allow",
        "add",
        "cidr",
        "203.0.113.0/24",
        "--author",
        "ada",
        "--reason",
        "partner",
    ];
    ask(&daemon, &allow).code(0).says("partner");
    daemon.until("its end", |d| (active(d) == 1).then_some(()));
    flood(&home, &daemon, "203.0.113.8", 0);
    daemon.until("an alert", |_| {
        (told(&home, "203.0.113.8") > 0).then_some(())
    });
    assert_eq!(active(&daemon), 1);
    let id = ask(&daemon, &["allow", "list", "-o", "ndjson"]).json()[0]["allow_id"].clone();
    ask(&daemon, &["allow", "expire", id.as_str().unwrap()]).code(0);
    ask(&daemon, &["allow", "list"]).code(0).says("none");
    daemon.stop();
}

#[test]
fn explain_says_silenced_and_allow_listed() {
    let dir = crate::harness::scratch("explain-mutes");
    let (silences, allow) = (dir.join("silences.json"), dir.join("allow.json"));
    let until =
        "\"created_at\":\"2026-01-01T00:00:00.000Z\",\"expires_at\":\"2026-01-02T00:00:00.000Z\"";
    let id = "0".repeat(64);
    std::fs::write(
        &silences,
        format!(
            "[{{\"silence_id\":\"{id}\",\"matchers\":[\"detector=it-resets\"],\"author\":\"a\",\
             \"via\":\"local\",\"comment\":\"c\",{until},\"active\":true}}]"
        ),
    )
    .unwrap();
    std::fs::write(
        &allow,
        "{\"scope\":\"cidr\",\"value\":\"203.0.113.0/24\",\"expires_at\":null,\"added_by\":\"a\",\
         \"reason\":\"r\",\"added_at\":\"2026-01-01T00:00:00.000Z\"}\n",
    )
    .unwrap();
    let dir = crate::harness::fixture("detectors");
    let explain = [
        "explain",
        "--input",
        "-",
        "--detectors",
        dir.to_str().unwrap(),
        "-o",
        "ndjson",
    ];
    let outcomes = |more: &[&str]| -> Vec<String> {
        let run = tidegate(&[&explain[..], &["--detector", "it-resets"], more].concat());
        let told = run.stdin(morning(&[(RESET, "203.0.113.7")], 6)).ok().json();
        let outcome = |line: &Value| line["detectors"][0]["outcome"].as_str().unwrap().to_owned();
        told.iter().map(outcome).collect()
    };
    let below = ["below_bound"; 4];
    let want = |fifth: &'static str| [&below[..], &[fifth, "suppressed"]].concat();
    assert_eq!(outcomes(&[]), want("alerted"));
    assert_eq!(
        outcomes(&["--silences", silences.to_str().unwrap()]),
        want("silenced")
    );
    assert_eq!(
        outcomes(&["--allow", allow.to_str().unwrap()]),
        want("allow_listed")
    );
}
