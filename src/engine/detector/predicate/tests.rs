//! Every modifier and form of Sigma's detections: text in, verdict out.

#![expect(clippy::too_many_lines, reason = "tables")]

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::engine::detector::{Compiled, Options, SourceFile, compile};
use crate::model::{EventTime, Fields, Value};

fn compiled(text: &str) -> Compiled {
    let file = SourceFile {
        path: "t.yml".into(),
        text: text.into(),
        runbook_exists: true,
        tests_exist: true,
    };
    let admins = vec!["root".to_owned(), "adm_*".to_owned()];
    let networks = vec!["10.0.0.0/8".to_owned(), "192.0.2.0/24".to_owned()];
    let lists = [
        ("admins".to_owned(), admins),
        ("offices".to_owned(), networks),
    ]
    .into();
    compile(&[file], &Options { lists })
}

/// The predicate of a `detection:` given as lines of YAML, indented by two.
fn predicate(detection: &str) -> (Predicate, Fields) {
    predicate_of("tidegate", detection)
}

fn predicate_of(product: &str, detection: &str) -> (Predicate, Fields) {
    let lines: Vec<String> = detection.lines().map(|l| format!("  {l}")).collect();
    let text = format!(
        "title: t\nlogsource: {{product: {product}}}\ndetection:\n{}\n",
        lines.join("\n")
    );
    let mut got = compiled(&text);
    assert!(!got.has_faults(), "{detection}\n{:?}", got.diagnostics);
    (got.plan.predicates.remove(0), got.plan.fields)
}

fn event(fields: &Fields, json: &Json) -> Event {
    let mut event = Event::default();
    event.clear(fields.len());
    event.schema = "tidegate";
    for (name, value) in json.as_object().unwrap() {
        if name == "time" {
            event.time = EventTime::parse(value.as_str().unwrap()).unwrap();
            continue;
        }
        let values = value
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![value.clone()]);
        for value in &values {
            let value = match value {
                Json::String(s) => Value::Text(s),
                Json::Number(n) => match n.as_i64() {
                    Some(n) => Value::Int(n),
                    None => Value::Float(n.as_f64().unwrap()),
                },
                Json::Bool(b) => Value::Bool(*b),
                _ => Value::Null,
            };
            match fields.get(name) {
                Some(id) => event.push(id, value),
                None => event.set_extra(name, value),
            }
        }
    }
    event
}

fn check(detection: &str, json: &Json, want: bool) {
    let (predicate, fields) = predicate(detection);
    let event = event(&fields, json);
    assert_eq!(predicate.matches(&event), want, "{detection}\n{json}");
    let explained = predicate.explain(&event);
    assert_eq!(explained.matched, want);
    assert_eq!(explained.leaf.is_none(), want, "{explained:?}");
}

/// One item of one selection against one event.
fn item(item: &str, json: &Json, want: bool) {
    check(
        &format!("selection:\n  {item}\ncondition: selection"),
        json,
        want,
    );
}

