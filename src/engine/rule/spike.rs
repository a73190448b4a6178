//! A rate, of events or of distinct values, leaves its own past: a first, simple baseline behind
//! the interface of its successor.
//!
//! The window is ten buckets. A bucket that leaves the window teaches a moving average of the
//! rate; the window's count is held against it by a factor and by the tail of a negative binomial
//! whose over-dispersion is learnt from disjoint windows. While an episode is open nothing is
//! learnt from it, so a flood does not become normal; nor from a mass event that was declared.

mod expected;

use serde::{Deserialize, Serialize};
use statrs::distribution::{DiscreteCDF, NegativeBinomial};

use super::episode::{Episode, Facts, plain};
use super::origins::Origins;
use super::{Context, Findings, News, Probe, Usage};
use crate::engine::detector::plan::{Kind, Spike};
use crate::engine::exchange::Observation;
use crate::engine::sketch::distinct::Distinct;
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::{Bounded, Table, Weigh};

const BUCKETS: usize = 10;
/// -log10 of a probability that underflowed: at least this unlikely.
const TAIL_MAX: f64 = 300.0;
/// A factor alone needs at least this much evidence, since "X % above" means nothing at small counts.
const FACTOR_TAIL_MIN: f64 = 4.0;
/// Over-dispersion before anything is known of it, and its bounds.
const DISPERSION: (f64, f64, f64) = (0.05, 0.002, 2.0);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// Number of the current bucket, and of the first one ever.
    head: i64,
    born: i64,
    /// Events of each bucket; or, of distinct values, those of the window that ended with it.
    counts: [u32; BUCKETS],
    /// The window's distinct values, where these are counted.
    distinct: Option<Box<Distinct>>,
    /// Moving average of events per bucket, and the weight behind it.
    rate: f64,
    weight: f64,
    /// Sums for the over-dispersion of disjoint windows: (error^2 - mean), mean^2.
    excess: f64,
    square: f64,
    /// The present disjoint window: observed and expected so far.
    block: (f64, f64, u32),
    newest: i64,
    span: i64,
    origins: Origins,
    episode: Option<Box<Episode>>,
}

