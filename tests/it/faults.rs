//! What tidegate survives, with real processes, a real Kafka and real signals (FAULTS in docs/operations.md).
//!
//! The oracle is `replay` of the same events: lost is what it has and a receiver has not, extra what
//! a receiver has and it has not, a duplicate the same id delivered again, byte for byte. Each test
//! prints a row; `make faults` shows them as one table.

mod cluster;
mod corrupt;
mod crash;
mod disk;
mod drain;
mod endpoint;
mod input;
mod kafka;
mod load;
mod many;
mod network;
mod outage;
mod packed;
mod panic;
mod reload;
mod silence;
mod start;
mod time;
mod topics;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tidegate::model::HashKey;
use tidegate::store::snapshot::{self, Snapshot};

use crate::harness::command::{Run, tidegate};
use crate::harness::daemon::{Daemon, Home};
use crate::harness::receiver::{Receiver, Request};
use crate::harness::{alerts, fixture, kafka as broker, lines, root, scratch, tell};

/// How soon reading goes on once the broker is back (T21).
const RESUME_MAX: Duration = Duration::from_secs(10);
/// By how much memory may grow meanwhile and still be flat: one full queue of records, in KiB.
const FLAT: u64 = 24 << 10;

/// By how much, in milliseconds, event time that goes on as fast as the clock may be off it: it is looked at between
/// batches.
const STEADY: i64 = 500;
/// How old a gauge may be.
const GAUGE_MAX: Duration = Duration::from_secs(2);

/// How many may be contained in a minute (`containment.budgets.actions_per_minute`, its default).
const BUDGET: usize = 60;

/// The clock, in milliseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_millis()).unwrap()
}

/// The time of the last of these events.
fn last_time(events: &str) -> i64 {
    let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    last["time"].as_i64().unwrap()
}

/// Since when event time goes on by the clock, from the newest event on that was read; it is seen to go on so for a
/// while. As long as it does, it stays as far behind as it was then: by the age of that event, and the lateness.
fn goes_on(daemon: &Daemon, newest: i64, lateness: i64, watched: Duration) -> i64 {
    let since = |d: &Daemon| {
        let behind = d.values("tidegate_watermark_delay_seconds", &[])[0];
        newest - lateness + (behind * 1000.0) as i64
    };
    // What it says must be of a time after that event.
    std::thread::sleep(GAUGE_MAX);
    // Of event time that stands still it says: since just now.
    let before = daemon.until("event time goes on", |d| {
        Some(since(d)).filter(|at| now() - at >= GAUGE_MAX.as_millis() as i64)
    });
    std::thread::sleep(watched);
    let after = since(daemon);
    assert!(
        (after - before).abs() <= STEADY,
        "within {watched:?} event time fell behind by {} ms",
        after - before
    );
    after
}

/// One row of the table.
fn row(fault: &str, how: &str, result: &str) {
    tell(&format!("| {fault} | {how} | {result} |"));
}

/// A flood from each of these addresses, a second apart; now and then a line is no event.
fn floods(addresses: u32, seconds: u32) -> String {
    floods_from(0, addresses, seconds)
}

/// The same, so many seconds after eight o'clock.
fn floods_from(start: u32, addresses: u32, seconds: u32) -> String {
    let mut text = String::new();
    for second in start..start + seconds {
        for address in 0..addresses {
            writeln!(
                text,
                "{{\"event.kind\":\"recovery.requested\",\"event.id\":\"f-{address}-{second}\",\
                 \"time\":\"2026-01-12T08:{:02}:{:02}.{address:03}Z\",\
                 \"source.ip\":\"203.0.113.{address}\",\"user.target.id\":\"u-{address}-{second}\"}}",
                second / 60,
                second % 60,
            )
            .unwrap();
        }
        if second % 10 == 0 {
            text.push_str("{\"event.kind\":\"recovery.requested\"\n");
        }
    }
    text
}

/// A daemon's folder, its receiver and what it must tell.
struct Scene {
    home: Home,
    receiver: Receiver,
    records: u64,
    want: BTreeSet<String>,
    wrong: u64,
    /// The receiver is asked for every action: there is a webhook for them, and none expires before.
    enforces: bool,
}

/// What a run over and through a fault came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    alerts: usize,
    lost: usize,
    extra: usize,
    duplicates: usize,
    /// Actions that the receiver was asked for: those that alerts say were taken.
    actions: usize,
}

impl Tally {
    /// Nothing is lost, nothing new, and nothing came twice.
    #[track_caller]
    fn assert_once(&self) {
        assert_eq!(
            (self.lost, self.extra, self.duplicates),
            (0, 0, 0),
            "{self:?}"
        );
    }
}

