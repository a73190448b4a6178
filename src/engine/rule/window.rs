//! Aggregates over a sliding window with bounds that must all hold: event_count, value_count,
//! value_sum, value_avg, several of them at once, and ratio.
//!
//! Fires on crossing and is then one episode until the value falls below; `suppress` lengthens
//! the hold. A single count is exact: its crossing time is that of sorted input whatever the order
//! of arrival. With `roll-up`, what no open episode tells of goes on to the next wider group, and an
//! episode that opens claims from the wider ones what they had of it (`claims`).

pub mod claims;
pub mod measure;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::claims::Memory;
use self::measure::{Measure, Reading, Stores};
use super::episode::{self, Episode, Facts, plain};
use super::origins::Origins;
use super::{Context, Findings, News, Probe, Usage};
use crate::engine::detector::plan::{Op, Rule};
use crate::engine::exchange::Observation;
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::{Bounded, Table, Weigh};
use crate::engine::watermark::queue::TimeQueue;

/// The state of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry<M> {
    stores: Stores,
    newest: i64,
    span: i64,
    /// Observations since the window was last empty.
    seen: u32,
    origins: Origins,
    episode: Option<Box<Episode>>,
    memory: M,
}

impl<M: Memory> Weigh for Entry<M> {
    fn dead(&self, watermark: i64) -> bool {
        self.newest + self.span.max(episode::SLOT_MAX) < watermark
    }
    fn pinned(&self) -> bool {
        self.episode.as_ref().is_some_and(|e| e.open)
    }
    fn weight(&self) -> u64 {
        u64::from(self.seen)
    }
    fn heap(&self) -> usize {
        let episode = self.episode.as_ref().map_or(0, |e| e.heap());
        self.stores.heap() + self.origins.heap() + episode + self.memory.heap()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WindowRule<M: Memory = ()> {
    table: Table<Entry<M>>,
    /// When open episodes have to be looked at, by key.
    timers: TimeQueue<u64>,
    #[serde(skip)]
    measure: Option<Measure>,
}

impl<M: Memory> WindowRule<M> {
    #[must_use]
    pub fn new(rule: &Rule, bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
            timers: TimeQueue::default(),
            measure: Some(Measure::new(rule)),
        }
    }

    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        if o.is_claim() {
            out.pass_on(ctx, o, text);
            if self.table.get(o.key).is_none() {
                return;
            }
        }
        let measure = self.measure.get_or_insert_with(|| Measure::new(ctx.rule));
        let span = ctx.rule.timespan.0;
        let fresh = || Entry {
            stores: measure.fresh(span),
            newest: o.time,
            span,
            seen: 0,
            origins: Origins::default(),
            episode: None,
            memory: M::default(),
        };
        let change = |entry: &mut Entry<M>| {
            Turn {
                ctx,
                measure,
                o,
                text,
            }
            .take(entry, out)
        };
        match self.table.update(o.key, ctx.watermark, fresh, change) {
            Some(Some(wake)) => self.timers.push(wake, o.key),
            Some(None) => {}
            None => out.overflow += 1,
        }
    }

    pub fn advance(&mut self, ctx: &Context<'_>, out: &mut Findings) {
        let measure = self.measure.get_or_insert_with(|| Measure::new(ctx.rule));
        // A timer is due only when the watermark is beyond it: an event at that very time may
        // still carry the episode on.
        while let Some((_, key)) = self.timers.pop_until(ctx.watermark - 1) {
            let Some(entry) = self.table.get_mut(key) else {
                continue;
            };
            match entry.end(ctx, measure, ctx.watermark) {
                Some(End::At(end)) if end < ctx.watermark => entry.close(ctx, measure, out),
                Some(End::At(time) | End::NotBefore(time)) => self.timers.push(time, key),
                None => {}
            }
        }
    }

    #[must_use]
    pub fn next_wakeup(&self) -> Option<i64> {
        self.timers.next()
    }

    pub fn table(&mut self) -> &mut dyn Bounded {
        &mut self.table
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        super::usage(&self.table)
    }

    #[must_use]
    pub fn probe(&self, rule: &Rule, key: u64, now: i64) -> Probe {
        let Some(entry) = self.table.get(key) else {
            return Probe::default();
        };
        let now = entry.newest.max(now);
        let reading = Measure::new(rule).read(&entry.stores, now, entry.span);
        Probe {
            numbers: reading.observed,
            open: entry.pinned(),
            events: entry.memory.events(now - entry.span),
        }
    }
}

impl<M: Memory + Serialize + DeserializeOwned> WindowRule<M> {
    pub fn parts(&mut self) -> Vec<&mut dyn Changing> {
        vec![&mut self.table, &mut self.timers]
    }
}

