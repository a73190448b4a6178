//! `after` was not followed by `expect` with the same key within the timespan.
//!
//! Fires at the deadline by time passing, without any event. An `expect` up to `lookback` before
//! counts too. Rules fed by `settled` hear of every `after` at its deadline, followed or not.

use serde::{Deserialize, Serialize};

use super::episode::{self, Episode, Facts};
use super::moment::Moment;
use super::{Context, Findings, News, Probe, Usage};
use crate::engine::detector::plan::Kind;
use crate::engine::exchange::{Observation, Origin};
use crate::engine::program::Takes;
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::{Bounded, Table, Weigh};
use crate::engine::watermark::queue::TimeQueue;

/// Open `after`s kept per key; a key that collects more is no longer one thing waiting for another.
const PENDING_MAX: usize = 64;
/// Latest `expect`s kept per key, for lookback and stragglers.
const EXPECTS: usize = 4;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    time: i64,
    deadline: i64,
    followed: bool,
    origin: Origin,
    text: Box<[u8]>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Entry {
    pending: Vec<Pending>,
    expects: [i64; EXPECTS],
    newest: i64,
    /// How long after `newest` the entry still matters.
    keep: i64,
    last: Option<Box<Episode>>,
}

impl Weigh for Entry {
    fn dead(&self, watermark: i64) -> bool {
        self.pending.is_empty() && self.newest + self.keep < watermark
    }
    fn pinned(&self) -> bool {
        false
    }
    fn weight(&self) -> u64 {
        self.pending.iter().filter(|p| !p.followed).count() as u64
    }
    fn heap(&self) -> usize {
        self.pending.capacity() * size_of::<Pending>()
            + self.pending.iter().map(|p| p.text.len()).sum::<usize>()
            + self.last.as_ref().map_or(0, |e| e.heap())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Absence {
    table: Table<Entry>,
    deadlines: TimeQueue<u64>,
}

impl Absence {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
            deadlines: TimeQueue::default(),
        }
    }

    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        let Kind::Absence { lookback } = ctx.rule.kind else {
            return;
        };
        let settings = &ctx.program.settings;
        let disorder = if settings.sorted {
            0
        } else {
            settings.lateness.0
        };
        let keep = lookback.0.max(disorder);
        let fresh = || Entry {
            expects: [i64::MIN; EXPECTS],
            newest: o.time,
            keep,
            ..Entry::default()
        };
        let settled = ctx.spec.consumers.iter().any(|c| c.takes == Takes::Settled);
        if o.input == 0 {
            let deadline = o.time.saturating_add(ctx.rule.timespan.0);
            let change = |e: &mut Entry| e.wait(o, deadline, lookback.0, settled, text);
            match self.table.update(o.key, ctx.watermark, fresh, change) {
                Some(Wait::Waiting) => self.deadlines.push(deadline, o.key),
                Some(Wait::Answered) => {}
                Some(Wait::Full) | None => out.overflow += 1,
            }
        } else if keep > 0 || self.table.get(o.key).is_some() {
            let known = self.table.update(o.key, ctx.watermark, fresh, |e| {
                e.answer(o, lookback.0, settled)
            });
            out.overflow += u64::from(known.is_none());
        }
    }

    pub fn advance(&mut self, ctx: &Context<'_>, out: &mut Findings) {
        // An `expect` at the deadline itself still counts, so the watermark must be beyond it.
        while let Some((deadline, key)) = self.deadlines.pop_until(ctx.watermark - 1) {
            let fresh = || Entry {
                expects: [i64::MIN; EXPECTS],
                ..Entry::default()
            };
            if self.table.get(key).is_none() {
                continue;
            }
            let change = |e: &mut Entry| {
                e.settle(ctx, deadline, out);
                e.pending.is_empty() && e.keep == 0 && e.last.is_none()
            };
            if self.table.update(key, ctx.watermark, fresh, change) == Some(true) {
                self.table.remove(key);
            }
        }
    }

    #[must_use]
    pub fn next_wakeup(&self) -> Option<i64> {
        self.deadlines.next()
    }

    pub fn table(&mut self) -> &mut dyn Bounded {
        &mut self.table
    }

    pub fn parts(&mut self) -> Vec<&mut dyn Changing> {
        vec![&mut self.table, &mut self.deadlines]
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        super::usage(&self.table)
    }

    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most PENDING_MAX")]
    pub fn probe(&self, key: u64) -> Probe {
        let pending = self
            .table
            .get(key)
            .map_or(0, |e| e.pending.iter().filter(|p| !p.followed).count());
        Probe {
            numbers: vec![("pending".to_owned(), pending as f64)],
            ..Probe::default()
        }
    }
}

