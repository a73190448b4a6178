//! A share leaves its own past: so many times what it used to be, or so small a part of it.
//!
//! The window is ten buckets of (numerator, denominator). A bucket that leaves the window teaches
//! two averages that fade alike, so their quotient is the share of the past weighted by its events. While an
//! episode is open nothing is learnt, and no bucket teaches much more than chance would.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use super::episode::{self, Episode, Facts, plain};
use super::origins::Origins;
use super::{Bounds, Context, Findings, News, Probe, Usage};
use crate::engine::detector::plan::{Kind, Op, Share};
use crate::engine::exchange::Observation;
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::{Bounded, Table, Weigh};

const BUCKETS: usize = 10;
/// -log10 of how probable a share must be, were the past still true: small numbers stray.
const TAIL_MIN: f64 = 4.0;
/// Half-lives after which the past is forgotten.
const FORGOTTEN: i64 = 16;

/// Numerator and denominator.
type Pair = (f64, f64);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// Number of the current bucket, and of the first one ever.
    head: i64,
    born: i64,
    /// Length of a bucket.
    width: i64,
    counts: [(u32, u32); BUCKETS],
    /// Faded sums of what has left the window.
    past: Pair,
    newest: i64,
    keep: i64,
    origins: Origins,
    episode: Option<Box<Episode>>,
}

impl Weigh for Entry {
    fn dead(&self, watermark: i64) -> bool {
        !self.pinned() && self.newest.saturating_add(self.keep) < watermark
    }
    fn pinned(&self) -> bool {
        self.episode.as_ref().is_some_and(|e| e.open)
    }
    fn weight(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative"
        )]
        let past = self.past.1 as u64;
        past + self.counts.iter().map(|c| u64::from(c.1)).sum::<u64>()
    }
    fn heap(&self) -> usize {
        self.origins.heap() + self.episode.as_ref().map_or(0, |e| e.heap())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shares {
    table: Table<Entry>,
    /// Keys with an open episode: few, and looked at as time passes.
    open: Vec<u64>,
}

/// The window now, against the past.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    numerator: f64,
    denominator: f64,
    expected: f64,
}

impl Reading {
    fn share(self) -> f64 {
        self.numerator / self.denominator.max(1.0)
    }

    /// Whether all bounds hold; chance is not asked.
    fn holds(self, rule: &Share) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a configured minimum")]
        let enough = self.denominator >= rule.denominator_min as f64;
        let (op, times) = rule.times;
        let absolute = rule.bound.is_none_or(|(op, v)| op.holds(self.share(), v));
        enough && absolute && op.holds(self.share(), times * self.expected)
    }

    /// -log10 of the probability of such a share or a more extreme one, as the past has it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts"
    )]
    fn tail(self, rule: &Share) -> f64 {
        let n = self.denominator.max(self.numerator) as u64;
        let Ok(chance) = Binomial::new(self.expected.clamp(0.0, 1.0), n) else {
            return 0.0;
        };
        let rises = matches!(rule.times.0, Op::Gt | Op::Gte);
        let p = if rises {
            chance.sf((self.numerator - 1.0).max(0.0) as u64)
        } else {
            chance.cdf(self.numerator as u64)
        };
        -p.max(f64::MIN_POSITIVE).log10()
    }
}

