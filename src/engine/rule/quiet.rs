//! An expected stream fell silent: a key that used to come, and then gave nothing for the timespan.
//!
//! Fires at the deadline by time passing, on evidence that time did pass: other events, the clock at
//! the end of a live log, or an end that was given. The mere end of a replay is no silence. One
//! episode lasts until the key's next event.

use serde::{Deserialize, Serialize};

use super::episode::{self, Episode, Facts};
use super::{Bounds, Context, Findings, News, Probe, Usage};
use crate::engine::detector::plan::{Kind, Quiet, Rule};
use crate::engine::exchange::{Observation, Origin};
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::{Bounded, Table, Weigh};
use crate::engine::watermark::queue::TimeQueue;
use crate::engine::window::stamps::Stamps;
use crate::model::Span;

const NEVER: i64 = i64::MAX;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// The latest events, as many as it takes to be expected.
    stamps: Stamps,
    newest: i64,
    /// How long after `newest` the entry still matters.
    keep: i64,
    /// Events since the key was first seen, or since it was last silent.
    seen: u32,
    /// When the key is to be looked at; other timers of it are stale.
    timer: i64,
    origin: Origin,
    text: Box<[u8]>,
    episode: Option<Box<Episode>>,
}

impl Weigh for Entry {
    fn dead(&self, watermark: i64) -> bool {
        // A silence that is still to be told, or to be ended, is not over.
        self.timer == NEVER && self.is_forgotten(watermark)
    }
    /// Not even while it is silent: what never comes again must not hold its place for ever.
    fn pinned(&self) -> bool {
        false
    }
    fn weight(&self) -> u64 {
        u64::from(self.seen)
    }
    fn heap(&self) -> usize {
        self.stamps.heap() + self.text.len() + self.episode.as_ref().map_or(0, |e| e.heap())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quiets {
    table: Table<Entry>,
    timers: TimeQueue<u64>,
}

impl Quiets {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
            timers: TimeQueue::default(),
        }
    }

    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        let Kind::Quiet(rule) = ctx.rule.kind else {
            return;
        };
        let span = ctx.rule.timespan.0;
        let fresh = || Entry {
            stamps: Stamps::default(),
            newest: o.time,
            keep: span
                .max(rule.warmup.0)
                .max(ctx.detector.suppress.0)
                .max(episode::SLOT_MAX),
            seen: 0,
            timer: NEVER,
            origin: o.origin,
            text: text.into(),
            episode: None,
        };
        let change = |entry: &mut Entry| {
            entry.settle(ctx, rule, o.time, out);
            // Whether its timers have run by now depends on how the input was cut.
            if entry.is_forgotten(o.time) {
                *entry = fresh();
            }
            entry.hear(ctx, rule, o, text, out);
            entry.schedule(ctx, rule)
        };
        match self.table.update(o.key, ctx.watermark, fresh, change) {
            Some(Some(wake)) => self.timers.push(wake, o.key),
            Some(None) => {}
            None => out.overflow += 1,
        }
    }

    pub fn advance(&mut self, ctx: &Context<'_>, out: &mut Findings) {
        let Kind::Quiet(rule) = ctx.rule.kind else {
            return;
        };
        // An event at the deadline itself still breaks the silence.
        while let Some((time, key)) = self.timers.pop_until(ctx.passed - 1) {
            let Some(entry) = self.table.get_mut(key).filter(|e| e.timer == time) else {
                continue;
            };
            entry.timer = NEVER;
            entry.settle(ctx, rule, ctx.passed, out);
            if let Some(wake) = entry.schedule(ctx, rule) {
                self.timers.push(wake, key);
            }
        }
    }

    #[must_use]
    pub fn next_wakeup(&self) -> Option<i64> {
        self.timers.next()
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        super::usage(&self.table)
    }

    pub fn table(&mut self) -> &mut dyn Bounded {
        &mut self.table
    }

    pub fn parts(&mut self) -> Vec<&mut dyn Changing> {
        vec![&mut self.table, &mut self.timers]
    }

    #[must_use]
    pub fn probe(&self, key: u64) -> Probe {
        let Some(entry) = self.table.get(key) else {
            return Probe::default();
        };
        Probe {
            numbers: vec![("event_count".to_owned(), f64::from(entry.seen))],
            open: entry.episode.as_ref().is_some_and(|e| e.open),
            ..Probe::default()
        }
    }
}

impl Entry {
    /// Whether nothing of it matters any more, everything due before `time` having been told.
    fn is_forgotten(&self, time: i64) -> bool {
        let over = self.episode.as_ref().is_none_or(|e| !e.open);
        over && self.newest.saturating_add(self.keep) < time
    }

