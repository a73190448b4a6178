//! `tidegate check --effective`: every setting with its value and where it came from.
//!
//! Owns the flattening of a `Config` into settings. Invariant: it works on the serialized form, in
//! which URLs have lost their paths and secrets never were.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::schema::join;
use super::shape::Config;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said otherwise.
    Default,
    /// The configuration file.
    File {
        /// The file as it was named.
        file: String,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Variable(name) => write!(f, "env {name}"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The key, e.g. `engine.memory`.
    pub key: String,
    /// Its value; null if there is none.
    pub value: Value,
    /// Where the value came from.
    pub origin: Origin,
}

impl fmt::Display for Setting {
    /// `engine.memory: 512MiB  # default`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::String(text) => write!(f, "{}: {text}  # {}", self.key, self.origin),
            Value::Null => write!(f, "{}: (none)  # {}", self.key, self.origin),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                write!(f, "{}: {other}  # {}", self.key, self.origin)
            }
        }
    }
}

/// All settings, sections in the order of their names.
pub fn settings(config: &Config, origin: impl Fn(&str) -> Origin) -> Vec<Setting> {
    let mut settings = Vec::new();
    // A `Config` has text keys and no other maps, so this cannot fail.
    let json = serde_json::to_value(config).unwrap_or_default();
    flatten(json, String::new(), &origin, &mut settings);
    settings
}

fn flatten(
    value: Value,
    key: String,
    origin: &impl Fn(&str) -> Origin,
    settings: &mut Vec<Setting>,
) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (inner, value) in map {
                flatten(value, join(&key, &inner), origin, settings);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (i, item) in items.into_iter().enumerate() {
                flatten(item, format!("{key}[{i}]"), origin, settings);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => settings.push(Setting {
            origin: origin(&key),
            key,
            value,
        }),
    }
}