#[test]
fn values() {
    for (line, event, want) in [
        ("f: abc", json!({"f": "ABC"}), true),
        ("f: abc", json!({"f": "abcd"}), false),
        ("f: abc", json!({}), false),
        ("f: ''", json!({"f": ""}), true),
        ("f: ''", json!({}), false),
        ("f: [a, b]", json!({"f": "B"}), true),
        ("f: [a, b]", json!({"f": "c"}), false),
        ("f: [a, b, c, d, e, 'x*']", json!({"f": "D"}), true),
        ("f: [a, b, c, d, e, 'x*']", json!({"f": "xyz"}), true),
        ("f: [a, b, c, d, e, 'x*']", json!({"f": "dd"}), false),
        ("f: null", json!({}), true),
        ("f: null", json!({"f": null}), true),
        ("f: null", json!({"f": ""}), false),
        ("f: ''", json!({"f": null}), true),
        ("f: '-'", json!({"f": null}), true),
        ("f: '-'", json!({}), false),
        ("f: ['', x]", json!({"f": null}), true),
        ("f: [null, a]", json!({"f": "a"}), true),
        ("f: [null, a]", json!({}), true),
        ("f: 443", json!({"f": 443}), true),
        ("f: 443", json!({"f": "443"}), true),
        ("f: 443", json!({"f": "0443"}), false),
        ("f: 443", json!({"f": 443.0}), true),
        ("f: '443'", json!({"f": 443}), true),
        ("f: '44*'", json!({"f": 443}), true),
        ("f: -5", json!({"f": "-5"}), true),
        ("f: [1, 2, 3, 4, 5]", json!({"f": 4}), true),
        ("f: [1, 2, 3, 4, 5]", json!({"f": "5"}), true),
        ("f: [1, 2, 3, 4, 5]", json!({"f": 6}), false),
        ("f: 0x1F", json!({"f": 31}), true),
        ("f: 2.5", json!({"f": 2.5}), true),
        ("f: 2.5", json!({"f": "2.50"}), true),
        ("f: true", json!({"f": true}), true),
        ("f: true", json!({"f": "True"}), true),
        ("f: true", json!({"f": 1}), false),
        ("f: 'true'", json!({"f": true}), true),
        ("f: '*'", json!({"f": "x"}), true),
        ("f: '*'", json!({}), false),
        ("f: a", json!({"f": ["x", "A"]}), true),
        ("f: a", json!({"f": ["x", "y"]}), false),
    ] {
        item(line, &event, want);
    }
}

#[test]
fn modifiers_of_texts() {
    for (line, event, want) in [
        ("f|contains: ell", json!({"f": "HELLO"}), true),
        ("f|contains: elk", json!({"f": "HELLO"}), false),
        (
            "f|contains: [a, b, c, elk, ell]",
            json!({"f": "HELLO"}),
            true,
        ),
        ("f|contains: [u, v, w, x, y]", json!({"f": "HELLO"}), false),
        ("f|contains|all: [he, lo]", json!({"f": "HELLO"}), true),
        ("f|contains|all: [he, la]", json!({"f": "HELLO"}), false),
        ("f|all|contains: ['he*l', lo]", json!({"f": "HELLO"}), true),
        ("f|startswith: he", json!({"f": "HELLO"}), true),
        ("f|startswith: lo", json!({"f": "HELLO"}), false),
        (
            "f|startswith: [a, b, c, d, he]",
            json!({"f": "HELLO"}),
            true,
        ),
        ("f|endswith: lo", json!({"f": "HELLO"}), true),
        ("f|endswith: 'h?lo'", json!({"f": "xxHALO"}), true),
        ("f|endswith: [a, b, c, d, llo]", json!({"f": "HELLO"}), true),
        ("f|endswith: he", json!({"f": "HELLO"}), false),
        ("f|contains: 2", json!({"f": 123}), true),
        ("f|cased: abc", json!({"f": "ABC"}), false),
        ("f|cased: abc", json!({"f": "abc"}), true),
        ("f|contains|cased: Ell", json!({"f": "hEllo"}), true),
        ("f|contains|cased: Ell", json!({"f": "hello"}), false),
        ("f|re: '^h.l+o$'", json!({"f": "hello"}), true),
        ("f|re: '^h.l+o$'", json!({"f": "Hello"}), false),
        ("f|re|i: '^h.l+o$'", json!({"f": "HELLO"}), true),
        ("f|re|m: '^b$'", json!({"f": "a\nb"}), true),
        ("f|re: '^b$'", json!({"f": "a\nb"}), false),
        ("f|re|s: 'a.b'", json!({"f": "a\nb"}), true),
        ("f|re: 'a.b'", json!({"f": "a\nb"}), false),
        ("f|re: '\\d{3}'", json!({"f": 1234}), true),
        ("f|re: ['x', 'l{2}']", json!({"f": "hello"}), true),
        ("f|cidr: 10.0.0.0/8", json!({"f": "10.1.2.3"}), true),
        ("f|cidr: 10.0.0.0/8", json!({"f": "11.1.2.3"}), false),
        (
            "f|cidr: [192.0.2.0/24, '2001:db8::/32']",
            json!({"f": "2001:db8::1"}),
            true,
        ),
        (
            "f|cidr|expand: '%offices%'",
            json!({"f": "192.0.2.9"}),
            true,
        ),
    ] {
        item(line, &event, want);
    }
}

