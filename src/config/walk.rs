//! Checks a tree against the schema and turns it into JSON, collecting every fault on the way.
//!
//! Owns the faults that one key alone can have: unknown, missing, of a wrong type, out of range.
//! Invariant: what comes out without faults is accepted by serde; no message repeats a value
//! except short words and numbers that cannot be secrets.

use serde_json::{Map, Value as Json};

use super::schema::{Kind, Section, branch, join, tag};
use super::value;
use crate::yaml::{At, Fault, Node, Resolved, Value, nearest};

/// A fault and the path it concerns.
pub(super) type Placed = (String, Fault);

/// Reads a tree; the JSON holds what was sound, and all of it if there are no faults.
pub(super) fn read(
    node: &Node,
    schema: &Json,
    path: &str,
    faults: &mut Vec<Placed>,
) -> Option<Json> {
    match Kind::of(schema)? {
        Kind::Section(section) => read_section(node, section, path, faults),
        Kind::Tagged(branches) => read_tagged(node, branches, path, faults),
        Kind::Names(value, names) => read_names(node, value, names, path, faults),
        Kind::List(item, least) => read_list(node, item, least, path, faults),
        plain @ (Kind::Words(_)
        | Kind::Formatted(_)
        | Kind::Text(..)
        | Kind::Whole(..)
        | Kind::Number(..)
        | Kind::Bool) => match read_plain(node, &plain) {
            Ok(json) => Some(json),
            Err(fault) => {
                faults.push((path.to_owned(), fault));
                None
            }
        },
    }
}

fn wrong(node: &Node, wanted: &str) -> Fault {
    Fault::new(node.at, format!("expected {wanted}, found {}", node.kind()))
}

fn read_section(
    node: &Node,
    section: Section<'_>,
    path: &str,
    faults: &mut Vec<Placed>,
) -> Option<Json> {
    let Some(entries) = node.entries() else {
        faults.push((path.to_owned(), wrong(node, "a mapping of keys")));
        return None;
    };
    let mut json = Map::new();
    for entry in entries {
        let inner = join(path, &entry.key);
        match section.properties.get(&entry.key) {
            None => {
                let keys = section.properties.keys().map(String::as_str);
                faults.push((inner, unknown(&entry.key, entry.at, path, keys)));
            }
            // A key with nothing behind it has its default.
            Some(_) if entry.value.is_null() => {}
            // The tag of a tagged section was read before.
            Some(schema) if schema.get("const").is_some() => {
                json.insert(
                    entry.key.clone(),
                    schema.get("const").cloned().unwrap_or_default(),
                );
            }
            Some(schema) => {
                if let Some(value) = read(&entry.value, schema, &inner, faults) {
                    json.insert(entry.key.clone(), value);
                }
            }
        }
    }
    for key in section.required() {
        let given = node.get(key).is_some_and(|n| !n.is_null());
        if !given && key != "kind" {
            let fault = Fault::new(node.at, format!("`{key}` is missing"));
            let schema = section.properties.get(key);
            faults.push((join(path, key), fault.hint(missing_hint(key, schema))));
        }
    }
    Some(Json::Object(json))
}

fn missing_hint(key: &str, schema: Option<&Json>) -> String {
    match schema.and_then(Kind::of) {
        Some(Kind::Formatted(word)) => match value::example(word) {
            Some(example) => format!("add `{key}: {example}`"),
            None => format!("add `{key}: ...`"),
        },
        Some(Kind::Whole(Some(least), _)) => format!("add `{key}: {least}`"),
        Some(Kind::List(..)) => format!("add `{key}:` with at least one item"),
        Some(_) | None => format!("add `{key}: ...`"),
    }
}

fn unknown<'a>(key: &str, at: At, path: &str, keys: impl Iterator<Item = &'a str>) -> Fault {
    let keys: Vec<&str> = keys.collect();
    let shown = shown(key);
    let place = if path.is_empty() {
        "at the top".to_owned()
    } else {
        format!("in `{path}`")
    };
    let fault = Fault::new(at, format!("unknown key {shown} {place}"));
    match nearest(key, keys.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint(format!("known keys: {}", keys.join(", "))),
    }
}

/// A word from the file as a message may repeat it: short and without control characters.
fn shown(word: &str) -> String {
    if word.chars().count() > 40 || word.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return "(not shown: too long or with odd characters)".to_owned();
    }
    format!("`{word}`")
}

fn read_tagged(
    node: &Node,
    branches: &[Json],
    path: &str,
    faults: &mut Vec<Placed>,
) -> Option<Json> {
    let words: Vec<&str> = branches.iter().filter_map(tag).collect();
    if node.entries().is_none() {
        faults.push((path.to_owned(), wrong(node, "a mapping with a `kind`")));
        return None;
    }
    let Some(kind) = node.get("kind").filter(|n| !n.is_null()) else {
        let fault = Fault::new(node.at, "`kind` is missing");
        faults.push((
            path.to_owned(),
            fault.hint(format!("one of {}", words.join(", "))),
        ));
        return None;
    };
    let Some(branch) = kind.text().and_then(|word| branch(branches, word)) else {
        faults.push((join(path, "kind"), not_a_word(kind, &words)));
        return None;
    };
    let Some(Kind::Section(section)) = Kind::of(branch) else {
        return None;
    };
    read_section(node, section, path, faults)
}

