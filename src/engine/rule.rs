//! The rule kinds, one file each: observations in, detections out.
//!
//! A rule kind owns its keyed state and nothing else. It is told the time, never asks for it, and
//! speaks through `Findings`: alerts for people, detections for the rules it feeds.

pub mod absence;
pub mod each;
pub mod episode;
pub mod moment;
pub mod new_value;
pub mod obligations;
pub mod origins;
pub mod quiet;
pub mod score;
pub mod share;
pub mod spike;
pub mod temporal;
pub mod window;

use serde::{Deserialize, Serialize};

use crate::engine::alert::Alert;
use crate::engine::detector::plan::{Detector, From, Kind, Rule};
use crate::engine::exchange::{
    Observation, Origin, Packet, SEPARATOR, VALUES_INLINE, write_behind,
};
use crate::engine::program::{Consumer, Program, Read, Spec, Takes};
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::Bounded;
use crate::engine::window::order;

/// What a rule sees of the world while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub program: &'a Program,
    pub rule: &'a Rule,
    pub spec: &'a Spec,
    pub detector: &'a Detector,
    /// Index of the rule in the plan.
    pub index: usize,
    pub watermark: i64,
    /// As `Progress::passed`.
    pub passed: i64,
}

/// What rules have found in one packet.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Each with the event time at which it is told.
    pub alerts: Vec<(i64, Alert)>,
    /// Observations for rules that are fed by detections; they go through the exchange again.
    pub derived: Packet,
    /// Detections (episodes opened) of any rule, also of those that only serve others.
    pub detections: u64,
    /// Crossings that an open hold kept from becoming an alert of their own.
    pub suppressed: u64,
    /// Keys or steps dropped at a documented bound.
    pub overflow: u64,
}

/// A detection as later rules see it.
#[derive(Clone, Copy, Debug)]
struct Detected<'a> {
    time: i64,
    text: &'a [u8],
    origin: Origin,
}

/// What is told of a detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It was made: a bound was crossed.
    Begins,
    /// It was made before, and what it says holds still.
    Holds,
    /// One that was pending is settled without being made.
    Settled,
}

impl Findings {
    /// Feeds news of a detection to the rules that build on this one: its event time, the event it stands
    /// on, and its text.
    pub fn derive(
        &mut self,
        ctx: &Context<'_>,
        news: News,
        time: i64,
        origin: Origin,
        text: &[u8],
    ) {
        let detected = Detected { time, text, origin };
        for consumer in &ctx.spec.consumers {
            let takes = match consumer.takes {
                Takes::Detections => news == News::Begins,
                Takes::Presence => news != News::Settled,
                Takes::Settled => news != News::Holds,
                Takes::Rest => false,
            };
            if takes && let Some((o, text)) = observe_detection(ctx, consumer, &detected) {
                self.derived.push(o, &text);
            }
        }
    }

    /// Tells the rules that build on this one that what it says holds still, as an event shows; or, if it
    /// had fallen below its bound, that it holds again: a hold is for people, not for them.
    pub fn goes_on(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], again: bool) {
        let news = if again { News::Begins } else { News::Holds };
        self.derive(ctx, news, o.time, o.origin, text);
    }

    /// Gives an observation, or a claim, to the wider group of its rule (`roll-up`), as it is.
    pub fn pass_on(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8]) {
        if let Some(Wider { rule, key, text }) = wider(ctx.program, ctx.index, text) {
            self.derived.push(Observation { key, rule, ..*o }, &text);
        }
    }
}

/// Where an observation goes on to that no alert of its group tells of (`roll-up`).
#[derive(Clone, Debug)]
pub struct Wider {
    pub rule: u16,
    pub key: u64,
    pub text: Vec<u8>,
}

