//! Coverage told as stories: what a case exercises, and what it leaves out.

use super::*;
use crate::engine::detector::{Options, SourceFile, case, compile};

const DETECTOR: &str = "\
title: Many accounts
name: many
detection:
  asked: {event.kind: recovery.requested}
  office: {source.ip|cidr: 10.0.0.0/8}
  condition: asked and not office
correlation:
  group-by: [source.ip]
  timespan: 10m
  aggregates:
    requests: {type: event_count}
    accounts: {type: value_count, field: user.target.id}
  condition:
    requests: {gte: 3}
    accounts: {gte: 2}
---
title: Never used
name: unused
detection:
  issued: {event.kind: token.issued}
  used: {event.kind: token.used}
correlation: {type: absence, after: issued, expect: used, group-by: [token.id], timespan: 10m}
";

fn coverage(cases: &str) -> Vec<String> {
    coverage_of(DETECTOR, cases)
}

fn coverage_of(detector: &str, cases: &str) -> Vec<String> {
    let source = SourceFile {
        path: "d/many/detector.yml".into(),
        text: detector.into(),
        runbook_exists: true,
        tests_exist: true,
    };
    let compiled = compile(&[source], &Options::default());
    assert!(
        compiled.diagnostics.is_empty(),
        "{:?}",
        compiled.diagnostics
    );
    let mut coverage = Coverage::new(compiled.plan);
    let (cases, faults) = case::parse("d/many/tests/a.yml", cases);
    assert_eq!(faults, []);
    for case in &cases {
        coverage.watch("d/many/tests/a.yml", case, None);
        coverage.watch("d/other/tests/a.yml", case, None);
    }
    let side = |p: &Point| match (p.held, p.failed) {
        (true, true) => "both",
        (true, false) => "held",
        (false, true) => "failed",
        (false, false) => "neither",
    };
    coverage
        .detectors()
        .iter()
        .flat_map(|d| {
            d.points
                .iter()
                .map(|p| format!("{}: {} {}", d.detector, p.what, side(p)))
        })
        .collect()
}

fn events(list: &[&str]) -> String {
    let lines: String = list
        .iter()
        .map(|e| format!("  - {{time: 2026-01-12T08:00:00Z, {e}}}\n"))
        .collect();
    format!("name: a\nkind: fires\nevents:\n{lines}expect: []\n")
}

#[test]
fn nothing_is_covered_without_events() {
    let told = coverage("");
    assert_eq!(
        told,
        [
            "many: asked: event.kind = 'recovery.requested' neither",
            "many: office: source.ip in network 10.0.0.0/8 neither",
            "many: requests gte 3 neither",
            "many: accounts gte 2 neither",
            "unused: issued: event.kind = 'token.issued' neither",
            "unused: used: event.kind = 'token.used' neither",
            "unused: fires neither",
        ]
    );
}

/// Three requests for one account: one bound is reached, the other is not; no event is of another
/// kind, and nobody is in the office.
#[test]
fn sides_are_counted_apart() {
    let asked = "event.kind: recovery.requested, source.ip: 192.0.2.1, user.target.id: ada";
    assert_eq!(
        coverage(&events(&[asked, asked, asked]))[..4],
        [
            "many: asked: event.kind = 'recovery.requested' held",
            "many: office: source.ip in network 10.0.0.0/8 failed",
            "many: requests gte 3 both",
            "many: accounts gte 2 failed",
        ]
    );
}

/// A test behind a failed one is not asked: a token from the office says nothing about `office`.
#[test]
fn tests_that_are_not_asked_do_not_count() {
    let issued = "event.kind: token.issued, source.ip: 10.0.0.1, token.id: t1";
    let told = coverage(&events(&[issued]));
    assert_eq!(
        told[0],
        "many: asked: event.kind = 'recovery.requested' failed"
    );
    assert_eq!(
        told[1],
        "many: office: source.ip in network 10.0.0.0/8 neither"
    );
    assert_eq!(told[6], "unused: fires held");
}

#[test]
fn what_serves_others_is_seen_to_stay_silent() {
    let told = coverage(&events(&[
        "event.kind: token.issued, token.id: t1",
        "event.kind: token.used, token.id: t1",
    ]));
    assert_eq!(
        told[4..],
        [
            "unused: issued: event.kind = 'token.issued' both",
            "unused: used: event.kind = 'token.used' both",
            "unused: fires failed",
        ]
    );
}

const ROLL_UP: &str = "\
title: Flood
name: flood
detection:
  asked: {event.kind: recovery.requested}
  condition: asked
correlation:
  type: event_count
  group-by: [source.ip]
  roll-up: [source.cidr, {by: source.as.number, condition: {gte: 5}}]
  timespan: 10m
  condition: {gte: 3}
";

/// Each group has bounds of its own: two hot addresses cross theirs, and what they leave to their
/// network is one event.
#[test]
fn every_group_of_a_roll_up_is_counted() {
    let asked = |address: &str| {
        format!("event.kind: recovery.requested, source.ip: 192.0.2.{address}, source.as.number: 1")
    };
    let told = |addresses: &[&str]| {
        let list: Vec<String> = addresses.iter().map(|a| asked(a)).collect();
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        coverage_of(ROLL_UP, &events(&list))
    };
    assert_eq!(
        told(&["1", "1", "1", "2"])[1..],
        [
            "flood: source.ip: event_count gte 3 both",
            "flood: source.cidr: event_count gte 3 failed",
            "flood: source.as.number: event_count gte 5 failed",
        ]
    );
    assert_eq!(
        told(&["1", "2", "3"])[1..],
        [
            "flood: source.ip: event_count gte 3 failed",
            "flood: source.cidr: event_count gte 3 both",
            "flood: source.as.number: event_count gte 5 failed",
        ]
    );
}

const CHAINED: &str = "\
title: Many
name: many
detection: {asked: {event.kind: recovery.requested}, condition: asked}
correlation: {type: event_count, group-by: [source.ip], timespan: 10m, condition: {gte: 2}}
---
title: Many of many
name: spread
correlation: {type: value_count, rules: [many], group-by: [], timespan: 10m, condition: {field: source.ip, gte: 2}}
";

/// A bound on what other rules have found is counted like any other.
#[test]
fn bounds_over_detections_are_counted() {
    let asked =
        |address: u8| format!("event.kind: recovery.requested, source.ip: 192.0.2.{address}");
    let list = [asked(1), asked(1), asked(2)];
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    let told = coverage_of(CHAINED, &events(&list));
    assert_eq!(told[2..], ["spread: value_count gte 2 failed"]);
}