#[test]
fn modifiers_that_encode() {
    for (line, event, want) in [
        ("f|base64: foo", json!({"f": "Zm9v"}), true),
        (
            "f|base64offset|contains: foo",
            json!({"f": "eGZvb3g="}),
            true,
        ),
        ("f|base64offset|contains: foo", json!({"f": "eGZv"}), false),
        (
            "f|wide|base64offset|contains: ping",
            json!({"f": "xxcABpAG4AZwxx"}),
            true,
        ),
        ("f|utf16|base64: cmd", json!({"f": "//5jAG0AZAA="}), true),
        ("f|utf16be|base64: cmd", json!({"f": "AGMAbQBk"}), true),
        ("f|windash|contains: ' -f '", json!({"f": "x /f y"}), true),
        (
            "f|windash|contains: ' -f '",
            json!({"f": "x \u{2014}f y"}),
            true,
        ),
        ("f|contains: ' -f '", json!({"f": "x /f y"}), false),
    ] {
        item(line, &event, want);
    }
}

#[test]
fn modifiers_of_other_values() {
    for (line, event, want) in [
        ("f|gt: 5", json!({"f": 6}), true),
        ("f|gt: 5", json!({"f": 5}), false),
        ("f|gte: 5", json!({"f": 5}), true),
        ("f|lt: 5", json!({"f": "4"}), true),
        ("f|lte: 5", json!({"f": 5.5}), false),
        ("f|lt: 5", json!({"f": "four"}), false),
        ("f|lt: 5", json!({}), false),
        ("f|gte: 1.5", json!({"f": 2}), true),
        ("f|exists: true", json!({"f": "x"}), true),
        ("f|exists: true", json!({"f": null}), true),
        ("f|exists: true", json!({}), false),
        ("f|exists: false", json!({}), true),
        ("f|exists: false", json!({"f": "x"}), false),
        ("f|fieldref: g", json!({"f": "x", "g": "X"}), true),
        ("f|fieldref: g", json!({"f": "x", "g": "y"}), false),
        ("f|fieldref: g", json!({"f": "x"}), false),
        ("f|fieldref: g", json!({"f": 7, "g": "7"}), true),
        ("f|fieldref|cased: g", json!({"f": "x", "g": "X"}), false),
        (
            "f|fieldref|startswith: g",
            json!({"f": "hello", "g": "HE"}),
            true,
        ),
        (
            "f|fieldref|endswith: g",
            json!({"f": "hello", "g": "LO"}),
            true,
        ),
        (
            "f|fieldref|contains: g",
            json!({"f": "hello", "g": "ELL"}),
            true,
        ),
        ("f|fieldref|neq: g", json!({"f": "x", "g": "y"}), true),
        ("f|neq: 5", json!({"f": 6}), true),
        ("f|neq: 5", json!({"f": "5"}), false),
        ("f|neq: [a, b]", json!({"f": "c"}), true),
        ("f|neq: [a, b]", json!({"f": "B"}), false),
        ("f|neq: a", json!({}), true),
        ("f|expand: '%admins%'", json!({"f": "ROOT"}), true),
        ("f|expand: '%admins%'", json!({"f": "adm_jane"}), true),
        ("f|expand: '%admins%'", json!({"f": "jane"}), false),
        ("f|expand: 'x-%admins%-y'", json!({"f": "x-root-y"}), true),
        ("f|expand: '\\%root%'", json!({"f": "%root%"}), true),
        ("f: '%admins%'", json!({"f": "%ADMINS%"}), true),
        (
            "time|hour: 8",
            json!({"time": "2026-01-12T08:12:03Z"}),
            true,
        ),
        (
            "time|hour|gte: 22",
            json!({"time": "2026-01-12T08:12:03Z"}),
            false,
        ),
        (
            "time|week: 3",
            json!({"time": "2026-01-12T08:12:03Z"}),
            true,
        ),
        (
            "f|minute: [11, 12]",
            json!({"f": "2026-01-12T08:12:03Z"}),
            true,
        ),
        ("f|day: 12", json!({"f": 1_768_205_523}), true),
        ("f|month: 2", json!({"f": "2026-01-12T08:12:03Z"}), false),
        ("f|year: 2026", json!({"f": "2026-01-12T08:12:03Z"}), true),
        ("f|year: 2026", json!({"f": "no time"}), false),
    ] {
        item(line, &event, want);
    }
}

