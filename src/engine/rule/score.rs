//! Weighted evidence about one key: what was seen of it within the timespan, each worth less as it
//! ages, adds up to a score; a score that passes its bound is an episode until it falls below.
//!
//! Each evidence counts again only `once` after it last counted. With `after`, evidence counts only
//! on keys on which that was seen within the timespan before. The score is computed from the list of
//! what counted, never carried along, so it does not depend on when it was asked for.

use serde::{Deserialize, Serialize};

use super::episode::{self, Episode, Facts, plain};
use super::origins::Origins;
use super::temporal::join;
use super::{Bounds, Context, Findings, News, Probe, Usage};
use crate::engine::detector::plan::{Kind, Rule, Score};
use crate::engine::exchange::Observation;
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::{Bounded, Table, Weigh};
use crate::engine::watermark::queue::TimeQueue;

/// Evidence kept per key; beyond it the oldest goes early, and is counted.
const COUNTED_MAX: usize = 64;
/// Latest `after`s kept per key, for stragglers.
const AFTERS: usize = 4;

/// Evidence that counts: its input and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    time: i64,
    input: u8,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// In order of time.
    counted: Vec<Counted>,
    afters: [i64; AFTERS],
    newest: i64,
    /// How long after `newest` the entry still matters.
    keep: i64,
    /// Evidence since nothing was left of it.
    seen: u32,
    origins: Origins,
    /// The latest text of each part: what one evidence does not know another one does.
    text: Box<[u8]>,
    episode: Option<Box<Episode>>,
}

