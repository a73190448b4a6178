//! What a detector costs events that are none of its business, counted in evaluated conditions; and
//! that no condition is passed over that would have matched.

use proptest::prelude::*;

use super::*;
use crate::engine::detector::plan::Plan;
use crate::engine::detector::{Options, SourceFile, compile};
use crate::model::Value;

fn plan(documents: &[String]) -> Plan {
    let file = |(i, text): (usize, &String)| SourceFile {
        path: format!("{i}.yml"),
        text: text.clone(),
        runbook_exists: true,
        tests_exist: true,
    };
    let files: Vec<SourceFile> = documents.iter().enumerate().map(file).collect();
    let got = compile(&files, &Options::default());
    assert!(!got.has_faults(), "{:?}", got.diagnostics);
    got.plan
}

fn index(plan: &Plan) -> Index {
    let product = plan.fields.get("labels.product");
    Index::new(&plan.predicates.iter().collect::<Vec<_>>(), product)
}

fn event(plan: &Plan, schema: &'static str, values: &[(&str, Value<'_>)]) -> Event {
    let mut event = Event::default();
    event.clear(plan.fields.len());
    event.schema = schema;
    for (name, value) in values {
        if let Some(id) = plan.fields.get(name) {
            event.push(id, *value);
        }
    }
    event
}

fn due(index: &Index, event: &Event) -> Vec<usize> {
    let mut due = vec![77];
    index.due(event, &mut due);
    due
}

fn rule(n: usize, source: &str, selection: &str) -> String {
    format!(
        "title: d{n}\nlogsource: {source}\ndetection:\n  s: {{{selection}}}\n  condition: s\ncorrelation:\n  \
         type: event_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {{gte: 5}}\n"
    )
}

/// One detector or a thousand: an event of another kind meets no condition at all.
#[test]
fn a_detector_costs_other_events_nothing() {
    for n in [1, 10, 100, 1000] {
        let documents: Vec<String> = (0..n)
            .map(|i| match i % 4 {
                0 => rule(
                    i,
                    "{product: tidegate}",
                    &format!("event.kind: token.used, user.id: u{i}"),
                ),
                1 => rule(
                    i,
                    "{product: okta}",
                    &format!("eventType: user.a{i}, outcome.result: FAILURE"),
                ),
                2 => rule(
                    i,
                    "{product: windows, category: process_creation}",
                    &format!("Image|endswith: x{i}.exe"),
                ),
                _ => rule(
                    i,
                    "{product: windows, service: security}",
                    &format!("EventID: {}", 4000 + i),
                ),
            })
            .collect();
        let plan = plan(&documents);
        let index = index(&plan);
        let other = [
            ("event.kind", Value::Text("recovery.requested")),
            ("source.ip", Value::Text("192.0.2.1")),
            ("user.id", Value::Text("u0")),
        ];
        assert_eq!(
            due(&index, &event(&plan, "tidegate", &other)),
            [] as [usize; 0],
            "{n} detectors"
        );
        let okta = [
            ("event.kind", Value::Text("custom.user.mfa")),
            ("eventType", Value::Text("user.mfa")),
        ];
        assert_eq!(
            due(&index, &event(&plan, "okta", &okta)),
            [] as [usize; 0],
            "{n} detectors"
        );
    }
}

/// Of a thousand rules on raw types one is evaluated; of a thousand windows over one condition, one.
#[test]
fn events_meet_their_own_rules_only() {
    let documents: Vec<String> = (0..1000)
        .map(|i| rule(i, "{product: okta}", &format!("eventType: user.a{i}")))
        .collect();
    let plan_of_types = plan(&documents);
    let one = [("eventType", Value::Text("USER.a77"))];
    let found = due(&index(&plan_of_types), &event(&plan_of_types, "okta", &one));
    assert_eq!(found.len(), 1);
    let documents: Vec<String> = (0..1000)
        .map(|i| {
            rule(
                i,
                "{product: tidegate}",
                &format!("event.kind: token.used, user.id: u{i}"),
            )
        })
        .collect();
    let of_users = plan(&documents);
    let one = [
        ("event.kind", Value::Text("token.used")),
        ("user.id", Value::Text("u77")),
    ];
    assert_eq!(
        due(&index(&of_users), &event(&of_users, "tidegate", &one)).len(),
        1
    );
    let documents: Vec<String> = (0..1000)
        .map(|i| rule(i, "{product: tidegate}", "event.kind: token.used"))
        .collect();
    let shared = plan(&documents);
    let used = [("event.kind", Value::Text("token.used"))];
    assert_eq!(shared.rules.len(), 1000);
    assert_eq!(
        due(&index(&shared), &event(&shared, "tidegate", &used)),
        [0]
    );
}

