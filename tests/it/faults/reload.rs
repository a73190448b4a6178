//! (T23) Detectors change again and again, some with faults, while events come fast: each event is
//! evaluated once by those that stay.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::row;
use crate::harness::daemon::{Daemon, Home};
use crate::harness::{kafka, lines};

const TOPIC: &str = "faults-reload";
/// Events a second.
const RATE: usize = 20_000;
/// A chunk is a second of them; a group of chunks has keys of its own, which live that long.
const CHUNK: usize = RATE;
const CHUNKS: usize = 4;
/// Each key has exactly so many events, spread over its group.
const EACH: usize = 200;
const KEYS: usize = CHUNK * CHUNKS / EACH;

/// Groups that pass before the first reload, to compare with.
const QUIET: usize = 3;
/// From taking an event in to its alert.
const LATENCY: &str = "tidegate_detection_latency_ingest_seconds_bucket";
/// What the machine adds by itself (s): below it twice as long says nothing. The short run shares it with other
/// tests that stop and go.
const NOISE: f64 = 0.25;
const NOISE_SHARED: f64 = 10.0;

/// `TIDEGATE_TEST_RELOADS=100` for the long run.
fn wanted() -> u64 {
    std::env::var("TIDEGATE_TEST_RELOADS").map_or(10, |n| n.parse().expect("a number"))
}

fn counting(name: &str, bound: usize) -> String {
    format!(
        "title: {name}\nname: {name}\nlogsource: {{product: tidegate}}\n\
         detection:\n  asked: {{event.kind: recovery.requested}}\n  condition: asked\n\
         correlation: {{type: event_count, group-by: [user.target.id], timespan: 6h, condition: {{gte: {bound}}}}}\n"
    )
}

/// The n-th state of the file that changes: it counts the same events anew, goes, or has a fault.
fn churn(home: &Home, n: u64) {
    let file = home.file("detectors/a-churn.yml");
    let text = match n % 4 {
        1 => return std::fs::remove_file(file).unwrap(),
        3 => "title: Broken\nname: it-churn\ndetection: {condition: nothing}\n".to_owned(),
        _ => counting("it-churn", 1_000_000 + usize::try_from(n).unwrap()),
    };
    std::fs::write(file, text).unwrap();
}

fn chunk(number: usize) -> String {
    let (group, part) = (number / CHUNKS, number % CHUNKS);
    let mut text = String::new();
    for n in 0..CHUNK {
        let at = number * 1000 + n * 1000 / CHUNK;
        let key = (part * CHUNK + n) % KEYS;
        writeln!(
            text,
            "{{\"event.kind\":\"recovery.requested\",\"time\":{},\"user.target.id\":\"u-{group}-{key}\"}}",
            1_768_204_800_000 + at
        )
        .unwrap();
    }
    text
}

/// Produces whole groups at the rate until told to stop; returns how many, and in what time.
fn flow(home: &Home, stop: &AtomicBool) -> (usize, Duration) {
    let began = Instant::now();
    let mut number = 0;
    while number % CHUNKS != 0 || !stop.load(Ordering::Relaxed) {
        let file = home.file("chunk.jsonl");
        std::fs::write(&file, chunk(number)).unwrap();
        kafka::shared().produce(TOPIC, &file);
        number += 1;
        let due = Duration::from_secs(1) * u32::try_from(number).unwrap();
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    (number / CHUNKS, began.elapsed())
}

fn reloads(daemon: &Daemon, outcome: &str) -> u64 {
    let labels = ["what=\"detectors\"", &format!("outcome=\"{outcome}\"")];
    daemon.metric("tidegate_reloads_total", &labels)
}

/// Alerts so far by their latency: bucket bounds and how many lie at or below each.
fn latencies(daemon: &Daemon) -> Vec<(f64, f64)> {
    let (_, text) = daemon.get("/metrics");
    let bucket = |line: &str| {
        let (bound, count) = line
            .strip_prefix(LATENCY)?
            .split_once("le=\"")?
            .1
            .split_once("\"}")?;
        let bound = bound.parse().unwrap_or(f64::INFINITY);
        Some((bound, count.trim().parse().unwrap()))
    };
    text.lines().filter_map(bucket).collect()
}

/// The latency that 99 of 100 alerts between the two did not pass, as Prometheus estimates it.
fn p99(before: &[(f64, f64)], after: &[(f64, f64)]) -> f64 {
    let had = |i: usize| before.get(i).map_or(0.0, |(_, n)| *n);
    let counts: Vec<(f64, f64)> = after
        .iter()
        .enumerate()
        .map(|(i, (bound, n))| (*bound, n - had(i)))
        .collect();
    let all = counts.last().map_or(0.0, |(_, n)| *n);
    assert!(all > 0.0, "there are alerts to measure");
    let wanted = 0.99 * all;
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, n) in counts {
        if n >= wanted {
            return low + (bound - low) * (wanted - below) / (n - below);
        }
        (low, below) = (bound, n);
    }
    f64::INFINITY
}

