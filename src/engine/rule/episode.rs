//! One crossing of a bound and what follows: open, updated as it grows, closed when it is over.
//!
//! Owns the alert's identity. The id depends on detector, version, key and the slot in which the
//! episode began, never on arrival, so a replayed episode has the same id and the same bytes.

use serde::{Deserialize, Serialize};

use super::origins::Origins;
use super::{Bounds, Context, Findings};
use crate::engine::alert::{Alert, DetectorRef, Number, Pairs, Status, Window};
use crate::engine::exchange::{Observation, SEPARATOR};
use crate::engine::window::buckets::Buckets;
use crate::model::ids::Id;
use crate::model::{EventTime, Span};

/// What a rule knows at the moment an alert is written.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub observed: Vec<(String, f64)>,
    pub bound: Bounds,
    pub window: (i64, i64),
    pub error: Option<f64>,
    pub summary: String,
}

/// The state of the latest episode of a key; kept after its end to number the next one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Episode {
    pub open: bool,
    /// Event time of the crossing.
    pub time: i64,
    slot: i64,
    ordinal: u32,
    earlier: Earlier,
    revision: u32,
    pub events: u64,
    pub first: i64,
    pub last: i64,
    /// Until when the bound is known to hold; the end once `below`.
    pub until: i64,
    pub below: bool,
    /// Events at which the next update is due.
    update_at: u64,
    /// Event time at which the alert is told again if it goes on, and how often it was.
    repeat_at: i64,
    repeats: u32,
    /// Detections held back since the last revision.
    held: u64,
    pub peak: f64,
    pub origins: Origins,
    /// Events over the window while it is open, where the rule's own count is cut at its bound.
    pub rate: Option<Box<Buckets>>,
    pub text: Box<[u8]>,
}

/// The grid on which episode starts are told apart: an eighth of the timespan, 1 s to 1 min. Small
/// disorder in arrival leaves the slot, and so the id, as it is.
fn slot_width(timespan: Span) -> i64 {
    (timespan.0 / 8).clamp(1000, SLOT_MAX)
}

/// The widest slot (ms): a key's last episode is remembered at least this long, to number the next.
pub const SLOT_MAX: i64 = 60_000;

/// The number of what has an id in the place of a slot; no key comes to so many in one slot.
const ALONE: u32 = u32::MAX;

/// Slots of a key whose numbers are remembered, the newest. A straggler from before them all, in a slot that
/// had an episode, has that one's id: more than so many others of its key have overtaken it then.
const SLOTS_MAX: usize = 64;

/// The last number given in each slot before the latest episode's, oldest slot first: who comes late
/// begins an episode of its own, and may not have the number of one that was there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Earlier(
    #[expect(
        clippy::box_collection,
        reason = "most keys have none, and there are many keys"
    )]
    Option<Box<Vec<(i64, u32)>>>,
);

impl Earlier {
    /// The number of the episode in `slot` that follows `last`, and what is remembered then.
    fn number(last: &Episode, slot: i64) -> (u32, Self) {
        let before = last.earlier.0.iter().flat_map(|b| b.iter().copied());
        let mut given: Vec<(i64, u32)> = before.chain([(last.slot, last.ordinal)]).collect();
        let same = given.iter().position(|(s, _)| *s == slot);
        let ordinal = same.map_or(0, |i| given.swap_remove(i).1 + 1);
        given.sort_unstable();
        given.drain(..given.len().saturating_sub(SLOTS_MAX));
        let earlier = (!given.is_empty()).then(|| Box::new(given));
        (ordinal, Self(earlier))
    }

    fn heap(&self) -> usize {
        self.0.as_ref().map_or(0, |b| {
            size_of_val(&**b) + b.capacity() * size_of::<(i64, u32)>()
        })
    }
}

impl Episode {
    /// The episode that follows `previous` (if any) on the same key.
    #[must_use]
    pub fn begin(ctx: &Context<'_>, time: i64, text: &[u8], previous: Option<&Self>) -> Self {
        let slot = time.div_euclid(slot_width(ctx.rule.timespan));
        let number = previous.map(|last| Earlier::number(last, slot));
        Self::begin_in(slot, number.unwrap_or_default(), time, text)
    }

    /// The episode that one event is, with an id that no other has: nothing is to be kept together, and those that
    /// come before or overtake it must not matter.
    #[must_use]
    pub fn begin_alone(time: i64, id: u64, text: &[u8]) -> Self {
        Self::begin_in(id.cast_signed(), (ALONE, Earlier::default()), time, text)
    }

    fn begin_in(slot: i64, (ordinal, earlier): (u32, Earlier), time: i64, text: &[u8]) -> Self {
        Self {
            open: true,
            time,
            slot,
            ordinal,
            earlier,
            revision: 0,
            events: 0,
            first: time,
            last: time,
            until: time,
            below: false,
            update_at: u64::MAX,
            repeat_at: i64::MAX,
            repeats: 0,
            held: 0,
            peak: 0.0,
            origins: Origins::default(),
            rate: None,
            text: text.into(),
        }
    }

    fn id(&self, ctx: &Context<'_>) -> Id {
        let key = self
            .text
            .split(|b| *b == SEPARATOR)
            .take(ctx.spec.keys)
            .collect::<Vec<_>>();
        ctx.program.key.digest(&[
            ctx.detector.id.as_bytes(),
            &ctx.detector.version.to_le_bytes(),
            ctx.rule.key_names.join(",").as_bytes(),
            &key.join(&SEPARATOR),
            &self.slot.to_le_bytes(),
            &self.ordinal.to_le_bytes(),
        ])
    }

