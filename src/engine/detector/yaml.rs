//! YAML text to trees of nodes that know where they stand.
//!
//! Owns the limits (size, depth, nodes after alias expansion) and the typing of plain scalars
//! (YAML 1.2 core schema). Knows nothing of detectors. A duplicate key is a fault, never a choice.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::diagnostic::{Findings, Place};

/// Larger files are refused: the largest public Sigma rule has 60 KiB.
const BYTES_MAX: usize = 1 << 20;
/// Nodes of one file, after aliases are expanded.
const NODES_MAX: usize = 200_000;
const DEPTH_MAX: usize = 64;

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
    let start = Place {
        line: 1,
        column: 1,
        width: 1,
    };
    if text.len() > BYTES_MAX {
        findings.fault_hint(
            start,
            "the file is larger than 1 MiB",
            "split it into several files",
        );
        return Vec::new();
    }
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
        emit_comments: false,
    };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        anchors: BTreeMap::new(),
        nodes: 0,
        findings,
    };
    let mut documents = Vec::new();
    loop {
        match reader.document() {
            Ok(Some(node)) if node.is_null() => {}
            Ok(Some(node)) => documents.push(node),
            Ok(None) => break,
            Err(Stop::File) => break,
            Err(Stop::Document) => {
                if !matches!(reader.parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    documents
}

/// Why reading cannot go on here.
enum Stop {
    Document,
    File,
}

type Read<T> = Result<T, Stop>;

struct Reader<'t, 'f, 'a> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    findings: &'f mut Findings<'a>,
}

impl<'t> Reader<'t, '_, '_> {
    fn next(&mut self) -> Read<Option<(Event<'t>, Place)>> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, place(&span)))),
            Some(Err(error)) => {
                let mark = error.marker();
                let at = Place {
                    line: mark.line(),
                    column: mark.col() + 1,
                    width: 1,
                };
                let message = format!("not valid YAML: {}", lower_first(&error.info()));
                match error.kind() {
                    ErrorKind::UnknownAnchor => self.findings.fault_hint(
                        at,
                        message,
                        "define the anchor before it is used, or quote the text",
                    ),
                    _ => self.findings.fault_hint(
                        at,
                        message,
                        "check indentation, quotes and brackets before this place",
                    ),
                }
                Err(Stop::Document)
            }
        }
    }

    fn document(&mut self) -> Read<Option<Node>> {
        let mut root = None;
        while let Some((event, at)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) => self.anchors.clear(),
                Event::DocumentEnd => return Ok(root.or(Some(null(at)))),
                Event::StreamEnd => return Ok(root),
                other => root = Some(self.node(other, at)?),
            }
        }
        Ok(root)
    }

    fn node(&mut self, event: Event<'t>, at: Place) -> Read<Node> {
        self.count(1, at)?;
        let before = self.nodes - 1;
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                (Content::Scalar(self.scalar(&text, style, tag, at)?), anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Some((Event::SequenceEnd, _)) => break,
                        Some((event, at)) => items.push(self.node(event, at)?),
                        None => return Err(Stop::Document),
                    }
                }
                (Content::List(items), anchor)
            }
            Event::MappingStart(_, anchor, _) => (Content::Map(self.entries()?), anchor),
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id).cloned() else {
                    self.findings
                        .fault(at, "an alias inside its own anchor has no end");
                    return Err(Stop::Document);
                };
                self.count(size, at)?;
                return Ok(node);
            }
            _ => return Ok(null(at)),
        };
        let node = Node { at, content };
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, at: Place) -> Read<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        self.findings.fault_hint(
            at,
            format!("the file has more than {NODES_MAX} values once its aliases are expanded"),
            "split it, or use fewer aliases",
        );
        Err(Stop::File)
    }

    fn entries(&mut self) -> Read<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: BTreeMap<String, Place> = BTreeMap::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let Some((event, at)) = self.next()? else {
                return Err(Stop::Document);
            };
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, at)?;
            let Some((event, value_at)) = self.next()? else {
                return Err(Stop::Document);
            };
            let value = self.node(event, value_at)?;
            let Content::Scalar(scalar) = key.content else {
                let hint = "write the key as plain text";
                self.findings
                    .fault_hint(at, format!("a key cannot be {}", key.word()), hint);
                continue;
            };
            if scalar.text == "<<" && !scalar.quoted {
                merged.push(value);
                continue;
            }
            match seen.get(&scalar.text) {
                Some(first) => self.findings.fault_hint(
                    at,
                    format!("the key `{}` stands here twice", scalar.text),
                    format!("remove one of them; the first is at line {}", first.line),
                ),
                None => {
                    seen.insert(scalar.text.clone(), at);
                    entries.push(Entry {
                        at,
                        key: scalar.text,
                        value,
                    });
                }
            }
        }
        self.merge(&mut entries, merged);
        Ok(entries)
    }

    /// YAML 1.1's `<<`: keys of the merged maps, unless they stand here or in an earlier one.
    fn merge(&mut self, entries: &mut Vec<Entry>, merged: Vec<Node>) {
        if merged.is_empty() {
            return;
        }
        let mut have: BTreeSet<String> = entries.iter().map(|e| e.key.clone()).collect();
        let mut pending = merged;
        pending.reverse();
        while let Some(node) = pending.pop() {
            match node.content {
                Content::Map(from) => {
                    for entry in from {
                        if have.insert(entry.key.clone()) {
                            entries.push(entry);
                        }
                    }
                }
                Content::List(items) => pending.extend(items.into_iter().rev()),
                Content::Scalar(_) => self.findings.fault_hint(
                    node.at,
                    "`<<` merges a map or a list of maps",
                    "refer to a map: `<<: *name`",
                ),
            }
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: Place,
    ) -> Read<Scalar> {
        let plain = style == ScalarStyle::Plain;
        let kind = match tag.and_then(Tag::core_suffix) {
            Some("str") => ScalarKind::Text,
            Some(_) => plain_kind(text),
            None if tag.is_some_and(Tag::is_custom) => {
                let hint = "remove the tag";
                self.findings
                    .fault_hint(at, "tags have no meaning in a detector file", hint);
                ScalarKind::Text
            }
            None if plain => plain_kind(text),
            None => ScalarKind::Text,
        };
        let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
        Ok(Scalar {
            text: text.to_owned(),
            kind,
            quoted,
        })
    }
}

