//! Bounds on numbers of the same window, and values made of several fields.

use super::check;

fn failures(condition: &str) -> String {
    format!(
        "title: Failures\nname: failures\nlogsource: {{product: tidegate}}\n\
         detection:\n  tried: {{event.kind: [login.success, login.failure]}}\n  failed: {{event.kind: login.failure}}\n\
         correlation:\n  group-by: [source.ip]\n  timespan: 1h\n  rules: [tried, failed]\n  aggregates:\n    all: {{type: event_count, rule: tried}}\n    bad: {{type: event_count, rule: failed}}\n  condition: {condition}"
    )
}

#[test]
fn a_bound_may_be_a_part_of_another_number() {
    let yaml = failures("{all: {gte: 20}, bad: {gte: {aggregate: all, times: 0.5}}}");
    let good = "0s x20/1s login.success source.ip=a";
    check(
        &yaml,
        &format!("{good}\n1m x19/1s login.failure source.ip=a"),
        "",
    );
    check(
        &yaml,
        &format!("{good}\n1m x20/1s login.failure source.ip=a"),
        "1m19s open failures: Failures: all 40 (>= 20), bad 20 (>= 20) within 1h for source.ip a",
    );
}

/// Two bad of four: an hour after the first bad one there is one of three.
#[test]
fn it_ends_when_time_alone_takes_it_below() {
    let yaml = failures("{all: {gte: 4}, bad: {gte: {aggregate: all, times: 0.5}}}");
    check(
        &yaml,
        "0s x2/1s login.failure source.ip=a\n10m x2/1s login.success source.ip=a\n3h end",
        "10m1s open failures: Failures: all 4 (>= 4), bad 2 (>= 2) within 1h for source.ip a
         1h closed failures: Failures: all 4 (>= 4), bad 2 (>= 2) within 1h for source.ip a",
    );
}

#[test]
fn it_holds_for_thousands_too() {
    let yaml = failures("{all: {gte: 2000}, bad: {gte: {aggregate: all, times: 0.5}}}");
    let story = |bad: u32| {
        format!(
            "0s x4000/100ms login.success source.ip=a\n400s x{bad}/100ms login.failure source.ip=a"
        )
    };
    check(&yaml, &story(3900), "");
    check(
        &yaml,
        &story(4000),
        "13m19s900ms open failures: Failures: all 8000 (>= 2000), bad 4000 (>= 4000) within 1h for source.ip a",
    );
}

#[test]
fn distinct_pairs_are_counted_as_pairs() {
    let yaml = "title: Pairs\nname: pairs\nlogsource: {product: tidegate}\n\
        detection:\n  asked: {event.kind: recovery.requested}\n  condition: asked\n\
        correlation:\n  type: value_count\n  group-by: []\n  timespan: 1h\n  condition: {field: [user.target.id, device.id], gte: 4}\n";
    let grid = "0s x2/1s recovery.requested user.target.id=u{n} device.id=a\n10s x2/1s recovery.requested user.target.id=u{n} device.id=b";
    check(
        yaml,
        grid,
        "11s open pairs: Pairs: value_count 4 (>= 4) within 1h",
    );
    check(
        yaml,
        &format!("{grid}\n5s x9/1ms recovery.requested user.target.id=u{{n}}")
            .replace("device.id=b", "device.id=a"),
        "",
    );
}

const FOUR: &str = "
title: Spread
name: spread
logsource: {product: tidegate}
detection:
  asked: {event.kind: recovery.requested}
  condition: asked
correlation:
  group-by: [source.cidr]
  timespan: 1h
  aggregates:
    accounts: {type: value_count, field: user.target.id}
    devices: {type: value_count, field: device.id}
    agents: {type: value_count, field: user_agent.original}
    cost: {type: value_sum, field: labels.cost}
  condition: {accounts: {gte: 3}, devices: {gte: 2}, agents: {gte: 3}, cost: {gte: 12}}
";

/// The third and fourth stand behind the text; an event without one of them counts for the others.
#[test]
fn a_window_reads_four_values() {
    check(
        FOUR,
        "0s x2/1s recovery.requested source.cidr=a user.target.id=u{n} device.id=d{n} user_agent.original=x{n} labels.cost=4
         1m recovery.requested source.cidr=a user.target.id=u3
         2m recovery.requested source.cidr=a user_agent.original=x3
         3m recovery.requested source.cidr=b labels.cost=400
         4m recovery.requested source.cidr=a labels.cost=3.5
         5m recovery.requested source.cidr=a labels.cost=0.5",
        "5m open spread: Spread: accounts 3 (>= 3), devices 2 (>= 2), agents 3 (>= 3), cost 12 (>= 12) within 1h for source.cidr a",
    );
}

