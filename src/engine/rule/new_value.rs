//! A value of a field first seen for its key in the last timespan.
//!
//! Learns from every observation, and is silent until the key itself is known: the first country
//! of a fresh account is not a new country. With a burst, a new value must also be seen so often
//! within so long from its first sight. Fires on arrival; what it holds of a key is bounded.

use serde::{Deserialize, Serialize};

use super::episode::{self, Episode, Facts};
use super::moment::Moment;
use super::{Bounds, Context, Findings, Probe, Usage};
use crate::engine::detector::plan::{Burst, Kind, NewValue};
use crate::engine::exchange::{Observation, SEPARATOR};
use crate::engine::sketch::known::{Known, short};
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::{Bounded, Table, Weigh};

/// New values of one key that are counted at a time; beyond it the one seen least goes.
const RISING_MAX: usize = 128;

/// A new value on its way to the burst's count.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Rising {
    value: u32,
    count: u32,
    since: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// The key's first event, and its newest.
    born: i64,
    newest: i64,
    /// How long after `newest` the entry still matters.
    keep: i64,
    seen: u32,
    known: Known,
    rising: Vec<Rising>,
    last: Option<Box<Episode>>,
}

impl Weigh for Entry {
    fn dead(&self, watermark: i64) -> bool {
        self.newest.saturating_add(self.keep) < watermark
    }
    fn pinned(&self) -> bool {
        false
    }
    fn weight(&self) -> u64 {
        u64::from(self.seen)
    }
    fn heap(&self) -> usize {
        self.known.heap()
            + self.rising.capacity() * size_of::<Rising>()
            + self.last.as_ref().map_or(0, |e| e.heap())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewValues {
    table: Table<Entry>,
}

impl NewValues {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
        }
    }

    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        let Kind::NewValue(rule) = &ctx.rule.kind else {
            return;
        };
        if o.present & 1 == 0 {
            return;
        }
        let hold = ctx.detector.suppress.0.max(episode::SLOT_MAX);
        let fresh = || Entry {
            born: o.time,
            newest: o.time,
            keep: ctx.rule.timespan.0.max(hold),
            seen: 0,
            known: Known::default(),
            rising: Vec::new(),
            last: None,
        };
        let change = |entry: &mut Entry| {
            // Not when the table sweeps it: that depends on how far event time has come.
            if o.time > entry.newest.saturating_add(entry.keep) {
                // But for its numbers: of stragglers there may be more.
                let last = entry.last.take();
                *entry = Entry { last, ..fresh() };
            }
            entry.meet(ctx, rule, o, text, out);
        };
        let known = self.table.update(o.key, ctx.watermark, fresh, change);
        out.overflow += u64::from(known.is_none());
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        super::usage(&self.table)
    }

    pub fn table(&mut self) -> &mut dyn Bounded {
        &mut self.table
    }

    pub fn parts(&mut self) -> Vec<&mut dyn Changing> {
        vec![&mut self.table]
    }

    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "bounded by values_max")]
    pub fn probe(&self, key: u64) -> Probe {
        let Some(entry) = self.table.get(key) else {
            return Probe::default();
        };
        let numbers = vec![
            ("known_values".to_owned(), entry.known.len() as f64),
            ("event_count".to_owned(), f64::from(entry.seen)),
        ];
        Probe {
            numbers,
            ..Probe::default()
        }
    }
}

