//! Test cases beside detectors: a YAML file to JSON events and expected alerts.
//!
//! Owns the format, templates and their order. Runs nothing and reads no file: an `input:` is
//! named, not opened. What comes out is what `replay` reads.

mod generate;

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Findings};
use super::keys;
use super::section::{Name, Section};
use super::yaml::{self, Content, Node, ScalarKind};
use crate::model::EventTime;

/// Why a case is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The attack it is for.
    Fires,
    /// Harmless traffic that resembles it.
    NearMiss,
    /// Just at, or just below, a bound.
    Boundary,
    /// The same with events in another order.
    OutOfOrder,
    /// An attacker who knows the bound.
    Evasion,
}

/// One case: events in, alerts out.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub purpose: Purpose,
    /// The line of the file it begins at.
    pub line: usize,
    /// Events as JSON lines in the order they arrive.
    pub events: Vec<String>,
    /// A file of JSON lines beside the case, read before `events`.
    pub input: Option<String>,
    /// Event time goes on to here after the last event.
    pub until: Option<EventTime>,
    /// All alerts that must come; any other is a failure.
    pub expect: Vec<Expectation>,
}

/// Alerts a case expects.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// The detector's name or id.
    pub detector: String,
    /// Parts of the alert's key that must be so; empty fits every key.
    pub key: Vec<(String, String)>,
    /// When it first fires.
    pub time: Option<EventTime>,
    /// How many alerts fit.
    pub count: u64,
    /// Where it stands.
    pub line: usize,
}

/// Reads the cases of one file, one per document; all faults at once.
#[must_use]
pub fn parse(path: &str, text: &str) -> (Vec<Case>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut findings = Findings {
        file: path,
        list: &mut diagnostics,
    };
    let nodes = yaml::parse(text, &mut findings);
    let cases = nodes
        .iter()
        .filter_map(|node| case(node, &mut findings))
        .collect();
    (cases, diagnostics)
}

fn case(node: &Node, findings: &mut Findings<'_>) -> Option<Case> {
    let section = Section::open(node, &keys::CASE, findings)?;
    let name = section.text("name", findings);
    if section.node("name").is_none() {
        findings.fault_hint(section.at, "the case has no name", "add `name:`");
    }
    let purpose = section
        .one_of("kind", findings)
        .map(|kind| match kind.text.as_str() {
            "near_miss" => Purpose::NearMiss,
            "boundary" => Purpose::Boundary,
            "out_of_order" => Purpose::OutOfOrder,
            "evasion" => Purpose::Evasion,
            _ => Purpose::Fires,
        });
    if section.node("kind").is_none() {
        let hint = format!("add `kind:` with one of {}", keys::CASE_KINDS.join(", "));
        findings.fault_hint(section.at, "the case has no kind", hint);
    }
    if !["events", "input", "generate"]
        .iter()
        .any(|key| section.node(key).is_some())
    {
        let hint = "add `events:`, `generate:` or `input:`";
        findings.fault_hint(section.at, "the case has no events", hint);
    }
    let until = time(&section, "until", findings);
    let input = section.text("input", findings).map(|n| n.text);
    let events = generate::events(&section, findings);
    let expect = expectations(&section, findings);
    Some(Case {
        name: name.map(|n| n.text)?,
        purpose: purpose?,
        line: section.at.line,
        events: events?,
        input,
        until,
        expect: expect?,
    })
}

