//! The wider groups of a roll-up, for `explain`: what each counts after an event, against its bound,
//! and how much of its window alerts of narrower groups tell of.
//!
//! The engine says what a group counts and whether an event came to it; owned here is only when the
//! events of each group were. Bounded: of more than `GROUPS_MAX` groups at once it is not said what
//! was claimed.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{bound, numbers};
use crate::engine::Engine;
use crate::engine::alert::Alert;
use crate::engine::exchange::{Observation, SEPARATOR};
use crate::engine::program::Program;
use crate::engine::rule::window::claims::EVENTS_MAX;
use crate::engine::rule::{self, Probe};

/// Groups whose events are remembered.
const GROUPS_MAX: usize = 100_000;

/// One wider group of an event.
#[derive(Debug, Serialize)]
pub struct Group {
    /// The field that it is a group by.
    pub by: String,
    /// As in an alert; empty where the event does not have the field.
    pub key: Map<String, Json>,
    pub counter: Map<String, Json>,
    pub bound: Json,
    /// Events of its window that alerts of narrower groups tell of; they are not in the counter.
    pub claimed: Option<u64>,
    pub outcome: &'static str,
}

/// What happened to the event as a whole.
#[derive(Clone, Copy)]
pub struct Happened<'a> {
    pub alerts: &'a [Alert],
    /// Why no window has seen it, if none has.
    pub unseen: Option<&'static str>,
}

/// When the events of a group were that may be in its window still.
struct Times {
    span: i64,
    all: VecDeque<i64>,
    newest: i64,
}

impl Times {
    fn note(&mut self, time: i64) {
        self.newest = self.newest.max(time);
        self.all.push_back(time);
        let from = self.newest - self.span;
        while self.all.front().is_some_and(|t| *t <= from) || self.all.len() > EVENTS_MAX {
            self.all.pop_front();
        }
    }

    fn count(&self) -> u64 {
        let from = self.newest - self.span;
        self.all.iter().filter(|t| **t > from).count() as u64
    }
}

/// See the module's text.
#[derive(Default)]
pub struct Groups(BTreeMap<(u16, u64), Times>);

impl Groups {
    /// The groups around one observation of a roll-up's narrowest rule, narrow to wide; with the
    /// event's further observations of this rule it is asked again.
    pub fn around(
        &mut self,
        engine: &mut Engine,
        (o, text): (&Observation, &[u8]),
        happened: Happened<'_>,
    ) -> Vec<Group> {
        let program = std::sync::Arc::clone(engine.program());
        let detector = program.detector(usize::from(o.rule));
        let (mut groups, mut text) = (Vec::new(), Some(text.to_vec()));
        for (by, below) in detector.roll_up.iter().skip(1).zip(usize::from(o.rule)..) {
            let wider = text.and_then(|text| rule::wider(&program, below, &text));
            let mut group = Group {
                by: by.clone(),
                key: Map::new(),
                counter: Map::new(),
                bound: bound(&program.plan.rules[below + 1]),
                claimed: None,
                outcome: "missing_key",
            };
            if let Some(wider) = &wider {
                group.key = key_of(&program, below + 1, &wider.text);
                let place = (wider.rule, wider.key);
                let unseen = happened.unseen.is_some() || o.is_again();
                let (now, all) = match unseen {
                    false => self.note(place, o.time, program.plan.rules[below + 1].timespan.0),
                    true => (o.time, self.0.get(&place).map(Times::count)),
                };
                let probe = engine.probe(below + 1, wider.key, now);
                let counted = probe.events.unwrap_or(0);
                group.claimed = all.map(|all| all.saturating_sub(counted));
                let came = came(engine, o, place);
                group.outcome = outcome(&group.key, &detector.id, &probe, came, happened);
                group.counter = numbers(probe.numbers);
            }
            groups.push(group);
            text = wider.map(|w| w.text);
        }
        groups
    }

    /// Notes an event of a group; returns the time of its newest one, and how many its window has.
    fn note(&mut self, place: (u16, u64), time: i64, span: i64) -> (i64, Option<u64>) {
        if self.0.len() >= GROUPS_MAX && !self.0.contains_key(&place) {
            self.0.retain(|_, times| times.newest > time - times.span);
            if self.0.len() >= GROUPS_MAX {
                return (time, None);
            }
        }
        let times = self.0.entry(place).or_insert_with(|| Times {
            span,
            all: VecDeque::new(),
            newest: time,
        });
        times.note(time);
        (times.newest, Some(times.count()))
    }
}

/// The key of a rule's observation, as an alert shows it.
pub fn key_of(program: &Program, rule: usize, text: &[u8]) -> Map<String, Json> {
    let spec = &program.specs[rule];
    let parts = text.split(|b| *b == SEPARATOR);
    let parts = parts.map(|p| Json::from(String::from_utf8_lossy(p)));
    let named = spec.parts.iter().cloned().zip(parts);
    named.take(spec.keys).collect()
}

/// Whether no narrower group kept the event from this one.
fn came(engine: &Engine, o: &Observation, place: (u16, u64)) -> bool {
    let same = |fed: &Observation| {
        (fed.rule, fed.key) == place && (fed.event, fed.input) == (o.event, o.input)
    };
    engine.fed().any(|(fed, _)| same(fed) && !fed.is_claim())
}

fn outcome(
    key: &Map<String, Json>,
    detector: &str,
    probe: &Probe,
    came: bool,
    happened: Happened<'_>,
) -> &'static str {
    let of_group = |a: &&Alert| {
        let mut own = a.key.0.iter().map(|(name, value)| (name, value.as_str()));
        a.detector.id == detector
            && a.key.0.len() == key.len()
            && own.all(|(name, value)| key.get(name).and_then(Json::as_str) == Some(value))
    };
    let alert = happened.alerts.iter().filter(of_group).map(|a| a.revision);
    match (alert.min(), happened.unseen) {
        (Some(0), _) => "alerted",
        (Some(_), _) => "updated",
        (None, Some(unseen)) => unseen,
        (None, None) if !came => "told_by_narrower",
        (None, None) if probe.open => "suppressed",
        (None, None) => "below_bound",
    }
}