impl Shares {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
            open: Vec::new(),
        }
    }

    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        let Kind::Share(rule) = &ctx.rule.kind else {
            return;
        };
        let fresh = || Entry::new(ctx, rule, o.time);
        let change = |entry: &mut Entry| {
            entry.turn(ctx, rule, o.time, out);
            // An episode that this closed had kept it.
            if entry.dead(o.time) {
                *entry = fresh();
            }
            entry.count(o, ctx.rule.timespan.0);
            if o.is_followed() {
                return false;
            }
            let reading = entry.reading();
            if let Some(episode) = entry.episode.as_mut().filter(|e| e.open) {
                episode.events += 1;
                episode.last = episode.last.max(o.time);
                episode.origins.add(o.origin);
                if episode.update_due() {
                    episode.update(ctx, facts(ctx, rule, reading, o.time), out);
                }
                if reading.holds(rule) {
                    out.goes_on(ctx, o, text, std::mem::take(&mut episode.below));
                }
                return false;
            }
            let warm = (entry.head - entry.born) * entry.width >= rule.warmup.0;
            let opens = warm && reading.holds(rule) && reading.tail(rule) >= TAIL_MIN;
            if opens {
                entry.open(ctx, rule, o, text, out);
            }
            opens
        };
        match self.table.update(o.key, ctx.watermark, fresh, change) {
            Some(true) => self.open.push(o.key),
            Some(false) => {}
            None => out.overflow += 1,
        }
    }

    pub fn advance(&mut self, ctx: &Context<'_>, out: &mut Findings) {
        let Kind::Share(rule) = &ctx.rule.kind else {
            return;
        };
        for key in std::mem::take(&mut self.open) {
            let Some(entry) = self.table.get_mut(key) else {
                continue;
            };
            // An event at the watermark itself may still come.
            entry.turn(ctx, rule, ctx.watermark - 1, out);
            if entry.pinned() {
                self.open.push(key);
            }
        }
    }

    /// The end of the earliest bucket of a key with an open episode.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<i64> {
        let end = |key: &u64| self.table.get(*key).map(|e| (e.head + 1) * e.width);
        self.open.iter().filter_map(end).min()
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        super::usage(&self.table)
    }

    pub fn table(&mut self) -> &mut dyn Bounded {
        &mut self.table
    }

    pub fn parts(&mut self) -> Vec<&mut dyn Changing> {
        vec![&mut self.table, &mut self.open]
    }

    #[must_use]
    pub fn probe(&self, key: u64) -> Probe {
        self.table
            .get(key)
            .map_or_else(Probe::default, |entry| Probe {
                numbers: observed(entry.reading()),
                open: entry.pinned(),
                ..Probe::default()
            })
    }
}

fn place(number: i64) -> usize {
    usize::try_from(number.rem_euclid(BUCKETS as i64)).unwrap_or(0)
}

impl Entry {
    fn new(ctx: &Context<'_>, rule: &Share, time: i64) -> Self {
        let width = (ctx.rule.timespan.0 / BUCKETS as i64).max(1);
        let head = time.div_euclid(width);
        let memory = rule.half_life.0.saturating_mul(FORGOTTEN);
        Self {
            head,
            born: head,
            width,
            counts: [(0, 0); BUCKETS],
            past: (0.0, 0.0),
            newest: time,
            keep: memory.max(rule.warmup.0).max(episode::SLOT_MAX),
            origins: Origins::default(),
            episode: None,
        }
    }

    fn count(&mut self, o: &Observation, span: i64) {
        self.newest = self.newest.max(o.time);
        let (numerator, denominator) = &mut self.counts[place(self.head)];
        let counter = if o.input == 0 { numerator } else { denominator };
        *counter = counter.saturating_add(1);
        if o.time > self.newest - span {
            self.origins.add(o.origin);
        }
    }

    fn reading(&self) -> Reading {
        let sum = |get: fn(&(u32, u32)) -> u32| self.counts.iter().map(get).map(f64::from).sum();
        Reading {
            numerator: sum(|c| c.0),
            denominator: sum(|c| c.1),
            // Half an event more than was seen: a past of none is no certainty.
            expected: (self.past.0 + 0.5) / (self.past.1 + 1.0),
        }
    }

