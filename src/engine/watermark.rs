//! Event time: how far it has come in each partition, what is late, what is a duplicate, and in
//! which order observations go to the shards.
//!
//! Invariant: the watermark never falls; an observation at or before it was late and said so.
//! One event dated far ahead never moves it alone.

mod arenas;
mod idle;
pub mod queue;
pub mod seen;

use serde::{Deserialize, Serialize};

use self::arenas::Arenas;
use self::idle::Idle;
use self::queue::TimeQueue;
use self::seen::Seen;
use super::exchange::{Mark, Observation, Packet, Progress, Routed};
use super::program::Settings;
use super::snapshot::changes::{Changing, Reader, Writer};
use crate::model::{EventTime, Span};

/// A time this far ahead of everything before it needs a second witness.
const FAR_AHEAD: i64 = Span::hours(24).0;
/// The next offset of a partition that is not read yet, or is gone: it is in no frontier, nor known after a restart.
pub const UNREAD: i64 = -1;
/// Most observations held back for order; beyond it the oldest go on early, and are counted.
const HELD_MAX: usize = 1 << 21;

/// Counters of what passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub events: u64,
    pub late: u64,
    pub duplicate: u64,
    pub keyless: u64,
    /// Observations that left the reordering early because it was full.
    pub unordered: u64,
}

/// What one source's events came to since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub events: u64,
    pub late: u64,
    pub duplicate: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Partition {
    source: u16,
    partition: i32,
    /// Greatest confirmed event time.
    newest: Option<i64>,
    /// A time far ahead, or the first one ever, that waits for a second witness.
    doubtful: Option<i64>,
    /// At the end of its log; does not hold the watermark back.
    idle: bool,
    /// Offset after the last record that was read and is dealt with.
    next: i64,
    /// Records before it are inside the restored state and are not taken in again.
    floor: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    observation: Observation,
    arena: u64,
}

/// Bytes of what is stored of it beside the ids it has seen, as a rule.
const STORED_REST: usize = 64 << 10;

/// See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sequencer {
    partitions: Vec<Partition>,
    queue: TimeQueue<Held>,
    arenas: Arenas,
    seen: Seen,
    watermark: i64,
    /// The partition that holds the watermark back.
    lowest: usize,
    /// Time that has passed since the latest event.
    idle: Idle,
    pub counts: Counts,
    /// By number of source.
    #[serde(skip)]
    passed: Vec<Passed>,
}

impl Default for Sequencer {
    fn default() -> Self {
        Self {
            partitions: Vec::new(),
            queue: TimeQueue::default(),
            arenas: Arenas::default(),
            seen: Seen::default(),
            watermark: EventTime::MIN.0,
            lowest: 0,
            idle: Idle::default(),
            counts: Counts::default(),
            passed: Vec::new(),
        }
    }
}

impl Sequencer {
    /// About how many bytes it takes to store it; more where many observations wait.
    #[must_use]
    pub(super) const fn stored_about(&self) -> usize {
        self.seen.stored_most() + STORED_REST
    }

