//! All steps occurred within the timespan, in any order or in the order of the inputs.
//!
//! One event serves one step. An alert stands on the remembered events of its window: the latest
//! `PER_STEP` of each step. Ordered chains keep, per step, the latest start from which it can be
//! reached, so a flood of one step cannot push an older chain out of memory.

use serde::{Deserialize, Serialize};

use super::episode::{self, Episode, Facts};
use super::origins::Origins;
use super::{Context, Findings, News, Probe, Usage};
use crate::engine::detector::plan::Kind;
use crate::engine::exchange::{Observation, Origin, SEPARATOR};
use crate::engine::snapshot::changes::Changing;
use crate::engine::table::{Bounded, Table, Weigh};

/// `Seen::offset` where an older form did not say.
pub const ORIGIN_UNKNOWN: i64 = i64::MIN;

/// Events remembered per step: enough to find distinct events for up to this many steps.
const PER_STEP: usize = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "StepSeen")]
struct Seen {
    time: i64,
    event: u32,
    /// Where it came from, field by field: older forms do not have it.
    source: u16,
    partition: i32,
    offset: i64,
}

impl Seen {
    fn of(o: &Observation) -> Self {
        Self {
            time: o.time,
            event: o.event,
            source: o.origin.source,
            partition: o.origin.partition,
            offset: o.origin.offset,
        }
    }

    /// `None` in a state of before origins were kept.
    fn origin(self) -> Option<Origin> {
        (self.offset != ORIGIN_UNKNOWN).then_some(Origin {
            source: self.source,
            partition: self.partition,
            offset: self.offset,
        })
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Step {
    /// Latest events of this step, newest last.
    seen: Vec<Seen>,
    /// Ordered: the latest start of a chain that has come to this step, and the event that took it here.
    start: Option<(i64, Seen)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename = "TemporalEntry")]
struct Entry {
    steps: Vec<Step>,
    newest: i64,
    span: i64,
    /// How long after `newest` the entry still matters: its steps, its hold, its numbering.
    keep: i64,
    /// The latest text of each part over all steps: what one step does not know another one does.
    text: Box<[u8]>,
    episode: Option<Box<Episode>>,
}

impl Weigh for Entry {
    fn dead(&self, watermark: i64) -> bool {
        self.newest + self.keep < watermark
    }
    fn pinned(&self) -> bool {
        false
    }
    fn weight(&self) -> u64 {
        self.steps.iter().filter(|s| !s.seen.is_empty()).count() as u64
    }
    fn heap(&self) -> usize {
        self.steps
            .iter()
            .map(|s| s.seen.capacity() * size_of::<Seen>())
            .sum::<usize>()
            + self.steps.capacity() * size_of::<Step>()
            + self.text.len()
            + self.episode.as_ref().map_or(0, |e| e.heap())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Temporal {
    table: Table<Entry>,
}

impl Temporal {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
        }
    }

    pub fn observe(&mut self, ctx: &Context<'_>, o: &Observation, text: &[u8], out: &mut Findings) {
        let Kind::Temporal { ordered, sets } = &ctx.rule.kind else {
            return;
        };
        let span = ctx.rule.timespan.0;
        let fresh = || Entry {
            steps: vec![Step::default(); ctx.rule.inputs.len()],
            newest: o.time,
            span,
            keep: span
                .saturating_add(ctx.detector.suppress.0)
                .max(episode::SLOT_MAX),
            text: Box::default(),
            episode: None,
        };
        let change = |entry: &mut Entry| {
            if o.time > entry.newest.saturating_add(span) {
                entry.text = Box::default();
            }
            entry.newest = entry.newest.max(o.time);
            entry.text = join(&entry.text, text);
            let complete = if *ordered {
                entry.follow(o, span)
            } else {
                entry.gather(o, sets, span)
            };
            if let Some((first, time)) = complete {
                entry.found(ctx, o, first, time, out);
            }
        };
        let known = self.table.update(o.key, ctx.watermark, fresh, change);
        out.overflow += u64::from(known.is_none());
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

    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a handful of steps")]
    pub fn probe(&self, key: u64) -> Probe {
        let Some(entry) = self.table.get(key) else {
            return Probe::default();
        };
        let recent = |s: &&Step| {
            s.seen
                .last()
                .is_some_and(|e| e.time > entry.newest - entry.span)
        };
        let steps = entry.steps.iter().filter(recent).count() as f64;
        let open = entry
            .episode
            .as_ref()
            .is_some_and(|e| e.time < entry.newest && entry.newest <= e.until);
        Probe {
            numbers: vec![("steps".to_owned(), steps)],
            open,
            ..Probe::default()
        }
    }
}

impl Entry {
    fn remember(&mut self, o: &Observation) -> Option<Seen> {
        let seen = Seen::of(o);
        let step = self.steps.get_mut(usize::from(o.input))?;
        let at = step.seen.partition_point(|s| s.time <= seen.time);
        step.seen.insert(at, seen);
        if step.seen.len() > PER_STEP {
            step.seen.remove(0);
        }
        Some(seen)
    }