#[test]
fn detectors_that_change_under_load_miss_no_event() {
    kafka::shared().topic(TOPIC, 1);
    let broker = kafka::shared().bootstrap();
    let home = Home::new(
        "reload-load",
        &format!(
            "sources: [{{kind: kafka, brokers: ['{broker}'], topics: [{{name: {TOPIC}}}]}}]\n\
             detectors: {{dir: detectors, reload: 1s}}\n\
             alerts: {{sinks: [{{kind: file, path: alerts.ndjson}}]}}\n"
        ),
    );
    std::fs::create_dir(home.file("detectors")).unwrap();
    // One fires if no event is missing, the other if one counts twice.
    let both = [counting("it-all", EACH), counting("it-more", EACH + 1)].join("---\n");
    std::fs::write(home.file("detectors/stays.yml"), both).unwrap();
    let daemon = home.start().ready();
    let stop = AtomicBool::new(false);
    let (groups, took, quiet, busy) = std::thread::scope(|scope| {
        let flow = scope.spawn(|| flow(&home, &stop));
        let before = latencies(&daemon);
        let passed = (QUIET * CHUNKS * CHUNK) as u64;
        daemon.until("some groups", |d| (d.received() >= passed).then_some(()));
        let between = latencies(&daemon);
        for n in 0..wanted() {
            churn(&home, n);
            let seen = || reloads(&daemon, "done") + reloads(&daemon, "refused");
            daemon.until("the next reload", |_| (seen() > n).then_some(()));
        }
        stop.store(true, Ordering::Relaxed);
        let (groups, took) = flow.join().unwrap();
        daemon.settled((groups * CHUNKS * CHUNK) as u64);
        let after = latencies(&daemon);
        (groups, took, p99(&before, &between), p99(&between, &after))
    });
    let events = groups * CHUNKS * CHUNK;
    let (done, refused) = (reloads(&daemon, "done"), reloads(&daemon, "refused"));
    let read = daemon.received();
    daemon.stop();
    assert_eq!((read, refused), (events as u64, wanted() / 4));
    let opened = |name: &str| {
        let is = |alert: &Value| alert["detector"]["name"] == name && alert["revision"] == 0;
        let all = lines(&home.file("alerts.ndjson"));
        let parsed = all
            .iter()
            .map(|l| serde_json::from_str::<Value>(l).unwrap());
        parsed.filter(is).count()
    };
    assert_eq!(opened("it-more"), 0, "no event counts twice");
    assert_eq!(opened("it-all"), groups * KEYS, "no event is missing");
    let alone = wanted() >= 100;
    let bound = (2.0 * quiet).max(if alone { NOISE } else { NOISE_SHARED });
    assert!(
        busy <= bound,
        "p99 {busy:.3} s, {quiet:.3} s without reloads"
    );
    row(
        "T23 reloads under load",
        &format!(
            "{done} done and {refused} refused while {events} events came, {:.0}/s",
            events as f64 / took.as_secs_f64()
        ),
        &format!(
            "not evaluated 0, twice 0: each of {} keys has its {EACH} events; p99 from event to alert {:.0} ms, {:.0} ms without reloads",
            groups * KEYS,
            1000.0 * busy,
            1000.0 * quiet
        ),
    );
}