    /// Takes in a batch and appends to `packet` what may go on, in order. `late_ok[rule]` says
    /// which rules still want late observations.
    pub fn accept(
        &mut self,
        batch: &Routed,
        settings: &Settings,
        late_ok: &[bool],
        packet: &mut Packet,
    ) {
        self.counts.keyless += batch.keyless.iter().sum::<u64>();
        let newest = self.newest();
        let arena = self.arenas.next();
        let mut held = 0;
        let mut rest = batch.observations.as_slice();
        for mark in &batch.marks {
            let (own, others) = rest.split_at(usize::from(mark.observations).min(rest.len()));
            rest = others;
            if self.is_inside(mark) {
                continue;
            }
            self.counts.events += 1;
            self.passed(mark).events += 1;
            if mark.id != 0 && !self.seen.insert(mark.id) {
                self.counts.duplicate += 1;
                self.passed(mark).duplicate += 1;
                let _moved = self.advance_partition(mark);
                continue;
            }
            let late = mark.time <= self.watermark;
            if self.advance_partition(mark) {
                self.watermark = self.watermark.max(self.low(settings.lateness.0));
            }
            if late {
                self.counts.late += 1;
                self.passed(mark).late += 1;
                let wanted = |o: &&Observation| late_ok.get(usize::from(o.rule)) == Some(&true);
                for o in own.iter().filter(wanted) {
                    packet.push(*o, o.text_in(&batch.text));
                }
                continue;
            }
            for o in own {
                self.queue.push(
                    mark.time,
                    Held {
                        observation: *o,
                        arena,
                    },
                );
                held += 1;
            }
        }
        for o in &batch.passed {
            self.reach(o.source, o.partition, o.offset + 1);
        }
        self.arenas.push(&batch.text, held);
        if self.newest() != newest {
            self.idle.begin();
        }
        self.watermark = self.watermark.max(self.low(settings.lateness.0));
        let limit = self.limit(settings);
        self.release(limit, packet);
        while self.queue.len() > HELD_MAX {
            self.counts.unordered += 1;
            let next = self.queue.next().unwrap_or(i64::MAX);
            self.release(next, packet);
        }
        packet.progress = Progress::at(self.watermark);
    }

    fn passed(&mut self, mark: &Mark) -> &mut Passed {
        let source = usize::from(mark.origin.source);
        if self.passed.len() <= source {
            self.passed.resize(source + 1, Passed::default());
        }
        &mut self.passed[source]
    }

    /// Per source what has passed since the last call.
    pub fn take_passed(&mut self) -> Vec<Passed> {
        std::mem::take(&mut self.passed)
    }

    /// Until when observations may go on. In order: to before the watermark, as deadlines do, so
    /// that one packet ends where the next begins.
    fn limit(&mut self, settings: &Settings) -> i64 {
        if settings.sorted {
            self.watermark.saturating_sub(1)
        } else {
            self.low(0)
        }
    }

    fn release(&mut self, limit: i64, packet: &mut Packet) {
        while let Some((_, held)) = self.queue.pop_until(limit) {
            let o = held.observation;
            self.arenas
                .take(held.arena, |text| packet.push(o, o.text_in(text)));
        }
        self.arenas.trim();
    }

    /// A record that the restored state already contains (its source began too early).
    fn is_inside(&self, mark: &Mark) -> bool {
        let o = mark.origin;
        let same = |p: &&Partition| p.source == o.source && p.partition == o.partition;
        self.partitions
            .iter()
            .find(same)
            .is_some_and(|p| o.offset < p.floor)
    }

    /// Returns whether the watermark may move: the partition held it back and has advanced.
    fn advance_partition(&mut self, mark: &Mark) -> bool {
        let o = mark.origin;
        let same = |p: &Partition| p.source == o.source && p.partition == o.partition;
        let known = self.partitions.iter().position(same);
        let at = known.unwrap_or(self.partitions.len());
        if known.is_none() {
            self.expect(o.source, o.partition, 0);
        }
        let lowest = self.lowest == at || self.partitions.len() == 1;
        let p = &mut self.partitions[at];
        let before = p.newest;
        p.next = p.next.max(o.offset + 1);
        p.idle = false;
        p.newest = match (p.newest, p.doubtful) {
            _ if mark.bounded => {
                p.doubtful = None;
                p.newest.max(Some(mark.time))
            }
            // The very first record may itself be the one from the future.
            (None, None) => {
                p.doubtful = Some(mark.time);
                None
            }
            (None, Some(first)) => {
                let far = (mark.time - first).abs() > FAR_AHEAD;
                p.doubtful = far.then_some(mark.time.max(first));
                Some(if far {
                    mark.time.min(first)
                } else {
                    mark.time.max(first)
                })
            }
            (Some(newest), _) if mark.time <= newest + FAR_AHEAD => {
                p.doubtful = None;
                Some(newest.max(mark.time))
            }
            (Some(_), Some(doubtful)) if (mark.time - doubtful).abs() <= FAR_AHEAD => {
                p.doubtful = None;
                Some(mark.time)
            }
            (newest, _) => {
                p.doubtful = Some(mark.time);
                newest
            }
        };
        lowest && p.newest != before
    }

