//! A plain detection: every matching event is an alert, unless a hold keeps repeats together. Without
//! one nothing is kept: each event's alert has an id of its own (`Observation::own_id`).
//!
//! With `suppress`, matches of the same key within that time of the last one belong to the same
//! alert; they are counted, not repeated.

use serde::{Deserialize, Serialize};

use super::episode::{Episode, Facts, SLOT_MAX};
use super::{Context, Findings, News, Usage};
use crate::engine::exchange::Observation;
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::{Bounded, Table, Weigh};
use crate::model::Span;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    episode: Episode,
    /// Nothing more can follow after this time.
    over: i64,
}

impl Weigh for Entry {
    fn dead(&self, watermark: i64) -> bool {
        self.over < watermark
    }
    fn pinned(&self) -> bool {
        false
    }
    fn weight(&self) -> u64 {
        self.episode.events
    }
    fn heap(&self) -> usize {
        self.episode.heap() - size_of::<Episode>()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Each {
    table: Table<Entry>,
}

impl Each {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
        }
    }

    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        if ctx.detector.suppress == Span::ZERO {
            let episode = Episode::begin_alone(o.time, o.own_id(), text);
            tell(ctx, o, episode, text, out);
        } else {
            self.hold(ctx, o, text, out);
        }
    }

    /// Counts what comes within the hold of the last one, and tells of others.
    fn hold(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        let hold = ctx.detector.suppress.0;
        // Late ones that come soon after each other are held, too.
        let over = |last: i64| last.max(ctx.passed).saturating_add(hold.max(SLOT_MAX));
        if let Some(entry) = self.table.get_mut(o.key)
            && o.time <= entry.episode.last.saturating_add(hold)
        {
            entry.episode.events += 1;
            entry.episode.last = entry.episode.last.max(o.time);
            entry.episode.origins.add(o.origin);
            entry.over = over(entry.episode.last);
            entry.episode.hold_back(out);
            if entry.episode.update_due() {
                let facts = facts(&entry.episode);
                entry.episode.update(ctx, facts, out);
            }
            return;
        }
        let last = self.table.get(o.key).map(|e| &e.episode);
        let episode = Episode::begin(ctx, o.time, text, last);
        let episode = tell(ctx, o, episode, text, out);
        let over = over(o.time);
        let entry = Entry { episode, over };
        let kept = self.table.update(
            o.key,
            ctx.watermark,
            || entry.clone(),
            |e| *e = entry.clone(),
        );
        out.overflow += u64::from(kept.is_none());
    }

    pub fn table(&mut self) -> &mut dyn Bounded {
        &mut self.table
    }

    pub fn parts(&mut self) -> Vec<&mut dyn Changing> {
        vec![&mut self.table]
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        super::usage(&self.table)
    }
}

/// Tells of one event.
fn tell(
    ctx: &Context<'_>,
    o: &Observation,
    mut episode: Episode,
    text: &[u8],
    out: &mut Findings,
) -> Episode {
    episode.events = 1;
    episode.origins.add(o.origin);
    let facts = facts(&episode);
    episode.announce(ctx, facts, out);
    out.derive(ctx, News::Begins, o.time, o.origin, text);
    episode
}

#[expect(
    clippy::cast_precision_loss,
    reason = "event counts are far below 2^53"
)]
fn facts(episode: &Episode) -> Facts {
    Facts {
        observed: vec![("event_count".to_owned(), episode.events as f64)],
        bound: vec![("event_count".to_owned(), vec![("gte", 1.0)])],
        window: (episode.first, episode.last),
        error: None,
        summary: match episode.events {
            1 => "1 event".to_owned(),
            n => format!("{n} events"),
        },
    }
}