impl Scene {
    /// A home that reads `topic` of the shared broker from its beginning.
    fn over(topic: &str, name: &str, events: &str) -> Self {
        Self::of(&broker::shared().bootstrap(), topic, name, events, "200")
    }

    fn of(bootstrap: &str, topic: &str, name: &str, events: &str, script: &str) -> Self {
        Self::to(Receiver::start(script), bootstrap, topic, name, events)
    }

    fn to(receiver: Receiver, bootstrap: &str, topic: &str, name: &str, events: &str) -> Self {
        let home = Home::new(name, &body(bootstrap, topic, &receiver.url()));
        let file = home.file("events.jsonl");
        std::fs::write(&file, events).unwrap();
        Self {
            receiver,
            records: events.lines().count() as u64,
            wrong: events.lines().filter(|l| !l.ends_with('}')).count() as u64,
            want: replayed(&file),
            enforces: true,
            home,
        }
    }

    /// The same, with an oracle for what stands in its events file by now.
    fn with_oracle(mut self) -> Self {
        self.want = replayed(&self.home.file("events.jsonl"));
        self
    }

    /// Runs to the end of the log without a fault, stops, and compares.
    fn recover(&self) -> Tally {
        let daemon = self.home.start().ready();
        daemon.caught_up(|| self.is_told());
        daemon.stop();
        self.tally()
    }

    /// `Home::reconfigure` of its home.
    #[track_caller]
    fn reconfigure(&self, from: &str, to: &str) {
        self.home.reconfigure(from, to);
    }

    /// Whether the receiver and the file have as much as the oracle.
    fn is_told(&self) -> bool {
        let written = lines(&self.home.file("alerts.ndjson")).len();
        revisions(&self.receiver).len().min(written) >= self.want.len()
    }

    /// What kinds of messages the receiver has taken about an alert of tidegate itself.
    fn heard_of(&self, detector: &str) -> Vec<String> {
        let mut seen = self.receiver.seen();
        seen.retain(|r| r.is_believed() && r.data["detector"]["id"] == detector);
        seen.into_iter().map(|r| r.kind).collect()
    }

    /// Up to where the newest snapshot on disk holds a topic's first partition.
    fn frontier(&self, topic: &str) -> i64 {
        let newest = newest(&self.home.file("state/snapshots"));
        let place: Value = serde_json::from_slice(&newest.frontier).unwrap();
        place["frontier"][topic]["0"].as_i64().expect("a place")
    }

    /// What has arrived, against the oracle: in the file and at the receiver, each for itself.
    fn tally(&self) -> Tally {
        let whole = lines(&self.home.file("alerts.ndjson"));
        let written: Vec<String> = whole.iter().map(|l| alerts::comparable(l)).collect();
        let file: BTreeSet<String> = written.iter().cloned().collect();
        let seen = self.receiver.seen();
        let heard = heard(&seen, &whole);
        let repeated: usize = revisions_of(&seen).values().map(|n| n - 1).sum();
        let (decided, asked) = (decided(&whole), asked_for(&seen));
        assert!(asked.is_subset(&decided), "{asked:?} of {decided:?}");
        if self.enforces {
            assert_eq!(asked, decided, "actions that alerts name");
            let (contained, all) = (targets(&seen), to_contain(&self.want));
            assert!(contained.is_subset(&all), "{contained:?} of {all:?}");
            assert!(contained.len() >= all.len().min(BUDGET), "{contained:?}");
        }
        let arrived: BTreeSet<String> = file.intersection(&heard).cloned().collect();
        let told: BTreeSet<String> = file.union(&heard).cloned().collect();
        Tally {
            alerts: self.want.len(),
            lost: self.want.difference(&arrived).count(),
            extra: told.difference(&self.want).count(),
            duplicates: written.len() - file.len() + repeated,
            actions: asked.len(),
        }
    }
}

/// The alerts that a receiver has believed, as texts that can be compared: those of the file where it holds the
/// same alert, whole, else its own.
fn heard(seen: &[Request], file: &[String]) -> BTreeSet<String> {
    let mut written = BTreeMap::new();
    for line in file {
        let alert: Value = serde_json::from_str(line).unwrap();
        written.insert(alerts::revision(&alert), (alert, line));
    }
    let text = |r: &Request| match written.get(&alerts::revision(&r.data)) {
        Some((alert, line)) if *alert == r.data => alerts::comparable(line),
        _ => format!("only the receiver has {}", r.data),
    };
    let is_alert = |r: &&Request| r.kind.starts_with("tidegate.alert") && r.is_believed();
    seen.iter().filter(is_alert).map(text).collect()
}