    /// The least progress of the partitions that are not idle, less `lateness`; if all are idle,
    /// the greatest. A partition that has brought nothing yet holds everything back.
    fn low(&mut self, lateness: i64) -> i64 {
        let progress = |p: &Partition| p.newest.unwrap_or(EventTime::MIN.0);
        let active = self.partitions.iter().enumerate().filter(|(_, p)| !p.idle);
        let point = match active.map(|(i, p)| (progress(p), i)).min() {
            Some((time, index)) => {
                self.lowest = index;
                time
            }
            None => self
                .partitions
                .iter()
                .map(progress)
                .max()
                .unwrap_or(EventTime::MIN.0),
        };
        if point == EventTime::MIN.0 {
            point
        } else {
            point - lateness
        }
    }

    /// A partition exists: until it is idle or has brought an event it holds the watermark back.
    pub fn expect(&mut self, source: u16, partition: i32, next: i64) {
        let fresh = Partition {
            source,
            partition,
            newest: None,
            doubtful: None,
            idle: false,
            next,
            floor: 0,
        };
        let same = |p: &&mut Partition| p.source == source && p.partition == partition;
        match self.partitions.iter_mut().find(same) {
            Some(known) if known.next == UNREAD => known.next = next,
            Some(_) => {}
            None => {
                self.partitions.push(fresh);
                self.idle.interrupt();
            }
        }
    }

    /// There may be records of a partition that were not read, though perhaps nobody can read them yet: it
    /// holds the watermark back.
    pub fn behind(&mut self, source: u16, partition: i32) {
        self.expect(source, partition, UNREAD);
        self.set_idle(source, partition, false);
    }

    /// A partition was read up to `next`, whatever that brought.
    pub fn reach(&mut self, source: u16, partition: i32, next: i64) {
        for p in &mut self.partitions {
            if p.source == source && p.partition == partition {
                p.next = p.next.max(next);
            }
        }
    }

    /// A partition's log is another one, or lost its beginning: it is read anew from `next`.
    pub fn restart(&mut self, source: u16, partition: i32, next: i64) {
        self.expect(source, partition, next);
        for p in &mut self.partitions {
            if p.source == source && p.partition == partition {
                (p.next, p.floor, p.idle) = (next, 0, false);
            }
        }
        self.idle.interrupt();
    }

    /// A partition has been read to the end of its log (and not because we paused it), or is no
    /// longer known to have been.
    pub fn set_idle(&mut self, source: u16, partition: i32, idle: bool) {
        for p in &mut self.partitions {
            if p.source == source && p.partition == partition {
                p.idle = idle;
            }
        }
        if !idle {
            self.idle.interrupt();
        }
    }

    /// The clock says `now`. Where all partitions are at the end of their logs, event time passes
    /// as fast as the clock, from the latest event on: a deadline comes without any event, and a
    /// stream that lags behind the clock is not made late by it. Only an event later than all before it
    /// begins anew; whatever else comes, at whatever rhythm, holds nothing back.
    pub fn tick(&mut self, now: i64, settings: &Settings) {
        let at_ends = !self.partitions.is_empty() && self.partitions.iter().all(|p| p.idle);
        self.idle.look(now, at_ends);
        if !at_ends {
            return;
        }
        let before = self.newest();
        // The clock is a witness, too: of the only record there is.
        for p in self.partitions.iter_mut().filter(|p| p.newest.is_none()) {
            p.newest = p.doubtful.take_if(|first| *first <= now + FAR_AHEAD);
        }
        let newest = self.newest();
        if newest != before {
            self.idle.begin();
            self.idle.look(now, true);
        }
        if let Some(newest) = newest {
            let front = newest.0.saturating_add(self.idle.passed());
            self.watermark = self.watermark.max(front - settings.lateness.0);
        }
    }

    /// Lets go on what idle partitions no longer hold back.
    pub fn settle(&mut self, settings: &Settings, packet: &mut Packet) {
        self.watermark = self.watermark.max(self.low(settings.lateness.0));
        let limit = self.limit(settings);
        self.release(limit, packet);
        packet.progress = Progress::at(self.watermark);
    }