    /// Writes revision 0 and feeds later rules.
    pub fn announce(&mut self, ctx: &Context<'_>, facts: Facts, out: &mut Findings) {
        out.detections += 1;
        self.update_at = self.events.saturating_mul(2).max(2);
        self.cool_down(ctx);
        self.note_peak(&facts);
        self.write(ctx, facts.window.1, facts, out);
    }

    /// One event more.
    pub fn count(&mut self, o: &Observation) {
        if let Some(rate) = &mut self.rate {
            rate.add(o.time, 1);
        }
        self.events += 1;
        self.last = self.last.max(o.time);
        self.first = self.first.min(o.time);
        self.origins.add(o.origin);
    }

    /// Whether the episode has doubled since its last revision, or goes on for so long that it is to
    /// be told again.
    #[must_use]
    pub const fn update_due(&self) -> bool {
        self.events >= self.update_at || self.last >= self.repeat_at
    }

    /// Counts a detection that is no alert of its own, because this one still holds.
    pub fn hold_back(&mut self, out: &mut Findings) {
        self.held += 1;
        out.suppressed += 1;
    }

    /// From a revision on it is quiet for a time that doubles with each repeat.
    fn cool_down(&mut self, ctx: &Context<'_>) {
        let repeat = ctx.detector.repeat;
        if repeat.first == Span::ZERO {
            return;
        }
        let wait = repeat.first.0.saturating_mul(1 << self.repeats.min(32));
        self.repeat_at = self.last.saturating_add(wait.min(repeat.max.0));
    }

    /// Writes the next revision: the episode goes on.
    pub fn update(&mut self, ctx: &Context<'_>, facts: Facts, out: &mut Findings) {
        self.update_at = self.events.saturating_mul(2);
        self.repeats += u32::from(self.last >= self.repeat_at);
        self.cool_down(ctx);
        self.revision += 1;
        self.note_peak(&facts);
        self.write(ctx, facts.window.1, facts, out);
    }

    /// Writes the last revision: the value has fallen below the bound, and at event time `at` the
    /// hold is over.
    pub fn close(&mut self, ctx: &Context<'_>, at: i64, facts: Facts, out: &mut Findings) {
        self.open = false;
        self.revision += 1;
        self.note_peak(&facts);
        self.write(ctx, at, facts, out);
    }

    fn note_peak(&mut self, facts: &Facts) {
        let named = facts
            .bound
            .first()
            .and_then(|(n, _)| facts.observed.iter().find(|(o, _)| o == n));
        let value = named
            .or_else(|| facts.observed.first())
            .map_or(0.0, |(_, v)| *v);
        self.peak = self.peak.max(value);
    }

    fn write(&mut self, ctx: &Context<'_>, at: i64, facts: Facts, out: &mut Findings) {
        if !ctx.rule.alerts {
            return;
        }
        let detector = ctx.detector;
        let numbers = |list: Vec<(String, f64)>| {
            Pairs(list.into_iter().map(|(n, v)| (n, Number(v))).collect())
        };
        let ops = |list: Vec<(&'static str, f64)>| {
            Pairs(
                list.into_iter()
                    .map(|(op, v)| (op.to_owned(), Number(v)))
                    .collect(),
            )
        };
        let (key, context) = key_and_context(ctx, &self.text);
        let alert = Alert {
            alert_id: self.id(ctx),
            revision: self.revision,
            status: if self.open {
                Status::Open
            } else {
                Status::Closed
            },
            detector: DetectorRef {
                id: detector.id.clone(),
                name: detector.name.clone(),
                version: detector.version,
                level: detector.level,
            },
            time: EventTime(self.time),
            summary: format!("{}: {}{}", detector.title, facts.summary, for_key(&key)),
            key,
            observed: numbers(facts.observed),
            bound: Pairs(facts.bound.into_iter().map(|(n, l)| (n, ops(l))).collect()),
            window: Window {
                start: EventTime(facts.window.0),
                end: EventTime(facts.window.1),
            },
            first: EventTime(self.first),
            last: EventTime(self.last),
            events: self.events,
            error: facts.error,
            mode: detector.mode,
            tags: detector.tags.clone(),
            runbook: detector.runbook.clone(),
            actions: Vec::new(),
            positions: self.origins.positions(&ctx.program.settings.sources),
            peak: Number(self.peak),
            context,
            suppressed: std::mem::take(&mut self.held),
            silenced: None,
        };
        out.alerts.push((at, alert));
    }

    #[must_use]
    pub fn heap(&self) -> usize {
        size_of::<Self>() + self.text.len() + self.origins.heap() + self.earlier.heap()
    }
}

/// Splits a text into the alert's `key` and, for the detector's `fields`, its `context`.
#[must_use]
pub fn key_and_context(ctx: &Context<'_>, text: &[u8]) -> (Pairs<String>, Pairs<String>) {
    let parts = text
        .split(|b| *b == SEPARATOR)
        .map(|p| String::from_utf8_lossy(p).into_owned());
    let named: Vec<(String, String)> = ctx.spec.parts.iter().cloned().zip(parts).collect();
    let (key, carried) = named.split_at(ctx.spec.keys.min(named.len()));
    let shown = |name: &str| {
        ctx.detector
            .fields
            .iter()
            .any(|f| ctx.program.plan.fields.name(*f) == name)
    };
    let context = carried
        .iter()
        .filter(|(n, v)| shown(n) && !v.is_empty())
        .cloned()
        .collect();
    (Pairs(key.to_vec()), Pairs(context))
}

fn for_key(key: &Pairs<String>) -> String {
    let parts: Vec<String> = key.0.iter().map(|(n, v)| format!("{n} {v}")).collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(" for {}", parts.join(", "))
    }
}

/// A number for a sentence: whole ones without a fraction.
#[must_use]
pub fn plain(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}
