//! Reading of maps with known keys: typed values, or a fault at the value's place.
//!
//! Owns the wording of type faults and of unknown keys. Knows no meaning of any key.

use super::diagnostic::{Findings, Place, did_you_mean, nearest};
use super::keys::{self, Shape};
use super::yaml::{Content, Entry, Node, ScalarKind};
use crate::model::Span;

/// A text and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) at: Place,
}

/// A map whose keys were checked.
#[derive(Debug)]
pub(super) struct Section<'n> {
    pub(super) at: Place,
    entries: &'n [Entry],
    of: &'static keys::Section,
}

impl<'n> Section<'n> {
    /// Checks the keys; an unknown one is a fault. Whole documents may hold fields of one's own, as
    /// Sigma allows: there only what resembles a key is spoken of, and is a fault only where that
    /// key would have changed what the detector does.
    pub(super) fn open(
        node: &'n Node,
        of: &'static keys::Section,
        findings: &mut Findings<'_>,
    ) -> Option<Self> {
        let section = Self::open_free(node, of, findings)?;
        let known = of.keys.iter().map(|k| k.name);
        let whole = std::ptr::eq(of, &raw const keys::DOCUMENT);
        for entry in section.entries {
            let key = entry.key.as_str();
            let own = whole && (key.starts_with("x-") || key == "action");
            if own || known.clone().any(|k| k == key) {
                continue;
            }
            let message = format!("unknown key `{key}` in {}", of.name);
            let near = nearest(key, known.clone());
            let near = near.and_then(|near| of.keys.iter().find(|k| k.name == near));
            match near {
                None if whole => {}
                Some(near) if whole && matches!(near.shape, Shape::Any) => {
                    let hint = format!("did you mean `{}`? it is kept, and not read", near.name);
                    findings.lint(entry.at, message, hint);
                }
                _ => findings.fault_hint(entry.at, message, did_you_mean(key, known.clone())),
            }
        }
        Some(section)
    }

    /// A map in which other keys are allowed.
    pub(super) fn open_free(
        node: &'n Node,
        of: &'static keys::Section,
        findings: &mut Findings<'_>,
    ) -> Option<Self> {
        match &node.content {
            Content::Map(entries) => Some(Self {
                at: node.at,
                entries,
                of,
            }),
            Content::Scalar(_) | Content::List(_) => {
                let message = format!("{} must be a map, found {}", of.name, node.word());
                findings.fault_hint(node.at, message, "write `key: value` lines");
                None
            }
        }
    }

    /// The value of a key; an empty value is the same as a missing key.
    pub(super) fn node(&self, key: &str) -> Option<&'n Node> {
        debug_assert!(
            self.of.keys.iter().any(|k| k.name == key),
            "{key} is not in the table"
        );
        self.entries
            .iter()
            .find(|e| e.key == key)
            .map(|e| &e.value)
            .filter(|v| !v.is_null())
    }

    /// Where a key stands, for faults about the key itself.
    pub(super) fn place(&self, key: &str) -> Place {
        self.entries
            .iter()
            .find(|e| e.key == key)
            .map_or(self.at, |e| e.at)
    }

    pub(super) fn text(&self, key: &str, findings: &mut Findings<'_>) -> Option<Name> {
        text(self.node(key)?, key, findings)
    }

    pub(super) fn texts(&self, key: &str, findings: &mut Findings<'_>) -> Option<Vec<Name>> {
        Some(names(self.node(key)?, key, findings))
    }

    pub(super) fn bool(&self, key: &str, findings: &mut Findings<'_>) -> Option<bool> {
        let node = self.node(key)?;
        match node.scalar().map(|s| s.kind) {
            Some(ScalarKind::Bool(value)) => Some(value),
            _ => {
                let message = format!("`{key}` must be true or false, found {}", shown(node));
                findings.fault_hint(node.at, message, format!("write `{key}: true`"));
                None
            }
        }
    }

    /// A whole number between the two, both included.
    pub(super) fn count(
        &self,
        key: &str,
        range: (u64, u64),
        findings: &mut Findings<'_>,
    ) -> Option<u64> {
        let node = self.node(key)?;
        let whole = match node.scalar().map(|s| s.kind) {
            Some(ScalarKind::Int(n)) => Some(n),
            _ => None,
        };
        let value = whole
            .and_then(|n| u64::try_from(n).ok())
            .filter(|n| (range.0..=range.1).contains(n));
        if value.is_none() {
            let allowed = match range {
                (low, u64::MAX) => format!("{low} or more"),
                (low, high) => format!("from {low} to {high}"),
            };
            let found = shown(node);
            let (message, hint) = match (whole, number_in_quotes(node)) {
                (Some(_), _) => (
                    format!("`{key}` must be {allowed}, found {found}"),
                    format!("write a whole number, {allowed}"),
                ),
                (None, Some(number)) => quoted(key, number),
                (None, None) => (
                    format!("`{key}` must be a whole number, found {found}"),
                    format!("write a number, {allowed}"),
                ),
            };
            findings.fault_hint(node.at, message, hint);
        }
        value
    }

    pub(super) fn span(&self, key: &str, findings: &mut Findings<'_>) -> Option<Span> {
        span(self.node(key)?, key, findings)
    }

    /// One of the words the table lists for the key.
    pub(super) fn one_of(&self, key: &str, findings: &mut Findings<'_>) -> Option<Name> {
        let name = self.text(key, findings)?;
        let words = self
            .of
            .keys
            .iter()
            .find(|k| k.name == key)
            .and_then(|k| match k.shape {
                Shape::OneOf(words) => Some(words),
                _ => None,
            })?;
        if words.contains(&name.text.as_str()) {
            return Some(name);
        }
        let message = format!("`{key}` cannot be `{}`", name.text);
        findings.fault_hint(
            name.at,
            message,
            did_you_mean(&name.text, words.iter().copied()),
        );
        None
    }
}

