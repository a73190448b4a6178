//! What one pass over a document collects: the schema's inputs, and raw fields as they stand.
//!
//! `Collect` is the JSON reader's visitor. Inputs go to the `Draft` (positions in the text, nothing
//! copied); fields that detectors read by their raw path go straight to the event, made fit to
//! keep. A key that stands twice in one object is noted if the schema reads it: two readers of such a
//! document may see two events, so it is refused. Of another one the last value stands.

use crate::model::redact::Redactor;
use crate::model::{Event, Value, field};

use super::json::{Container, Place, Scalar, Visitor};
use super::normal;
use super::paths::{EMPTY, NO_INPUT, NodeId, Paths};
use super::scrub::{self, Fit, Policy};

/// The highest number of inputs a schema may have.
pub(crate) const INPUTS_MAX: usize = 64;

/// A collected value; texts are positions until they are read through `Doc`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    Void,
    /// Where it begins in the text, and its length.
    Text(u32, u32),
    /// The same in the buffer of unescaped texts.
    Unescaped(u32, u32),
    Int(i64),
    Float(f64),
    Bool(bool),
    Null,
    Object(u32),
    Array(u32),
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
    /// A path of the schema that one object has twice.
    pub repeated: Option<&'static str>,
    /// Per node, the object it was last seen in.
    stamps: Vec<u32>,
    /// Makes object numbers unique across documents, so that stamps need no clearing.
    base: u32,
    /// The highest object number of the document.
    objects: u32,
}

impl Draft {
    fn clear(&mut self, nodes: usize) {
        self.log.clear();
        self.last.clear();
        self.last.resize(INPUTS_MAX, 0);
        self.marks = 0;
        self.repeated = None;
        self.base += self.objects + 1;
        self.objects = 0;
        if self.base > u32::MAX / 2 {
            self.base = 1;
            self.stamps.fill(0);
        }
        if self.stamps.len() < nodes {
            self.stamps.resize(nodes, 0);
        }
    }

    /// Whether there was one of the input before.
    fn capture(&mut self, input: u8, node: NodeId, place: Place, slot: Slot) -> bool {
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
            return std::mem::replace(last, n) > 0;
        }
        false
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

fn part(text: &str, at: u32, len: u32) -> Option<&str> {
    text.get(at as usize..(at + len) as usize)
}

/// A position in a text; decode's limit keeps texts far below 4 GiB.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "see above; a wrong one would read as missing"
)]
const fn short(n: usize) -> u32 {
    n as u32
}

/// A collected document with the texts its positions point into.
#[derive(Clone, Copy)]
pub(crate) struct Doc<'a> {
    pub text: &'a str,
    pub unescaped: &'a str,
    pub draft: &'a Draft,
}

