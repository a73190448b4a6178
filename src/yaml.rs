//! YAML text to a tree in which every key and value knows its line and column.
//!
//! Owns parsing, the core schema's scalars (YAML 1.2: `yes` is text), aliases, merge keys and
//! duplicate keys. Knows nothing of what the keys mean. Pure: text in, tree and faults out; bounded
//! in depth (255) and in nodes (`NODES_MAX`, aliases counted as often as they are used).

use std::fmt;

mod build;
mod nearest;

pub use nearest::nearest;

/// At most this many nodes in one text, so that nested aliases cannot explode.
pub const NODES_MAX: usize = 200_000;

/// A place in a text; both numbers start at 1, columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Line, from 1; 0 if there is no place in a text.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong with a text, and how to put it right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub at: At,
    /// What is wrong: lower-case, no full stop.
    pub message: String,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(at: At, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            hint: None,
        }
    }

    /// The same fault with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the value begins (for an alias: where the alias stands).
    pub at: At,
    /// The value itself.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One scalar, as written.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the text; keys are unique and merge keys are already merged.
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub at: At,
    /// Its value.
    pub value: Node,
}

/// A scalar as it was written; `resolve` says what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text after unescaping.
    pub text: String,
    /// Written without quotes and without `!!str`, so that it may be a number, a bool or null.
    pub plain: bool,
}

/// A scalar by the core schema of YAML 1.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolved<'a> {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits 64 bits, also `0x1f` and `0o17`.
    Int(i64),
    /// Any other number, also `.inf` and `.nan`.
    Float(f64),
    /// Everything else, and everything in quotes.
    Text(&'a str),
}

impl Scalar {
    /// What the scalar is.
    #[must_use]
    pub fn resolve(&self) -> Resolved<'_> {
        let text = self.text.as_str();
        if !self.plain {
            return Resolved::Text(text);
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
            "true" | "True" | "TRUE" => return Resolved::Bool(true),
            "false" | "False" | "FALSE" => return Resolved::Bool(false),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
                return Resolved::Float(f64::INFINITY);
            }
            "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
            ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
            _ => {}
        }
        number(text).unwrap_or(Resolved::Text(text))
    }
}

/// A number by the core schema; `None` if the text is not one.
fn number(text: &str) -> Option<Resolved<'static>> {
    if let Some(hex) = text.strip_prefix("0x") {
        return based(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return based(octal, 8);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts = digits.strip_prefix('.').unwrap_or(digits);
    // Rust also reads "inf" and "nan" as numbers: a digit must come first.
    if !starts.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Ok(whole) = text.parse() {
        return Some(Resolved::Int(whole));
    }
    text.parse().ok().map(Resolved::Float)
}

fn based(digits: &str, radix: u32) -> Option<Resolved<'static>> {
    let clean = digits.starts_with(|c: char| c.is_digit(radix));
    clean
        .then(|| i64::from_str_radix(digits, radix).ok())?
        .map(Resolved::Int)
}

impl Node {
    /// What the node is called in messages: `a list`, `a number` ...
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(scalar) => match scalar.resolve() {
                Resolved::Null => "nothing",
                Resolved::Bool(_) => "true or false",
                Resolved::Int(_) | Resolved::Float(_) => "a number",
                Resolved::Text(_) => "text",
            },
        }
    }

    /// The scalar by the core schema; `None` for a list or a mapping.
    #[must_use]
    pub fn resolve(&self) -> Option<Resolved<'_>> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar.resolve()),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The scalar's text as written, also of a number; `None` for null, a list or a mapping.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.resolve() != Resolved::Null => Some(&scalar.text),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// True for `null`, `~` and nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.resolve() == Some(Resolved::Null)
    }

    /// The mapping's entries; `None` if it is something else.
    #[must_use]
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// The list's items; `None` if it is something else.
    #[must_use]
    pub fn items(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Scalar(_) | Value::Map(_) => None,
        }
    }

    /// The value of a key in a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|e| &e.value)
    }

    /// The entry of a key in a mapping.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|e| e.key == key)
    }
}

/// Reads a text of any number of documents. Whatever could be read is returned, together with
/// every fault found; after a syntax fault the document it stands in is missing.
#[must_use]
pub fn parse(text: &str) -> (Vec<Node>, Vec<Fault>) {
    build::parse(text)
}

#[cfg(test)]
mod tests;