impl Entry {
    fn meet(
        &mut self,
        ctx: &Context<'_>,
        rule: &NewValue,
        o: &Observation,
        text: &[u8],
        out: &mut Findings,
    ) {
        let Some(value) = o.values.first() else {
            return;
        };
        let sight = self
            .known
            .see(*value, o.time, ctx.rule.timespan.0, rule.values_max);
        out.overflow += sight.forgotten as u64;
        let others = self.known.len().saturating_sub(1);
        // A straggler from before the key's first event is learnt from, no more.
        let settled = u64::from(self.seen) >= rule.known_min
            && o.time.saturating_sub(self.born) >= rule.warmup.0;
        self.seen = self.seen.saturating_add(1);
        self.born = self.born.min(o.time);
        self.newest = self.newest.max(o.time);
        let input = ctx.rule.inputs.get(usize::from(o.input));
        if input.is_some_and(|i| i.learns) {
            return;
        }
        let new = sight.new && settled;
        let (events, first) = match rule.burst {
            None if new => (1, o.time),
            None => return,
            Some(burst) => match self.rise(burst, new, short(*value), o.time, out) {
                Some(risen) => (u64::from(risen.count), risen.since),
                None => return,
            },
        };
        let moment = Moment {
            time: o.time,
            first,
            last: o.time,
            events,
            text,
            origin: o.origin,
        };
        let facts = |_| facts(ctx, rule, others, (events, first), o.time, text);
        moment.tell(ctx, &mut self.last, facts, out);
    }

    /// Counts a value that is new, or was a moment ago; gives it back once it has come to the count.
    fn rise(
        &mut self,
        burst: Burst,
        new: bool,
        value: u32,
        time: i64,
        out: &mut Findings,
    ) -> Option<Rising> {
        let at = match self.rising.iter().position(|r| r.value == value) {
            Some(at) if !new => at,
            None if !new => return None,
            known => {
                let fresh = Rising {
                    value,
                    count: 0,
                    since: time,
                };
                let at = known.unwrap_or_else(|| self.place(burst, time, out));
                match self.rising.get_mut(at) {
                    Some(place) => *place = fresh,
                    None => self.rising.push(fresh),
                }
                at
            }
        };
        let rising = self.rising.get_mut(at)?;
        rising.count += 1;
        if time.saturating_sub(rising.since) >= burst.within.0 {
            self.rising.swap_remove(at);
            return None;
        }
        if u64::from(rising.count) < burst.count_min {
            return None;
        }
        Some(self.rising.swap_remove(at))
    }

    /// Where the next rising value goes: one past the end, or the place of the lightest.
    fn place(&mut self, burst: Burst, time: i64, out: &mut Findings) -> usize {
        if self.rising.len() >= RISING_MAX {
            self.rising
                .retain(|r| time.saturating_sub(r.since) < burst.within.0);
        }
        if self.rising.len() < RISING_MAX {
            return self.rising.len();
        }
        out.overflow += 1;
        let all = self.rising.iter().enumerate();
        all.min_by_key(|(_, r)| (r.count, r.since, r.value))
            .map_or(0, |(i, _)| i)
    }
}

/// How often the new value must be seen.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a configured minimum")]
pub fn bound(rule: &NewValue) -> Bounds {
    let count = rule.burst.map_or(1, |b| b.count_min);
    vec![("event_count".to_owned(), vec![("gte", count as f64)])]
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn facts(
    ctx: &Context<'_>,
    rule: &NewValue,
    others: usize,
    (events, first): (u64, i64),
    time: i64,
    text: &[u8],
) -> Facts {
    let mut parts = text.split(|b| *b == SEPARATOR);
    let values: Vec<(&str, String)> = ctx
        .spec
        .parts
        .iter()
        .filter_map(|name| {
            let value = String::from_utf8_lossy(parts.next()?).into_owned();
            let is = |f: &&crate::model::FieldId| ctx.program.plan.fields.name(**f) == name;
            rule.fields
                .iter()
                .any(|f| is(&f))
                .then_some((name.as_str(), value))
        })
        .collect();
    let shown: Vec<String> = values.iter().map(|(n, v)| format!("{n} {v}")).collect();
    let burst = rule.burst.map_or_else(String::new, |burst| {
        format!(", then {events} times within {}", burst.within)
    });
    Facts {
        observed: vec![
            ("event_count".to_owned(), events as f64),
            ("known_values".to_owned(), others as f64),
        ],
        bound: bound(rule),
        window: (first.min(time - ctx.rule.timespan.0), time),
        error: None,
        summary: format!(
            "{} first seen within {}{burst}, {others} known",
            shown.join(" and "),
            ctx.rule.timespan
        ),
    }
}