fn expectations(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Vec<Expectation>> {
    let Some(node) = section.node("expect") else {
        let hint = "add `expect: [{detector: NAME}]`, or `expect: []` if nothing fires";
        findings.fault_hint(section.at, "the case expects nothing", hint);
        return None;
    };
    let Content::List(items) = &node.content else {
        let message = format!("`expect` must be a list, found {}", node.word());
        findings.fault_hint(node.at, message, "write `expect: [{detector: NAME}]`");
        return None;
    };
    items
        .iter()
        .map(|item| expectation(item, findings))
        .collect()
}

fn expectation(node: &Node, findings: &mut Findings<'_>) -> Option<Expectation> {
    let section = Section::open(node, &keys::EXPECT, findings)?;
    let Some(detector) = section.text("detector", findings) else {
        let hint = "add `detector:` with its name or id";
        findings.fault_hint(section.at, "the expectation names no detector", hint);
        return None;
    };
    let mut key = Vec::new();
    match section.node("key").map(|n| (&n.content, n)) {
        None => {}
        Some((Content::Map(entries), _)) => {
            for entry in entries {
                match entry.value.scalar() {
                    Some(scalar) => key.push((entry.key.clone(), scalar.text.clone())),
                    None => findings.fault_hint(
                        entry.value.at,
                        "a part of a key is one value",
                        "write `field: value`",
                    ),
                }
            }
        }
        Some((_, node)) => {
            let hint = "write `key: {source.ip: 203.0.113.7}`";
            findings.fault_hint(node.at, format!("`key` cannot be {}", node.word()), hint);
        }
    }
    let time = time(&section, "time", findings);
    let count = section.count("count", (1, u64::MAX), findings).unwrap_or(1);
    Some(Expectation {
        detector: detector.text,
        key,
        time,
        count,
        line: section.at.line,
    })
}

fn time(section: &Section<'_>, key: &str, findings: &mut Findings<'_>) -> Option<EventTime> {
    let Name { text, at } = section.text(key, findings)?;
    let parsed = EventTime::parse(&text);
    if parsed.is_none() {
        let message = format!("`{key}` must be a time, found `{text}`");
        findings.fault_hint(at, message, "write it like 2026-01-12T08:00:00Z");
    }
    parsed
}

/// A YAML value as JSON.
fn json(node: &Node) -> Value {
    match &node.content {
        Content::List(items) => Value::Array(items.iter().map(json).collect()),
        Content::Map(_) => Value::Object(object(node)),
        Content::Scalar(scalar) => match scalar.kind {
            ScalarKind::Null => Value::Null,
            ScalarKind::Bool(b) => Value::Bool(b),
            ScalarKind::Int(n) => Value::from(n),
            ScalarKind::Float(n) => Value::from(n),
            ScalarKind::Text => Value::String(scalar.text.clone()),
        },
    }
}

fn object(node: &Node) -> Map<String, Value> {
    match &node.content {
        Content::Map(entries) => entries
            .iter()
            .map(|e| (e.key.clone(), json(&e.value)))
            .collect(),
        Content::Scalar(_) | Content::List(_) => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Case {
        let (mut cases, diagnostics) = parse("t.yml", text);
        assert_eq!(diagnostics, []);
        cases.remove(0)
    }

    #[test]
    fn events_as_written() {
        let case = read(
            "name: a\nkind: out_of_order\nevents:\n  - {time: 2026-01-12T08:00:01Z, event.kind: b, n: 1, ok: true}\n  - {time: 2026-01-12T08:00:00Z, event.kind: a, list: [x, 2]}\nuntil: 2026-01-12T09:00:00Z\nexpect:\n  - {detector: d, key: {source.ip: 1.2.3.4, asn: 7}, time: 2026-01-12T08:00:01Z, count: 2}\n",
        );
        assert_eq!(
            case.events,
            [
                r#"{"event.kind":"b","n":1,"ok":true,"time":"2026-01-12T08:00:01Z"}"#,
                r#"{"event.kind":"a","list":["x",2],"time":"2026-01-12T08:00:00Z"}"#,
            ]
        );
        assert_eq!(case.purpose, Purpose::OutOfOrder);
        assert_eq!(case.expect[0].key[1], ("asn".to_owned(), "7".to_owned()));
        assert_eq!((case.expect[0].count, case.expect[0].line), (2, 8));
        assert!(case.until.is_some());
    }

    /// Documents of other systems have their time, and what changes, inside; some count milliseconds.
    #[test]
    fn streams_reach_into_the_maps_of_their_template() {
        let text = "name: a\nkind: fires\ngenerate:\n  - template: {mail: {source: x, timestamp: ''}}\n    time: mail.timestamp\n    start: 2026-01-12T08:00:00Z\n    count: 1\n    vary: {mail.messageId: 'm{n}', other.id: 'o{n}'}\n  - template: {type: RESET_PASSWORD, time: 0}\n    start: 2026-01-12T08:00:00.007Z\n    count: 1\nexpect: []\n";
        assert_eq!(
            read(text).events,
            [
                r#"{"mail":{"messageId":"m1","source":"x","timestamp":"2026-01-12T08:00:00.000Z"},"other.id":"o1"}"#,
                r#"{"time":1768204800007,"type":"RESET_PASSWORD"}"#,
            ]
        );
    }

    #[test]
    fn streams_are_merged_by_time() {
        let text = "name: a\nkind: fires\ngenerate:\n  - template: {event.kind: a, who: 'x{m}'}\n    start: 2026-01-12T08:00:00Z\n    every: 2s\n    count: 3\n    vary: {ip: '203.0.{n/2}.{n%2}', turn: [p, q]}\n  - template: {event.kind: b}\n    start: 2026-01-12T08:00:01Z\n    every: 2s\n    count: 2\nexpect: []\n";
        let case = read(text);
        let kinds = |case: &Case| -> Vec<String> {
            let kind = |e: &String| serde_json::from_str::<Value>(e).unwrap()["event.kind"].clone();
            case.events
                .iter()
                .map(|e| kind(e).as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(kinds(&case), ["a", "b", "a", "b", "a"]);
        let event: Value = serde_json::from_str(&case.events[2]).unwrap();
        assert_eq!(event["ip"], "203.0.1.0");
        assert_eq!(event["turn"], "q");
        assert_eq!(event["who"], "x{m}", "templates are as they are");
        assert_eq!(event["time"], "2026-01-12T08:00:02.000Z");
        let case = read(&text.replace("kind: fires\n", "kind: fires\norder: written\n"));
        assert_eq!(kinds(&case), ["a", "a", "a", "b", "b"]);
        let case = read(&text.replace("kind: fires\n", "kind: fires\norder: reversed\n"));
        assert_eq!(kinds(&case), ["a", "b", "a", "b", "a"]);
        assert!(case.events[0].contains("08:00:04"));
    }

    #[test]
    fn faults() {
        let faults = |text: &str| {
            let (_, list) = parse("t.yml", text);
            list.iter()
                .map(|d| format!("{}:{} {}", d.line, d.column, d.message))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            faults("kind: fire\nevnts: []\n"),
            [
                "2:1 unknown key `evnts` in a test case",
                "1:1 the case has no name",
                "1:7 `kind` cannot be `fire`",
                "1:1 the case has no events",
                "1:1 the case expects nothing",
            ]
        );
        assert_eq!(
            faults(
                "name: a\nkind: fires\nuntil: soon\nevents:\n  - {event.kind: x}\n  - 5\nexpect:\n  - {key: {a: b}}\n"
            ),
            [
                "3:8 `until` must be a time, found `soon`",
                "5:5 the event has no time",
                "6:5 an event must be a map, found a number",
                "8:5 the expectation names no detector",
            ]
        );
        assert_eq!(
            faults(
                "name: a\nkind: fires\ngenerate: [{template: {a: 1}, start: never, count: 0}]\nexpect: []\n"
            ),
            [
                "3:38 `start` must be a time, found `never`",
                "3:52 `count` must be from 1 to 200000, found `0`"
            ]
        );
        assert_eq!(
            faults(
                "name: a\nkind: fires\ngenerate:\n  template: {a: 'u{n}', b: [x, 'y{n%2}'], c: '{m}'}\n  start: 2026-01-12T08:00:00Z\n  count: 1\nexpect: []\n"
            ),
            [
                "4:17 `u{n}` is the same in every event",
                "4:32 `y{n%2}` is the same in every event",
            ]
        );
    }
}
