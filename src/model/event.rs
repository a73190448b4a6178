//! One normalised fact: its event time and the values of the fields somebody reads.
//!
//! An `Event` is reused from one line to the next (`clear`), so decoding allocates nothing once its
//! buffers have grown. Only fields of the projection are kept; a missing value has no slot content.

use std::net::IpAddr;

use super::field::{self, FieldId, Fields};
use super::time::EventTime;

/// A text without white space around it. Most texts have none, which two bytes tell.
#[must_use]
#[inline]
pub fn trimmed(text: &str) -> &str {
    let plain = |b: Option<&u8>| b.is_some_and(|b| (0x21..0x80).contains(b));
    if plain(text.as_bytes().first()) && plain(text.as_bytes().last()) {
        text
    } else {
        text.trim()
    }
}

/// Whether a text stands for no value: empty, `-`, `null`, `unknown`, a placeholder, an
/// unspecified address.
#[must_use]
#[inline]
pub fn is_missing(text: &str) -> bool {
    let text = trimmed(text);
    match text.len() {
        0 => true,
        1 => text == "-",
        2 => text == "::",
        4 => text.eq_ignore_ascii_case("null"),
        7 => text.eq_ignore_ascii_case("unknown") || text == "0.0.0.0",
        27 => text.eq_ignore_ascii_case("HIDDEN_FOR_SECURITY_REASONS"),
        _ => false,
    }
}

/// A field's value as a reader sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Text(&'a str),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// The field was there and was JSON `null` or an equivalent (only raw fields; canonical fields are missing then).
    Null,
}

#[derive(Clone, Copy, Debug, Default)]
enum Slot {
    #[default]
    Missing,
    Text {
        start: u32,
        len: u32,
    },
    Int(i64),
    Float(f64),
    Bool(bool),
    Null,
    /// Several values: a range of `items`.
    List {
        start: u32,
        len: u32,
    },
}

/// Which fields to keep: those that detectors, containment and evidence read, or all of them.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    wanted: Vec<bool>,
    /// Keep every field, also those no one named (explain, tap); they land in `Event::extras`.
    pub all: bool,
}

impl Projection {
    /// Keeps just `fields`.
    pub fn of(fields: impl IntoIterator<Item = FieldId>) -> Self {
        let mut wanted = Vec::new();
        for f in fields {
            let i = usize::from(f.0);
            if wanted.len() <= i {
                wanted.resize(i + 1, false);
            }
            wanted[i] = true;
        }
        Self { wanted, all: false }
    }

    /// Keeps everything.
    #[must_use]
    pub const fn everything() -> Self {
        Self {
            wanted: Vec::new(),
            all: true,
        }
    }

    #[must_use]
    pub fn wants(&self, field: FieldId) -> bool {
        self.all
            || self
                .wanted
                .get(usize::from(field.0))
                .copied()
                .unwrap_or(false)
    }
}

/// One event. See the module's text for how it is reused.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// When it happened, as the source said (before clamping).
    pub time: EventTime,
    /// The source's schema, e.g. `"okta"`.
    pub schema: &'static str,
    slots: Vec<Slot>,
    /// Which slots hold something: forgetting them costs what the event has, not what is known.
    used: Vec<u16>,
    items: Vec<Slot>,
    text: String,
    extras: Vec<(String, Slot)>,
}

impl Event {
    /// Forgets everything but the buffers; `fields` is the number of known fields.
    pub fn clear(&mut self, fields: usize) {
        self.time = EventTime(0);
        self.schema = "";
        for field in self.used.drain(..) {
            if let Some(slot) = self.slots.get_mut(usize::from(field)) {
                *slot = Slot::Missing;
            }
        }
        self.slots.resize(fields, Slot::Missing);
        self.items.clear();
        self.text.clear();
        self.extras.clear();
    }

    fn store(&mut self, value: Value<'_>) -> Slot {
        match value {
            Value::Text(text) => {
                // Bodies are capped far below 4 GiB by decode, so the casts hold.
                let start = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
                let len = u32::try_from(text.len()).unwrap_or(0);
                self.text.push_str(text);
                Slot::Text { start, len }
            }
            Value::Int(n) => Slot::Int(n),
            Value::Float(n) => Slot::Float(n),
            Value::Bool(b) => Slot::Bool(b),
            Value::Null => Slot::Null,
        }
    }

    /// Sets a field, replacing what it held.
    pub fn set(&mut self, field: FieldId, value: Value<'_>) {
        let slot = self.store(value);
        if let Some(place) = self.slots.get_mut(usize::from(field.0)) {
            if matches!(place, Slot::Missing) {
                self.used.push(field.0);
            }
            *place = slot;
        }
    }

