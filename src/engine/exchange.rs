//! The seam between the two stages: an event becomes observations, one per rule that reads it.
//!
//! Stage 1 (`Router`) is stateless per event: it evaluates the predicates and extracts keys.
//! Stage 2 (shards) sees observations only: fixed-size records with fingerprints, and the key's
//! text beside them for the rare one that alerts. In one process the exchange is a channel.

mod once;
pub mod routed;
mod text;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::text::{as_number, write_behind};
use self::text::{trim_part, write_value};
use crate::engine::detector::predicate::Predicate;
use crate::engine::program::{Program, Read, Slot, TextLayout};
use crate::engine::window::order;
use crate::model::field::{self, CONTAINMENT_ACTION};
use crate::model::{Event, Fingerprint, Value};

pub use routed::{Mark, Routed};

/// Separates the parts of a key's text; cannot occur in a part.
pub const SEPARATOR: u8 = 0x1f;
/// Different values one rule may read.
pub const VALUES_MAX: usize = 4;
/// How many of them an observation carries; the others stand behind its text, so that only rules that
/// read so many pay for them.
pub const VALUES_INLINE: usize = 2;

/// Where an event came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// Index into the engine's list of source names.
    pub source: u16,
    pub partition: i32,
    pub offset: i64,
}

/// One event as one rule sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    pub time: i64,
    /// Fingerprint of the group key.
    pub key: u64,
    /// Fingerprints (or the bits of numbers) of the rule's first value fields; see `values_of` and `own_id`.
    pub values: [u64; VALUES_INLINE],
    pub origin: Origin,
    /// The key's text and what is carried along: a range of the packet's `text`.
    pub start: u32,
    pub len: u16,
    pub rule: u16,
    pub input: u8,
    /// Bit i: value i is present. The highest bits: see `is_followed`, `is_claim` and `is_again`.
    pub present: u8,
    /// Fingerprint of the event itself, to tell two steps served by one event.
    pub event: u32,
}

/// Bits of `Observation::present`.
const FOLLOWED: u8 = 1 << 7;
const CLAIM: u8 = 1 << 6;
const AGAIN: u8 = 1 << 5;

impl Observation {
    /// Another observation of the same event follows for the same rule and key: numbers that are
    /// compared are not whole before it.
    #[must_use]
    pub const fn is_followed(&self) -> bool {
        self.present & FOLLOWED != 0
    }

    /// Another observation of the same event stands before it, for the same rule and key: what counts
    /// events has counted it.
    #[must_use]
    pub const fn is_again(&self) -> bool {
        self.present & AGAIN != 0
    }

    /// Marks it as one of an event that was counted.
    #[must_use]
    pub const fn again(self) -> Self {
        Self {
            present: self.present | AGAIN,
            ..self
        }
    }

    /// The same observation, followed by another one or not.
    #[must_use]
    pub const fn followed(self, by_another: bool) -> Self {
        let present = self.present & !FOLLOWED | if by_another { FOLLOWED } else { 0 };
        Self { present, ..self }
    }

    /// Of an observation for a plain detection, which reads no values: what tells the event from all others, the
    /// same whenever it is read and whatever comes between. Observations of before form 5 of the state that wait
    /// in it have less.
    #[must_use]
    pub fn own_id(&self) -> u64 {
        let id = match self.values {
            [0, ..] => u64::from(self.event),
            [id, ..] => id,
        };
        // A log that was made anew has the places of the one before.
        self.time.cast_unsigned().rotate_left(32) ^ id
    }

    /// Its values, of which so many stand behind the text.
    #[must_use]
    pub fn values_of(&self, behind: usize, text: &[u8]) -> [Option<u64>; VALUES_MAX] {
        let mut values = [None; VALUES_MAX];
        let (inline, rest) = values.split_at_mut(VALUES_INLINE);
        for (i, (place, value)) in inline.iter_mut().zip(self.values).enumerate() {
            *place = (self.present & (1 << i) != 0).then_some(value);
        }
        let places = rest.iter_mut().take(behind).rev();
        for (place, part) in places.zip(text.rsplit(|b| *b == SEPARATOR)) {
            let part = std::str::from_utf8(part).ok();
            *place = part.and_then(|hex| u64::from_str_radix(hex, 16).ok());
        }
        values
    }

    /// Its text among those of its packet.
    #[must_use]
    pub fn text_in<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        all.get(start..start + usize::from(self.len))
            .unwrap_or_default()
    }

    /// No event: a narrower group has fired and takes what it brought out of its wider ones
    /// (`roll-up`). `input` then says how many groups are narrower still.
    #[must_use]
    pub const fn is_claim(&self) -> bool {
        self.present & CLAIM != 0
    }

    /// The claim of a group with so many narrower ones that this observation made fire.
    #[must_use]
    pub const fn claim(self, narrower: u8) -> Self {
        Self {
            present: CLAIM,
            input: narrower,
            values: [0; VALUES_INLINE],
            ..self
        }
    }
}

