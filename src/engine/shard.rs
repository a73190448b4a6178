//! Stage 2 of one shard: the keyed state of its part of all keys, rule by rule.
//!
//! Rules run level by level: a rule fed by another one sees its detections, in order of time,
//! before event time advances for it. So results do not depend on how input was cut into packets,
//! nor on how many shards there are.

mod budget;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::budget::Budget;
use super::detector::plan::Plan;
use super::exchange::{Observation, Packet, Progress};
use super::merge::shard_of;
use super::program::Program;
use super::rule::{Context, Findings, Probe, State, Usage};
use super::snapshot::Kind;
use super::snapshot::changes::{Changing, Reader, Writer};
use super::watermark::queue::TimeQueue;

/// Observations whose state is fetched together: so many loads from memory wait for each other
/// no more, and it is still in the cache when its turn comes.
const TOGETHER: usize = 16;

/// All shards of an engine, wherever they run.
pub trait Shards {
    fn count(&self) -> usize;

    /// Runs the rules of `level` in every shard on its part, adding to its findings. Level 0 takes
    /// the packet in; higher levels take what lower ones derived.
    fn handle(&mut self, level: usize, parts: &mut [Packet], findings: &mut [Findings]);

    /// Per rule, over all shards.
    fn usage(&mut self) -> Vec<Usage>;

    fn next_wakeup(&mut self) -> Option<i64>;

    fn probe(&mut self, rule: usize, key: u64, now: i64) -> Probe;

    /// One image per shard, or what has changed since the last one.
    fn snapshot(&mut self, kind: Kind) -> Vec<Vec<u8>>;

    fn restore(&mut self, images: Vec<ShardImage>, keep: &[Option<usize>]);

    /// Goes on with other rules, between two packets; `keep[rule]` is the number the rule had, if
    /// it had one.
    fn reload(&mut self, program: &Arc<Program>, keep: &[Option<usize>]);
}

/// Shards in the caller's thread, one after the other.
#[derive(Debug)]
pub struct Local(Vec<Shard>);

impl Local {
    #[must_use]
    pub fn new(program: &Arc<Program>, count: usize) -> Self {
        let count = count.max(1);
        Self(
            (0..count)
                .map(|_| Shard::new(Arc::clone(program), count))
                .collect(),
        )
    }
}

impl Shards for Local {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn handle(&mut self, level: usize, parts: &mut [Packet], findings: &mut [Findings]) {
        for ((shard, part), found) in self.0.iter_mut().zip(parts).zip(findings) {
            shard.run(level, part, found);
        }
    }

    fn usage(&mut self) -> Vec<Usage> {
        let parts: Vec<Vec<Usage>> = self.0.iter().map(|s| s.usage().collect()).collect();
        sum_usage(&parts)
    }

    fn next_wakeup(&mut self) -> Option<i64> {
        self.0.iter().filter_map(Shard::next_wakeup).min()
    }

    fn probe(&mut self, rule: usize, key: u64, now: i64) -> Probe {
        let shard = self.0.get(shard_of(key, self.0.len()));
        shard.map_or_else(Probe::default, |s| s.probe(rule, key, now))
    }

    fn snapshot(&mut self, kind: Kind) -> Vec<Vec<u8>> {
        let written = |shard: &mut Shard| shard.snapshot(kind).unwrap_or_default();
        self.0.iter_mut().map(written).collect()
    }

    fn restore(&mut self, images: Vec<ShardImage>, keep: &[Option<usize>]) {
        for (shard, image) in self.0.iter_mut().zip(images) {
            shard.restore(image, keep);
        }
    }

    fn reload(&mut self, program: &Arc<Program>, keep: &[Option<usize>]) {
        for shard in &mut self.0 {
            shard.reload(Arc::clone(program), keep);
        }
    }
}

/// Adds up per rule what each shard uses.
#[must_use]
pub fn sum_usage(parts: &[Vec<Usage>]) -> Vec<Usage> {
    let mut sums = vec![Usage::default(); parts.iter().map(Vec::len).max().unwrap_or(0)];
    for (rule, part) in parts.iter().flat_map(|p| p.iter().enumerate()) {
        if let Some(total) = sums.get_mut(rule) {
            total.add(part);
        }
    }
    sums
}

/// Adds up per detector what its rules use.
#[must_use]
pub fn usage_by_detector(plan: &Plan, usage: &[Usage]) -> Vec<Usage> {
    let mut sums = vec![Usage::default(); plan.detectors.len()];
    for (rule, part) in plan.rules.iter().zip(usage) {
        if let Some(total) = sums.get_mut(rule.detector) {
            total.add(part);
        }
    }
    sums
}

type Waiting = TimeQueue<(Observation, Box<[u8]>)>;

/// Most observations of a level that wait for event time to pass (about 300 MiB); beyond it the oldest
/// is looked at early, and counted as overflow.
const WAITING_MAX: usize = 1 << 21;