    /// Adds a value to a field: the second one makes it a list.
    pub fn push(&mut self, field: FieldId, value: Value<'_>) {
        let i = usize::from(field.0);
        let slot = self.store(value);
        let Some(place) = self.slots.get_mut(i) else {
            return;
        };
        match *place {
            Slot::Missing => {
                self.used.push(field.0);
                *place = slot;
            }
            // A list grows in place while it is the last one in `items`; otherwise it moves to the end.
            Slot::List { start, len } => {
                let (from, count) = (start as usize, len as usize);
                let start = if from + count == self.items.len() {
                    start
                } else {
                    let moved = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
                    self.items.extend_from_within(from..from + count);
                    moved
                };
                self.items.push(slot);
                *place = Slot::List {
                    start,
                    len: len + 1,
                };
            }
            first => {
                let start = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
                self.items.extend([first, slot]);
                *place = Slot::List { start, len: 2 };
            }
        }
    }

    /// Takes a field away, e.g. a secret or a marker value.
    pub fn remove(&mut self, field: FieldId) {
        if let Some(place) = self.slots.get_mut(usize::from(field.0)) {
            *place = Slot::Missing;
        }
    }

    /// Keeps a field no one has named (only with `Projection::everything`).
    pub fn set_extra(&mut self, name: &str, value: Value<'_>) {
        let slot = self.store(value);
        self.extras.push((name.to_owned(), slot));
    }

    /// Takes away the extra `name` and all extras below it (`name.*`).
    pub fn remove_extras(&mut self, name: &str) {
        self.extras.retain(|(n, _)| {
            n.strip_prefix(name)
                .is_none_or(|rest| !rest.is_empty() && !rest.starts_with('.'))
        });
    }

    /// Puts extras in the order of their names, so that the values of one name stand together.
    pub fn sort_extras(&mut self) {
        self.extras.sort_by(|(a, _), (b, _)| a.cmp(b));
    }

    /// Becomes equal to `other` and keeps its own buffers.
    pub fn copy_from(&mut self, other: &Self) {
        self.time = other.time;
        self.schema = other.schema;
        self.slots.clone_from(&other.slots);
        self.used.clone_from(&other.used);
        self.items.clone_from(&other.items);
        self.text.clone_from(&other.text);
        self.extras.clone_from(&other.extras);
    }

    fn view(&self, slot: Slot) -> Option<Value<'_>> {
        match slot {
            Slot::Missing => None,
            Slot::Text { start, len } => self
                .text
                .get(start as usize..(start + len) as usize)
                .map(Value::Text),
            Slot::Int(n) => Some(Value::Int(n)),
            Slot::Float(n) => Some(Value::Float(n)),
            Slot::Bool(b) => Some(Value::Bool(b)),
            Slot::Null => Some(Value::Null),
            Slot::List { start, .. } => self.view(self.items.get(start as usize).copied()?),
        }
    }

    /// The field's value, the first one of a list; `None` if it is missing.
    #[must_use]
    pub fn get(&self, field: FieldId) -> Option<Value<'_>> {
        self.view(self.slots.get(usize::from(field.0)).copied()?)
    }

    /// The field's values: none if missing, one, or all of a list.
    pub fn values(&self, field: FieldId) -> impl Iterator<Item = Value<'_>> {
        let slot = self
            .slots
            .get(usize::from(field.0))
            .copied()
            .unwrap_or_default();
        let one = [slot];
        let (list, single) = match slot {
            Slot::List { start, len } => {
                (self.items.get(start as usize..(start + len) as usize), None)
            }
            _ => (None, Some(one)),
        };
        list.unwrap_or_default()
            .iter()
            .copied()
            .chain(single.into_iter().flatten())
            .filter_map(|s| self.view(s))
    }

    /// The field's value if it is text.
    #[must_use]
    pub fn text(&self, field: FieldId) -> Option<&str> {
        match self.get(field)? {
            Value::Text(text) => Some(text),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Null => None,
        }
    }

    /// The event's kind, e.g. `token.issued`; empty only before decode has set it.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text(field::EVENT_KIND).unwrap_or_default()
    }

    /// The source address, if there is a valid one.
    #[must_use]
    pub fn source_ip(&self) -> Option<IpAddr> {
        self.text(field::SOURCE_IP)?.parse().ok()
    }

    /// Every field and value that is present, canonical and named ones first, then extras.
    pub fn present<'a>(&'a self, fields: &'a Fields) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        fields
            .iter()
            .flat_map(|(id, name)| self.values(id).map(move |v| (name, v)))
            .chain(
                self.extras
                    .iter()
                    .filter_map(|(n, s)| Some((n.as_str(), self.view(*s)?))),
            )
    }

    /// Every text and number of the event, for Sigma's keyword search.
    pub fn searchable(&self) -> impl Iterator<Item = Value<'_>> {
        let slots = self
            .slots
            .iter()
            .chain(&self.items)
            .chain(self.extras.iter().map(|(_, s)| s));
        slots.filter_map(|s| match self.view(*s)? {
            value @ (Value::Text(_) | Value::Int(_) | Value::Float(_)) => Some(value),
            Value::Bool(_) | Value::Null => None,
        })
    }
}