/// Of a thousand rules that search the same text those are evaluated whose words it has, and none for
/// another kind of event, or where no rule's word is there.
#[test]
fn a_search_is_made_once_for_all_rules() {
    let documents: Vec<String> = (0..1000)
        .map(|i| {
            let words =
                format!("event.kind: token.used, user_agent.original|contains: [w{i}x, v{i}y]");
            rule(i, "{product: tidegate}", &words)
        })
        .collect();
    let plan = plan(&documents);
    let index = index(&plan);
    let agent = |kind, agent| {
        let values = [
            ("event.kind", Value::Text(kind)),
            ("user_agent.original", Value::Text(agent)),
        ];
        due(&index, &event(&plan, "tidegate", &values)).len()
    };
    assert_eq!(agent("token.used", "Mozilla/5.0"), 0);
    assert_eq!(agent("token.used", "W77x v77Y"), 1);
    assert_eq!(agent("token.used", "w77x v78y w77x"), 2);
    assert_eq!(agent("recovery.requested", "w77x"), 0);
}

/// A condition may stand under one of several values of a field, and an event have several.
#[test]
fn an_entry_is_due_once() {
    let plan = plan(&[rule(0, "{product: github}", "action: [a, b, c]")]);
    let both = [("action", Value::Text("A")), ("action", Value::Text("c"))];
    assert_eq!(due(&index(&plan), &event(&plan, "github", &both)), [0]);
}

const ITEMS: &[&str] = &[
    "event.kind: a",
    "event.kind: [a, B]",
    "event.kind|startswith: a",
    "x: 1",
    "x: [1, 2, 0]",
    "x: 2",
    "x: true",
    "x|neq: 1",
    "y: Foo",
    "y: [foo, 'b*']",
    "y: null",
    "y: ''",
    "y|cased: Foo",
    "y|contains: o",
    "'x': 1, y: foo",
    "event.kind: b, y: bar",
    "y|contains: foo",
    "y|contains: [bar, oob, 'o*fo']",
    "y|startswith: foo",
    "y|endswith|cased: Bar",
    "event.kind: b, y|contains: OOB",
    "y: 'f?o*bar'",
    "y|contains|windash: '-foo'",
    "y|contains|all: [foo, bar], x: 1",
];

proptest! {
    /// What matches is due, each entry once: the index is a superset of the truth.
    #[test]
    fn nothing_that_matches_is_passed_over(
        pairs in prop::collection::vec((0..ITEMS.len(), 0..ITEMS.len(), 0..5usize, 0..3usize), 1..30),
        kind in "[abC]",
        xs in prop::collection::vec(0..7usize, 0..3),
        ys in prop::collection::vec("(FOO|foo|bar|Bar||fooBar|xFOOBARx|a /foo|fo)", 0..3),
    ) {
        let joins = ["s and t", "s or t", "s and not t", "not s", "1 of them"];
        let sources = ["{product: tidegate}", "{product: okta}", "{product: windows}"];
        // Enough that search the same field, so that these are searched for together.
        let others = (100..108).map(|n| rule(n, "{product: tidegate}", &format!("y|contains: zz{n}")));
        let documents = pairs
            .iter()
            .enumerate()
            .map(|(n, (s, t, join, source))| format!(
                "title: d{n}\nlogsource: {}\ndetection:\n  s: {{{}}}\n  t: {{{}}}\n  condition: {}\n",
                sources[*source], ITEMS[*s], ITEMS[*t], joins[*join]
            ));
        let documents: Vec<String> = documents.chain(others).collect();
        let plan = plan(&documents);
        let numbers = [
            Value::Int(0), Value::Int(1), Value::Text("1"), Value::Float(2.0), Value::Float(-0.0),
            Value::Bool(true), Value::Null,
        ];
        let kind = kind.to_ascii_lowercase();
        let mut values = vec![("event.kind", Value::Text(&kind))];
        values.extend(xs.iter().map(|x| ("x", numbers[*x])));
        values.extend(ys.iter().map(|y| ("y", Value::Text(y))));
        values.push(("labels.product", Value::Text("Windows")));
        for schema in ["tidegate", "okta"] {
            let event = event(&plan, schema, &values);
            let mut found = due(&index(&plan), &event);
            for (i, predicate) in plan.predicates.iter().enumerate() {
                prop_assert!(!predicate.matches(&event) || found.contains(&i), "{:?}", predicate);
            }
            let count = found.len();
            found.sort_unstable();
            found.dedup();
            prop_assert_eq!(found.len(), count);
        }
    }
}
