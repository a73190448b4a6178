//! The tree, built from the parser's events with a stack of open nodes instead of recursion.
//!
//! Owns anchors, merge keys, duplicate keys and the node budget. Invariant: every opened frame is
//! closed or the document is dropped, so a half-read document never leaves this file.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag, options};

use super::{At, Entry, Fault, NODES_MAX, Node, Scalar, Value};

pub(super) fn parse(text: &str) -> (Vec<Node>, Vec<Fault>) {
    let options = options! { emit_comments: false, emit_unresolved_aliases: true };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder::default();
    while let Some(next) = parser.next_event() {
        match next {
            Ok((event, span)) => {
                if builder.event(event, at(span.start)).is_none() {
                    break;
                }
            }
            Err(error) => {
                builder.faults.push(syntax(&error));
                // Later documents may still be sound; the broken one is dropped.
                if !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    (builder.documents, builder.faults)
}

fn at(marker: Marker) -> At {
    At {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn syntax(error: &ScanError) -> Fault {
    let fault = Fault::new(
        at(*error.marker()),
        format!("not valid YAML: {}", error.info()),
    );
    let info = error.info();
    fault.hint(if info.contains("tab") {
        "indent with spaces, not with tabs"
    } else if info.contains("mapping values are not allowed") {
        "put a text that has `: ` in it into quotes, or check the indentation"
    } else if info.contains("escape character") {
        "in \"…\" a `\\` begins an escape: use '…'"
    } else {
        "check indentation, quotes and brackets before this place"
    })
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    faults: Vec<Fault>,
    open: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

/// A list or mapping whose end has not come yet.
struct Frame {
    at: At,
    anchor: usize,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    /// With the key that waits for its value; `None` inside if that key was refused.
    Map(Vec<Keyed>, Option<Option<(String, At)>>),
}

/// An entry, and whether it came in by a merge key and so gives way to what is written.
struct Keyed {
    entry: Entry,
    merged: bool,
}

impl Builder {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the parser's events may grow; metadata holds no node"
    )]
    /// Takes one event in; `None` if the rest of the text is not to be read.
    fn event(&mut self, event: Event<'_>, at: At) -> Option<()> {
        match event {
            Event::DocumentStart(..) => {
                self.anchors.clear();
                self.open.clear();
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = matches!(style, ScalarStyle::Plain) && !forced_text(tag.as_deref());
                let scalar = Scalar {
                    text: text.into_owned(),
                    plain,
                };
                self.close(
                    Node {
                        at,
                        value: Value::Scalar(scalar),
                    },
                    anchor,
                )?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open.push(Frame {
                    at,
                    anchor,
                    body: Body::List(Vec::new()),
                });
            }
            Event::MappingStart(_, anchor, _) => {
                self.open.push(Frame {
                    at,
                    anchor,
                    body: Body::Map(Vec::new(), None),
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let frame = self.open.pop()?;
                let value = match frame.body {
                    Body::List(items) => Value::List(items),
                    Body::Map(keyed, _) => Value::Map(keyed.into_iter().map(|k| k.entry).collect()),
                };
                self.close(
                    Node {
                        at: frame.at,
                        value,
                    },
                    frame.anchor,
                )?;
            }
            Event::Alias(id) => {
                let node = self.alias(id, at);
                // Its children pass no `close` of their own.
                self.nodes += count(&node);
                self.close(node, 0)?;
            }
            Event::UnresolvedAlias(name) => {
                let message = format!("there is no anchor `{name}` above this alias");
                self.faults
                    .push(Fault::new(at, message).hint("quote text that begins with `*`"));
                self.close(null(at), 0)?;
            }
            _ => {}
        }
        Some(())
    }

    fn alias(&mut self, id: usize, at: At) -> Node {
        if let Some(node) = self.anchors.get(&id) {
            return Node {
                at,
                value: node.value.clone(),
            };
        }
        self.faults
            .push(Fault::new(at, "this alias stands inside its own anchor"));
        null(at)
    }

    /// Puts a finished node where it belongs.
    fn close(&mut self, node: Node, anchor: usize) -> Option<()> {
        self.nodes += if anchor == 0 { 1 } else { 1 + count(&node) };
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values in one file");
            self.faults
                .push(Fault::new(node.at, message).hint("split it into several files"));
            return None;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.documents.push(node),
            Some(Frame {
                body: Body::List(items),
                ..
            }) => items.push(node),
            Some(Frame {
                body: Body::Map(entries, waiting),
                ..
            }) => match waiting.take() {
                None => *waiting = Some(key(node, &mut self.faults)),
                Some(None) => {}
                Some(Some((name, at))) => enter(entries, name, at, node, &mut self.faults),
            },
        }
        Some(())
    }
}

/// The nodes of a whole tree, for what is copied.
fn count(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|e| 1 + count(&e.value)).sum::<usize>(),
    }
}

fn null(at: At) -> Node {
    Node {
        at,
        value: Value::Scalar(Scalar {
            text: String::new(),
            plain: true,
        }),
    }
}

fn forced_text(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|t| t.suffix() == "str" || t.suffix() == "!")
}

fn key(node: Node, faults: &mut Vec<Fault>) -> Option<(String, At)> {
    match node.value {
        Value::Scalar(scalar) => Some((scalar.text, node.at)),
        Value::List(_) | Value::Map(_) => {
            faults.push(Fault::new(
                node.at,
                "a key must be text, not a list or a mapping",
            ));
            None
        }
    }
}

fn enter(keyed: &mut Vec<Keyed>, key: String, at: At, value: Node, faults: &mut Vec<Fault>) {
    if key == "<<" {
        return merge(keyed, at, value, faults);
    }
    match keyed.iter_mut().find(|k| k.entry.key == key) {
        None => keyed.push(Keyed {
            entry: Entry { key, at, value },
            merged: false,
        }),
        Some(k) if k.merged => {
            *k = Keyed {
                entry: Entry { key, at, value },
                merged: false,
            }
        }
        Some(first) => {
            let line = first.entry.at.line;
            let message = format!("key `{key}` is given twice, first on line {line}");
            faults.push(Fault::new(at, message).hint("keep one of the two"));
        }
    }
}

fn merge(keyed: &mut Vec<Keyed>, at: At, value: Node, faults: &mut Vec<Fault>) {
    match value.value {
        Value::Map(entries) => {
            for entry in entries {
                if keyed.iter().all(|k| k.entry.key != entry.key) {
                    keyed.push(Keyed {
                        entry,
                        merged: true,
                    });
                }
            }
        }
        Value::List(maps) => {
            for map in maps {
                merge(keyed, at, map, faults);
            }
        }
        Value::Scalar(_) => faults.push(Fault::new(at, "`<<` merges a mapping, not a scalar")),
    }
}