    /// When its silence is told, if nothing comes and it is not told already.
    fn deadline(&self, ctx: &Context<'_>, rule: Quiet) -> Option<i64> {
        let silent = self.episode.as_ref().is_some_and(|e| e.open && !e.below);
        let needed = usize::try_from(rule.count_min).unwrap_or(usize::MAX);
        let expected = |t: i64| t > self.newest.saturating_sub(rule.warmup.0);
        let expected = self.stamps.latest(needed).is_some_and(expected);
        (expected && !silent).then(|| self.newest.saturating_add(ctx.rule.timespan.0))
    }

    /// When an episode whose key has come back is over.
    fn hold_end(&self, ctx: &Context<'_>) -> Option<i64> {
        let held = self.episode.as_ref().filter(|e| e.open && e.below)?;
        Some(held.until.saturating_add(ctx.detector.suppress.0))
    }

    /// Brings the entry to `time`: deadlines and ends of holds before it, in their order.
    fn settle(&mut self, ctx: &Context<'_>, rule: Quiet, time: i64, out: &mut Findings) {
        let due = |at: &i64| *at < time;
        loop {
            let deadline = self.deadline(ctx, rule).filter(due);
            let end = self.hold_end(ctx).filter(due);
            match (deadline, end) {
                (Some(deadline), Some(end)) if end < deadline => self.close(ctx, end, out),
                (Some(deadline), _) => self.fall_silent(ctx, deadline, out),
                (None, Some(end)) => self.close(ctx, end, out),
                (None, None) => return,
            }
        }
    }

    fn fall_silent(&mut self, ctx: &Context<'_>, deadline: i64, out: &mut Findings) {
        if let Some(held) = self.episode.as_mut().filter(|e| e.open) {
            held.below = false;
            held.hold_back(out);
            return;
        }
        let mut episode = Episode::begin(ctx, deadline, &self.text, self.episode.as_deref());
        episode.events = u64::from(self.seen);
        episode.first = self.stamps.get(0).unwrap_or(self.newest);
        (episode.last, episode.until) = (self.newest, deadline);
        episode.origins.add(self.origin);
        episode.announce(ctx, facts(ctx, (self.newest, deadline), self.seen), out);
        out.derive(ctx, News::Begins, deadline, self.origin, &self.text);
        self.episode = Some(Box::new(episode));
    }

    /// Takes in an event: it ends a silence, at once or after the hold.
    fn hear(
        &mut self,
        ctx: &Context<'_>,
        rule: Quiet,
        o: &Observation,
        text: &[u8],
        out: &mut Findings,
    ) {
        let silent = self.episode.as_mut().filter(|e| e.open && !e.below);
        if let Some(episode) = silent {
            episode.below = true;
            episode.until = o.time.max(episode.time);
            self.seen = 0;
            if ctx.detector.suppress == Span::ZERO {
                self.close(ctx, o.time, out);
            }
        }
        let needed = usize::try_from(rule.count_min).unwrap_or(usize::MAX);
        self.stamps.insert(o.time, needed);
        self.seen = self.seen.saturating_add(1);
        if o.time >= self.newest {
            (self.newest, self.origin) = (o.time, o.origin);
            if *self.text != *text {
                self.text = text.into();
            }
        }
    }

    fn close(&mut self, ctx: &Context<'_>, at: i64, out: &mut Findings) {
        if let Some(episode) = &mut self.episode {
            let silence = (episode.last, episode.until);
            let seen = u32::try_from(episode.events).unwrap_or(u32::MAX);
            episode.close(ctx, at, facts(ctx, silence, seen), out);
        }
    }

    /// The timer to set, unless an earlier one is set already.
    fn schedule(&mut self, ctx: &Context<'_>, rule: Quiet) -> Option<i64> {
        let next = [self.deadline(ctx, rule), self.hold_end(ctx)];
        let next = next.into_iter().flatten().min()?;
        let sooner = next < self.timer;
        if sooner {
            self.timer = next;
        }
        sooner.then_some(next)
    }
}

fn facts(ctx: &Context<'_>, (last, now): (i64, i64), seen: u32) -> Facts {
    Facts {
        observed: vec![
            ("silence_s".to_owned(), seconds(now - last)),
            ("event_count".to_owned(), f64::from(seen)),
        ],
        bound: bound(ctx.rule),
        window: (last, now),
        error: None,
        summary: format!("no event for {} after {seen}", Span(now - last)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "spans are far below 2^53")]
fn seconds(span: i64) -> f64 {
    span as f64 / 1000.0
}

/// How long a silence must be.
#[must_use]
pub fn bound(rule: &Rule) -> Bounds {
    vec![(
        "silence_s".to_owned(),
        vec![("gte", seconds(rule.timespan.0))],
    )]
}