enum Wait {
    Waiting,
    Answered,
    Full,
}

impl Entry {
    fn wait(
        &mut self,
        o: &Observation,
        deadline: i64,
        lookback: i64,
        settled: bool,
        text: &[u8],
    ) -> Wait {
        self.newest = self.newest.max(o.time);
        let from = o.time.saturating_sub(lookback);
        // At equal times order decides: an `expect` seen before this `after` came before it.
        let after = |e: i64| e > o.time && e <= deadline;
        let before = |e: i64| lookback > 0 && e >= from && e <= o.time;
        let followed = self.expects.iter().any(|e| after(*e) || before(*e));
        if followed && !settled {
            return Wait::Answered;
        }
        if self.pending.len() >= PENDING_MAX {
            return Wait::Full;
        }
        self.pending.push(Pending {
            time: o.time,
            deadline,
            followed,
            origin: o.origin,
            text: text.into(),
        });
        Wait::Waiting
    }

    fn answer(&mut self, o: &Observation, lookback: i64, settled: bool) {
        self.newest = self.newest.max(o.time);
        if let Some(oldest) = self.expects.iter_mut().min() {
            *oldest = (*oldest).max(o.time);
        }
        for p in &mut self.pending {
            // A straggler may be the one that came before.
            p.followed |= o.time >= p.time - lookback && o.time <= p.deadline;
        }
        if !settled {
            self.pending.retain(|p| !p.followed);
        }
    }

    fn settle(&mut self, ctx: &Context<'_>, deadline: i64, out: &mut Findings) {
        let (due, rest) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|p| p.deadline <= deadline);
        self.pending = rest;
        for pending in due {
            let Pending {
                time,
                deadline,
                followed,
                origin,
                ref text,
            } = pending;
            out.derive(
                ctx,
                if followed {
                    News::Settled
                } else {
                    News::Begins
                },
                deadline,
                origin,
                text,
            );
            if !followed {
                self.raise(ctx, time, deadline, &pending, out);
            }
        }
    }

    fn raise(
        &mut self,
        ctx: &Context<'_>,
        time: i64,
        deadline: i64,
        pending: &Pending,
        out: &mut Findings,
    ) {
        let moment = Moment {
            time: deadline,
            first: time,
            last: time,
            events: 1,
            text: &pending.text,
            origin: pending.origin,
        };
        let facts = |missed| facts(ctx, missed, time, deadline);
        moment.alert(ctx, &mut self.last, facts, out);
        if self.last.is_some() {
            let hold = ctx.detector.suppress.0.max(episode::SLOT_MAX);
            self.keep = self.keep.max(hold);
            self.newest = self.newest.max(deadline);
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "event counts are far below 2^53"
)]
fn facts(ctx: &Context<'_>, missed: u64, time: i64, deadline: i64) -> Facts {
    let name = |i: usize| {
        ctx.rule
            .inputs
            .get(i)
            .map_or("event", |input| input.name.as_str())
    };
    Facts {
        observed: vec![("absence".to_owned(), missed as f64)],
        bound: vec![("absence".to_owned(), vec![("gte", 1.0)])],
        window: (time, deadline),
        error: None,
        summary: format!(
            "{} was not followed by {} within {}",
            name(0),
            name(1),
            ctx.rule.timespan
        ),
    }
}
