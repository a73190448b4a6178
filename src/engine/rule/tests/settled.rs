//! What Sigma leaves open and the language settles, each question by itself; those that a rule kind
//! answers stand with the tests of the kind.

use super::*;

fn over(correlation: &str) -> String {
    format!(
        "title: T\nname: t\nlogsource: {{product: tidegate}}\n\
         detection:\n  a: {{event.kind: custom.a}}\n  b: {{event.kind: custom.b}}\n  condition: a or b\n\
         correlation:\n{correlation}\n"
    )
}

#[test]
fn events_of_one_moment_are_in_the_order_in_which_they_came() {
    let rule =
        over("  type: temporal_ordered\n  rules: [a, b]\n  group-by: [user.id]\n  timespan: 10s");
    check(
        &rule,
        "5s custom.a user.id=u\n5s custom.b user.id=u",
        "5s open t: T: a, then b within 10s for user.id u",
    );
    check(&rule, "5s custom.b user.id=u\n5s custom.a user.id=u", "");
}

#[test]
fn distinct_values_differ_by_case() {
    let rule = over(
        "  type: value_count\n  group-by: [source.ip]\n  timespan: 10s\n  condition: {field: user.id, gte: 2}",
    );
    let two =
        "1s custom.a source.ip=192.0.2.1 user.id=ann\n2s custom.a source.ip=192.0.2.1 user.id=";
    check(&rule, &format!("{two}ann"), "");
    check(
        &rule,
        &format!("{two}Ann"),
        "2s open t: T: value_count 2 (>= 2) within 10s for source.ip 192.0.2.1",
    );
}

/// The crossing is the third event's, at 9s: a chain that began with the first would be too long.
#[test]
fn a_detection_has_the_time_of_the_event_that_crossed() {
    let rule = |span: &str| {
        format!(
            "title: Busy\nname: busy\nlogsource: {{product: tidegate}}\n\
             detection:\n  a: {{event.kind: custom.a}}\n  condition: a\n\
             correlation:\n  type: event_count\n  group-by: [user.id]\n  timespan: 10s\n  condition: {{gte: 3}}\n---\n{}",
            over(&format!(
                "  type: temporal_ordered\n  rules: [busy, b]\n  group-by: [user.id]\n  timespan: {span}"
            ))
        )
    };
    let events = "0s custom.a user.id=u\n5s custom.a user.id=u\n9s custom.a user.id=u\n12s custom.b user.id=u";
    check(
        &rule("4s"),
        events,
        "12s open t: T: busy, then b within 4s for user.id u",
    );
    check(&rule("3s"), events, "");
}

#[test]
fn an_event_without_the_group_is_not_counted_but_its_number_is_known() {
    let rule =
        over("  type: event_count\n  group-by: [user.id]\n  timespan: 10s\n  condition: {gte: 2}");
    let program = program(&rule);
    let (list, _) = events(
        &program.plan.fields,
        "1s custom.a user.id=u\n2s custom.a source.ip=192.0.2.1\n3s custom.a source.ip=192.0.2.1",
    );
    let mut router = Router::new(Arc::clone(&program));
    let mut routed = Routed::default();
    for event in &list {
        router.route(event, Origin::default(), true, &mut routed);
    }
    assert_eq!(routed.keyless.iter().sum::<u64>(), 2);
    assert_eq!(run(&program, &list, None, (1, 1, None)), []);
}
