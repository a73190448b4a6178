//! Documents of detector files as trees whose scalars are typed and whose places have a width.
//!
//! Owns the form the language reads: `crate::yaml` parses, this adds what carets and typed values
//! need. A file above `BYTES_MAX` is refused unread.

use super::diagnostic::{Findings, Place};
use crate::yaml::{self, At, Resolved, Value};

/// Larger files are refused: the largest public Sigma rule has 60 KiB.
const BYTES_MAX: usize = 1 << 20;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) at: Place,
    pub(super) key: String,
    pub(super) value: Node,
}

/// A scalar: its text after YAML's escapes, and what it means by the core schema.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) kind: ScalarKind,
    /// Written in quotes: positions inside it are one further to the right.
    pub(super) quoted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ScalarKind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

impl Node {
    /// What a reader of a message would call it.
    pub(super) const fn word(&self) -> &'static str {
        match &self.content {
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
            Content::Scalar(s) => match s.kind {
                ScalarKind::Null => "nothing",
                ScalarKind::Bool(_) => "true or false",
                ScalarKind::Int(_) | ScalarKind::Float(_) => "a number",
                ScalarKind::Text => "text",
            },
        }
    }

    pub(super) const fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(s) => Some(s),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.scalar().is_some_and(|s| s.kind == ScalarKind::Null)
    }

    /// The value of a key, if this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }
}

/// Reads every document of a file. Documents that are not well-formed are left out and reported.
pub(super) fn parse(text: &str, findings: &mut Findings<'_>) -> Vec<Node> {
    if text.len() > BYTES_MAX {
        let start = Place {
            line: 1,
            column: 1,
            width: 1,
        };
        findings.fault_hint(
            start,
            "the file is larger than 1 MiB",
            "split it into several files",
        );
        return Vec::new();
    }
    let (documents, faults) = yaml::parse(text);
    for fault in faults {
        let at = place(fault.at, 1);
        match fault.hint {
            Some(hint) => findings.fault_hint(at, fault.message, hint),
            None => findings.fault(at, fault.message),
        }
    }
    let lines: Vec<&str> = text.lines().collect();
    documents
        .into_iter()
        .map(|node| node_of(node, &lines))
        .filter(|n| !n.is_null())
        .collect()
}

const fn place(at: At, width: usize) -> Place {
    Place {
        line: at.line,
        column: at.column,
        width,
    }
}

fn node_of(node: yaml::Node, lines: &[&str]) -> Node {
    match node.value {
        Value::List(items) => {
            let items = items.into_iter().map(|item| node_of(item, lines)).collect();
            Node {
                at: place(node.at, 1),
                content: Content::List(items),
            }
        }
        Value::Map(entries) => {
            let entry = |e: yaml::Entry| Entry {
                at: place(e.at, e.key.chars().count().max(1)),
                key: e.key,
                value: node_of(e.value, lines),
            };
            let entries = entries.into_iter().map(entry).collect();
            Node {
                at: place(node.at, 1),
                content: Content::Map(entries),
            }
        }
        Value::Scalar(scalar) => {
            let kind = match scalar.resolve() {
                Resolved::Null => ScalarKind::Null,
                Resolved::Bool(b) => ScalarKind::Bool(b),
                Resolved::Int(n) => ScalarKind::Int(n),
                Resolved::Float(n) if n.is_finite() => ScalarKind::Float(n),
                Resolved::Float(_) | Resolved::Text(_) => ScalarKind::Text,
            };
            let quoted = !scalar.plain && in_quotes(node.at, lines);
            let width = scalar
                .text
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .count();
            let width = (width + if quoted { 2 } else { 0 }).max(1);
            let at = place(node.at, width);
            Node {
                at,
                content: Content::Scalar(Scalar {
                    text: scalar.text,
                    kind,
                    quoted,
                }),
            }
        }
    }
}

/// Whether a quote stands at the place; a block scalar is not plain either, but has none.
fn in_quotes(at: At, lines: &[&str]) -> bool {
    let line = at.line.checked_sub(1).and_then(|n| lines.get(n));
    let sign = line.and_then(|l| l.chars().nth(at.column.saturating_sub(1)));
    matches!(sign, Some('\'' | '"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::detector::diagnostic::Diagnostic;

    fn read(text: &str) -> (Vec<Node>, Vec<Diagnostic>) {
        let mut list = Vec::new();
        let nodes = parse(
            text,
            &mut Findings {
                file: "t.yml",
                list: &mut list,
            },
        );
        (nodes, list)
    }

    #[test]
    fn places_have_widths_and_scalars_have_kinds() {
        let (nodes, list) = read("a: 1\nb:\n  - 'x y'\n  - {c: ~}\nd: |\n  text\n---\ne: .inf\n");
        assert_eq!(list, []);
        assert_eq!(nodes.len(), 2);
        let Content::List(items) = &nodes[0].get("b").unwrap().content else {
            panic!()
        };
        assert_eq!(
            items[0].at,
            Place {
                line: 3,
                column: 5,
                width: 5
            }
        );
        assert!(items[0].scalar().unwrap().quoted);
        assert!(items[1].get("c").unwrap().is_null());
        assert!(!nodes[0].get("d").unwrap().scalar().unwrap().quoted);
        assert_eq!(
            nodes[1].get("e").unwrap().scalar().unwrap().kind,
            ScalarKind::Text
        );
    }

    #[test]
    fn every_broken_document_is_reported() {
        let (nodes, list) = read("a: [1, 2\n---\nb: 1\nb: 2\n---\nc: *nowhere\n---\nd: 1\n");
        assert_eq!(nodes.len(), 3, "{list:?}");
        assert_eq!(list.len(), 3, "{list:?}");
        assert!(read(&"x".repeat(BYTES_MAX + 1)).1[0].is_fault());
    }
}
