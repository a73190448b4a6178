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