fn read_names(
    node: &Node,
    value: &Json,
    names: Option<&Json>,
    path: &str,
    faults: &mut Vec<Placed>,
) -> Option<Json> {
    let Some(entries) = node.entries() else {
        faults.push((path.to_owned(), wrong(node, "a mapping of names")));
        return None;
    };
    let words = names
        .and_then(Kind::of)
        .map(|k| k.words())
        .unwrap_or_default();
    let mut json = Map::new();
    for entry in entries {
        let inner = join(path, &entry.key);
        if names.is_some() && !words.contains(&entry.key.as_str()) {
            let fault = unknown(&entry.key, entry.at, path, words.iter().copied());
            faults.push((inner, fault));
        } else if let Some(read) = read(&entry.value, value, &inner, faults) {
            json.insert(entry.key.clone(), read);
        }
    }
    Some(Json::Object(json))
}

fn read_list(
    node: &Node,
    item: &Json,
    least: Option<u64>,
    path: &str,
    faults: &mut Vec<Placed>,
) -> Option<Json> {
    let Some(items) = node.items() else {
        let fault = wrong(node, "a list");
        let hint = if Kind::of(item).is_some_and(|k| k.is_plain()) {
            "write it in brackets: [one, two]"
        } else {
            "begin each item with `- `"
        };
        faults.push((path.to_owned(), fault.hint(hint)));
        return None;
    };
    if (items.len() as u64) < least.unwrap_or(0) {
        let fault = Fault::new(node.at, "the list is empty");
        faults.push((path.to_owned(), fault.hint("give at least one item")));
    }
    let read = |(i, node)| read(node, item, &format!("{path}[{i}]"), faults);
    Some(Json::Array(
        items.iter().enumerate().filter_map(read).collect(),
    ))
}

fn read_plain(node: &Node, kind: &Kind<'_>) -> Result<Json, Fault> {
    let Value::Scalar(_) = &node.value else {
        return Err(wrong(node, wanted(kind)));
    };
    match kind {
        Kind::Words(_) => {
            let words = kind.words();
            let text = node.text().filter(|t| words.contains(t));
            text.map(Json::from).ok_or_else(|| not_a_word(node, &words))
        }
        Kind::Formatted(word) => {
            let text = node.text().ok_or_else(|| wrong(node, "text"))?;
            match value::check(word, text) {
                Some(Err(bad)) => Err(Fault::new(node.at, format!("not {}", bad.what))
                    .hint(format!("write it like {}", bad.example))),
                // Numbers with a foreign format (`uint32`) are checked by their range.
                Some(Ok(())) | None => Ok(Json::from(text)),
            }
        }
        Kind::Text(least, most) => {
            let text = node.text().ok_or_else(|| wrong(node, "text"))?;
            let length = text.chars().count() as u64;
            if length < least.unwrap_or(1) {
                return Err(Fault::new(node.at, "the text is empty"));
            }
            if most.is_some_and(|most| length > most) {
                return Err(Fault::new(node.at, "the text is too long"));
            }
            Ok(Json::from(text))
        }
        Kind::Whole(least, most) => match node.resolve() {
            Some(Resolved::Int(number)) => {
                #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
                in_range(node, number as f64, *least, *most)?;
                Ok(Json::from(number))
            }
            _ => Err(wrong(node, wanted(kind))),
        },
        Kind::Number(least, most) => {
            let number = match node.resolve() {
                #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
                Some(Resolved::Int(number)) => number as f64,
                Some(Resolved::Float(number)) if number.is_finite() => number,
                _ => return Err(wrong(node, wanted(kind))),
            };
            in_range(node, number, *least, *most)?;
            Ok(Json::from(number))
        }
        Kind::Bool => match node.resolve() {
            Some(Resolved::Bool(value)) => Ok(Json::from(value)),
            _ => Err(wrong(node, wanted(kind)).hint("write `true` or `false`")),
        },
        Kind::Section(_) | Kind::Tagged(_) | Kind::Names(..) | Kind::List(..) => {
            Err(wrong(node, wanted(kind)))
        }
    }
}

const fn wanted(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::Whole(..) => "a whole number",
        Kind::Number(..) => "a number",
        Kind::Bool => "true or false",
        Kind::Words(_) => "a word",
        Kind::List(..) => "a list",
        Kind::Formatted(_) | Kind::Text(..) => "text",
        Kind::Section(_) | Kind::Tagged(_) | Kind::Names(..) => "a mapping",
    }
}

fn not_a_word(node: &Node, words: &[&str]) -> Fault {
    let Some(text) = node.text() else {
        return wrong(node, "a word");
    };
    let fault = Fault::new(node.at, format!("{} is not a word known here", shown(text)));
    match nearest(text, words.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint(format!("one of {}", words.join(", "))),
    }
}

fn in_range(node: &Node, number: f64, least: Option<f64>, most: Option<f64>) -> Result<(), Fault> {
    let low = least.unwrap_or(f64::NEG_INFINITY);
    let high = most.unwrap_or(f64::INFINITY);
    if number >= low && number <= high {
        return Ok(());
    }
    let range = match (least, most) {
        (Some(low), Some(high)) => format!("between {low} and {high}"),
        (Some(low), None) => format!("{low} or more"),
        (None, _) => format!("{high} or less"),
    };
    Err(Fault::new(node.at, format!("{number} is out of range")).hint(format!("give {range}")))
}
