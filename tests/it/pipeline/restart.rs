//! (3) A restart goes on where it was, whether it was asked to end or killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{RESET, detectors, morning, replayed, source};
use crate::harness::command::tidegate;
use crate::harness::daemon::{Daemon, Home};
use crate::harness::{alerts, fixture, kafka, lines};

fn home(topic: &str, detectors: &str) -> Home {
    kafka::shared().topic(topic, 1);
    let sinks = "alerts: {sinks: [{kind: file, path: alerts.ndjson}]}\n";
    Home::new(topic, &format!("{}{detectors}{sinks}", source(topic)))
}

fn comparable(path: &Path) -> Vec<String> {
    lines(path)
        .iter()
        .map(|line| alerts::comparable(line))
        .collect()
}

/// The store, through the API: every alert once, at its last revision, as the file has it.
fn store_agrees(daemon: &Daemon, file: &[String]) {
    let mut last = BTreeMap::new();
    for line in file {
        let alert: Value = serde_json::from_str(line).unwrap();
        let (id, revision) = alerts::revision(&alert);
        let newest = last.entry(id).or_insert(revision);
        *newest = revision.max(*newest);
    }
    let stored = daemon.list("/api/v1/alerts");
    let ids: BTreeSet<_> = stored.iter().map(|a| alerts::revision(a).0).collect();
    assert_eq!(
        ids.len(),
        stored.len(),
        "an alert stands in the store twice"
    );
    assert_eq!(
        stored
            .iter()
            .map(alerts::revision)
            .collect::<BTreeMap<_, _>>(),
        last
    );
}

#[test]
fn after_sigterm_counting_goes_on_in_the_middle_of_a_window() {
    let home = home("restart-term", &detectors());
    let events = home.file("events.jsonl");
    let all = morning(&[(RESET, "203.0.113.7"), (RESET, "198.51.100.23")], 20);
    std::fs::write(&events, &all).unwrap();
    // Four resets of each address: one below the bound.
    let (first, second) = all.split_at(all.match_indices('\n').nth(7).unwrap().0 + 1);
    let half = home.file("half.jsonl");

    std::fs::write(&half, first).unwrap();
    kafka::shared().produce("restart-term", &half);
    let daemon = home.start().ready();
    daemon.settled(8);
    daemon.stop();
    assert_eq!(
        lines(&home.file("alerts.ndjson")).len(),
        0,
        "nothing has crossed a bound yet"
    );

    std::fs::write(&half, second).unwrap();
    kafka::shared().produce("restart-term", &half);
    let daemon = home.start().ready();
    daemon.settled(32);
    assert_eq!(
        daemon.received(),
        32,
        "what was counted before is not read again"
    );
    let got = comparable(&home.file("alerts.ndjson"));
    alerts::assert_same_set(
        "alerts over both runs",
        &got,
        &replayed(&events, Some(fixture("detectors"))),
    );
    store_agrees(&daemon, &got);
    daemon.stop();
}

/// [A3] Each process has a standard input of its own: as many lines as the one before had read were left out,
/// uncounted.
#[test]
fn what_standard_input_brings_after_a_restart_is_new() {
    let sinks = "alerts: {sinks: [{kind: file, path: alerts.ndjson}]}\n";
    let source = "sources: [{kind: stdin}]\n";
    let home = Home::new("restart-stdin", &format!("{source}{}{sinks}", detectors()));
    let events = home.file("events.jsonl");
    let all = morning(&[(RESET, "203.0.113.7"), (RESET, "198.51.100.23")], 20);
    std::fs::write(&events, &all).unwrap();
    let (first, second) = all.split_at(all.match_indices('\n').nth(7).unwrap().0 + 1);
    for (part, lines) in [(first, 8), (second, 32)] {
        let (daemon, mut pipe) = home.spawn_piped();
        let daemon = daemon.addressed();
        pipe.write_all(part.as_bytes()).unwrap();
        daemon.until("all lines", |d| (d.received() >= lines).then_some(()));
        daemon.stop();
    }
    let got = comparable(&home.file("alerts.ndjson"));
    let want = replayed(&events, Some(fixture("detectors")));
    assert!(!want.is_empty());
    alerts::assert_same_set("alerts over both runs", &got, &want);
}

