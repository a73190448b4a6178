//! What one pass over a document collects: the schema's inputs, and raw fields as they stand.
//!
//! `Collect` is the JSON reader's visitor. Inputs go to the `Draft` (positions in the text, nothing
//! copied); fields that detectors read by their raw path go straight to the event, made fit to
//! keep. A repeated key takes back what its first value left: the last one wins.

use crate::model::redact::Redactor;
use crate::model::{Event, Value, field};

use super::json::{Container, Origin, Place, Scalar, Visitor};
use super::normal;
use super::paths::{NO_INPUT, NodeId, Paths};
use super::scrub::{self, Fit, Policy};

/// The highest number of inputs a schema may have.
pub(crate) const INPUTS_MAX: usize = 64;

/// A collected value; texts are positions until they are read through `Doc`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    Void,
    Text(Origin, usize),
    Int(i64),
    Float(f64),
    Bool(bool),
    Null,
    Object(usize),
    Array(usize),
}

#[derive(Clone, Copy, Debug)]
struct Capture {
    input: u8,
    node: NodeId,
    place: Place,
    slot: Slot,
}

/// The inputs of one document in the order of the text.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    log: Vec<Capture>,
    /// Per input, one more than the number of its last capture.
    last: Vec<u32>,
    /// Which of the paths that tell schemas apart were there.
    pub marks: u16,
    /// Per node, in which object it was last seen and how long the log was then.
    stamps: Vec<(u64, usize)>,
    /// Makes object numbers unique across documents, so that stamps need no clearing.
    base: u64,
}

impl Draft {
    fn clear(&mut self, nodes: usize) {
        self.log.clear();
        self.last.clear();
        self.last.resize(INPUTS_MAX, 0);
        self.marks = 0;
        self.base += 1 << 32;
        if self.stamps.len() < nodes {
            self.stamps.resize(nodes, (0, 0));
        }
    }

    fn capture(&mut self, input: u8, node: NodeId, place: Place, slot: Slot) {
        self.log.push(Capture {
            input,
            node,
            place,
            slot,
        });
        if let (Some(last), Ok(n)) = (
            self.last.get_mut(usize::from(input)),
            u32::try_from(self.log.len()),
        ) {
            *last = n;
        }
    }
}

/// A value of a document as a schema reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw<'a> {
    Text(&'a str),
    Int(i64),
    Float(f64),
    Bool(bool),
    Null,
    /// A container and where it begins.
    Object(usize),
    Array(usize),
}

/// A collected document with the texts its positions point into.
#[derive(Clone, Copy)]
pub(crate) struct Doc<'a> {
    pub text: &'a str,
    pub unescaped: &'a str,
    pub draft: &'a Draft,
}

impl<'a> Doc<'a> {
    fn view(&self, slot: Slot) -> Option<Raw<'a>> {
        Some(match slot {
            Slot::Void => return None,
            Slot::Text(Origin::Body(at), len) => Raw::Text(self.text.get(at..at + len)?),
            Slot::Text(Origin::Unescaped(at), len) => Raw::Text(self.unescaped.get(at..at + len)?),
            Slot::Int(n) => Raw::Int(n),
            Slot::Float(n) => Raw::Float(n),
            Slot::Bool(b) => Raw::Bool(b),
            Slot::Null => Raw::Null,
            Slot::Object(at) => Raw::Object(at),
            Slot::Array(at) => Raw::Array(at),
        })
    }

    /// The last value of an input; `None` if it is not there.
    pub(crate) fn raw(&self, input: u8) -> Option<Raw<'a>> {
        let last = *self.draft.last.get(usize::from(input))?;
        let capture = self.draft.log.get((last as usize).checked_sub(1)?)?;
        self.view(capture.slot)
    }

    /// The last value of an input if it is a text that stands for something.
    pub(crate) fn text(&self, input: u8) -> Option<&'a str> {
        match self.raw(input)? {
            Raw::Text(text) if !normal::is_missing(text) => Some(text.trim()),
            _ => None,
        }
    }

    /// Every value of an input, with the number of the object it is in.
    pub(crate) fn all(&self, input: u8) -> impl Iterator<Item = (u32, Raw<'a>)> + '_ {
        let of_input = move |c: &&Capture| c.input == input;
        self.draft
            .log
            .iter()
            .filter(of_input)
            .filter_map(|c| Some((c.place.object, self.view(c.slot)?)))
    }

    /// The texts of an input that stand for something.
    pub(crate) fn texts(&self, input: u8) -> impl Iterator<Item = (u32, &'a str)> + '_ {
        self.all(input).filter_map(|(object, raw)| match raw {
            Raw::Text(text) if !normal::is_missing(text) => Some((object, text.trim())),
            _ => None,
        })
    }

    /// The text of an input in one object of an array.
    pub(crate) fn text_in(&self, object: u32, input: u8) -> Option<&'a str> {
        self.texts(input)
            .filter(|(o, _)| *o == object)
            .last()
            .map(|(_, text)| text)
    }
}