/// What a shard gets: observations in order, and how far event time has come.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    pub observations: Vec<Observation>,
    pub text: Vec<u8>,
    pub progress: Progress,
}

/// How far event time has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// No observation before this time will follow, except late ones.
    pub watermark: i64,
    /// Time has really passed until here: there were events, or the clock went on, or an end was
    /// given. Less than the watermark only at an end of input that settles what is still open.
    pub passed: i64,
}

impl Progress {
    /// Time that has passed as far as the watermark says.
    #[must_use]
    pub const fn at(watermark: i64) -> Self {
        Self {
            watermark,
            passed: watermark,
        }
    }
}

impl Packet {
    /// The text of one of its observations.
    #[must_use]
    pub fn text_of(&self, o: &Observation) -> &[u8] {
        o.text_in(&self.text)
    }

    /// Adds an observation with its text.
    pub fn push(&mut self, mut o: Observation, text: &[u8]) {
        o.start = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        o.len = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.text.extend_from_slice(&text[..usize::from(o.len)]);
        self.observations.push(o);
    }
}

/// Whether our own containment brought the event about: it names an action. What a block makes fail
/// must not feed the rule that blocked, so it feeds only conditions that read the action's name.
#[must_use]
pub fn is_contained(event: &Event) -> bool {
    let is_id = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(event.get(CONTAINMENT_ACTION), Some(Value::Text(text)) if is_id(text))
}

/// Whether a condition is also fed with such events.
#[must_use]
pub fn sees_contained(condition: &Predicate) -> bool {
    condition.fields().contains(&CONTAINMENT_ACTION)
}

/// Stage 1 of one thread: evaluates predicates and extracts keys. Reuses its buffers.
#[derive(Debug)]
pub struct Router {
    program: Arc<Program>,
    /// Per text layout, what this event gives: filled on first use.
    keys: Vec<Option<Key>>,
    /// Which of `keys` are filled.
    used: Vec<usize>,
    /// The predicates this event may meet.
    due: Vec<usize>,
    /// Events of the same record before this one.
    nth: u32,
    scratch: Vec<u8>,
    scratch_value: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Key {
    fingerprint: u64,
    start: u32,
    len: u16,
    /// All group-by fields have a value.
    whole: bool,
}

impl Router {
    #[must_use]
    pub fn new(program: Arc<Program>) -> Self {
        let keys = vec![None; program.layouts.len()];
        Self {
            program,
            keys,
            used: Vec::new(),
            due: Vec::new(),
            nth: 0,
            scratch: Vec::new(),
            scratch_value: Vec::new(),
        }
    }

    /// Appends the event's mark and observations to `out`. `bounded` as in `Mark`.
    pub fn route(&mut self, event: &Event, origin: Origin, bounded: bool, out: &mut Routed) {
        for layout in self.used.drain(..) {
            if let Some(key) = self.keys.get_mut(layout) {
                *key = None;
            }
        }
        let first = out.observations.len();
        let program = Arc::clone(&self.program);
        let id = identity(&program, event, &mut self.scratch);
        let is_first = out.marks.last().is_none_or(|m| m.origin != origin);
        self.nth = if is_first { 0 } else { self.nth + 1 };
        let mut due = std::mem::take(&mut self.due);
        program.due(event, &mut due);
        let contained = is_contained(event);
        out.contained += u64::from(contained);
        for (condition, targets) in due.iter().filter_map(|d| program.dispatch(*d)) {
            if contained && !sees_contained(condition) {
                continue;
            }
            if !condition.matches(event) {
                continue;
            }
            for target in targets {
                let key = self.key(&program, target.layout, event, out);
                if !key.whole {
                    out.count_keyless(target.rule);
                    continue;
                }
                let mut o = Observation {
                    time: event.time.0,
                    key: key.fingerprint,
                    origin,
                    start: key.start,
                    len: key.len,
                    rule: target.rule,
                    input: target.input,
                    event: serial(id, origin),
                    ..Observation::default()
                };
                self.values(&program, &target.slots, event, &mut o);
                if program.tells_each(target.rule) {
                    o.values = [self.own_id(&program, id, origin), 0];
                }
                out.observations.push(o);
            }
        }
        self.due = due;
        once::order(&program, &mut out.observations, first);
        out.marks.push(Mark {
            time: event.time.0,
            id,
            origin,
            observations: u16::try_from(out.observations.len() - first).unwrap_or(u16::MAX),
            bounded,
        });
    }

