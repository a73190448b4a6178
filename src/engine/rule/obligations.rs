//! Steps that must follow one another, each within its time: what was begun and not gone on with.
//!
//! The first step begins a chain; each further one owes the next. Fires at the first deadline that
//! passes without its step, by time passing, and names it; the chain ends there. One event serves one
//! step of one chain, and goes on with one before it begins another. A step that no chain waits for
//! is nobody's (an `absence` with `lookback` finds those).

use serde::{Deserialize, Serialize};

use super::episode::{self, Episode, Facts};
use super::moment::Moment;
use super::temporal::join;
use super::{Bounds, Context, Findings, Probe, Usage};
use crate::engine::detector::plan::{Kind, Rule};
use crate::engine::exchange::{Observation, Origin};
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::{Bounded, Table, Weigh};
use crate::engine::watermark::queue::TimeQueue;
use crate::model::Span;

/// Open chains kept per key; a key that collects more is no longer one thing at a time.
const CHAINS_MAX: usize = 64;

/// A chain that has come to a step and owes the next.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Chain {
    /// The step it waits for.
    next: u8,
    began: i64,
    /// Time of its latest step, and when the next is due.
    latest: i64,
    due: i64,
    /// Event of its latest step: one event serves one step.
    event: u32,
    origin: Origin,
    text: Box<[u8]>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// In the order they began.
    chains: Vec<Chain>,
    newest: i64,
    /// How long after `newest` the entry still matters.
    keep: i64,
    last: Option<Box<Episode>>,
    /// Events of this moment that ended a chain, at most as many as there can be chains. What an
    /// event has left to say comes in the same packet, so no snapshot needs it.
    #[serde(skip)]
    ended: Vec<u32>,
}

impl Weigh for Entry {
    fn dead(&self, watermark: i64) -> bool {
        self.chains.is_empty() && self.newest.saturating_add(self.keep) < watermark
    }
    fn pinned(&self) -> bool {
        false
    }
    fn weight(&self) -> u64 {
        self.chains.len() as u64
    }
    fn heap(&self) -> usize {
        self.chains.capacity() * size_of::<Chain>()
            + self.chains.iter().map(|c| c.text.len()).sum::<usize>()
            + self.ended.capacity() * size_of::<u32>()
            + self.last.as_ref().map_or(0, |e| e.heap())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Obligations {
    table: Table<Entry>,
    deadlines: TimeQueue<u64>,
}

impl Obligations {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
            deadlines: TimeQueue::default(),
        }
    }

    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        let Kind::Obligations { within } = &ctx.rule.kind else {
            return;
        };
        if o.input > 0 && self.table.get(o.key).is_none() {
            return;
        }
        let fresh = || Entry {
            chains: Vec::new(),
            newest: o.time,
            keep: ctx.detector.suppress.0.max(episode::SLOT_MAX),
            last: None,
            ended: Vec::new(),
        };
        let change = |entry: &mut Entry| {
            entry.settle(ctx, o.time, out);
            if o.time > entry.newest {
                entry.newest = o.time;
                entry.ended.clear();
            }
            // Of one event the later steps are seen first, the beginning last.
            if entry.has_served(o.event) {
                None
            } else if o.input == 0 {
                entry.begin(o, within, text, out)
            } else {
                entry.go_on(o, within, text)
            }
        };
        match self.table.update(o.key, ctx.watermark, fresh, change) {
            Some(Some(due)) => self.deadlines.push(due, o.key),
            Some(None) => {}
            None => out.overflow += 1,
        }
    }

    pub fn advance(&mut self, ctx: &Context<'_>, out: &mut Findings) {
        // A step at its deadline is in time.
        while let Some((_, key)) = self.deadlines.pop_until(ctx.watermark - 1) {
            if let Some(entry) = self.table.get_mut(key) {
                entry.settle(ctx, ctx.watermark, out);
            }
        }
    }

    #[must_use]
    pub fn next_wakeup(&self) -> Option<i64> {
        self.deadlines.next()
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        super::usage(&self.table)
    }

    pub fn table(&mut self) -> &mut dyn Bounded {
        &mut self.table
    }

    pub fn parts(&mut self) -> Vec<&mut dyn Changing> {
        vec![&mut self.table, &mut self.deadlines]
    }

    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most CHAINS_MAX")]
    pub fn probe(&self, key: u64) -> Probe {
        let pending = self.table.get(key).map_or(0, |e| e.chains.len());
        Probe {
            numbers: vec![("pending".to_owned(), pending as f64)],
            ..Probe::default()
        }
    }
}