/// The path table's node, and how much of the path buffer is this node's path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    node: NodeId,
    path: usize,
}

/// The buffers that `Collect` borrows.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    path: String,
    fit: String,
    name: String,
}

/// Collects one document. See the module's text.
pub(crate) struct Collect<'a> {
    paths: &'a Paths,
    draft: &'a mut Draft,
    event: &'a mut Event,
    redactor: &'a Redactor,
    scratch: &'a mut Scratch,
    /// Keep every leaf, also those no one has named.
    all: bool,
}

impl<'a> Collect<'a> {
    pub(crate) fn new(
        paths: &'a Paths,
        draft: &'a mut Draft,
        event: &'a mut Event,
        redactor: &'a Redactor,
        scratch: &'a mut Scratch,
        all: bool,
    ) -> Self {
        draft.clear(paths.len());
        scratch.path.clear();
        Self {
            paths,
            draft,
            event,
            redactor,
            scratch,
            all,
        }
    }

    /// A key seen before in the same object: takes back what its value left.
    #[cold]
    fn take_back(&mut self, at: At, place: Place, since: usize) {
        for capture in self.draft.log.iter_mut().skip(since) {
            if self.paths.is_within(capture.node, at.node) {
                capture.slot = Slot::Void;
            }
        }
        // Inside arrays the values of other elements share the field, so there all stay.
        if !place.in_array {
            for node in self.paths.within(at.node) {
                for field in &node.raw {
                    self.event.remove(*field);
                }
            }
            self.event
                .remove_extras(self.scratch.path.get(..at.path).unwrap_or_default());
        }
    }

    fn keep(&mut self, at: At, place: Place, value: Scalar<'_>) {
        let paths = self.paths;
        let node = paths.node(at.node);
        let raw = node.map_or(&[][..], |n| &n.raw);
        let captured = node.is_some_and(|n| n.input != NO_INPUT);
        let extra = self.all && raw.is_empty() && !(captured && self.event.schema == "tidegate");
        if raw.is_empty() && !extra {
            return;
        }
        let path = self.scratch.path.get(..at.path).unwrap_or_default();
        let policy = node.map_or_else(|| Policy::of(path), |n| n.policy);
        let Some(value) = fit(self.redactor, policy, value, &mut self.scratch.fit) else {
            return;
        };
        for field in raw {
            if place.in_array {
                self.event.push(*field, value);
            } else {
                self.event.set(*field, value);
            }
        }
        if extra {
            let name = match scrub::scrub(self.redactor, Policy::Text, path, &mut self.scratch.name)
            {
                Fit::Changed => self.scratch.name.as_str(),
                Fit::AsIs | Fit::Gone => path,
            };
            if field::CANONICAL.contains(&name) {
                return;
            }
            if !place.in_array && at.node == Paths::DEAD {
                self.event.remove_extras(name);
            }
            self.event.set_extra(name, value);
        }
    }
}