/// The same through a roll-up, and of a rule that is fed by detections.
#[test]
fn four_values_go_up_and_on() {
    let up = FOUR.replace("[source.cidr]", "[source.ip]\n  roll-up: source.cidr");
    check(
        &up,
        "0s x3/1s recovery.requested source.ip={n} source.cidr=a user.target.id=u{n} device.id=d{n} user_agent.original=x{n} labels.cost=4",
        "2s open spread: Spread: accounts 3 (>= 3), devices 3 (>= 2), agents 3 (>= 3), cost 12 (>= 12) within 1h for source.cidr a",
    );
    let fed = "
title: Asked
name: asked-twice
logsource: {product: tidegate}
detection:
  asked: {event.kind: recovery.requested}
  condition: asked
correlation:
  type: event_count
  group-by: [source.cidr, user.target.id]
  timespan: 1m
  condition: {gte: 1}
---
";
    let own = "logsource: {product: tidegate}\ndetection:\n  asked: {event.kind: recovery.requested}\n  condition: asked\ncorrelation:\n";
    let on = format!(
        "{fed}{}",
        FOUR.trim_start()
            .replace(own, "correlation:\n  rules: asked-twice\n")
    );
    check(
        &on,
        "0s x3/1s recovery.requested source.cidr=a user.target.id=u{n} device.id=d{n} user_agent.original=x{n} labels.cost=4",
        "2s open spread: Spread: accounts 3 (>= 3), devices 3 (>= 2), agents 3 (>= 3), cost 12 (>= 12) within 1h for source.cidr a",
    );
}

/// One event that meets two of the rules is one event, and its number is added once.
#[test]
fn an_event_that_meets_two_rules_is_counted_once() {
    let with = |correlation: &str| {
        format!(
            "title: Two\nname: two\nlogsource: {{product: tidegate}}\n\
             detection:\n  any: {{event.kind: [a, b]}}\n  one: {{event.kind: a}}\n  read: {{n: 0}}\n\
             correlation:\n  rules: [any, one]\n  group-by: [source.ip]\n  timespan: 10m\n{correlation}"
        )
    };
    let event = |at: &str, kind: &str| {
        format!("{at} {kind} source.ip=9.9.9.1 n=60 source.cidr=9.9.9.0/24\n")
    };
    let count = with("  type: event_count\n  condition: {gte: 2}\n");
    check(&count, &event("0s", "a"), "");
    let opened = |name: &str| format!("1s open two: Two: {name} within 10m for source.ip 9.9.9.1");
    let closed =
        |name: &str| format!("10m closed two: Two: {name} within 10m for source.ip 9.9.9.1");
    let both = |name: &str| format!("{}\n{}", opened(name), closed(name));
    let twice = format!("{}{}20m end", event("0s", "a"), event("1s", "b"));
    check(&count, &twice, &both("event_count 2 (>= 2)"));
    let sum = with("  type: value_sum\n  condition: {field: n, gte: 100}\n");
    check(&sum, &event("0s", "a"), "");
    check(
        &sum,
        &twice,
        &format!(
            "{}\n{}",
            opened("value_sum 120 (>= 100)"),
            closed("value_sum 120 (>= 100)")
        ),
    );
    // Beside numbers of one rule alone, too; and in every group of a roll-up.
    let parts = "  aggregates:\n    all: {type: event_count}\n    ones: {type: event_count, rule: one}\n  condition: {all: {gte: 2}, ones: {gte: 1}}\n";
    check(&with(parts), &event("0s", "a"), "");
    check(&with(parts), &twice, &both("all 2 (>= 2), ones 1 (>= 1)"));
    let rolled = format!("{}  roll-up: source.cidr\n", with(parts));
    check(&rolled, &event("0s", "a"), "");
    check(&rolled, &twice, &both("all 2 (>= 2), ones 1 (>= 1)"));
    let other = event("1s", "b").replace("9.9.9.1", "9.9.9.2");
    check(
        &rolled,
        &format!("{}{other}20m end", event("0s", "a")),
        &both("all 2 (>= 2), ones 1 (>= 1)").replace("source.ip 9.9.9.1", "source.cidr 9.9.9.0/24"),
    );
}