/// The end of an input tells at once what only time would bring; the next process began with a clock that had run
/// ahead by it, and all that it read was late.
#[test]
fn what_comes_after_the_end_of_an_input_is_not_late() {
    let sinks = "alerts: {sinks: [{kind: file, path: alerts.ndjson}]}\n";
    let source = "sources: [{kind: stdin}]\n";
    let home = Home::new("restart-end", &format!("{source}{sinks}"));
    let events = home.file("events.jsonl");
    let all = morning(&[(RESET, "203.0.113.7"), (RESET, "198.51.100.23")], 60);
    std::fs::write(&events, &all).unwrap();
    let (first, second) = all.split_at(all.match_indices('\n').nth(7).unwrap().0 + 1);
    let (mut daemon, mut pipe) = home.spawn_piped();
    pipe.write_all(first.as_bytes()).unwrap();
    drop(pipe);
    assert!(daemon.ended(Duration::from_secs(20)).success());
    let (daemon, mut pipe) = home.spawn_piped();
    let daemon = daemon.addressed();
    pipe.write_all(second.as_bytes()).unwrap();
    daemon.until("all lines", |d| (d.received() >= 112).then_some(()));
    assert_eq!(daemon.metric("tidegate_events_late_total", &[]), 0);
    daemon.stop();
    let opened = |alerts: &[String]| -> BTreeSet<String> {
        let parsed = alerts.iter().map(|a| serde_json::from_str(a).unwrap());
        parsed.map(|a: Value| a["alert_id"].to_string()).collect()
    };
    let got = comparable(&home.file("alerts.ndjson"));
    let want = replayed(&events, None);
    assert!(!want.is_empty());
    assert_eq!(opened(&got), opened(&want));
}

#[test]
fn after_kill_9_every_alert_is_there_and_none_twice() {
    const EVENTS: usize = 60_000;
    const KILLS: u64 = 4;
    let home = home("restart-kill", "");
    let events = home.file("events.jsonl");
    let count = EVENTS.to_string();
    let simulated = tidegate(&[
        "simulate",
        "--scenario",
        "mixed",
        "--seed",
        "9",
        "--events",
        &count,
    ])
    .ok();
    std::fs::write(&events, &simulated.stdout).unwrap();

    // Each part comes while the daemon runs, which is killed in the middle of it.
    let text = simulated.text();
    let all: Vec<&str> = text.lines().collect();
    let part = home.file("part.jsonl");
    for (n, chunk) in all
        .chunks(EVENTS / usize::try_from(KILLS).unwrap())
        .enumerate()
    {
        std::fs::write(&part, chunk.join("\n") + "\n").unwrap();
        kafka::shared().produce("restart-kill", &part);
        let daemon = home.start();
        let enough = 500 + 4000 * u64::try_from(n).unwrap();
        daemon.until("some records", |d| (d.received() >= enough).then_some(()));
        daemon.kill();
    }

    let want: BTreeSet<String> = replayed(&events, None).into_iter().collect();
    let file = home.file("alerts.ndjson");
    let daemon = home.start().ready();
    daemon.caught_up(|| want.is_subset(&comparable(&file).into_iter().collect()));
    assert!(daemon.received() <= u64::try_from(EVENTS).unwrap());

    // A kill between writing a line and noting that may write the line again, byte for byte.
    let written = comparable(&file);
    let mut seen = BTreeSet::new();
    let once: Vec<String> = written
        .iter()
        .filter(|line| seen.insert(line.as_str()))
        .cloned()
        .collect();
    let again = written.len() - once.len();
    assert!(
        again <= usize::try_from(KILLS).unwrap(),
        "{again} lines were written again"
    );
    let got: BTreeSet<String> = once.iter().cloned().collect();
    let lost: Vec<_> = want.difference(&got).take(3).collect();
    let invented: Vec<_> = got.difference(&want).take(3).collect();
    assert!(
        lost.is_empty() && invented.is_empty(),
        "lost: {lost:#?}\ninvented: {invented:#?}"
    );
    assert_eq!(once.len(), want.len(), "one revision with two contents");
    store_agrees(&daemon, &once);
    daemon.stop();
}