fn null(at: Place) -> Node {
    let scalar = Scalar {
        text: String::new(),
        kind: ScalarKind::Null,
        quoted: false,
    };
    Node {
        at,
        content: Content::Scalar(scalar),
    }
}

fn place(span: &Span) -> Place {
    let one_line = span.start.line() == span.end.line();
    let width = if one_line {
        span.end.col().saturating_sub(span.start.col())
    } else {
        1
    };
    Place {
        line: span.start.line().max(1),
        column: span.start.col() + 1,
        width: width.max(1),
    }
}

/// What a plain scalar means in YAML 1.2's core schema.
fn plain_kind(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarKind::Null,
        "true" | "True" | "TRUE" => return ScalarKind::Bool(true),
        "false" | "False" | "FALSE" => return ScalarKind::Bool(false),
        _ => {}
    }
    let radix = |prefix, radix| {
        text.strip_prefix(prefix)
            .and_then(|digits| i64::from_str_radix(digits, radix).ok())
    };
    if let Some(n) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return ScalarKind::Int(n);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits
            .chars()
            .all(|c| matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'));
    if !numeric {
        return ScalarKind::Text;
    }
    if let Ok(n) = text.parse::<i64>() {
        return ScalarKind::Int(n);
    }
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() => ScalarKind::Float(n),
        _ => ScalarKind::Text,
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|c| c.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
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
    fn places_count_from_one() {
        let (nodes, list) = read("a: 1\nb:\n  - 'x'\n  - {c: ~}\n---\nd: 1.5\n");
        assert!(list.is_empty());
        assert_eq!(nodes.len(), 2);
        let b = nodes[0].get("b").unwrap();
        let Content::List(items) = &b.content else {
            panic!()
        };
        assert_eq!(
            (items[0].at.line, items[0].at.column, items[0].at.width),
            (3, 5, 3)
        );
        assert!(items[1].get("c").unwrap().is_null());
        assert_eq!(
            nodes[1].get("d").unwrap().scalar().unwrap().kind,
            ScalarKind::Float(1.5)
        );
    }

    #[test]
    fn every_broken_document_is_reported() {
        let (nodes, list) = read("a: [1, 2\n---\nb: 1\nb: 2\n---\nc: *nowhere\n---\nd: 1\n");
        assert_eq!(nodes.len(), 2, "{list:?}");
        let places: Vec<_> = list.iter().map(|d| (d.line, d.column)).collect();
        assert_eq!(places.len(), 3, "{list:?}");
        assert!(
            places.contains(&(4, 1)) && places.contains(&(6, 4)),
            "{list:?}"
        );
    }

    #[test]
    fn aliases_are_bounded() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let prior = format!("*a{}", i - 1);
            text.push_str(&format!(
                "a{i}: &a{i} [{}]\n",
                [prior.as_str(); 9].join(", ")
            ));
        }
        let (_, list) = read(&text);
        assert!(list[0].message.contains("once its aliases are expanded"));
        let (nodes, list) = read("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n");
        assert!(list.is_empty());
        let used = nodes[0].get("use").unwrap();
        assert_eq!(
            used.get("x").unwrap().scalar().unwrap().kind,
            ScalarKind::Int(1)
        );
        assert_eq!(
            used.get("y").unwrap().scalar().unwrap().kind,
            ScalarKind::Int(3)
        );
    }

    #[test]
    fn deep_nesting_and_self_reference_are_refused() {
        for text in ["[".repeat(5000), "- ".repeat(5000), "&a [*a]".to_owned()] {
            assert!(!read(&text).1.is_empty());
        }
    }

    #[test]
    fn plain_scalars() {
        use ScalarKind::{Bool, Float, Int, Null, Text};
        for (text, want) in [
            ("12", Int(12)),
            ("-3", Int(-3)),
            ("0x1F", Int(31)),
            ("1.0", Float(1.0)),
            ("1e3", Float(1000.0)),
            ("10.0.0.1", Text),
            ("2026-01-01", Text),
            ("yes", Text),
            ("True", Bool(true)),
            ("~", Null),
            ("nan", Text),
            (".", Text),
            ("0xZZ", Text),
        ] {
            assert_eq!(plain_kind(text), want, "{text}");
        }
    }
}