/// One observation meeting one entry.
struct Turn<'a> {
    ctx: &'a Context<'a>,
    measure: &'a Measure,
    o: &'a Observation,
    text: &'a [u8],
}

impl Turn<'_> {
    /// Returns when to look at the entry again, if an episode has opened or fallen below.
    fn take<M: Memory>(&self, entry: &mut Entry<M>, out: &mut Findings) -> Option<i64> {
        let (ctx, o) = (self.ctx, self.o);
        if let Some(End::At(end)) = entry.end(ctx, self.measure, o.time)
            && o.time > end
        {
            entry.close(ctx, self.measure, out);
        }
        let at = match o.is_claim() {
            true => {
                self.give_up(entry);
                None
            }
            false => self.add(entry, out),
        };
        let wake = self.judge(entry, at, out);
        if !o.is_claim() && !entry.pinned() {
            out.pass_on(ctx, o, self.text);
        }
        wake
    }

    /// Counts the event; returns its place among the counted ones, as `Measure::insert`.
    fn add<M: Memory>(&self, entry: &mut Entry<M>, out: &mut Findings) -> Option<usize> {
        let o = self.o;
        if o.time > entry.newest.saturating_add(entry.span) {
            entry.seen = 0;
            entry.origins.clear();
        }
        entry.seen = entry.seen.saturating_add(u32::from(!o.is_again()));
        entry.newest = entry.newest.max(o.time);
        entry.origins.add(o.origin);
        let values = self.measure.values(o, self.text);
        if !entry.memory.note(self.ctx, o, self.text, &values) {
            out.overflow += 1;
        }
        self.measure
            .insert(&mut entry.stores, o, &values, entry.span)
    }

    /// Lets go of what a narrower group claims.
    fn give_up<M: Memory>(&self, entry: &mut Entry<M>) {
        let claimed = entry.memory.yield_to(self.ctx, self.o, self.text);
        if claimed == 0 {
            return;
        }
        entry.stores = entry.memory.recount(self.measure, entry.span);
        entry.newest = entry.memory.newest().unwrap_or(entry.newest);
        let claimed = u32::try_from(claimed).unwrap_or(u32::MAX);
        entry.seen = entry.seen.saturating_sub(claimed);
        if let Some(episode) = &mut entry.episode {
            episode.rate = self.measure.rate(&entry.stores, entry.newest, entry.span);
            // How long it holds is to be seen anew.
            episode.until = episode.until.min(self.o.time);
        }
    }

    /// Opens an episode, or goes on with the one that is open.
    fn judge<M: Memory>(
        &self,
        entry: &mut Entry<M>,
        at: Option<usize>,
        out: &mut Findings,
    ) -> Option<i64> {
        let (ctx, o) = (self.ctx, self.o);
        let open = entry.episode.as_mut().filter(|e| e.open);
        if o.is_followed() && (M::WIDER || self.measure.compares()) {
            if M::WIDER && !o.is_claim() && !o.is_again() {
                open.into_iter().for_each(|episode| episode.count(o));
            }
            return None;
        }
        let (stores, span) = (&entry.stores, entry.span);
        let now = entry.newest.max(o.time);
        let crossing = match o.is_claim() {
            true => self.measure.holds(stores, now, span).then_some(now),
            false => self.measure.crossing(stores, at, now, span),
        };
        let Some(episode) = open else {
            let time = crossing.filter(|time| Self::follows_last(entry, *time))?;
            let wake = self.open(entry, time, out);
            let narrower = u8::try_from(ctx.spec.narrower.len()).unwrap_or(u8::MAX);
            out.pass_on(ctx, &o.claim(narrower), self.text);
            return Some(wake);
        };
        // A claim is no event; of an event that meets several rules one observation is.
        let is_none = o.is_claim() || M::WIDER && o.is_again();
        if !is_none {
            episode.count(o);
        }
        // A straggler adds to the episode but cannot end it.
        let straggles = o.time < entry.newest;
        let was_below = episode.below;
        let again = was_below || o.time > episode.until;
        self.extend(episode, &entry.stores, crossing.is_some() || straggles, out);
        if crossing.is_some() && !straggles && !o.is_claim() {
            out.goes_on(ctx, o, self.text, again);
        }
        // It may have ended before its timer: look again when the hold is over.
        let falls = episode.below && !was_below;
        let sooner = falls || o.is_claim();
        sooner.then(|| episode.until.saturating_add(ctx.detector.suppress.0))
    }

    /// A straggler may complete a window that an episode already told of; that is not a new one.
    fn follows_last<M>(entry: &Entry<M>, time: i64) -> bool {
        entry.episode.as_ref().is_none_or(|last| time > last.until)
    }

    fn open<M>(&self, entry: &mut Entry<M>, time: i64, out: &mut Findings) -> i64 {
        let (ctx, o) = (self.ctx, self.o);
        let reading = self.measure.read(&entry.stores, time, entry.span);
        let mut episode = Episode::begin(ctx, time, self.text, entry.episode.as_deref());
        episode.events = reading
            .events
            .unwrap_or_else(|| u64::from(entry.seen))
            .max(1);
        episode.first = reading.first.unwrap_or(time);
        episode.last = time;
        episode.until = if self.measure.is_uneven() {
            self.measure
                .next_leaving(&entry.stores, time, entry.newest, entry.span)
        } else {
            self.measure.holds_until(&entry.stores, time, entry.span)
        };
        episode.origins = entry.origins.clone();
        episode.rate = self.measure.rate(&entry.stores, time, entry.span);
        episode.announce(ctx, facts(ctx, self.measure, reading, time), out);
        out.derive(ctx, News::Begins, time, o.origin, self.text);
        let wake = episode.until;
        entry.episode = Some(Box::new(episode));
        wake
    }

    fn extend(&self, episode: &mut Episode, stores: &Stores, holds: bool, out: &mut Findings) {
        let (ctx, measure, o) = (self.ctx, self.measure, self.o);
        if holds && episode.below {
            episode.hold_back(out);
        }
        if holds {
            episode.below = false;
        } else if !episode.below {
            episode.below = true;
            episode.until = episode.until.min(o.time);
        }
        if episode.update_due() {
            let time = episode.last;
            let mut reading = measure.read(stores, time, ctx.rule.timespan.0);
            measure.count_episode(&mut reading, episode);
            episode.update(ctx, facts(ctx, measure, reading, time), out);
        }
    }
}

