//! Events of a case: written ones, and streams made from templates.
//!
//! Owns templates, `vary` and the order in which events arrive. At most `EVENTS_MAX` per stream.

use serde_json::{Map, Value};

use super::{json, object, time};
use crate::engine::detector::diagnostic::Findings;
use crate::engine::detector::keys;
use crate::engine::detector::section::Section;
use crate::engine::detector::yaml::{Content, Entry, Node};
use crate::model::{EventTime, Span};

/// Larger streams belong into a file, or into a simulation.
const EVENTS_MAX: u64 = 200_000;

/// All events of a case in the order they arrive; `None` after a fault.
pub(super) fn events(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Vec<String>> {
    let generated = list(section, "generate");
    let mut events: Vec<(EventTime, Value)> = Vec::new();
    let mut whole = true;
    for node in generated {
        match stream(node, findings) {
            Some(made) => events.extend(made),
            None => whole = false,
        }
    }
    for node in list(section, "events") {
        match written(node, findings) {
            Some(event) => events.push(event),
            None => whole = false,
        }
    }
    let order = section.one_of("order", findings).map(|n| n.text);
    let default = if generated.is_empty() {
        "written"
    } else {
        "time"
    };
    match order.as_deref().unwrap_or(default) {
        "time" => events.sort_by_key(|(time, _)| *time),
        "reversed" => {
            events.sort_by_key(|(time, _)| *time);
            events.reverse();
        }
        _ => {}
    }
    whole.then(|| {
        events
            .into_iter()
            .map(|(_, event)| event.to_string())
            .collect()
    })
}

/// The items of a list; one item alone is a list of one.
fn list<'n>(section: &Section<'n>, key: &str) -> &'n [Node] {
    match section.node(key) {
        None => &[],
        Some(node) => match &node.content {
            Content::List(items) => items,
            Content::Map(_) | Content::Scalar(_) => std::slice::from_ref(node),
        },
    }
}

fn written(node: &Node, findings: &mut Findings<'_>) -> Option<(EventTime, Value)> {
    if !matches!(node.content, Content::Map(_)) {
        let message = format!("an event must be a map, found {}", node.word());
        findings.fault_hint(node.at, message, "write `- {time: …, event.kind: …}`");
        return None;
    }
    let stamp = ["time", "@timestamp", "eventTime", "published", "timestamp"];
    let raw = stamp.iter().find_map(|key| node.get(key));
    let Some(raw) = raw else {
        findings.fault_hint(
            node.at,
            "the event has no time",
            "add `time: 2026-01-12T08:00:00Z`",
        );
        return None;
    };
    // Only its order matters here; whether the engine can read the time is for the case to show.
    let read = raw
        .scalar()
        .and_then(|s| EventTime::parse(&s.text))
        .unwrap_or(EventTime(0));
    Some((read, Value::Object(object(node))))
}

fn stream(node: &Node, findings: &mut Findings<'_>) -> Option<Vec<(EventTime, Value)>> {
    let section = Section::open(node, &keys::GENERATE, findings)?;
    for key in ["template", "start", "count"] {
        if section.node(key).is_none() {
            let message = format!("the stream has no `{key}`");
            findings.fault_hint(section.at, message, format!("add `{key}:`"));
        }
    }
    let start = time(&section, "start", findings);
    let stamp = section.text("time", findings);
    let stamp = stamp.map_or_else(|| "time".to_owned(), |n| n.text);
    let every = section.span("every", findings).unwrap_or(Span::seconds(1));
    let count = section.count("count", (1, EVENTS_MAX), findings);
    let written = section.node("template")?;
    if counts(written, findings) {
        return None;
    }
    let template = object(written);
    let vary: &[Entry] = match section.node("vary").map(|n| &n.content) {
        Some(Content::Map(entries)) => entries,
        Some(Content::Scalar(_) | Content::List(_)) => {
            let hint = "write `vary: {source.ip: '203.0.113.{n}'}`";
            findings.fault_hint(section.place("vary"), "`vary` must be a map", hint);
            return None;
        }
        None => &[],
    };
    let (start, count) = (start?, count?);
    let mut out = Vec::new();
    let mut now = start;
    for n in 1..=count {
        let mut event = event(&template, vary, n);
        let told = match place(&event, &stamp) {
            // As it stands in the template: Keycloak counts milliseconds.
            Some(Value::Number(_)) => Value::from(now.0),
            _ => Value::String(now.to_string()),
        };
        put(&mut event, &stamp, told);
        out.push((now, Value::Object(event)));
        now = now + every;
    }
    Some(out)
}

/// Whether a template counts, which is a fault: it would be the same text in every event.
fn counts(node: &Node, findings: &mut Findings<'_>) -> bool {
    match &node.content {
        Content::Scalar(scalar) if fill(&scalar.text, 1) != scalar.text => {
            let message = format!("`{}` is the same in every event", scalar.text);
            let hint = "put what changes beside the template: `vary: {user.target.id: 'u{n}'}`";
            findings.fault_hint(node.at, message, hint);
            true
        }
        Content::Scalar(_) => false,
        Content::List(items) => (items.iter()).fold(false, |any, i| counts(i, findings) | any),
        Content::Map(entries) => {
            (entries.iter()).fold(false, |any, e| counts(&e.value, findings) | any)
        }
    }
}

fn event(template: &Map<String, Value>, vary: &[Entry], n: u64) -> Map<String, Value> {
    let mut event = template.clone();
    for entry in vary {
        let value = match &entry.value.content {
            Content::List(items) if !items.is_empty() => {
                let turn = usize::try_from(n - 1).unwrap_or(0) % items.len();
                items.get(turn).map_or(Value::Null, json)
            }
            _ => json(&entry.value),
        };
        let value = match value {
            Value::String(text) => Value::String(fill(&text, n)),
            other => other,
        };
        put(&mut event, &entry.key, value);
    }
    event
}

/// What stands at a path of an event, flat or nested.
fn place<'e>(event: &'e Map<String, Value>, path: &str) -> Option<&'e Value> {
    event.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        place(event.get(first)?.as_object()?, rest)
    })
}

/// Sets a path of an event: inside the maps that the template has on the way, else flat.
fn put(event: &mut Map<String, Value>, path: &str, value: Value) {
    let inner = path
        .split_once('.')
        .filter(|_| !event.contains_key(path))
        .and_then(|(first, rest)| Some((event.get_mut(first)?.as_object_mut()?, rest)));
    match inner {
        Some((map, rest)) => put(map, rest, value),
        None => {
            event.insert(path.to_owned(), value);
        }
    }
}

/// Replaces `{n}`, `{n/K}` and `{n%K}`; other braces stay.
fn fill(text: &str, n: u64) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after
            .split_once('}')
            .and_then(|(inner, behind)| Some((number(inner, n)?, behind)))
        {
            Some((number, behind)) => {
                out.push_str(&number.to_string());
                rest = behind;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn number(expression: &str, n: u64) -> Option<u64> {
    let rest = expression.strip_prefix('n')?;
    match rest.split_at_checked(1) {
        None => Some(n),
        Some(("/", by)) => n.checked_div(by.parse().ok()?),
        Some(("%", by)) => n.checked_rem(by.parse().ok()?),
        Some(_) => None,
    }
}