    /// Brings the window to `time`, bucket by bucket: learns what leaves, closes what is over.
    fn turn(&mut self, ctx: &Context<'_>, rule: &Share, time: i64, out: &mut Findings) {
        let width = self.width;
        let now = time.div_euclid(width);
        // After a gap longer than the past is remembered, nothing is left to learn from it.
        let horizon = FORGOTTEN * (rule.half_life.0 / width).max(1) + BUCKETS as i64;
        if now - self.head > horizon {
            self.head = now - horizon;
        }
        while self.head < now {
            let leaving = self.counts[place(self.head + 1)];
            if !self.pinned() {
                self.learn(leaving, rule);
            }
            self.head += 1;
            self.counts[place(self.head)] = (0, 0);
            self.close_if_over(ctx, rule, self.head * width, out);
        }
    }

    fn learn(&mut self, leaving: (u32, u32), rule: &Share) {
        #[expect(clippy::cast_precision_loss, reason = "spans are far below 2^53")]
        let keep = (-(self.width as f64) / rule.half_life.0.max(1) as f64).exp2();
        let (mut seen, all) = (f64::from(leaving.0), f64::from(leaving.1));
        if self.past.1 >= 10.0 {
            let usual = all * (self.past.0 + 0.5) / (self.past.1 + 1.0);
            let stray = 3.0 * usual.max(1.0).sqrt();
            seen = seen.clamp((usual - stray).max(0.0), usual + stray);
        }
        self.past = (self.past.0 * keep + seen, self.past.1 * keep + all);
    }

    fn open(
        &mut self,
        ctx: &Context<'_>,
        rule: &Share,
        o: &Observation,
        text: &[u8],
        out: &mut Findings,
    ) {
        let reading = self.reading();
        let mut episode = Episode::begin(ctx, o.time, text, self.episode.as_deref());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let events = (reading.numerator + reading.denominator) as u64;
        episode.events = events;
        episode.first = (o.time - ctx.rule.timespan.0).max(self.born * self.width);
        (episode.last, episode.until) = (o.time, o.time);
        episode.origins = self.origins.clone();
        episode.announce(ctx, facts(ctx, rule, reading, o.time), out);
        out.derive(ctx, News::Begins, o.time, o.origin, text);
        self.episode = Some(Box::new(episode));
    }

    fn close_if_over(&mut self, ctx: &Context<'_>, rule: &Share, time: i64, out: &mut Findings) {
        let reading = self.reading();
        let Some(episode) = self.episode.as_mut().filter(|e| e.open) else {
            return;
        };
        let holds = reading.holds(rule);
        episode.below |= !holds;
        if holds {
            episode.until = time;
        } else if time > episode.until.saturating_add(ctx.detector.suppress.0) {
            let mut facts = facts(ctx, rule, reading, time);
            facts.window.1 = time;
            episode.close(ctx, time, facts, out);
            self.origins.clear();
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn observed(reading: Reading) -> Vec<(String, f64)> {
    vec![
        ("ratio".to_owned(), round(reading.share())),
        ("numerator".to_owned(), reading.numerator),
        ("denominator".to_owned(), reading.denominator),
        ("expected".to_owned(), round(reading.expected)),
    ]
}

fn facts(ctx: &Context<'_>, rule: &Share, reading: Reading, time: i64) -> Facts {
    let (op, times) = rule.times;
    let mut ops = vec![(op.name(), round(times * reading.expected))];
    ops.extend(rule.bound.map(|(op, value)| (op.name(), value)));
    let mut bound = bounds(rule);
    if let Some(first) = bound.first_mut() {
        first.1 = ops;
    }
    Facts {
        observed: observed(reading),
        bound,
        window: (time - ctx.rule.timespan.0, time),
        error: None,
        summary: format!(
            "share {} within {}, {} expected from its own past",
            plain(reading.share()),
            ctx.rule.timespan,
            plain(reading.expected),
        ),
    }
}

/// The bounds that are known without the past.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a configured minimum")]
pub fn bounds(rule: &Share) -> Bounds {
    let absolute = rule.bound.map(|(op, value)| (op.name(), value));
    vec![
        ("ratio".to_owned(), absolute.into_iter().collect()),
        (
            "denominator".to_owned(),
            vec![("gte", rule.denominator_min as f64)],
        ),
    ]
}