    /// What `Observation::own_id` is made of: the event's identity or, if it has none, its place in the log.
    fn own_id(&mut self, program: &Program, id: u64, origin: Origin) -> u64 {
        if id != 0 {
            return id;
        }
        let Origin {
            source,
            partition,
            offset,
        } = origin;
        let names = &program.settings.sources;
        let name = names.get(usize::from(source)).map_or("", String::as_str);
        self.scratch.clear();
        self.scratch.extend_from_slice(name.as_bytes());
        self.scratch.push(SEPARATOR);
        self.scratch.extend_from_slice(&partition.to_le_bytes());
        self.scratch.extend_from_slice(&offset.to_le_bytes());
        self.scratch.extend_from_slice(&self.nth.to_le_bytes());
        let Fingerprint(place) = program.key.fingerprint(&self.scratch);
        place.max(1)
    }

    fn key(&mut self, program: &Program, layout: usize, event: &Event, out: &mut Routed) -> Key {
        if let Some(Some(key)) = self.keys.get(layout) {
            return *key;
        }
        let found = program.layouts.get(layout);
        let key = found.map(|l| self.extract(program, l, event, &mut out.text));
        let key = key.unwrap_or_default();
        if let Some(place) = self.keys.get_mut(layout) {
            *place = Some(key);
            self.used.push(layout);
        }
        key
    }

    fn extract(
        &mut self,
        program: &Program,
        layout: &TextLayout,
        event: &Event,
        text: &mut Vec<u8>,
    ) -> Key {
        let start = text.len();
        let mut whole = true;
        self.scratch.clear();
        for (i, field) in layout.fields.iter().enumerate() {
            if i > 0 {
                text.push(SEPARATOR);
            }
            let is_key = i < layout.keys;
            let value = event.get(*field).filter(|v| *v != Value::Null);
            whole &= value.is_some() || !is_key;
            if is_key {
                write_value(value, &mut self.scratch);
                self.scratch.push(SEPARATOR);
            }
            let from = text.len();
            write_value(value, text);
            trim_part(text, from);
        }
        for slot in &layout.values {
            let value = value(program, slot, event, &mut self.scratch_value);
            write_behind(value, text);
        }
        let fingerprint = program.key.fingerprint(&self.scratch).0;
        Key {
            fingerprint,
            start: u32::try_from(start).unwrap_or(u32::MAX),
            len: u16::try_from(text.len() - start).unwrap_or(u16::MAX),
            whole,
        }
    }

    fn values(&mut self, program: &Program, slots: &[Slot], event: &Event, o: &mut Observation) {
        for (i, slot) in slots.iter().enumerate().take(o.values.len()) {
            if let Some(value) = value(program, slot, event, &mut self.scratch) {
                o.values[i] = value;
                o.present |= 1 << i;
            }
        }
    }
}

/// What a rule reads of an event as one value.
fn value(program: &Program, slot: &Slot, event: &Event, scratch: &mut Vec<u8>) -> Option<u64> {
    scratch.clear();
    for (n, field) in slot.fields.iter().enumerate() {
        let value = event.get(*field).filter(|v| *v != Value::Null)?;
        if slot.read == Read::Number {
            return as_number(value).map(f64::to_bits);
        }
        if n > 0 {
            scratch.push(SEPARATOR);
        }
        write_value(Some(value), scratch);
    }
    Some(match slot.read {
        Read::Place => order::place(&String::from_utf8_lossy(scratch)),
        Read::Identity | Read::Number => program.key.fingerprint(scratch).0,
    })
}

/// What makes an event the same event when it comes again: its id together with what it says, so
/// that one id shared by several facts (an SES send to many recipients) does not fold them.
fn identity(program: &Program, event: &Event, scratch: &mut Vec<u8>) -> u64 {
    let Some(id) = event.text(field::EVENT_ID) else {
        return 0;
    };
    scratch.clear();
    for part in [id, event.kind()] {
        scratch.extend_from_slice(part.as_bytes());
        scratch.push(SEPARATOR);
    }
    scratch.extend_from_slice(&event.time.0.to_le_bytes());
    for f in [field::USER_TARGET_ID, field::USER_EMAIL] {
        write_value(event.get(f), scratch);
        scratch.push(SEPARATOR);
    }
    let Fingerprint(id) = program.key.fingerprint(scratch);
    id.max(1)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a short mark is enough within one key"
)]
fn serial(id: u64, origin: Origin) -> u32 {
    let place = (origin.offset as u64) ^ (u64::from(origin.partition.unsigned_abs()) << 40);
    (if id == 0 {
        place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
    } else {
        id
    }) as u32
}