/// The next wider group of an observation of `rule` with this text; `None` behind the widest, and
/// where the event does not have the group's field.
#[must_use]
pub fn wider(program: &Program, rule: usize, text: &[u8]) -> Option<Wider> {
    let spec = program.specs.get(rule)?;
    let consumer = spec.consumers.iter().find(|c| c.takes == Takes::Rest)?;
    let parts: Vec<&[u8]> = text.split(|b| *b == SEPARATOR).collect();
    let (key, mut text) = regroup(program, consumer, &parts)?;
    let behind = spec.slots.len().saturating_sub(VALUES_INLINE);
    for value in parts.iter().skip(parts.len().saturating_sub(behind)) {
        text.push(SEPARATOR);
        text.extend_from_slice(value);
    }
    let rule = consumer.rule;
    Some(Wider { rule, key, text })
}

/// The key and text of a consumer, from the parts of what feeds it; `None` where a part of the key
/// is missing.
fn regroup(program: &Program, consumer: &Consumer, parts: &[&[u8]]) -> Option<(u64, Vec<u8>)> {
    let keys = program.specs.get(usize::from(consumer.rule))?.keys;
    let (mut text, mut key) = (Vec::new(), Vec::new());
    for (i, at) in consumer.parts.iter().enumerate() {
        let value = at.and_then(|i| parts.get(i)).copied().unwrap_or_default();
        if i < keys {
            if value.is_empty() {
                return None;
            }
            key.extend_from_slice(value);
            key.push(SEPARATOR);
        }
        if i > 0 {
            text.push(SEPARATOR);
        }
        text.extend_from_slice(value);
    }
    Some((program.key.fingerprint(&key).0, text))
}

fn observe_detection(
    ctx: &Context<'_>,
    consumer: &Consumer,
    detected: &Detected<'_>,
) -> Option<(Observation, Vec<u8>)> {
    let parts: Vec<&[u8]> = detected.text.split(|b| *b == SEPARATOR).collect();
    let (key, mut text) = regroup(ctx.program, consumer, &parts)?;
    let mut o = Observation {
        time: detected.time,
        key,
        origin: detected.origin,
        rule: consumer.rule,
        input: consumer.input,
        event: serial(ctx, detected),
        ..Observation::default()
    };
    for (i, (at, read)) in consumer.slots.iter().enumerate() {
        let value = value_of(ctx, &parts, at, *read);
        match o.values.get_mut(i) {
            None => write_behind(value, &mut text),
            Some(place) => {
                *place = value.unwrap_or_default();
                o.present |= u8::from(value.is_some()) << i;
            }
        }
    }
    Some((o, text))
}

/// One value of a detection, as `Router` reads it from an event.
fn value_of(ctx: &Context<'_>, parts: &[&[u8]], at: &[Option<usize>], read: Read) -> Option<u64> {
    let part = |i: &Option<usize>| i.and_then(|i| parts.get(i)).copied().unwrap_or_default();
    let values: Vec<&[u8]> = at.iter().map(part).collect();
    if values.iter().any(|v| v.is_empty()) {
        return None;
    }
    let value = values.join(&SEPARATOR);
    Some(match read {
        Read::Number => std::str::from_utf8(&value)
            .ok()?
            .parse::<f64>()
            .ok()?
            .to_bits(),
        Read::Place => order::place(&String::from_utf8_lossy(&value)),
        Read::Identity => ctx.program.key.fingerprint(&value).0,
    })
}

/// Tells one detection from another, as one event is told from another: by its rule, key and time.
/// Without it no two detections could serve two steps of one sequence.
fn serial(ctx: &Context<'_>, detected: &Detected<'_>) -> u32 {
    let mut parts = (ctx.rule.detector as u64).to_le_bytes().to_vec();
    parts.extend_from_slice(&detected.time.to_le_bytes());
    parts.extend_from_slice(detected.text);
    (ctx.program.key.fingerprint(&parts).0 >> 32) as u32
}

/// The running state of one rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum State {
    Each(each::Each),
    Window(Box<window::WindowRule>),
    Temporal(temporal::Temporal),
    Absence(absence::Absence),
    Share(share::Shares),
    Spike(spike::SpikeRule),
    NewValue(new_value::NewValues),
    Score(score::Scores),
    Quiet(quiet::Quiets),
    Obligations(obligations::Obligations),
    Wider(Box<window::WindowRule<window::claims::Log>>),
}