impl Weigh for Entry {
    fn dead(&self, watermark: i64) -> bool {
        self.newest.saturating_add(self.keep) < watermark
    }
    fn pinned(&self) -> bool {
        self.episode.as_ref().is_some_and(|e| e.open)
    }
    fn weight(&self) -> u64 {
        self.counted.len() as u64
    }
    fn heap(&self) -> usize {
        self.counted.capacity() * size_of::<Counted>()
            + self.origins.heap()
            + self.text.len()
            + self.episode.as_ref().map_or(0, |e| e.heap())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scores {
    table: Table<Entry>,
    /// When open episodes have to be looked at, by key.
    timers: TimeQueue<u64>,
}

impl Scores {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
            timers: TimeQueue::default(),
        }
    }

    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        let Kind::Score(rule) = &ctx.rule.kind else {
            return;
        };
        let is_after = rule.after && o.input == 0;
        if rule.after && !is_after && self.table.get(o.key).is_none() {
            return;
        }
        let span = ctx.rule.timespan.0;
        let fresh = || Entry {
            counted: Vec::new(),
            afters: [i64::MIN; AFTERS],
            newest: o.time,
            keep: span.max(ctx.detector.suppress.0).max(episode::SLOT_MAX),
            seen: 0,
            origins: Origins::default(),
            text: Box::default(),
            episode: None,
        };
        let change = |entry: &mut Entry| {
            entry.end_if_over(ctx, rule, o.time, out);
            entry.newest = entry.newest.max(o.time);
            if is_after {
                entry.follow(o.time);
                return None;
            }
            let counts = !rule.after || entry.is_after(o.time, span);
            counts.then(|| entry.weigh(ctx, rule, o, text, out))?
        };
        match self.table.update(o.key, ctx.watermark, fresh, change) {
            Some(Some(wake)) => self.timers.push(wake, o.key),
            Some(None) => {}
            None => out.overflow += 1,
        }
    }

    pub fn advance(&mut self, ctx: &Context<'_>, out: &mut Findings) {
        let Kind::Score(rule) = &ctx.rule.kind else {
            return;
        };
        // Evidence at the end itself may still carry the episode on.
        while let Some((_, key)) = self.timers.pop_until(ctx.watermark - 1) {
            let Some(entry) = self.table.get_mut(key) else {
                continue;
            };
            if let Some(end) = entry.end_if_over(ctx, rule, ctx.watermark, out) {
                self.timers.push(end, key);
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
    pub fn probe(&self, rule: &Rule, key: u64) -> Probe {
        let (Some(entry), Kind::Score(score)) = (self.table.get(key), &rule.kind) else {
            return Probe::default();
        };
        Probe {
            numbers: entry.observed(rule, score, entry.newest),
            open: entry.pinned(),
            ..Probe::default()
        }
    }
}

impl Entry {
    fn follow(&mut self, time: i64) {
        if let Some(oldest) = self.afters.iter_mut().min() {
            *oldest = (*oldest).max(time);
        }
    }

    /// Whether `after` was seen within the span before.
    fn is_after(&self, time: i64, span: i64) -> bool {
        let within = |a: &i64| *a <= time && *a > time.saturating_sub(span);
        self.afters.iter().any(within)
    }

    /// Takes in one evidence; returns when to look at the entry again if an episode has opened.
    fn weigh(
        &mut self,
        ctx: &Context<'_>,
        rule: &Score,
        o: &Observation,
        text: &[u8],
        out: &mut Findings,
    ) -> Option<i64> {
        let span = ctx.rule.timespan.0;
        let from = self.newest.saturating_sub(span);
        self.counted.retain(|c| c.time > from);
        if self.counted.is_empty() {
            self.seen = 0;
            self.origins.clear();
            self.text = Box::default();
        }
        let named_before = self.counted.iter().any(|c| c.input == o.input);
        self.count(rule, o, out);
        self.seen = self.seen.saturating_add(1);
        self.origins.add(o.origin);
        self.text = join(&self.text, text);
        let now = self.newest;
        let until = self.holds_until(rule, now, span);
        if self.pinned() {
            self.extend(ctx, rule, o, (until, !named_before), out);
            return None;
        }
        let told = self.episode.as_ref().map_or(i64::MIN, |last| last.until);
        let until = until.filter(|_| now > told)?;
        self.open(ctx, rule, o, until, out);
        Some(until)
    }

    fn count(&mut self, rule: &Score, o: &Observation, out: &mut Findings) {
        let near = |c: &Counted| (c.time - o.time).abs() < rule.once.0;
        if self.counted.iter().any(|c| c.input == o.input && near(c)) {
            return;
        }
        let fresh = Counted {
            time: o.time,
            input: o.input,
        };
        let at = self.counted.partition_point(|c| c.time <= o.time);
        self.counted.insert(at, fresh);
        if self.counted.len() > COUNTED_MAX {
            self.counted.remove(0);
            out.overflow += 1;
        }
    }

    /// What each evidence in the window adds to the score at `now`, in order of inputs.
    fn parts(&self, rule: &Score, now: i64, span: i64) -> Vec<f64> {
        let mut parts = vec![0.0; rule.weights.len()];
        let live = |c: &&Counted| c.time > now.saturating_sub(span) && c.time <= now;
        for c in self.counted.iter().filter(live) {
            let at = usize::from(c.input) - usize::from(rule.after);
            if let (Some(part), Some(weight)) = (parts.get_mut(at), rule.weights.get(at)) {
                *part += weight * rule.left_of(now - c.time);
            }
        }
        parts
    }

    fn score(&self, rule: &Score, now: i64, span: i64) -> f64 {
        self.parts(rule, now, span).iter().sum()
    }

    /// Until when (exclusive) the bound holds if nothing more comes; `None` if it does not at `now`.
    fn holds_until(&self, rule: &Score, now: i64, span: i64) -> Option<i64> {
        let mut at = now;
        let mut until = None;
        let ends = self.counted.iter().map(|c| c.time.saturating_add(span));
        for end in ends.filter(|end| *end > now) {
            let score = self.score(rule, at, span);
            if !rule.op.holds(score, rule.value) {
                return until;
            }
            // All parts halve together, so the whole does.
            let falls = rule.half_life.map_or(i64::MAX, |half| {
                at.saturating_add(halvings(score / rule.value, half.0))
            });
            if falls < end {
                return Some(falls.max(at));
            }
            (at, until) = (end, Some(end));
        }
        until
    }

    /// Closes the episode that was over before `time`; else says when it will be.
    fn end_if_over(
        &mut self,
        ctx: &Context<'_>,
        rule: &Score,
        time: i64,
        out: &mut Findings,
    ) -> Option<i64> {
        let open = self.episode.as_ref().filter(|e| e.open)?;
        let (last, until) = (open.last, open.until);
        let end = until.saturating_add(ctx.detector.suppress.0);
        if end >= time {
            return Some(end);
        }
        let mut facts = self.facts(ctx, rule, last);
        facts.window.1 = until;
        if let Some(episode) = &mut self.episode {
            episode.close(ctx, end, facts, out);
        }
        None
    }

    fn open(
        &mut self,
        ctx: &Context<'_>,
        rule: &Score,
        o: &Observation,
        until: i64,
        out: &mut Findings,
    ) {
        let time = self.newest;
        let mut episode = Episode::begin(ctx, time, &self.text, self.episode.as_deref());
        episode.events = u64::from(self.seen);
        episode.first = self.counted.first().map_or(time, |c| c.time);
        (episode.last, episode.until) = (time, until);
        episode.origins = self.origins.clone();
        episode.announce(ctx, self.facts(ctx, rule, time), out);
        out.derive(ctx, News::Begins, time, o.origin, &self.text);
        self.episode = Some(Box::new(episode));
    }

    /// The episode goes on; it is told of each evidence that joins, and when it has doubled.
    fn extend(
        &mut self,
        ctx: &Context<'_>,
        rule: &Score,
        o: &Observation,
        (until, joins): (Option<i64>, bool),
        out: &mut Findings,
    ) {
        let now = self.newest;
        let facts = self.facts(ctx, rule, now);
        let Some(episode) = &mut self.episode else {
            return;
        };
        episode.events += 1;
        episode.last = now;
        episode.first = episode.first.min(o.time);
        episode.origins.add(o.origin);
        let again = until.is_some() && episode.until < now;
        if let Some(until) = until {
            if again {
                episode.hold_back(out);
            }
            episode.until = episode.until.max(until);
        }
        if episode.update_due() || (joins && until.is_some()) {
            episode.update(ctx, facts, out);
        }
        if until.is_some() {
            out.goes_on(ctx, o, &self.text, again);
        }
    }

    fn observed(&self, of: &Rule, rule: &Score, now: i64) -> Vec<(String, f64)> {
        let parts = self.parts(rule, now, of.timespan.0);
        let mut observed = vec![("score".to_owned(), round(parts.iter().sum()))];
        let inputs = of.inputs.iter().skip(usize::from(rule.after));
        for (input, part) in inputs.zip(&parts).filter(|(_, part)| **part > 0.0) {
            observed.push((input.name.clone(), round(*part)));
        }
        observed
    }

    fn facts(&self, ctx: &Context<'_>, rule: &Score, now: i64) -> Facts {
        let observed = self.observed(ctx.rule, rule, now);
        let mut parts: Vec<&(String, f64)> = observed.iter().skip(1).collect();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let parts: Vec<String> = parts
            .iter()
            .map(|(n, v)| format!("{n} {}", plain(*v)))
            .collect();
        let score = observed.first().map_or(0.0, |(_, score)| *score);
        let after = match ctx.rule.inputs.first() {
            Some(first) if rule.after => format!(" after {}", first.name),
            _ => String::new(),
        };
        Facts {
            bound: bound(rule),
            window: (now - ctx.rule.timespan.0, now),
            error: None,
            summary: format!(
                "score {} of {} within {}{after} ({})",
                plain(score),
                plain(rule.value),
                ctx.rule.timespan,
                parts.join(", ")
            ),
            observed,
        }
    }
}

impl Score {
    /// What is left of a weight after so long.
    fn left_of(&self, age: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "spans are far below 2^53")]
        self.half_life
            .map_or(1.0, |half| (-(age as f64) / half.0 as f64).exp2())
    }
}

/// How long something takes to fall by this factor.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "spans are far below 2^53"
)]
fn halvings(factor: f64, half_life: i64) -> i64 {
    (factor.max(1.0).log2() * half_life as f64) as i64
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The score that is too much.
#[must_use]
pub fn bound(rule: &Score) -> Bounds {
    vec![("score".to_owned(), vec![(rule.op.name(), rule.value)])]
}