/// See the module's text.
#[derive(Debug)]
pub struct Shard {
    program: Arc<Program>,
    /// Of how many it is one.
    shards: usize,
    budget: Budget,
    states: Vec<State>,
    /// Per rule: crossings that an open hold kept from becoming an alert.
    suppressed: Vec<u64>,
    /// Per level: observations of rules that look at time in order, until the watermark passes.
    waiting: Vec<Waiting>,
    /// Per level above 0: this packet's observations of events, until lower levels have run.
    later: Vec<Packet>,
    /// Bytes of the last base.
    written: usize,
}

/// What a snapshot keeps of a shard.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShardImage {
    states: Vec<State>,
    waiting: Vec<Waiting>,
}

impl ShardImage {
    /// Goes on to what an increment says.
    pub(super) fn apply(&mut self, from: &mut Reader<'_>) -> Result<(), postcard::Error> {
        for part in parts(&mut self.states, &mut self.waiting) {
            part.apply(from)?;
        }
        Ok(())
    }
}

/// All that a shard is made of, always in the same order.
fn parts<'a>(
    states: &'a mut [State],
    waiting: &'a mut [Waiting],
) -> impl Iterator<Item = &'a mut dyn Changing> {
    let states = states.iter_mut().flat_map(State::parts);
    states.chain(waiting.iter_mut().map(|w| w as &mut dyn Changing))
}

impl Shard {
    /// A shard among `shards` of them, with its part of the memory.
    #[must_use]
    pub fn new(program: Arc<Program>, shards: usize) -> Self {
        let rules = &program.plan.rules;
        let budget = Budget::new(program.settings.memory / shards.max(1), rules.len());
        let share = budget.share();
        let states = rules.iter().map(|r| State::new(r, share)).collect();
        let levels = program.levels();
        Self {
            shards,
            budget,
            suppressed: vec![0; rules.len()],
            states,
            waiting: (0..levels).map(|_| Waiting::default()).collect(),
            later: vec![Packet::default(); levels],
            written: 0,
            program,
        }
    }

    /// One level of one packet; see `Shards::handle`.
    pub fn run(&mut self, level: usize, part: &Packet, out: &mut Findings) {
        match level {
            0 => self.handle(part, out),
            _ => self.handle_level(level, part, out),
        }
    }

    /// Takes in a packet and runs the rules that are fed by events only.
    fn handle(&mut self, packet: &Packet, out: &mut Findings) {
        for together in packet.observations.chunks(TOGETHER) {
            self.touch(together);
            for o in together {
                let text = packet.text_of(o);
                match self.program.level(usize::from(o.rule)) {
                    0 => self.observe(o, text, packet.progress, out),
                    level => self.later[level].push(*o, text),
                }
            }
        }
        self.finish_level(0, packet.progress, out);
    }

    fn touch(&mut self, observations: &[Observation]) {
        let known = observations.iter().filter(|o| {
            let state = self.states.get_mut(usize::from(o.rule));
            state.is_some_and(|s| s.table().touch(o.key))
        });
        // Nobody needs the number, but its being counted must not be optimised away.
        std::hint::black_box(known.count());
    }

    /// Runs the rules of a higher level on what lower ones detected and on their own events.
    fn handle_level(&mut self, level: usize, derived: &Packet, out: &mut Findings) {
        let Some(own) = self.later.get_mut(level).map(std::mem::take) else {
            return;
        };
        let events = own.observations.iter().map(|o| (o, own.text_of(o)));
        let detections = derived.observations.iter().map(|o| (o, derived.text_of(o)));
        let mut all: Vec<(&Observation, &[u8])> = events.chain(detections).collect();
        all.sort_by_key(|(o, _)| o.time);
        for (i, (o, text)) in all.iter().enumerate() {
            // A wider group looks at a moment as a whole: what is claimed of it is not there yet.
            let same = |(next, _): &(&Observation, &[u8])| {
                (next.time, next.rule, next.key) == (o.time, o.rule, o.key)
            };
            let rolled_up = self.is_wider(o.rule);
            let o = match rolled_up {
                true => &o.followed(all.get(i + 1).is_some_and(same)),
                false => *o,
            };
            self.observe(o, text, derived.progress, out);
        }
        self.finish_level(level, derived.progress, out);
    }

    fn is_wider(&self, rule: u16) -> bool {
        let spec = self.program.specs.get(usize::from(rule));
        spec.is_some_and(|s| !s.narrower.is_empty())
    }

    /// Observations of rules that look at time in order always queue, also those the watermark has
    /// passed already: older ones may still be waiting.
    fn observe(&mut self, o: &Observation, text: &[u8], progress: Progress, out: &mut Findings) {
        let index = usize::from(o.rule);
        match self.program.specs.get(index) {
            Some(spec) if spec.waits => {
                let level = self.program.level(index);
                self.waiting[level].push(o.time, (*o, text.into()));
                if self.waiting[level].len() > WAITING_MAX {
                    out.overflow += 1;
                    let oldest = self.waiting[level].pop_until(i64::MAX);
                    let (o, text) = oldest.map(|(_, waiting)| waiting).unwrap_or_default();
                    self.apply(&o, &text, progress, out);
                }
            }
            Some(_) => self.apply(o, text, progress, out),
            None => {}
        }
    }