/// Keys, bytes and evictions of a rule's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub keys: u64,
    pub bytes: u64,
    pub evicted: u64,
    pub refused: u64,
    /// Crossings held back by an open hold, since the start.
    pub suppressed: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, more: &Self) {
        self.keys += more.keys;
        self.bytes += more.bytes;
        self.evicted += more.evicted;
        self.refused += more.refused;
        self.suppressed += more.suppressed;
    }
}

impl State {
    /// Fresh state for a rule with `bytes_max` to spend.
    #[must_use]
    pub fn new(rule: &Rule, bytes_max: usize) -> Self {
        if matches!(rule.inputs.first().map(|i| i.from), Some(From::Rest(_))) {
            return Self::Wider(Box::new(window::WindowRule::new(rule, bytes_max)));
        }
        match &rule.kind {
            Kind::Each => Self::Each(each::Each::new(bytes_max)),
            Kind::Window { .. } | Kind::Ratio { .. } => {
                Self::Window(Box::new(window::WindowRule::new(rule, bytes_max)))
            }
            Kind::Temporal { .. } => Self::Temporal(temporal::Temporal::new(bytes_max)),
            Kind::Absence { .. } => Self::Absence(absence::Absence::new(bytes_max)),
            Kind::Share(_) => Self::Share(share::Shares::new(bytes_max)),
            Kind::Spike(_) => Self::Spike(spike::SpikeRule::new(bytes_max)),
            Kind::NewValue(_) => Self::NewValue(new_value::NewValues::new(bytes_max)),
            Kind::Score(_) => Self::Score(score::Scores::new(bytes_max)),
            Kind::Quiet(_) => Self::Quiet(quiet::Quiets::new(bytes_max)),
            Kind::Obligations { .. } => Self::Obligations(obligations::Obligations::new(bytes_max)),
        }
    }