impl Weigh for Entry {
    fn dead(&self, _watermark: i64) -> bool {
        false
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
        let weight = (self.rate * 1000.0) as u64;
        weight + u64::from(self.counts.iter().sum::<u32>())
    }
    fn heap(&self) -> usize {
        let distinct = |d: &Distinct| d.heap() + size_of::<Distinct>();
        self.origins.heap()
            + self.episode.as_ref().map_or(0, |e| e.heap())
            + self.distinct.as_deref().map_or(0, distinct)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpikeRule {
    table: Table<Entry>,
    /// Keys with an open episode: few, and looked at as time passes.
    open: Vec<u64>,
}

/// The window now, against what was expected.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    count: f64,
    expected: f64,
    tail: f64,
    /// Relative error of `count` where it is an estimate.
    error: Option<f64>,
}

impl SpikeRule {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
            open: Vec::new(),
        }
    }

    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        let Kind::Spike(spike) = &ctx.rule.kind else {
            return;
        };
        let counts_values = !spike.fields.is_empty();
        if counts_values && o.present & 1 == 0 {
            return;
        }
        let width = width(ctx);
        let fresh = || Entry::new(o.time, width, ctx.rule.timespan.0, counts_values);
        let open = &mut self.open;
        let change = |entry: &mut Entry| {
            let before = entry.newest.div_euclid(width);
            entry.turn(ctx, spike, (o.time, text), out);
            // An episode that this closed had kept it.
            if entry.dead(o.time) {
                *entry = fresh();
            }
            entry.count(o);
            let score = entry.score(entry.newest);
            // While one is open and holds, nobody asks.
            let is_open = entry.episode.as_ref().is_some_and(|e| e.open && !e.below);
            let fires = !is_open
                && entry.fires(spike, score, width)
                && !spike.expects(text, o.time, ctx.rule.timespan.0, score.count);
            if let Some(episode) = entry.episode.as_mut().filter(|e| e.open) {
                episode.events += 1;
                episode.last = episode.last.max(o.time);
                episode.origins.add(o.origin);
                if episode.update_due() {
                    let facts = facts(ctx, spike, score, o.time);
                    episode.update(ctx, facts, out);
                }
                // Once a bucket is enough, and a spike has many events.
                let again = episode.below && fires;
                if again || (entry.newest.div_euclid(width) > before && !episode.below) {
                    episode.below = false;
                    out.goes_on(ctx, o, text, again);
                }
            } else if fires {
                entry.open(ctx, spike, score, o, text, out);
                open.push(o.key);
            }
        };
        let known = self.table.update(o.key, ctx.watermark, fresh, change);
        out.overflow += u64::from(known.is_none());
    }

    pub fn advance(&mut self, ctx: &Context<'_>, out: &mut Findings) {
        let Kind::Spike(spike) = &ctx.rule.kind else {
            return;
        };
        for key in std::mem::take(&mut self.open) {
            let Some(entry) = self.table.get_mut(key) else {
                continue;
            };
            // An event at the watermark itself may still come.
            let text = entry.episode.as_ref().map(|e| e.text.clone());
            let text = text.unwrap_or_default();
            entry.turn(ctx, spike, (ctx.watermark - 1, &text), out);
            if entry.episode.as_ref().is_some_and(|e| e.open) {
                self.open.push(key);
            }
        }
    }

    #[must_use]
    pub fn next_wakeup(&self) -> Option<i64> {
        let end = |key: &u64| {
            self.table
                .get(*key)
                .map(|e| (e.head + 1) * (e.span / BUCKETS as i64).max(1))
        };
        self.open.iter().filter_map(end).min()
    }

    pub fn table(&mut self) -> &mut dyn Bounded {
        &mut self.table
    }

    pub fn parts(&mut self) -> Vec<&mut dyn Changing> {
        vec![&mut self.table, &mut self.open]
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        super::usage(&self.table)
    }

    #[must_use]
    pub fn probe(&self, key: u64) -> Probe {
        let Some(entry) = self.table.get(key) else {
            return Probe::default();
        };
        let score = entry.clone().score(entry.newest);
        let numbers = vec![
            (entry.name().to_owned(), score.count),
            ("expected".to_owned(), score.expected),
        ];
        Probe {
            numbers,
            open: entry.pinned(),
            ..Probe::default()
        }
    }
}

fn width(ctx: &Context<'_>) -> i64 {
    (ctx.rule.timespan.0 / BUCKETS as i64).max(1)
}

fn place(number: i64) -> usize {
    usize::try_from(number.rem_euclid(BUCKETS as i64)).unwrap_or(0)
}

impl Entry {
    fn new(time: i64, width: i64, span: i64, counts_values: bool) -> Self {
        let head = time.div_euclid(width);
        Self {
            head,
            born: head,
            counts: [0; BUCKETS],
            distinct: counts_values.then(Box::default),
            rate: 0.0,
            weight: 0.0,
            excess: DISPERSION.0 * 5.0,
            square: 5.0,
            block: (0.0, 0.0, 0),
            newest: time,
            span,
            origins: Origins::default(),
            episode: None,
        }
    }

    fn count(&mut self, o: &Observation) {
        self.newest = self.newest.max(o.time);
        let value = o.values.first().copied().unwrap_or_default();
        match &mut self.distinct {
            Some(distinct) => distinct.insert(value, o.time, self.span),
            None => {
                let slot = &mut self.counts[place(self.head)];
                *slot = slot.saturating_add(1);
            }
        }
        if o.time > self.newest - self.span {
            self.origins.add(o.origin);
        }
    }

