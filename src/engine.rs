//! The sans-I/O core: observations go in, alerts come out, and time is an argument.
//!
//! Does no I/O, reads no clock, holds no async, logs nothing and returns no `Result` while
//! running. `Engine` runs all shards in the caller's thread; the daemon runs the same parts
//! (`Sequencer`, `Shard`, `merge`) on threads with channels between them.

pub mod alert;
pub mod containment;
pub mod detector;
pub mod exchange;
pub mod merge;
pub mod outbox;
pub mod program;
pub mod rule;
pub mod shard;
pub mod sketch;
pub mod snapshot;
pub mod table;
pub mod watermark;
pub mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use alert::Alert;
use exchange::{Observation, Packet, Progress, Routed};
use program::Program;
use rule::{Findings, Probe, Usage};
use shard::Local;
pub use shard::Shards;
use snapshot::changes::Changing as _;
use watermark::{Counts, Passed, Sequencer};

use crate::model::{EventTime, WallTime};

/// What the engine is told.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Routed events of one batch, in order of arrival.
    Batch(&'a Routed),
    /// A partition exists, read from `next` on; it holds event time back until it is idle or has brought an event.
    Expect {
        source: u16,
        partition: i32,
        next: i64,
    },
    /// The log of a partition is another one, or lost its beginning: it is read anew from `next`.
    Restart {
        source: u16,
        partition: i32,
        next: i64,
    },
    /// A partition has been read to before `next`; what came last may have been no event.
    Reached {
        source: u16,
        partition: i32,
        next: i64,
    },
    /// A partition has been read to the end of its log.
    Idle { source: u16, partition: i32 },
    /// There may be records of a partition that were not read, again or for the first time: it holds
    /// event time back.
    Behind { source: u16, partition: i32 },
    /// No more input will come: event time advances to `until`, or as far as the longest deadline.
    End { until: Option<EventTime> },
}

/// What the engine has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Alert(Box<Alert>),
}

/// Numbers of what has happened so far.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub counts: Counts,
    pub detections: u64,
    pub suppressed: u64,
    pub overflow: u64,
    /// Per rule, over all shards.
    pub usage: Vec<Usage>,
    /// Observations held back for order.
    pub held: usize,
    pub watermark: EventTime,
}

/// The whole engine, over shards that run where `S` puts them. See the module's text.
#[derive(Debug)]
pub struct Engine<S = Local> {
    program: Arc<Program>,
    late_ok: Vec<bool>,
    sequencer: Sequencer,
    shards: S,
    packet: Packet,
    parts: Vec<Packet>,
    findings: Vec<Findings>,
    outputs: VecDeque<Output>,
    totals: Totals,
    /// The increments since the last base; `None` where there is none that what is here grew out of.
    increments: Option<u64>,
    /// What rules fed to rules in the last call, for those who look on.
    fed: Option<Packet>,
}

/// What findings add up to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub detections: u64,
    pub suppressed: u64,
    pub overflow: u64,
}

impl Totals {
    pub fn add(&mut self, findings: &Findings) {
        self.detections += findings.detections;
        self.suppressed += findings.suppressed;
        self.overflow += findings.overflow;
    }
}

impl Engine<Local> {
    /// An engine with this many shards, all in the caller's thread.
    #[must_use]
    pub fn new(program: Arc<Program>, shards: usize) -> Self {
        let shards = Local::new(&program, shards);
        Self::over(program, shards)
    }
}

impl<S: Shards> Engine<S> {
    /// An engine over these shards.
    #[must_use]
    pub fn over(program: Arc<Program>, shards: S) -> Self {
        let count = shards.count();
        Self {
            late_ok: program.late_ok(),
            sequencer: Sequencer::default(),
            shards,
            packet: Packet::default(),
            parts: vec![Packet::default(); count],
            findings: vec![Findings::default(); count],
            outputs: VecDeque::new(),
            totals: Totals::default(),
            increments: None,
            fed: None,
            program,
        }
    }

    #[must_use]
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Takes in what happened; `poll` then gives what follows from it.
    pub fn handle(&mut self, input: &Input<'_>) {
        self.packet.observations.clear();
        self.packet.text.clear();
        let settings = &self.program.settings;
        match input {
            Input::Batch(routed) => {
                self.sequencer
                    .accept(routed, settings, &self.late_ok, &mut self.packet);
            }
            Input::Expect {
                source,
                partition,
                next,
            } => {
                self.sequencer.expect(*source, *partition, *next);
                return;
            }
            Input::Restart {
                source,
                partition,
                next,
            } => {
                self.sequencer.restart(*source, *partition, *next);
                return;
            }
            Input::Reached {
                source,
                partition,
                next,
            } => {
                self.sequencer.reach(*source, *partition, *next);
                return;
            }
            Input::Idle { source, partition } => {
                self.sequencer.set_idle(*source, *partition, true);
                self.sequencer.settle(settings, &mut self.packet);
            }
            Input::Behind { source, partition } => {
                self.sequencer.behind(*source, *partition);
                return;
            }
            Input::End { until } => {
                let deadline = self.program.longest_deadline().0 + 1;
                self.sequencer
                    .finish(until.map(|t| t.0), deadline, &mut self.packet);
            }
        }
        self.run();
    }

    /// The wall clock says `now`, and a batch is about to be taken in: where that brings nothing new, time
    /// has passed up to it. Alerts of it come with the batch.
    pub fn watch(&mut self, now: WallTime) {
        self.sequencer.tick(now.0, &self.program.settings);
    }

    /// The wall clock says `now`: where every partition is at its end, event time passes with it.
    pub fn advance(&mut self, now: WallTime) {
        self.packet.observations.clear();
        self.packet.text.clear();
        self.sequencer.tick(now.0, &self.program.settings);
        self.sequencer
            .settle(&self.program.settings, &mut self.packet);
        self.run();
    }