    fn apply(&mut self, o: &Observation, text: &[u8], progress: Progress, out: &mut Findings) {
        let index = usize::from(o.rule);
        if let Some(state) = self.states.get_mut(index) {
            let before = out.suppressed;
            // A packet may jump far ahead: for what comes later in it, state counts as it is now.
            let now = Progress {
                watermark: progress.watermark.min(o.time),
                ..progress
            };
            state.observe(&context(&self.program, index, now), o, text, out);
            self.suppressed[index] += out.suppressed - before;
            // Not only between packets: one may bring more keys than the room that is left.
            self.budget.provide(state.table());
        }
    }

    fn finish_level(&mut self, level: usize, progress: Progress, out: &mut Findings) {
        while let Some((_, (o, text))) = self
            .waiting
            .get_mut(level)
            .and_then(|w| w.pop_until(progress.watermark))
        {
            self.apply(&o, &text, progress, out);
        }
        for (index, state) in self.states.iter_mut().enumerate() {
            if self.program.level(index) == level {
                let before = out.suppressed;
                state.advance(&context(&self.program, index, progress), out);
                self.suppressed[index] += out.suppressed - before;
                self.budget.provide(state.table());
            }
        }
    }

    /// The earliest event time at which time alone may bring something about.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<i64> {
        self.states.iter().filter_map(State::next_wakeup).min()
    }

    /// Per rule.
    pub fn usage(&self) -> impl Iterator<Item = Usage> + '_ {
        let suppressed = self.suppressed.iter().copied();
        let both = self.states.iter().zip(suppressed);
        both.map(|(state, suppressed)| Usage {
            suppressed,
            ..state.usage()
        })
    }

    /// The numbers of one rule's key at event time `now`, for `explain`.
    #[must_use]
    pub fn probe(&self, rule: usize, key: u64, now: i64) -> Probe {
        let state = self.states.get(rule).zip(self.program.plan.rules.get(rule));
        state.map_or_else(Probe::default, |(state, rule)| state.probe(rule, key, now))
    }

    /// The state as bytes, or what has changed in it since it was last asked for, between packets.
    ///
    /// # Errors
    /// Never in practice: the state has no form that cannot be written.
    pub fn snapshot(&mut self, kind: Kind) -> Result<Vec<u8>, postcard::Error> {
        let mut to = match kind {
            Kind::Base => Writer::with_room(self.written + self.written / 8),
            Kind::Increment => Writer::default(),
        };
        if kind == Kind::Base {
            to.put(&(&self.states, &self.waiting))?;
        }
        for part in parts(&mut self.states, &mut self.waiting) {
            if kind == Kind::Increment {
                part.write(&mut to)?;
            }
            part.mark_written();
        }
        let bytes = to.done();
        if kind == Kind::Base {
            self.written = bytes.len();
        }
        Ok(bytes)
    }

    /// Puts back a snapshot; rules that are not the same any more (`keep[rule]` is the index they
    /// had, if they had one) start afresh.
    pub fn restore(&mut self, image: ShardImage, keep: &[Option<usize>]) {
        let mut old: Vec<Option<State>> = image.states.into_iter().map(Some).collect();
        for (state, from) in self.states.iter_mut().zip(keep) {
            if let Some(mut kept) = from.and_then(|i| old.get_mut(i)).and_then(Option::take) {
                let table = kept.table();
                table.limit(self.budget.settle(table.memory().0));
                *state = kept;
            }
        }
        for mut queue in image.waiting {
            while let Some((time, (mut o, text))) = queue.pop_until(i64::MAX) {
                let now = keep.iter().position(|k| *k == Some(usize::from(o.rule)));
                let Some(rule) = now.and_then(|r| u16::try_from(r).ok()) else {
                    continue;
                };
                o.rule = rule;
                let level = self.program.level(usize::from(rule));
                self.waiting[level].push(time, (o, text));
            }
        }
    }

    /// See `Shards::reload`.
    pub fn reload(&mut self, program: Arc<Program>, keep: &[Option<usize>]) {
        let fresh = Self::new(program, self.shards);
        let old = std::mem::replace(self, fresh);
        let image = ShardImage {
            states: old.states,
            waiting: old.waiting,
        };
        self.restore(image, keep);
    }
}

fn context(program: &Program, index: usize, progress: Progress) -> Context<'_> {
    Context {
        program,
        rule: &program.plan.rules[index],
        spec: &program.specs[index],
        detector: program.detector(index),
        index,
        watermark: progress.watermark,
        passed: progress.passed,
    }
}