/// The form of a raw value that may be kept; markers become null.
fn fit<'v>(
    redactor: &Redactor,
    policy: Policy,
    value: Scalar<'v>,
    out: &'v mut String,
) -> Option<Value<'v>> {
    use std::fmt::Write as _;
    let secret = matches!(policy, Policy::Token | Policy::Drop);
    Some(match value {
        Scalar::Text(text, _) if normal::is_missing(text) => Value::Null,
        Scalar::Text(text, _) => match scrub::scrub(redactor, policy, text, out) {
            Fit::AsIs => Value::Text(text),
            Fit::Changed => Value::Text(out),
            Fit::Gone => return None,
        },
        Scalar::Null => Value::Null,
        Scalar::Bool(b) => Value::Bool(b),
        Scalar::Int(_) | Scalar::Float(_) if policy == Policy::Drop => return None,
        Scalar::Int(n) if secret => {
            out.clear();
            let _ = write!(out, "{n}");
            let hashed = redactor.secret(out);
            out.clear();
            out.push_str(&hashed);
            Value::Text(out)
        }
        Scalar::Int(n) => Value::Int(n),
        Scalar::Float(n) => Value::Float(n),
    })
}

impl Visitor for Collect<'_> {
    type Node = At;

    fn root(&self) -> At {
        At {
            node: Paths::ROOT,
            path: 0,
        }
    }

    #[inline]
    fn member(&mut self, parent: At, place: Place, key: &str) -> At {
        let node = match parent.node {
            Paths::DEAD => Paths::DEAD,
            alive => self.paths.step(alive, key.as_bytes()),
        };
        let mut at = At { node, path: 0 };
        if self.all {
            self.scratch.path.truncate(parent.path);
            if parent.path > 0 {
                self.scratch.path.push('.');
            }
            self.scratch.path.push_str(key);
            at.path = self.scratch.path.len();
        }
        if let Some(stamp) = self.draft.stamps.get_mut(usize::from(node)) {
            let object = self.draft.base + u64::from(place.object);
            let before = std::mem::replace(stamp, (object, self.draft.log.len()));
            if before.0 == object {
                self.take_back(at, place, before.1);
            }
        }
        at
    }

    #[inline]
    fn ignores(&self, at: At) -> bool {
        at.node == Paths::DEAD && !self.all
    }

    fn open(&mut self, at: At, place: Place, container: Container, begin: usize) {
        if let Some(node) = self.paths.node(at.node) {
            self.draft.marks |= node.mark;
            if node.input != NO_INPUT {
                let slot = match container {
                    Container::Object => Slot::Object(begin),
                    Container::Array => Slot::Array(begin),
                };
                self.draft.capture(node.input, at.node, place, slot);
            }
        }
    }

    #[inline]
    fn leaf(&mut self, at: At, place: Place, value: Scalar<'_>) {
        if let Some(node) = self.paths.node(at.node) {
            self.draft.marks |= node.mark;
            if node.input != NO_INPUT {
                let slot = match value {
                    Scalar::Text(text, origin) => Slot::Text(origin, text.len()),
                    Scalar::Int(n) => Slot::Int(n),
                    Scalar::Float(n) => Slot::Float(n),
                    Scalar::Bool(b) => Slot::Bool(b),
                    Scalar::Null => Slot::Null,
                };
                self.draft.capture(node.input, at.node, place, slot);
            }
            if node.raw.is_empty() && !self.all {
                return;
            }
        } else if !self.all {
            return;
        }
        self.keep(at, place, value);
    }
}

/// Sets `event.schema` if someone reads it, and the event's own copy.
pub(crate) fn name_schema(event: &mut Event, schema: &'static str) {
    event.schema = schema;
    event.set(field::EVENT_SCHEMA, Value::Text(schema));
}