    /// Takes in one observation.
    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        match self {
            Self::Each(state) => state.observe(ctx, o, text, out),
            Self::Window(state) => state.observe(ctx, o, text, out),
            Self::Wider(state) => state.observe(ctx, o, text, out),
            Self::Temporal(state) => state.observe(ctx, o, text, out),
            Self::Absence(state) => state.observe(ctx, o, text, out),
            Self::Share(state) => state.observe(ctx, o, text, out),
            Self::Spike(state) => state.observe(ctx, o, text, out),
            Self::NewValue(state) => state.observe(ctx, o, text, out),
            Self::Score(state) => state.observe(ctx, o, text, out),
            Self::Quiet(state) => state.observe(ctx, o, text, out),
            Self::Obligations(state) => state.observe(ctx, o, text, out),
        }
    }

    /// Event time has come to `ctx.watermark`: deadlines pass, episodes end.
    pub fn advance(&mut self, ctx: &Context<'_>, out: &mut Findings) {
        match self {
            Self::Each(_) | Self::Temporal(_) | Self::NewValue(_) => {}
            Self::Window(state) => state.advance(ctx, out),
            Self::Wider(state) => state.advance(ctx, out),
            Self::Absence(state) => state.advance(ctx, out),
            Self::Share(state) => state.advance(ctx, out),
            Self::Spike(state) => state.advance(ctx, out),
            Self::Score(state) => state.advance(ctx, out),
            Self::Quiet(state) => state.advance(ctx, out),
            Self::Obligations(state) => state.advance(ctx, out),
        }
    }

    /// The event time at which `advance` next has something to do.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<i64> {
        match self {
            Self::Each(_) | Self::Temporal(_) | Self::NewValue(_) => None,
            Self::Window(state) => state.next_wakeup(),
            Self::Wider(state) => state.next_wakeup(),
            Self::Absence(state) => state.next_wakeup(),
            Self::Share(state) => state.next_wakeup(),
            Self::Spike(state) => state.next_wakeup(),
            Self::Score(state) => state.next_wakeup(),
            Self::Quiet(state) => state.next_wakeup(),
            Self::Obligations(state) => state.next_wakeup(),
        }
    }

    /// The keyed state, to see and set its bound of memory.
    pub fn table(&mut self) -> &mut dyn Bounded {
        match self {
            Self::Each(state) => state.table(),
            Self::Window(state) => state.table(),
            Self::Wider(state) => state.table(),
            Self::Temporal(state) => state.table(),
            Self::Absence(state) => state.table(),
            Self::Share(state) => state.table(),
            Self::Spike(state) => state.table(),
            Self::NewValue(state) => state.table(),
            Self::Score(state) => state.table(),
            Self::Quiet(state) => state.table(),
            Self::Obligations(state) => state.table(),
        }
    }

    /// All that it is made of, each part of which knows what has changed in it.
    pub fn parts(&mut self) -> Vec<&mut dyn Changing> {
        match self {
            Self::Each(state) => state.parts(),
            Self::Window(state) => state.parts(),
            Self::Wider(state) => state.parts(),
            Self::Temporal(state) => state.parts(),
            Self::Absence(state) => state.parts(),
            Self::Share(state) => state.parts(),
            Self::Spike(state) => state.parts(),
            Self::NewValue(state) => state.parts(),
            Self::Score(state) => state.parts(),
            Self::Quiet(state) => state.parts(),
            Self::Obligations(state) => state.parts(),
        }
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        match self {
            Self::Each(state) => state.usage(),
            Self::Window(state) => state.usage(),
            Self::Wider(state) => state.usage(),
            Self::Temporal(state) => state.usage(),
            Self::Absence(state) => state.usage(),
            Self::Share(state) => state.usage(),
            Self::Spike(state) => state.usage(),
            Self::NewValue(state) => state.usage(),
            Self::Score(state) => state.usage(),
            Self::Quiet(state) => state.usage(),
            Self::Obligations(state) => state.usage(),
        }
    }

    /// The numbers of one key at event time `now`, for `explain`.
    #[must_use]
    pub fn probe(&self, rule: &Rule, key: u64, now: i64) -> Probe {
        match self {
            Self::Window(state) => state.probe(rule, key, now),
            Self::Wider(state) => state.probe(rule, key, now),
            Self::Temporal(state) => state.probe(key),
            Self::Absence(state) => state.probe(key),
            Self::Share(state) => state.probe(key),
            Self::Spike(state) => state.probe(key),
            Self::NewValue(state) => state.probe(key),
            Self::Score(state) => state.probe(rule, key),
            Self::Quiet(state) => state.probe(key),
            Self::Obligations(state) => state.probe(key),
            Self::Each(_) => Probe::default(),
        }
    }
}

/// What a rule knows of one key.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    pub numbers: Vec<(String, f64)>,
    /// An episode is open: what comes now belongs to an alert already told.
    pub open: bool,
    /// Of a wider group (`roll-up`): the events it counts, which no narrower one tells of.
    pub events: Option<u64>,
}

/// Bounds by the names of the numbers they are on.
pub type Bounds = Vec<(String, Vec<(&'static str, f64)>)>;

/// The bounds of a rule as alerts and `explain` show them; empty where they follow from its past.
#[must_use]
pub fn bounds(rule: &Rule) -> Bounds {
    match &rule.kind {
        Kind::Window { .. } | Kind::Ratio { .. } => window::measure::Measure::new(rule).bound(None),
        Kind::Share(share) => share::bounds(share),
        Kind::NewValue(new) => new_value::bound(new),
        Kind::Score(score) => score::bound(score),
        Kind::Quiet(_) => quiet::bound(rule),
        Kind::Obligations { .. } => obligations::bound(rule),
        Kind::Each | Kind::Temporal { .. } | Kind::Absence { .. } | Kind::Spike(_) => Vec::new(),
    }
}

fn usage<E: crate::engine::table::Weigh>(table: &crate::engine::table::Table<E>) -> Usage {
    Usage {
        keys: table.len() as u64,
        bytes: table.bytes() as u64,
        evicted: table.evicted,
        refused: table.refused,
        suppressed: 0,
    }
}

#[cfg(test)]
pub(crate) mod tests;