    /// Brings the window to `time`, bucket by bucket: learns what leaves, closes what is over.
    fn turn(
        &mut self,
        ctx: &Context<'_>,
        spike: &Spike,
        (time, text): (i64, &[u8]),
        out: &mut Findings,
    ) {
        let width = width(ctx);
        // The first windows of distinct values were not whole.
        let whole = BUCKETS as i64 * if self.distinct.is_some() { 2 } else { 1 };
        let now = time.div_euclid(width);
        // After a gap longer than the average remembers, nothing is left to learn from it.
        let horizon = 64 * (spike.half_life.0 / width).max(1);
        if now - self.head > horizon {
            self.head = now - horizon;
        }
        while self.head < now {
            let leaving = self.counts[place(self.head + 1)];
            let began = (self.head + 1 - BUCKETS as i64) * width;
            let declared = spike.declares(text, began, began + width);
            if self.head + 1 - self.born >= whole && !declared {
                self.learn(self.per_bucket(leaving), spike, width);
            }
            self.end_bucket((self.head + 1) * width);
            self.head += 1;
            self.counts[place(self.head)] = 0;
            self.close_if_over(ctx, spike, self.head * width, out);
        }
    }

    /// Of a window's distinct values a tenth: what ten buckets of them make is the window again.
    fn per_bucket(&self, leaving: u32) -> f64 {
        let parts = if self.distinct.is_some() { BUCKETS } else { 1 };
        f64::from(leaving) / parts as f64
    }

    /// The bucket of `head` ends at `time`: of distinct values, the window's number is noted.
    fn end_bucket(&mut self, time: i64) {
        if self.distinct.is_some() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count"
            )]
            let count = self.values(time - 1) as u32;
            self.counts[place(self.head)] = count;
        }
    }

    /// Distinct values in the window that ends at `time`.
    fn values(&mut self, time: i64) -> f64 {
        let from = time - self.span;
        match &mut self.distinct {
            // Long after the last event nothing is left, and nothing needs to be kept.
            Some(distinct) if self.newest <= from => {
                **distinct = Distinct::default();
                0.0
            }
            Some(distinct) => {
                distinct.pass(time);
                distinct.count(from)
            }
            None => 0.0,
        }
    }

    const fn name(&self) -> &'static str {
        match self.distinct {
            Some(_) => "value_count",
            None => "event_count",
        }
    }

    fn learn(&mut self, count: f64, spike: &Spike, width: i64) {
        if self.pinned() {
            return;
        }
        let sigma = (self.rate * (1.0 + self.rate * self.dispersion())).sqrt();
        let learnt = if self.weight > 10.0 {
            count.min(self.rate + 3.0 * sigma + 1.0)
        } else {
            count
        };
        self.block = (
            self.block.0 + learnt,
            self.block.1 + self.rate,
            self.block.2 + 1,
        );
        if self.block.2 as usize == BUCKETS {
            if self.weight > 10.0 {
                let (seen, mean, _) = self.block;
                let error = (seen - mean).clamp(-4.0 * mean.sqrt() - 4.0, 4.0 * mean.sqrt() + 4.0);
                self.excess = self.excess * 0.98 + (error * error - mean);
                self.square = self.square * 0.98 + mean * mean;
            }
            self.block = (0.0, 0.0, 0);
        }
        // 2^(-1/half-life in buckets); the plain mean until there is that much history.
        #[expect(clippy::cast_precision_loss, reason = "spans are far below 2^53")]
        let keep = (-std::f64::consts::LN_2 * width as f64 / spike.half_life.0.max(1) as f64).exp();
        self.weight = self.weight * keep + 1.0;
        self.rate += (learnt - self.rate) / self.weight;
    }

    fn dispersion(&self) -> f64 {
        (self.excess / self.square).clamp(DISPERSION.1, DISPERSION.2)
    }

    fn score(&mut self, time: i64) -> Score {
        let count = match self.distinct {
            Some(_) => self.values(time),
            None => f64::from(self.counts.iter().sum::<u32>()),
        };
        let expected = (self.rate * BUCKETS as f64).max(0.5);
        let mut score = Score {
            count,
            expected,
            tail: 0.0,
            error: self.distinct.as_ref().and_then(|d| d.error()),
        };
        let sigma = (expected + expected * expected * self.dispersion()).sqrt();
        if count > expected + 2.0 * sigma {
            // Uncertainty of a young average widens the tail like over-dispersion does.
            let spread =
                self.dispersion() + 1.0 / (expected * self.weight.max(1.0) / BUCKETS as f64 + 1.0);
            score.tail = tail(count, expected, 1.0 / spread);
        }
        score
    }

    fn fires(&self, spike: &Spike, score: Score, width: i64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a configured minimum")]
        let enough = score.count >= spike.count_min as f64;
        let warm = (self.head - self.born) * width >= spike.warmup.0;
        let factor = score.count >= spike.factor * score.expected && score.tail >= FACTOR_TAIL_MIN;
        enough && warm && (factor || score.tail >= spike.tail_min)
    }

    fn open(
        &mut self,
        ctx: &Context<'_>,
        spike: &Spike,
        score: Score,
        o: &Observation,
        text: &[u8],
        out: &mut Findings,
    ) {
        let mut episode = Episode::begin(ctx, o.time, text, self.episode.as_deref());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let events = score.count as u64;
        (episode.events, episode.first) =
            (events, (o.time - self.span).max(self.born * width(ctx)));
        (episode.last, episode.until) = (o.time, o.time);
        episode.origins = self.origins.clone();
        episode.announce(ctx, facts(ctx, spike, score, o.time), out);
        out.derive(ctx, News::Begins, o.time, o.origin, text);
        self.episode = Some(Box::new(episode));
    }

    fn close_if_over(&mut self, ctx: &Context<'_>, spike: &Spike, time: i64, out: &mut Findings) {
        let score = self.score(time);
        let (still, hold) = (
            score.count >= spike.factor.min(2.0) * score.expected,
            ctx.detector.suppress.0,
        );
        let Some(episode) = self.episode.as_mut().filter(|e| e.open) else {
            return;
        };
        episode.below |= !still;
        if still {
            episode.until = time;
        } else if time > episode.until.saturating_add(hold) {
            let facts = facts(ctx, spike, score, time);
            episode.close(ctx, time, facts, out);
            self.origins.clear();
        }
    }
}

