//! Steps in any order: some of them, and events that could serve several.

use super::{alerts, check};

const THREE: &str = "title: Three\nname: three\nlogsource: {product: tidegate}\n\
     detection:\n  a: {event.kind: custom.a}\n  b: {event.kind: custom.b}\n  c: {event.kind: custom.c}\n  d: {event.kind: custom.d}\n\
     correlation:\n  type: temporal\n  rules: [a, b, c, d]\n  group-by: [user.id]\n  timespan: 100s\n  condition: {gte: 3}\n";

/// At 60s b, c and d are together though a, b and c were first: they hold until 110s, not 100s.
#[test]
fn one_episode_lasts_as_long_as_any_of_the_sets_holds() {
    check(
        THREE,
        "0s custom.a user.id=u\n10s custom.b user.id=u\n20s custom.c user.id=u
         60s custom.d user.id=u\n105s custom.d user.id=u\n106s custom.b user.id=u",
        "20s open three: Three: a and b and c within 100s for user.id u
         1m46s update three: Three: b and c and d within 100s for user.id u",
    );
}

/// Of the two steps e3 could serve, it leaves to e2 the one that e2 can: they begin at 2s, not at 0s.
#[test]
fn an_event_serves_the_step_that_lets_the_chain_begin_latest() {
    let both = "title: Both\nname: both\nlogsource: {product: tidegate}\n\
         detection:\n  one: {event.kind: [custom.a, custom.ab]}\n  two: {event.kind: [custom.b, custom.ab]}\n\
         correlation:\n  type: temporal\n  rules: [one, two]\n  group-by: [user.id]\n  timespan: 10s\n";
    check(
        both,
        "0s custom.b user.id=u\n2s custom.a user.id=u\n3s custom.ab user.id=u
         10500ms custom.a user.id=u",
        "2s open both: Both: one and two within 10s for user.id u
         3s update both: Both: one and two within 10s for user.id u",
    );
}

/// The hold begins where the window ends: the key is remembered until then.
#[test]
fn a_hold_outlives_the_window() {
    let held = "title: Two\nname: two\nlogsource: {product: tidegate}\n\
         detection:\n  a: {event.kind: custom.a}\n  b: {event.kind: custom.b}\n\
         correlation:\n  type: temporal\n  rules: [a, b]\n  group-by: [user.id]\n  timespan: 100s\nsuppress: 60s\n";
    check(
        held,
        "0s custom.a user.id=u\n50s custom.b user.id=u\n151s custom.a user.id=u\n155s custom.b user.id=u
         1h custom.a user.id=other",
        "50s open two: Two: a and b within 100s for user.id u",
    );
}

/// Busy holds from 4s until the last request; what it is joined with comes long after its crossing.
#[test]
fn what_still_holds_is_there_for_a_later_step() {
    let rule = |order: &str, rules: &str| {
        format!(
            "title: Busy\nname: busy\nlogsource: {{product: tidegate}}\n\
             detection:\n  a: {{event.kind: custom.a}}\n  condition: a\n\
             correlation:\n  type: event_count\n  group-by: [user.id]\n  timespan: 10s\n  condition: {{gte: 3}}\n\
             ---\ntitle: Joined\nname: joined\nlogsource: {{product: tidegate}}\n\
             detection:\n  b: {{event.kind: custom.b}}\n\
             correlation:\n  type: {order}\n  rules: [{rules}]\n  group-by: [user.id]\n  timespan: 10s\n"
        )
    };
    let busy: String = (0..=30)
        .map(|n| format!("{}s custom.a user.id=u\n", 2 * n))
        .collect();
    let joined = "1m5s open joined: Joined: busy and b within 10s for user.id u";
    let then = joined.replace("and", ", then").replace("busy ,", "busy,");
    let after = format!("{busy}65s custom.b user.id=u");
    check(&rule("temporal", "busy, b"), &after, joined);
    check(&rule("temporal_ordered", "busy, b"), &after, &then);
    // It held until 60s.
    let late = format!("{busy}71s custom.b user.id=u");
    check(&rule("temporal", "busy, b"), &late, "");
    // What is to follow must begin after it.
    let amid = format!("{busy}31s custom.b user.id=u");
    check(&rule("temporal_ordered", "b, busy"), &amid, "");
}

/// A hold keeps people from being told again, not a later step from seeing a second crossing.
#[test]
fn a_crossing_within_a_hold_begins_anew_for_what_it_feeds() {
    let then = "title: Busy\nname: busy\nlogsource: {product: tidegate}\n\
         detection:\n  a: {event.kind: custom.a}\n  condition: a\n\
         correlation:\n  type: event_count\n  group-by: [user.id]\n  timespan: 10s\n  condition: {gte: 3}\nsuppress: 10m\n\
         ---\ntitle: Then\nname: then\nlogsource: {product: tidegate}\n\
         detection:\n  b: {event.kind: custom.b}\n\
         correlation:\n  type: temporal_ordered\n  rules: [b, busy]\n  group-by: [user.id]\n  timespan: 1m\n";
    check(
        then,
        "0s custom.a user.id=u\n1s custom.a user.id=u\n2s custom.a user.id=u\n100s custom.b user.id=u
         110s custom.a user.id=u\n111s custom.a user.id=u\n112s custom.a user.id=u",
        "1m52s open then: Then: b, then busy within 1m for user.id u",
    );
}

/// An account that is seen each minute for an hour: the alert stands on what lies in its window, as it always did,
/// and not on all that came before.
#[test]
fn an_alert_tells_of_the_events_in_its_window_and_of_no_others() {
    let then = "title: Then\nname: then\nlogsource: {product: tidegate}\n\
         detection:\n  a: {event.kind: custom.a}\n  b: {event.kind: custom.b}\n\
         correlation:\n  type: temporal_ordered\n  rules: [a, b]\n  group-by: [user.id]\n  timespan: 100s\n";
    let got = alerts(
        then,
        "0s x60/60s custom.a user.id=u\n3562s custom.b user.id=u",
    );
    let alert = &got[0];
    assert_eq!((alert.first.0 - super::START) / 1000, 3540);
    assert_eq!(
        (alert.events, alert.observed.get("lag_s").unwrap().0),
        (2, 22.0)
    );
    let ranges: Vec<_> = alert.positions.iter().map(|p| (p.from, p.to)).collect();
    assert_eq!(ranges, [(59, 60)], "{alert:?}");
}