    /// Ordered: extends the chain that reaches this step; returns (start, end) when the last step is reached.
    fn follow(&mut self, o: &Observation, span: i64) -> Option<(i64, i64)> {
        let mut seen = self.remember(o)?;
        let first = usize::from(o.input);
        let last = self.steps.len().checked_sub(1)?;
        for index in first..=last {
            if index > first {
                // A straggler completed an earlier step: a later one may already be there.
                let before = seen;
                let next = |s: &&Seen| s.time > before.time && s.event != before.event;
                seen = *self.steps.get(index)?.seen.iter().find(next)?;
            }
            let start = match index.checked_sub(1) {
                None => seen.time,
                Some(previous) => {
                    let (start, by) = self.steps.get(previous)?.start?;
                    let follows = by.event != seen.event && by.time <= seen.time;
                    if !follows || seen.time - start >= span {
                        return None;
                    }
                    start
                }
            };
            let step = self.steps.get_mut(index)?;
            if step.start.is_none_or(|(known, _)| known <= start) {
                step.start = Some((start, seen));
            }
            if index == last {
                return Some((start, seen.time));
            }
        }
        None
    }

    /// Unordered: whether distinct events within the span serve all steps, or those of one set.
    fn gather(&mut self, o: &Observation, sets: &[Vec<usize>], span: i64) -> Option<(i64, i64)> {
        self.remember(o)?;
        let end = self.newest;
        let latest = |steps: &[&Step]| latest_start(steps, end - span);
        // Of several sets the one that holds longest: until then it is one episode.
        let first = if sets.is_empty() {
            latest(&self.steps.iter().collect::<Vec<_>>())
        } else {
            let of = |set: &Vec<usize>| set.iter().filter_map(|i| self.steps.get(*i)).collect();
            sets.iter()
                .map(of)
                .filter_map(|steps: Vec<&Step>| latest(&steps))
                .max()
        }?;
        Some((first, end))
    }

    fn found(
        &mut self,
        ctx: &Context<'_>,
        o: &Observation,
        first: i64,
        time: i64,
        out: &mut Findings,
    ) {
        let hold = ctx.detector.suppress.0;
        if let Some(last) = self.episode.as_mut()
            && time <= last.until.saturating_add(hold)
        {
            let again = time > last.until;
            last.events += 1;
            last.last = last.last.max(time);
            last.until = last.until.max(first.saturating_add(self.span));
            last.origins.add(o.origin);
            last.hold_back(out);
            if last.update_due() {
                let facts = facts(ctx, &self.steps, first, time);
                last.update(ctx, facts, out);
            }
            out.goes_on(ctx, o, &self.text, again);
            return;
        }
        let text = std::mem::take(&mut self.text);
        let mut episode = Episode::begin(ctx, time, &text, self.episode.as_deref());
        (episode.first, episode.last, episode.until) =
            (first, time, first.saturating_add(self.span));
        (episode.events, episode.origins) = self.evidence(first, time);
        episode.announce(ctx, facts(ctx, &self.steps, first, time), out);
        out.derive(ctx, News::Begins, time, o.origin, &text);
        self.text = text;
        self.episode = Some(Box::new(episode));
    }

