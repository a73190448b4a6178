//! The JSON Schema of the configuration, and a reading of it that the other parts work from.
//!
//! Owns the translation from `shape`'s types to what a value may be (`Kind`). Knows no key by
//! name. Invariant: only schema words that are listed here may occur in `shape`; a test says so.

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::shape::Config;

/// The JSON Schema (draft 2020-12) of the configuration file.
#[must_use]
pub fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        let mut root = settings.into_generator().into_root_schema_for::<Config>();
        root.insert("title".to_owned(), Value::from("tidegate configuration"));
        tidy(root.to_value())
    })
}

/// Joins doc comments' hard line breaks; a blank line stays a paragraph.
fn tidy(mut value: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(text)) = map.get_mut("description") {
                    *text = text
                        .split("\n\n")
                        .map(|p| p.replace('\n', " "))
                        .collect::<Vec<_>>()
                        .join("\n\n");
                }
                map.values_mut().for_each(walk);
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    walk(&mut value);
    value
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// A mapping with known keys.
    Section(Section<'a>),
    /// A mapping with known keys that depend on `kind`: one branch per word.
    Tagged(&'a [Value]),
    /// A mapping from names (any, or of these words) to this.
    Names(&'a Value, Option<&'a Value>),
    /// A list, of this.
    List(&'a Value, Option<u64>),
    /// One of some words; each branch has a `const`, or the words themselves.
    Words(&'a [Value]),
    /// Text in one of the formats of `value`.
    Formatted(&'a str),
    /// Any text, with its least and greatest length.
    Text(Option<u64>, Option<u64>),
    /// A whole number in a range.
    Whole(Option<f64>, Option<f64>),
    /// A number in a range.
    Number(Option<f64>, Option<f64>),
    /// True or false.
    Bool,
}

/// A mapping with known keys.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// The keys and their schemas.
    pub properties: &'a Map<String, Value>,
    required: Option<&'a Vec<Value>>,
}

impl<'a> Section<'a> {
    /// The keys that must be given.
    pub fn required(self) -> impl Iterator<Item = &'a str> {
        self.required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }
}

impl<'a> Kind<'a> {
    /// Reads one (sub)schema; `None` for words this program's own schema does not use.
    #[must_use]
    pub fn of(schema: &'a Value) -> Option<Self> {
        if let Some(branches) = schema.get("oneOf").and_then(Value::as_array) {
            let tagged = branches.iter().all(|b| b.get("properties").is_some());
            return Some(if tagged {
                Self::Tagged(branches)
            } else {
                Self::Words(branches)
            });
        }
        if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            let real = branches
                .iter()
                .find(|b| b.get("type") != Some(&Value::from("null")));
            return Self::of(real?);
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return Some(Self::Words(words));
        }
        let number = |key: &str| schema.get(key).and_then(Value::as_f64);
        let count = |key: &str| schema.get(key).and_then(Value::as_u64);
        match type_of(schema)? {
            "object" => match schema.get("properties").and_then(Value::as_object) {
                Some(properties) => {
                    let required = schema.get("required").and_then(Value::as_array);
                    Some(Self::Section(Section {
                        properties,
                        required,
                    }))
                }
                None => {
                    let names = schema.get("propertyNames");
                    Some(Self::Names(schema.get("additionalProperties")?, names))
                }
            },
            "array" => Some(Self::List(schema.get("items")?, count("minItems"))),
            "integer" => Some(Self::Whole(number("minimum"), number("maximum"))),
            "number" => Some(Self::Number(number("minimum"), number("maximum"))),
            "boolean" => Some(Self::Bool),
            "string" => Some(match schema.get("format").and_then(Value::as_str) {
                Some(word) => Self::Formatted(word),
                None => Self::Text(count("minLength"), count("maxLength")),
            }),
            _ => None,
        }
    }

    /// True for what fits into one environment variable.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        !matches!(
            self,
            Self::Section(_) | Self::Tagged(_) | Self::Names(..) | Self::List(..)
        )
    }

    /// The words that are allowed, for `Words`.
    #[must_use]
    pub fn words(&self) -> Vec<&'a str> {
        let Self::Words(branches) = self else {
            return Vec::new();
        };
        branches
            .iter()
            .filter_map(|b| b.get("const").unwrap_or(b).as_str())
            .collect()
    }
}

/// The type that is not null; of a choice the first.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(one) => Some(one),
        Value::Array(several) => several
            .iter()
            .filter_map(Value::as_str)
            .find(|t| *t != "null"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// The word in `kind` that selects a branch of a tagged section.
#[must_use]
pub fn tag(branch: &Value) -> Option<&str> {
    branch
        .get("properties")?
        .get("kind")?
        .get("const")?
        .as_str()
}

/// The branch that a word selects.
#[must_use]
pub fn branch<'a>(branches: &'a [Value], word: &str) -> Option<&'a Value> {
    branches.iter().find(|b| tag(b) == Some(word))
}

/// A path one key deeper.
#[must_use]
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The environment variable of a path: `sources[0].brokers` is `TIDEGATE_SOURCES_0_BROKERS`.
#[must_use]
pub fn variable(path: &str) -> String {
    let mut name = String::from("TIDEGATE_");
    for c in path.chars() {
        match c {
            '.' | '[' | '-' => name.push('_'),
            ']' => {}
            _ => name.push(c.to_ascii_uppercase()),
        }
    }
    name
}