impl<'a> Doc<'a> {
    #[inline(always)]
    fn view(&self, slot: Slot) -> Option<Raw<'a>> {
        Some(match slot {
            Slot::Void => return None,
            Slot::Text(at, len) => Raw::Text(part(self.text, at, len)?),
            Slot::Unescaped(at, len) => Raw::Text(part(self.unescaped, at, len)?),
            Slot::Int(n) => Raw::Int(n),
            Slot::Float(n) => Raw::Float(n),
            Slot::Bool(b) => Raw::Bool(b),
            Slot::Null => Raw::Null,
            Slot::Object(at) => Raw::Object(at as usize),
            Slot::Array(at) => Raw::Array(at as usize),
        })
    }

    /// Shows the last value of each input that has one, in the order of the text, until a fault.
    #[inline]
    pub(crate) fn each<E>(
        &self,
        mut show: impl FnMut(u8, Raw<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        for (number, capture) in (1u32..).zip(&self.draft.log) {
            if self.draft.last.get(usize::from(capture.input)) == Some(&number)
                && let Some(raw) = self.view(capture.slot)
            {
                show(capture.input, raw)?;
            }
        }
        Ok(())
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
            .filter_map(|c| Some((c.place.object(), self.view(c.slot)?)))
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

/// The path table's node, and how much of the path buffer is this node's path: in one word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At(u64);

impl At {
    const fn new(node: NodeId, path: usize) -> Self {
        Self((path as u64) << 16 | node as u64)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the lowest 16 bits are the node"
    )]
    const fn node(self) -> NodeId {
        self.0 as NodeId
    }

    const fn path(self) -> usize {
        (self.0 >> 16) as usize
    }
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
    /// The path table's edge taken last.
    trail: u16,
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
            trail: EMPTY,
        }
    }

    /// The node with its path, for leaves that no one has named.
    fn name(&mut self, parent: At, node: NodeId, key: &[u8]) -> At {
        let path = &mut self.scratch.path;
        path.truncate(parent.path());
        if parent.path() > 0 {
            path.push('.');
        }
        path.push_str(std::str::from_utf8(key).unwrap_or_default());
        At::new(node, path.len())
    }

    /// A key seen before in the same object: takes back what its value left.
    #[cold]
    fn take_back(&mut self, at: At, place: Place) {
        self.note(at);
        // Objects inside this one have higher numbers, those before it lower ones.
        for capture in &mut self.draft.log {
            let inside = capture.place.object() >= place.object();
            if inside && self.paths.is_within(capture.node, at.node()) {
                capture.slot = Slot::Void;
            }
        }
        // Inside arrays the values of other elements share the field, so there all stay.
        if !place.in_array() {
            for node in self.paths.within(at.node()) {
                for field in &node.raw {
                    self.event.remove(*field);
                }
            }
            self.event
                .remove_extras(self.scratch.path.get(..at.path()).unwrap_or_default());
        }
    }

    /// A path was there twice in one object.
    fn note(&mut self, at: At) {
        if let Some(path) = self.paths.node(at.node()).and_then(|node| node.read) {
            self.draft.repeated.get_or_insert(path);
        }
    }

    #[inline]
    fn capture(&mut self, input: u8, at: At, place: Place, slot: Slot) {
        // In an array each element has its own.
        if self.draft.capture(input, at.node(), place, slot) && !place.in_array() {
            self.captured_again(at, place);
        }
    }

    /// The stamp of a path in one object is gone where it also stood in another, `a.b`, `a: {b}`, `a.b`.
    #[cold]
    fn captured_again(&mut self, at: At, place: Place) {
        let same = |c: &&Capture| c.node == at.node() && c.place.object() == place.object();
        if self.draft.log.iter().filter(same).count() > 1 {
            self.note(at);
        }
    }

    fn keep(&mut self, at: At, place: Place, value: Scalar<'_>) {
        let paths = self.paths;
        let node = paths.node(at.node());
        let raw = node.map_or(&[][..], |n| &n.raw);
        let captured = paths.hot(at.node()).input != NO_INPUT;
        let extra = self.all && raw.is_empty() && !(captured && self.event.schema == "tidegate");
        if raw.is_empty() && !extra {
            return;
        }
        let path = self.scratch.path.get(..at.path()).unwrap_or_default();
        let policy = node.map_or_else(|| Policy::of(path), |n| n.policy);
        let Some(value) = fit(self.redactor, policy, value, &mut self.scratch.fit) else {
            return;
        };
        for field in raw {
            if place.in_array() {
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
            if !place.in_array() && at.node() == Paths::DEAD {
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
        Scalar::Text(piece) if normal::is_missing(piece.get()) => Value::Null,
        Scalar::Text(piece) => match scrub::scrub(redactor, policy, piece.get(), out) {
            Fit::AsIs => Value::Text(piece.get()),
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
        Scalar::Int(n) if policy == Policy::Phone => {
            numeral(redactor, &n.to_string(), Value::Int(n), out)
        }
        Scalar::Float(n) if policy == Policy::Phone => {
            numeral(redactor, &format!("{n:.0}"), Value::Float(n), out)
        }
        Scalar::Int(n) => Value::Int(n),
        Scalar::Float(n) => Value::Float(n),
    })
}

/// A telephone number that is written as a plain one.
fn numeral<'v>(
    redactor: &Redactor,
    digits: &str,
    plain: Value<'v>,
    out: &'v mut String,
) -> Value<'v> {
    match scrub::scrub(redactor, Policy::Phone, digits, out) {
        Fit::Changed => Value::Text(out),
        Fit::AsIs | Fit::Gone => plain,
    }
}

impl Visitor for Collect<'_> {
    type Node = At;

    fn root(&self) -> At {
        At::new(Paths::ROOT, 0)
    }

    #[inline(always)]
    fn member(&mut self, parent: At, place: Place, key: &[u8]) -> At {
        let node = match parent.node() {
            Paths::DEAD => Paths::DEAD,
            alive => self.paths.step(alive, key, &mut self.trail),
        };
        let at = if self.all {
            self.name(parent, node, key)
        } else {
            At::new(node, 0)
        };
        self.draft.objects = self.draft.objects.max(place.object());
        if let Some(stamp) = self.draft.stamps.get_mut(usize::from(node)) {
            let object = self.draft.base + place.object();
            if std::mem::replace(stamp, object) == object {
                self.take_back(at, place);
            }
        }
        at
    }

    #[inline]
    fn ignores(&self, at: At) -> bool {
        at.node() == Paths::DEAD && !self.all
    }

    #[inline]
    fn open(&mut self, at: At, place: Place, container: Container, begin: usize) {
        let hot = self.paths.hot(at.node());
        self.draft.marks |= hot.mark;
        if hot.input != NO_INPUT {
            let slot = match container {
                Container::Object => Slot::Object(short(begin)),
                Container::Array => Slot::Array(short(begin)),
            };
            self.capture(hot.input, at, place, slot);
        }
    }

    #[inline]
    fn leaf(&mut self, at: At, place: Place, value: Scalar<'_>) {
        let hot = self.paths.hot(at.node());
        self.draft.marks |= hot.mark;
        if hot.input != NO_INPUT {
            let slot = match value {
                Scalar::Text(p) if p.unescaped => Slot::Unescaped(short(p.at), short(p.len)),
                Scalar::Text(p) => Slot::Text(short(p.at), short(p.len)),
                Scalar::Int(n) => Slot::Int(n),
                Scalar::Float(n) => Slot::Float(n),
                Scalar::Bool(b) => Slot::Bool(b),
                Scalar::Null => Slot::Null,
            };
            self.capture(hot.input, at, place, slot);
        }
        if hot.raw || self.all {
            self.keep(at, place, value);
        }
    }
}

/// Sets `event.schema` if someone reads it, and the event's own copy.
pub(crate) fn name_schema(event: &mut Event, schema: &'static str) {
    event.schema = schema;
    event.set(field::EVENT_SCHEMA, Value::Text(schema));
}