    /// How many of the remembered events lie in the window, and where they came from.
    fn evidence(&self, first: i64, time: i64) -> (u64, Origins) {
        let all = self.steps.iter().flat_map(|s| &s.seen).copied();
        let mut within: Vec<Seen> = all.filter(|s| (first..=time).contains(&s.time)).collect();
        within.sort_unstable_by_key(|s| (s.time, s.event));
        within.dedup_by_key(|s| (s.time, s.event));
        let mut origins = Origins::default();
        within
            .iter()
            .filter_map(|s| s.origin())
            .for_each(|o| origins.add(o));
        (within.len() as u64, origins)
    }
}

/// Part by part the newer text, where it has one.
pub(super) fn join(known: &[u8], newer: &[u8]) -> Box<[u8]> {
    let mut known = known.split(|b| *b == SEPARATOR);
    let parts: Vec<&[u8]> = newer
        .split(|b| *b == SEPARATOR)
        .map(|part| {
            let before = known.next().unwrap_or_default();
            if part.is_empty() { before } else { part }
        })
        .collect();
    parts.join(&SEPARATOR).into_boxed_slice()
}

/// The latest time at which distinct events after `from`, one for each step, can begin.
fn latest_start(steps: &[&Step], from: i64) -> Option<i64> {
    let live = |s: &Seen| s.time > from;
    let newest: Option<Vec<Seen>> = steps
        .iter()
        .map(|s| s.seen.last().copied().filter(live))
        .collect();
    let newest = newest?;
    let alone = |(at, s): (usize, &Seen)| newest.iter().take(at).all(|o| o.event != s.event);
    if newest.iter().enumerate().all(alone) {
        return newest.iter().map(|s| s.time).min();
    }
    // Newest first, each event finds a step, if others can move on; the one that completes is the start.
    let all = steps.iter().flat_map(|s| &s.seen).copied().filter(live);
    let mut events: Vec<Seen> = all.collect();
    events.sort_unstable_by_key(|s| std::cmp::Reverse((s.time, s.event)));
    events.dedup();
    let mut served = vec![None; steps.len()];
    for seen in events {
        let mut tried = vec![false; steps.len()];
        if serve(steps, seen.event, &mut served, &mut tried) && served.iter().all(Option::is_some) {
            return Some(seen.time);
        }
    }
    None
}

/// Gives an event a step to serve, moving those that stand in its way to other steps.
fn serve(steps: &[&Step], event: u32, served: &mut [Option<u32>], tried: &mut [bool]) -> bool {
    for (at, step) in steps.iter().enumerate() {
        if tried[at] || step.seen.iter().all(|s| s.event != event) {
            continue;
        }
        tried[at] = true;
        if served[at].is_none_or(|other| serve(steps, other, served, tried)) {
            served[at] = Some(event);
            return true;
        }
    }
    false
}

#[expect(clippy::cast_precision_loss, reason = "a handful of steps, and a span")]
fn facts(ctx: &Context<'_>, steps: &[Step], first: i64, time: i64) -> Facts {
    let Kind::Temporal { ordered, sets } = &ctx.rule.kind else {
        return Facts::default();
    };
    let within = |e: &Seen| (first..=time).contains(&e.time);
    let names: Vec<&str> = (ctx.rule.inputs.iter().zip(steps))
        .filter(|(_, step)| sets.is_empty() || step.seen.iter().any(within))
        .map(|(input, _)| input.name.as_str())
        .collect();
    let least = sets.first().map_or(steps.len(), Vec::len);
    let mut observed = vec![("steps".to_owned(), names.len() as f64)];
    if *ordered {
        // From the first step to the last.
        observed.push(("lag_s".to_owned(), (time - first) as f64 / 1000.0));
    }
    Facts {
        observed,
        bound: vec![("steps".to_owned(), vec![("gte", least as f64)])],
        window: (first, time),
        error: None,
        summary: format!(
            "{} within {}",
            names.join(if *ordered { ", then " } else { " and " }),
            ctx.rule.timespan
        ),
    }
}