impl Entry {
    /// Whether the event has served a step.
    fn has_served(&self, event: u32) -> bool {
        self.ended.contains(&event) || self.chains.iter().any(|c| c.event == event)
    }

    /// A chain begins; returns when its second step is due.
    fn begin(
        &mut self,
        o: &Observation,
        within: &[Span],
        text: &[u8],
        out: &mut Findings,
    ) -> Option<i64> {
        if self.chains.len() >= CHAINS_MAX {
            out.overflow += 1;
            return None;
        }
        let due = o.time.saturating_add(within.first()?.0);
        self.chains.push(Chain {
            next: 1,
            began: o.time,
            latest: o.time,
            due,
            event: o.event,
            origin: o.origin,
            text: text.into(),
        });
        Some(due)
    }

    /// The oldest chain that waits for this step goes on; returns when its next one is due.
    fn go_on(&mut self, o: &Observation, within: &[Span], text: &[u8]) -> Option<i64> {
        let waits = |c: &Chain| c.next == o.input && c.latest <= o.time;
        let at = self.chains.iter().position(waits)?;
        let Some(next) = within.get(usize::from(o.input)) else {
            self.chains.remove(at);
            if self.ended.len() == CHAINS_MAX {
                self.ended.remove(0);
            }
            self.ended.push(o.event);
            return None;
        };
        let chain = self.chains.get_mut(at)?;
        chain.next += 1;
        (chain.latest, chain.due) = (o.time, o.time.saturating_add(next.0));
        (chain.event, chain.origin) = (o.event, o.origin);
        chain.text = join(&chain.text, text);
        Some(chain.due)
    }

    /// Ends the chains whose deadline is before `time`, in order of their deadlines.
    fn settle(&mut self, ctx: &Context<'_>, time: i64, out: &mut Findings) {
        if self.chains.iter().all(|c| c.due >= time) {
            return;
        }
        let (mut due, rest): (Vec<Chain>, Vec<Chain>) = std::mem::take(&mut self.chains)
            .into_iter()
            .partition(|c| c.due < time);
        self.chains = rest;
        due.sort_by_key(|c| c.due);
        for chain in due {
            let moment = Moment {
                time: chain.due,
                first: chain.began,
                last: chain.latest,
                events: 1,
                text: &chain.text,
                origin: chain.origin,
            };
            let facts = |missed| facts(ctx, &chain, missed);
            moment.tell(ctx, &mut self.last, facts, out);
            self.newest = self.newest.max(chain.due);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn facts(ctx: &Context<'_>, chain: &Chain, missed: u64) -> Facts {
    let name = |i: usize| ctx.rule.inputs.get(i).map_or("a step", |i| i.name.as_str());
    let next = usize::from(chain.next);
    Facts {
        observed: vec![
            ("missed".to_owned(), missed as f64),
            ("step".to_owned(), next as f64 + 1.0),
        ],
        bound: bound(ctx.rule),
        window: (chain.began, chain.due),
        error: None,
        summary: format!(
            "step {} of {}: {} did not follow {} within {}",
            next + 1,
            ctx.rule.inputs.len(),
            name(next),
            name(next - 1),
            Span(chain.due - chain.latest)
        ),
    }
}

/// One missed step is one too many.
#[must_use]
pub fn bound(_rule: &Rule) -> Bounds {
    vec![("missed".to_owned(), vec![("gte", 1.0)])]
}