/// The verbs and targets that a receiver was asked for and has believed.
fn targets(seen: &[Request]) -> BTreeSet<(String, String)> {
    let asked = seen
        .iter()
        .filter(|r| r.kind == "tidegate.action.requested.v1" && r.is_believed());
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    asked
        .map(|r| (text(&r.data["verb"]), text(&r.data["target"]["value"])))
        .collect()
}

/// What is to be asked for where the oracle's alerts are all there is: the flood's address is blocked.
fn to_contain(want: &BTreeSet<String>) -> BTreeSet<(String, String)> {
    let address = |line: &String| {
        let alert: Value = serde_json::from_str(line).unwrap();
        assert_eq!(alert["detector"]["name"], "it-resets", "{line}");
        let address = alert["key"]["source.ip"].as_str().unwrap();
        ("block".to_owned(), address.to_owned())
    };
    want.iter().map(address).collect()
}

/// The actions of the alerts in a file, where what was delivered again is the same to the byte.
fn decided(alerts: &[String]) -> BTreeSet<String> {
    let (mut first, mut actions) = (BTreeMap::new(), BTreeSet::new());
    for line in alerts {
        let alert: Value = serde_json::from_str(line).unwrap();
        let before = *first.entry(alerts::revision(&alert)).or_insert(line);
        assert_eq!(before, line, "one revision with two bodies");
        let own = alert["actions"].as_array().unwrap();
        actions.extend(own.iter().map(|id| id.as_str().unwrap().to_owned()));
    }
    actions
}

/// The actions that a receiver was asked for and has believed.
fn asked_for(seen: &[Request]) -> BTreeSet<String> {
    let believed = seen.iter().filter(|r| r.is_believed());
    let asked = believed.filter(|r| r.kind == "tidegate.action.requested.v1");
    let id = |r: &Request| r.data["action_id"].as_str().unwrap().to_owned();
    asked.map(id).collect()
}

/// The newest good snapshot in a folder.
fn newest(snapshots: &Path) -> Snapshot {
    let key = HashKey::fixed().id();
    let mut found = snapshot::read(snapshots, "engine", &key).unwrap();
    found.chain.pop().expect("a snapshot")
}

/// A configuration over one topic that tells one receiver everything.
fn body(bootstrap: &str, topic: &str, url: &str) -> String {
    format!(
        "sources: [{{kind: kafka, brokers: ['{bootstrap}'], topics: [{{name: {topic}}}]}}]\n\
         detectors: {{dir: '{}'}}\n\
         alerts:\n  sinks:\n    - {{kind: file, path: alerts.ndjson}}\n    - {{kind: webhook, name: soc, url: '{url}', secret_env: WEBHOOK_SECRET}}\n\
         containment:\n  mode: enforce\n  webhooks: [{{name: gateway, url: '{url}', secret_env: WEBHOOK_SECRET}}]\n",
        fixture("detectors").display(),
    )
}

/// A library of `dev/faults` that stands between a program and the system.
fn shim(name: &str) -> PathBuf {
    let library = scratch(&format!("{name}-shim")).join("shim.so");
    let source = root().join(format!("dev/faults/{name}.c"));
    let (from, to) = (source.to_str().unwrap(), library.to_str().unwrap());
    let arguments = ["-shared", "-fPIC", "-O1", "-Wall", "-o", to, from, "-ldl"];
    Run::new("cc", &arguments).ok();
    library
}

/// The alert revisions that a receiver believes, and how often it got each.
fn revisions(receiver: &Receiver) -> BTreeMap<(String, u64), usize> {
    revisions_of(&receiver.seen())
}

fn revisions_of(seen: &[Request]) -> BTreeMap<(String, u64), usize> {
    let mut sent = BTreeMap::new();
    for request in seen {
        let is_alert = request.kind.starts_with("tidegate.alert");
        if is_alert && request.is_believed() {
            *sent.entry(alerts::revision(&request.data)).or_default() += 1;
        }
    }
    sent
}

fn replayed(file: &std::path::Path) -> BTreeSet<String> {
    let dir: PathBuf = fixture("detectors");
    let done = tidegate(&[
        "replay",
        "--input",
        file.to_str().unwrap(),
        "--until",
        "1970-01-01T00:00:00Z",
        "--detectors",
        dir.to_str().unwrap(),
    ])
    .ok();
    let all: BTreeSet<String> = done.lines().iter().map(|l| alerts::comparable(l)).collect();
    assert!(!all.is_empty(), "replay raised nothing");
    all
}