    fn run(&mut self) {
        if let Some(fed) = &mut self.fed {
            *fed = Packet::default();
        }
        merge::split(&self.packet, &mut self.parts);
        self.shards.handle(0, &mut self.parts, &mut self.findings);
        for level in 1..self.program.levels() {
            let derived = take_derived(
                &self.program,
                level,
                &mut self.findings,
                self.packet.progress,
            );
            if let Some(fed) = &mut self.fed {
                let all = derived.observations.iter();
                all.for_each(|o| fed.push(*o, derived.text_of(o)));
            }
            merge::split(&derived, &mut self.parts);
            self.shards
                .handle(level, &mut self.parts, &mut self.findings);
        }
        let mut alerts: Vec<(i64, Alert)> = Vec::new();
        for found in &mut self.findings {
            let mut found = std::mem::take(found);
            self.totals.add(&found);
            alerts.append(&mut found.alerts);
        }
        merge::sort_alerts(&mut alerts);
        self.outputs
            .extend(alerts.into_iter().map(|(_, a)| Output::Alert(Box::new(a))));
    }

    /// The next thing it has to say.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether `poll` would give something.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// The event time at which time alone may bring something about.
    #[must_use]
    pub fn next_wakeup(&mut self) -> Option<EventTime> {
        self.shards.next_wakeup().map(EventTime)
    }

    /// Where each partition stands: source, partition, next offset.
    pub fn frontier(&self) -> impl Iterator<Item = (u16, i32, i64)> + '_ {
        self.sequencer.frontier()
    }

    /// Counters of what passed.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.sequencer.counts
    }

    /// Per source what has passed since the last call.
    pub fn take_passed(&mut self) -> Vec<Passed> {
        self.sequencer.take_passed()
    }

    #[must_use]
    pub fn stats(&mut self) -> Stats {
        Stats {
            counts: self.sequencer.counts,
            detections: self.totals.detections,
            suppressed: self.totals.suppressed,
            overflow: self.totals.overflow,
            usage: self.shards.usage(),
            held: self.sequencer.held(),
            watermark: self.sequencer.watermark(),
        }
    }

    /// The numbers of one rule's key at event time `now`, for `explain`.
    #[must_use]
    pub fn probe(&mut self, rule: usize, key: u64, now: i64) -> Probe {
        self.shards.probe(rule, key, now)
    }

    /// From now on keeps for each call what rules feed to rules; `fed` tells.
    pub fn look_on(&mut self) {
        self.fed = Some(Packet::default());
    }

    /// What rules made of detections, or left to wider groups, in the last call.
    pub fn fed(&self) -> impl Iterator<Item = (&Observation, &[u8])> {
        let fed = self.fed.iter();
        fed.flat_map(|fed| fed.observations.iter().map(move |o| (o, fed.text_of(o))))
    }

    /// Everything that is needed to go on from here, with the frontier it stands at; or what has changed
    /// in it since the last call, if there was one in this life and with these detectors.
    #[must_use]
    pub fn snapshot(&mut self, kind: snapshot::Kind) -> snapshot::Taken {
        use snapshot::{Kind, Taken};
        let nth = match (kind, self.increments) {
            (Kind::Increment, Some(before)) => before + 1,
            _ => 0,
        };
        let kind = if nth == 0 {
            Kind::Base
        } else {
            Kind::Increment
        };
        let shards = self.shards.snapshot(kind);
        let body = match kind {
            Kind::Base => snapshot::base(&self.program, &self.sequencer, shards),
            Kind::Increment => snapshot::increment(nth, &self.sequencer, shards),
        };
        self.sequencer.mark_written();
        self.increments = Some(nth);
        Taken { kind, body }
    }

    /// Goes on from a snapshot whose sources were called `sources`. Rules that have changed since start afresh; `Err` says why nothing could be taken.
    ///
    /// # Errors
    /// It is not of this format, hash key or number of shards.
    pub fn restore(
        &mut self,
        saved: snapshot::Saved<'_>,
        sources: &[String],
    ) -> Result<snapshot::Restored, snapshot::Refused> {
        let image = saved.take_up(&self.program, self.shards.count(), sources)?;
        self.sequencer = image.sequencer;
        self.shards.restore(image.shards, &image.keep);
        self.increments = None;
        Ok(image.restored)
    }

    /// Goes on with other detectors, between two batches: unchanged rules keep their state, new and
    /// changed ones start afresh. Only the plan may differ from the program before.
    pub fn reload(&mut self, program: Arc<Program>) -> snapshot::Restored {
        let keep = program.keep(&self.program.identities());
        let sources = (0..program.settings.sources.len()).map(|s| u16::try_from(s).ok());
        self.sequencer.renumber(&keep, &sources.collect::<Vec<_>>());
        self.shards.reload(&program, &keep);
        self.increments = None;
        self.late_ok = program.late_ok();
        self.program = program;
        snapshot::Restored::of(&keep)
    }
}

/// Takes out of the shards' findings what rules of `level` are to see, joined and in order.
pub fn take_derived(
    program: &Program,
    level: usize,
    findings: &mut [Findings],
    progress: Progress,
) -> Packet {
    let mut mine: Vec<Packet> = Vec::with_capacity(findings.len());
    for found in findings.iter_mut() {
        let all = std::mem::take(&mut found.derived);
        let mut taken = Packet::default();
        for o in &all.observations {
            let target = if program.level(usize::from(o.rule)) == level {
                &mut taken
            } else {
                &mut found.derived
            };
            target.push(*o, all.text_of(o));
        }
        mine.push(taken);
    }
    merge::join(mine.iter(), progress)
}

#[cfg(test)]
mod tests;