    /// The end of all input: everything held goes on, and event time advances to `until`, or by
    /// `deadline` past the greatest confirmed time; no more than that has passed.
    pub fn finish(&mut self, until: Option<i64>, deadline: i64, packet: &mut Packet) {
        let known = |p: &Partition| p.newest.or(p.doubtful);
        let newest = self.partitions.iter().filter_map(known).max();
        self.release(EventTime::MAX.0, packet);
        let end = until.or_else(|| newest.map(|t| t.saturating_add(deadline)));
        self.watermark = self.watermark.max(end.unwrap_or(self.watermark));
        packet.progress = Progress {
            watermark: self.watermark,
            passed: until.or(newest).unwrap_or(self.watermark),
        };
    }

    /// After a restore: records before the frontier are inside, and no partition is known to be at
    /// its end. What had passed has passed; of the time since then nothing is known.
    pub fn resume(&mut self) {
        // One that nobody has read is named again if there is still such a one; else nothing ever came of it.
        self.partitions.retain(|p| p.next != UNREAD);
        self.arenas.tidy();
        for p in &mut self.partitions {
            p.floor = p.next;
            p.idle = false;
        }
        self.lowest = 0;
        self.idle.interrupt();
    }

    /// After a restore or a reload: rules have the numbers `keep` says, sources those of `sources` (by their
    /// old number; `None` is gone). What belongs to rules or sources that are gone goes too.
    pub fn renumber(&mut self, keep: &[Option<usize>], sources: &[Option<u16>]) {
        let source = |old: u16| sources.get(usize::from(old)).copied().flatten();
        self.partitions.retain(|p| source(p.source).is_some());
        for p in &mut self.partitions {
            p.source = source(p.source).unwrap_or(p.source);
        }
        self.lowest = 0;
        let mut queue = TimeQueue::default();
        while let Some((time, mut held)) = self.queue.pop_until(i64::MAX) {
            let o = &mut held.observation;
            let rule = keep.iter().position(|k| *k == Some(usize::from(o.rule)));
            // A rule that is gone keeps its place in the arena's count, under a number no rule has.
            o.rule = rule.and_then(|r| u16::try_from(r).ok()).unwrap_or(u16::MAX);
            o.origin.source = source(o.origin.source).unwrap_or(u16::MAX);
            queue.push(time, held);
        }
        self.queue = queue;
    }

    #[must_use]
    pub const fn watermark(&self) -> EventTime {
        EventTime(self.watermark)
    }

    /// The greatest confirmed event time.
    #[must_use]
    pub fn newest(&self) -> Option<EventTime> {
        self.partitions
            .iter()
            .filter_map(|p| p.newest)
            .max()
            .map(EventTime)
    }

    /// Per source and partition the offset after the last record taken in.
    pub fn frontier(&self) -> impl Iterator<Item = (u16, i32, i64)> + '_ {
        let read = self.partitions.iter().filter(|p| p.next != UNREAD);
        read.map(|p| (p.source, p.partition, p.next))
    }

    /// Observations held back for order.
    #[must_use]
    pub fn held(&self) -> usize {
        self.queue.len()
    }
}

/// Its partitions and numbers are few: only what it holds and remembers is told by what has changed.
impl Changing for Sequencer {
    fn write(&self, to: &mut Writer) -> Result<(), postcard::Error> {
        let times = (self.watermark, self.lowest, self.idle);
        to.put(&(&self.partitions, times, &self.counts))?;
        self.queue.write(to)?;
        self.arenas.write(to)?;
        self.seen.write(to)
    }

    fn apply(&mut self, from: &mut Reader<'_>) -> Result<(), postcard::Error> {
        let times;
        (self.partitions, times, self.counts) = from.take()?;
        (self.watermark, self.lowest, self.idle) = times;
        self.queue.apply(from)?;
        self.arenas.apply(from)?;
        self.seen.apply(from)
    }

    fn mark_written(&mut self) {
        self.queue.mark_written();
        self.arenas.mark_written();
        self.seen.mark_written();
    }
}