/// When an open episode ends.
enum End {
    /// If nothing more comes; the hold is included.
    At(i64),
    /// It holds for now; something leaves its window at this time.
    NotBefore(i64),
}

impl<M> Entry<M> {
    /// When the open episode ends as far as is known before `now`; `None` without one.
    fn end(&mut self, ctx: &Context<'_>, measure: &Measure, now: i64) -> Option<End> {
        let episode = self.episode.as_mut().filter(|e| e.open)?;
        if !episode.below && measure.is_uneven() {
            let mut at = self.newest;
            while at < self.newest + self.span {
                at = measure.next_leaving(&self.stores, at, self.newest, self.span);
                if at >= now {
                    episode.until = episode.until.max(at);
                    return Some(End::NotBefore(at));
                }
                if !measure.holds(&self.stores, at, self.span) {
                    break;
                }
            }
            (episode.until, episode.below) = (at, true);
        } else if !episode.below {
            let until = measure.holds_until(&self.stores, self.newest, self.span);
            episode.until = episode.until.max(until);
        }
        Some(End::At(
            episode.until.saturating_add(ctx.detector.suppress.0),
        ))
    }

    fn close(&mut self, ctx: &Context<'_>, measure: &Measure, out: &mut Findings) {
        let Some(episode) = self.episode.as_mut() else {
            return;
        };
        let time = episode.last;
        let mut reading = measure.read(&self.stores, time, self.span);
        measure.count_episode(&mut reading, episode);
        let mut facts = facts(ctx, measure, reading, time);
        facts.window.1 = episode.until;
        let at = episode.until.saturating_add(ctx.detector.suppress.0);
        episode.close(ctx, at, facts, out);
    }
}

fn facts(ctx: &Context<'_>, measure: &Measure, reading: Reading, time: i64) -> Facts {
    let bound = measure.bound(Some(&reading));
    let part = |(name, value): &(String, f64)| {
        let ops = bound
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, ops)| ops.as_slice());
        let ops: Vec<String> = ops
            .unwrap_or_default()
            .iter()
            .map(|(op, v)| format!("{} {}", sign(op), plain(*v)))
            .collect();
        let against = if ops.is_empty() {
            String::new()
        } else {
            format!(" ({})", ops.join(" and "))
        };
        format!("{name} {}{against}", plain(*value))
    };
    let parts: Vec<String> = reading.observed.iter().map(part).collect();
    Facts {
        summary: format!("{} within {}", parts.join(", "), ctx.rule.timespan),
        observed: reading.observed,
        bound,
        window: (time - ctx.rule.timespan.0, time),
        error: reading.error,
    }
}

fn sign(op: &str) -> &'static str {
    [Op::Gt, Op::Gte, Op::Lt, Op::Lte, Op::Eq, Op::Neq]
        .into_iter()
        .find(|o| o.name() == op)
        .map_or("", Op::sign)
}