/// -log10 P(X >= count), X negative binomial with this mean and size.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, at least 1"
)]
fn tail(count: f64, mean: f64, size: f64) -> f64 {
    let Ok(x) = NegativeBinomial::new(size, size / (size + mean)) else {
        return 0.0;
    };
    let p = x.sf((count - 1.0).max(0.0) as u64);
    if p > 0.0 {
        (-p.log10()).min(TAIL_MAX)
    } else {
        TAIL_MAX
    }
}

fn facts(ctx: &Context<'_>, spike: &Spike, score: Score, time: i64) -> Facts {
    let round = |v: f64| (v * 100.0).round() / 100.0;
    let (name, what) = match spike.fields.is_empty() {
        true => ("event_count", "events"),
        false => ("value_count", "distinct values"),
    };
    Facts {
        observed: vec![
            (name.to_owned(), score.count.round()),
            ("expected".to_owned(), round(score.expected)),
            ("tail".to_owned(), round(score.tail)),
        ],
        bound: vec![
            (
                name.to_owned(),
                vec![("gte", round((spike.factor * score.expected).ceil()))],
            ),
            ("tail".to_owned(), vec![("gte", spike.tail_min)]),
        ],
        window: (time - ctx.rule.timespan.0, time),
        error: score.error,
        summary: format!(
            "{} {what} within {}, {} expected from its own past",
            plain(score.count.round()),
            ctx.rule.timespan,
            plain(round(score.expected)),
        ),
    }
}