#[test]
fn conditions_and_selections() {
    let forms = "sel_a:\n  a: 1\nsel_b:\n  b: 1\n_hidden:\n  c: 1\nfilter_x:\n  x: 1\ncondition: ";
    for (condition, event, want) in [
        ("sel_a and sel_b", json!({"a": 1, "b": 1}), true),
        ("sel_a and sel_b", json!({"a": 1}), false),
        (
            "sel_a or sel_b and not filter_x",
            json!({"a": 1, "x": 1}),
            true,
        ),
        (
            "(sel_a or sel_b) and not filter_x",
            json!({"a": 1, "x": 1}),
            false,
        ),
        ("1 of sel_* and not 1 of filter_*", json!({"b": 1}), true),
        ("all of sel_*", json!({"b": 1}), false),
        ("all of them", json!({"a": 1, "b": 1, "x": 1}), true),
        ("1 of them", json!({"c": 1}), false),
        ("_hidden", json!({"c": 1}), true),
        ("not sel_a", json!({}), true),
        ("[sel_a, sel_b]", json!({"b": 1}), true),
        ("[sel_a, sel_b]", json!({"x": 1}), false),
    ] {
        check(&format!("{forms}{condition}"), &event, want);
    }
    // Maps AND, lists of maps OR, lists of fields OR, as the specification's examples have it.
    let event_log =
        "selection:\n  EventLog: Security\n  EventID: [517, 1102]\ncondition: selection";
    check(
        event_log,
        &json!({"EventLog": "security", "EventID": 1102}),
        true,
    );
    check(
        event_log,
        &json!({"EventLog": "security", "EventID": 1}),
        false,
    );
    let list = "selection:\n  - Image|endswith: '\\example.exe'\n  - Description|contains: 'Test executable'\ncondition: selection";
    check(list, &json!({"Image": "C:\\EXAMPLE.exe"}), true);
    check(list, &json!({"Description": "a test executable"}), true);
    check(list, &json!({"Description": "none", "Image": "x"}), false);
    let null = "selection:\n  EventID: 4738\nfilter:\n  PasswordLastSet: null\ncondition: selection and not filter";
    check(
        null,
        &json!({"EventID": 4738, "PasswordLastSet": "x"}),
        true,
    );
    check(null, &json!({"EventID": 4738}), false);
}

#[test]
fn keywords_search_every_text() {
    let any = "keywords: [EVILSERVICE, 'svchost.exe -n evil', 4711]\ncondition: keywords";
    check(any, &json!({"unnamed": "the EvilService ran"}), true);
    check(any, &json!({"user.id": "x", "message.id": "id 4711"}), true);
    check(any, &json!({"EventID": 4711}), true);
    check(any, &json!({"unnamed": "nothing", "EventID": 4712}), false);
    let all = "keywords:\n  '|all': [OabVirtualDirectory, ' -ExternalUrl ']\ncondition: keywords";
    check(
        all,
        &json!({"a": "oabvirtualdirectory", "b": "x -externalurl y"}),
        true,
    );
    check(all, &json!({"a": "oabvirtualdirectory"}), false);
    let mixed = "selection:\n  - abc\n  - f: 1\ncondition: selection";
    check(mixed, &json!({"g": "xabcx"}), true);
    check(mixed, &json!({"f": 1}), true);
    check(
        "k:\n  '|re': 'a.c'\ncondition: k",
        &json!({"g": "xabcx"}),
        true,
    );
    let (predicate, _) = predicate(any);
    assert!(predicate.reads_all_text());
}

