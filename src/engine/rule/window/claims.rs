//! What a wider group of a roll-up remembers of its narrower ones, so that they can claim it.
//!
//! Owns the newest events of one group with the narrower groups they came through. When one of those
//! fires, what it brought leaves the wider group as if it had never been there. A plain window
//! remembers nothing and pays nothing. Bound: `EVENTS_MAX` per group; older events still count, and
//! are lost with the first claim after them.

use std::collections::VecDeque;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::measure::{Measure, Stores};
use crate::engine::exchange::{Observation, SEPARATOR, VALUES_MAX};
use crate::engine::rule::Context;

/// Events one wider group remembers.
pub const EVENTS_MAX: usize = 4096;
/// Groups that may be narrower than the widest.
const NARROWER_MAX: usize = 2;

type Values = [Option<u64>; VALUES_MAX];

/// What an entry of a window remembers beside its numbers.
pub trait Memory: Clone + Debug + Default {
    /// It belongs to a wider group: it looks at each moment as a whole, and claims reach it.
    const WIDER: bool;

    /// Notes an event; false if an older one of the window had to leave for it.
    fn note(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], values: &Values) -> bool;

    /// Takes out what the claiming group brought; says how much that was.
    fn yield_to(&mut self, ctx: &Context<'_>, claim: &Observation, text: &[u8]) -> usize;

    /// The time of the newest event that is left.
    fn newest(&self) -> Option<i64>;

    /// How many are left of those after `from`; `None` where nothing is remembered.
    fn events(&self, from: i64) -> Option<u64>;

    /// The numbers of what is left.
    fn recount(&self, measure: &Measure, span: i64) -> Stores;

    /// Bytes on the heap.
    fn heap(&self) -> usize;
}

impl Memory for () {
    const WIDER: bool = false;

    fn note(&mut self, _: &Context<'_>, _: &Observation, _: &[u8], _: &Values) -> bool {
        true
    }

    fn yield_to(&mut self, _: &Context<'_>, _: &Observation, _: &[u8]) -> usize {
        0
    }

    fn newest(&self) -> Option<i64> {
        None
    }

    fn events(&self, _: i64) -> Option<u64> {
        None
    }

    fn recount(&self, measure: &Measure, span: i64) -> Stores {
        measure.fresh(span)
    }

    fn heap(&self) -> usize {
        0
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Event {
    time: i64,
    /// The narrower groups it came through, as fingerprints.
    through: [u64; NARROWER_MAX],
    values: Values,
    /// With `AGAIN` where the event was counted by another input.
    input: u8,
}

const AGAIN: u8 = 1 << 7;

impl Event {
    const fn is_again(&self) -> bool {
        self.input & AGAIN != 0
    }
}

/// See the module's text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Log(VecDeque<Event>);

impl Memory for Log {
    const WIDER: bool = true;

    fn note(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], values: &Values) -> bool {
        let passed = o.time - ctx.rule.timespan.0;
        while self.0.front().is_some_and(|e| e.time <= passed) {
            self.0.pop_front();
        }
        let full = self.0.len() == EVENTS_MAX;
        if full {
            self.0.pop_front();
        }
        let mut through = [0; NARROWER_MAX];
        for (level, place) in through.iter_mut().enumerate() {
            *place = group(ctx, level, text).unwrap_or(0);
        }
        self.0.push_back(Event {
            time: o.time,
            through,
            values: *values,
            input: o.input | if o.is_again() { AGAIN } else { 0 },
        });
        !full
    }

    fn yield_to(&mut self, ctx: &Context<'_>, claim: &Observation, text: &[u8]) -> usize {
        let level = usize::from(claim.input);
        let (before, by) = (self.0.len(), group(ctx, level, text));
        let mut again = 0;
        if by.is_some() {
            self.0.retain(|e| {
                let stays = e.through.get(level).copied() != by;
                again += usize::from(!stays && e.is_again());
                stays
            });
        }
        before - self.0.len() - again
    }

    fn newest(&self) -> Option<i64> {
        self.0.iter().map(|e| e.time).max()
    }

    fn events(&self, from: i64) -> Option<u64> {
        let counted = |e: &&Event| e.time > from && !e.is_again();
        Some(self.0.iter().filter(counted).count() as u64)
    }

    fn recount(&self, measure: &Measure, span: i64) -> Stores {
        let mut stores = measure.fresh(span);
        for event in &self.0 {
            let o = Observation {
                time: event.time,
                input: event.input & !AGAIN,
                ..Observation::default()
            };
            let o = if event.is_again() { o.again() } else { o };
            measure.insert(&mut stores, &o, &event.values, span);
        }
        stores
    }

    fn heap(&self) -> usize {
        self.0.capacity() * size_of::<Event>()
    }
}

/// The narrower group of this level that a text names, as a fingerprint.
fn group(ctx: &Context<'_>, level: usize, text: &[u8]) -> Option<u64> {
    let at = *ctx.spec.narrower.get(level)?;
    let part = text.split(|b| *b == SEPARATOR).nth(at)?;
    Some(ctx.program.key.fingerprint(part).0)
}