/// A number that was written as a text.
pub(super) fn number_in_quotes(node: &Node) -> Option<&str> {
    let scalar = node.scalar().filter(|s| s.quoted)?;
    scalar.text.parse::<f64>().ok()?;
    Some(&scalar.text)
}

/// Message and hint for a number that was written as a text.
pub(super) fn quoted(key: &str, number: &str) -> (String, String) {
    (
        format!("`{key}` must be a number, found the text \"{number}\""),
        format!("leave out the quotes: `{key}: {number}`"),
    )
}

/// How a value reads in a message.
pub(super) fn shown(node: &Node) -> String {
    match node.scalar() {
        Some(s) if s.text.chars().count() <= 40 => format!("`{}`", s.text),
        _ => node.word().to_owned(),
    }
}

fn text(node: &Node, key: &str, findings: &mut Findings<'_>) -> Option<Name> {
    match node.scalar() {
        Some(scalar) if !scalar.text.trim().is_empty() => Some(Name {
            text: scalar.text.trim().to_owned(),
            at: node.at,
        }),
        _ => {
            let found = if node.scalar().is_some() {
                "nothing"
            } else {
                node.word()
            };
            let message = format!("`{key}` must be a text, found {found}");
            findings.fault_hint(node.at, message, format!("write `{key}: …` on one line"));
            None
        }
    }
}

/// A text or a list of texts.
pub(super) fn names(node: &Node, key: &str, findings: &mut Findings<'_>) -> Vec<Name> {
    match &node.content {
        Content::List(items) => items
            .iter()
            .filter_map(|i| text(i, key, findings))
            .collect(),
        Content::Scalar(_) => text(node, key, findings).into_iter().collect(),
        Content::Map(_) => {
            let message = format!("`{key}` must be a list of names, found a map");
            findings.fault_hint(node.at, message, format!("write `{key}: [a, b]`"));
            Vec::new()
        }
    }
}

/// A length of time with its unit.
pub(super) fn span(node: &Node, key: &str, findings: &mut Findings<'_>) -> Option<Span> {
    let parsed = node
        .scalar()
        .and_then(|s| Span::parse(&s.text))
        .filter(|s| s.0 >= 0);
    if parsed.is_none() {
        let message = format!("`{key}` must be a length of time, found {}", shown(node));
        let number = node
            .scalar()
            .is_some_and(|s| matches!(s.kind, ScalarKind::Int(_)));
        let hint = match node.scalar().filter(|_| number) {
            Some(s) => format!("say the unit: `{}s` or `{}m`", s.text, s.text),
            None => "write a number and a unit: `30s`, `5m`, `1h`, `7d`".to_owned(),
        };
        findings.fault_hint(node.at, message, hint);
    }
    parsed
}