#[test]
fn log_sources() {
    let (okta, fields) = predicate_of(
        "okta",
        "selection:\n  eventType: user.account.reset_password\ncondition: selection",
    );
    let mut e = event(
        &fields,
        &json!({"eventType": "user.account.reset_password"}),
    );
    assert!(!okta.matches(&e));
    let leaf = okta.explain(&e).leaf.unwrap();
    assert_eq!(leaf, "logsource: product = 'okta' (event has 'tidegate')");
    e.schema = "okta";
    assert!(okta.matches(&e));
    let (other, fields) = predicate_of("windows", "selection:\n  EventID: 1\ncondition: selection");
    assert!(!other.matches(&event(&fields, &json!({"EventID": 1}))));
    let labelled = json!({"EventID": 1, "labels.product": "Windows"});
    assert!(other.matches(&event(&fields, &labelled)));
    let (created, fields) = predicate_of(
        "windows, category: process_creation",
        "selection:\n  Image|endswith: x.exe\ncondition: selection",
    );
    for (category, want) in [
        (json!("process_creation"), true),
        (json!(null), true),
        (json!("file_event"), false),
    ] {
        let event = event(
            &fields,
            &json!({"Image": "x.exe", "labels.product": "windows", "labels.category": category}),
        );
        assert_eq!(created.matches(&event), want, "{category}");
    }
    let (ses, fields) = predicate_of(
        "aws, service: ses",
        "selection:\n  a: 1\ncondition: selection",
    );
    let mut e = event(&fields, &json!({"a": 1}));
    e.schema = "ses";
    assert!(ses.matches(&e));
}

