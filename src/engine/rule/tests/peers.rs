//! What other engines do and this one must not, by the names under which it is asked for.

use super::{Settings, alerts, check, events, program_in, run};

fn flood(more: &str) -> String {
    format!(
        "title: Flood\nname: flood\nlogsource: {{product: tidegate}}\n\
         detection:\n  asked: {{event.kind: recovery.requested}}\n  condition: asked\n\
         correlation:\n  group-by: [source.ip]\n  timespan: 10m\n{more}"
    )
}

const TEN: &str = "  type: event_count\n  condition: {gte: 10}\n";

/// A flood of fresh keys does not evict a slow attacker's state.
#[test]
fn peer_key_flood_does_not_hide_a_slow_attacker() {
    let settings = Settings {
        memory: 1,
        ..Settings::default()
    };
    let program = program_in(&flood(TEN), settings);
    let story = "0s x2/1s recovery.requested source.ip=slow
        2s x30000/15ms recovery.requested source.ip=f{n}
        20s x8/50s recovery.requested source.ip=slow";
    let (list, until) = events(&program.plan.fields, story);
    let got = run(&program, &list, until, (1000, 1, None));
    let keys: Vec<_> = got.iter().filter_map(|a| a.key.get("source.ip")).collect();
    assert_eq!(keys, ["slow"], "it opens, and nothing else does");
}

/// `a and not b` waits for `b`.
#[test]
fn peer_absence_fires_at_the_deadline_and_not_before() {
    let yaml = "title: Unused\nname: unused\nlogsource: {product: tidegate}\n\
        detection:\n  issued: {event.kind: token.issued}\n  used: {event.kind: token.used}\n\
        correlation:\n  type: absence\n  after: issued\n  expect: used\n  group-by: [user.id]\n  timespan: 15m\n";
    check(
        yaml,
        "0s token.issued user.id=u1\n15m token.used user.id=u1",
        "",
    );
    check(
        yaml,
        "0s token.issued user.id=u1\n1h token.used user.id=u1",
        "15m open unused: Unused: issued was not followed by used within 15m for user.id u1",
    );
}

/// Events without the group-by field are no group.
#[test]
fn peer_missing_key_is_no_key() {
    check(
        &flood(TEN),
        "0s x50/1s recovery.requested user.target.id=u1",
        "",
    );
}

/// A repeated value is one value.
#[test]
fn peer_distinct_does_not_count_repeats() {
    let yaml = flood("  type: value_count\n  condition: {field: user.target.id, gte: 5}\n");
    let four = "0s x4/1s recovery.requested source.ip=a user.target.id=u{n}";
    check(
        &yaml,
        &format!("{four}\n5s x200/1s recovery.requested source.ip=a user.target.id=u1"),
        "",
    );
    check(
        &yaml,
        &format!("{four}\n5s recovery.requested source.ip=a user.target.id=u5"),
        "5s open flood: Flood: value_count 5 (>= 5) within 10m for source.ip a",
    );
}

/// A backlog that is read at once is as slow as it was when it happened.
#[test]
fn peer_backlog_is_no_flood() {
    check(&flood(TEN), "0s x500/2m recovery.requested source.ip=a", "");
}

/// A restart after any event loses nothing.
#[test]
fn peer_restart_keeps_the_window() {
    let story = "0s x10/30s recovery.requested source.ip=a";
    let plain = alerts(&flood(TEN), story);
    assert_eq!(plain.len(), 1);
    let program = super::program(&flood(TEN));
    let (list, until) = events(&program.plan.fields, story);
    for after in 0..10 {
        assert_eq!(
            run(&program, &list, until, (1, 1, Some(after))),
            plain,
            "{after}"
        );
    }
}

/// A block makes failures, and they do not feed the rule that blocked: the alert ends as if they
/// had not been. Failures that nobody says are ours go on counting.
#[test]
fn peer_self_trigger_is_not_fed_by_its_own_block() {
    let yaml = "title: Failures\nname: failures\nlogsource: {product: tidegate}\n\
        detection:\n  failed: {event.kind: login.failure}\n  condition: failed\n\
        correlation:\n  type: event_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {gte: 5}\n\
        respond: [{verb: block, target: source.ip, ttl: 15m}]\n";
    let action = "a".repeat(64);
    let story = |more: &str| {
        format!(
            "0s x5/1s login.failure source.ip=a\n\
             10s x100/10s login.failure source.ip=a{more}\n\
             1h end"
        )
    };
    let own = format!(" containment.action_id={action}");
    check(
        yaml,
        &story(&own),
        "4s open failures: Failures: event_count 5 (>= 5) within 10m for source.ip a
         10m closed failures: Failures: event_count 5 (>= 5) within 10m for source.ip a",
    );
    for foreign in ["", " containment.action_id=none"] {
        assert!(alerts(yaml, &story(foreign)).len() > 2, "it goes on");
    }
    // What wants to see them asks for them.
    let asking = yaml.replace(
        "{event.kind: login.failure}",
        "{event.kind: login.failure, containment.action_id|exists: true}",
    );
    assert!(alerts(&asking, &story(&own)).len() > 2);
}