#[test]
fn kinds_are_a_superset_of_what_matches() {
    let kinds = |detection: &str| predicate(detection).0.kinds().map(<[String]>::to_vec);
    let none: Option<Vec<String>> = None;
    let some = |list: &[&str]| Some(list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    for (detection, want) in [
        (
            "s:\n  event.kind: Token.used\n  a: 1\ncondition: s",
            some(&["token.used"]),
        ),
        ("s:\n  event.kind: [b, a]\ncondition: s", some(&["a", "b"])),
        (
            "s:\n  event.action: [b, a]\ncondition: s",
            some(&["a", "b"]),
        ),
        ("s:\n  event.kind: recovery.*\ncondition: s", none.clone()),
        (
            "s:\n  - event.kind: a\n  - event.kind: b\ncondition: s",
            some(&["a", "b"]),
        ),
        (
            "s:\n  - event.kind: a\n  - x: b\ncondition: s",
            none.clone(),
        ),
        (
            "s:\n  event.kind: [a, b]\nt:\n  event.kind: [b, c]\ncondition: s and t",
            some(&["b"]),
        ),
        (
            "s:\n  event.kind: a\nt:\n  x: 1\ncondition: s or t",
            none.clone(),
        ),
        (
            "s:\n  event.kind: a\nt:\n  x: 1\ncondition: s and not t",
            some(&["a"]),
        ),
        ("s:\n  event.kind: a\ncondition: not s", none.clone()),
        ("s:\n  event.kind|neq: a\ncondition: s", none.clone()),
        ("s:\n  event.kind: [a, 'b*']\ncondition: s", none.clone()),
        ("s:\n  event.kind|contains: a\ncondition: s", none),
    ] {
        assert_eq!(kinds(detection), want, "{detection}");
    }
}

#[test]
fn explanations_name_the_failing_test() {
    let detection = "selection:\n  event.kind: token.used\n  source.kind|contains: host\n\
        scanner:\n  http.request.method: [HEAD, GET]\n  user_agent.original|re: bot\n\
        quick:\n  - a|gte: 5\n  - a: 1\n    b: 2\ncondition: selection and not scanner and quick";
    let (predicate, fields) = predicate(detection);
    let base = json!({"event.kind": "token.used", "source.kind": "hosting", "a": 9});
    let explain = |change: &[(&str, Json)]| {
        let mut json = base.clone();
        for (key, value) in change {
            json[key] = value.clone();
        }
        predicate
            .explain(&event(&fields, &json))
            .leaf
            .unwrap_or_default()
    };
    for (change, want) in [
        (vec![], ""),
        (
            vec![("event.kind", json!("token.issued"))],
            "selection: event.kind = 'token.used' (event has 'token.issued')",
        ),
        (
            vec![("source.kind", json!("tor"))],
            "selection: source.kind like '*host*' (event has 'tor')",
        ),
        (
            vec![
                ("http.request.method", json!("HEAD")),
                ("user_agent.original", json!("robot")),
            ],
            "not scanner: http.request.method in ['HEAD', 'GET'] (event has 'HEAD')",
        ),
        (vec![("a", json!(4))], "quick: a >= 5 (event has 4)"),
        (
            vec![("a", json!(1))],
            "quick: b = 2 (the event has no such field)",
        ),
    ] {
        assert_eq!(explain(&change), want);
    }
}

#[test]
fn equal_conditions_are_equal() {
    let p = |text: &str| predicate(text).0;
    let a = p("s:\n  b: 2\n  event.kind: x\ncondition: s");
    assert_eq!(a, p("s:\n  event.kind: x\n  b: 2\ncondition: (s)"));
    assert_ne!(a, p("s:\n  event.kind: x\n  b: '2*'\ncondition: s"));
    assert_ne!(a, p("s:\n  event.kind: x\n  b|cased: '2'\ncondition: s"));
    assert_ne!(
        p("s:\n  f|windash|contains: ' -f'\ncondition: s"),
        p("s:\n  f|contains: ' -f'\ncondition: s")
    );
    assert_ne!(
        p("s:\n  f: 1\ncondition: s"),
        p("s:\n  f: '1'\ncondition: s")
    );
    assert_ne!(
        p("s:\n  f: \"a', 'b\"\ncondition: s"),
        p("s:\n  f: [a, b]\ncondition: s")
    );
}

proptest! {
    #[test]
    fn explain_agrees_and_kinds_hold(
        kind in "[ab]", x in 0..3i64, y in prop::option::of("[ab]{0,2}"),
        condition in "(not )?(s|t|u) (and|or) (not )?(s|t|u)( (and|or) \\(?(s|t|u))?",
    ) {
        let open = condition.matches('(').count();
        let condition = format!("{condition}{}", ")".repeat(open));
        let (predicate, fields) = predicate(&format!(
            "s:\n  event.kind: a\nt:\n  x: [1, 2]\n  y|contains: b\nu:\n  y: null\n  event.kind: [a, b]\ncondition: {condition}"
        ));
        let mut json = json!({"event.kind": kind, "x": x});
        if let Some(y) = y {
            json["y"] = json!(y);
        }
        let event = event(&fields, &json);
        let matched = predicate.matches(&event);
        let explained = predicate.explain(&event);
        prop_assert_eq!(explained.matched, matched);
        prop_assert_eq!(explained.leaf.is_some(), !matched);
        let mut asked = Vec::new();
        prop_assert_eq!(predicate.trace(&event, |test, _| asked.push(test)), matched);
        let tests = predicate.tests().len();
        prop_assert!(asked.iter().all(|test| *test < tests));
        prop_assert!(asked.windows(2).all(|w| w[0] < w[1]), "{:?}", asked);
        if let Some(kinds) = predicate.kinds() {
            prop_assert!(!matched || kinds.contains(&kind));
        }
    }
}
