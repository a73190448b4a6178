//! The stream itself: merges all arrivals and all flows in event-time order, one line at a time.
//!
//! Owns time and order; what arrives is decided in `plan` and `arrive`, how it reads in `schema`.
//! Invariant: lines come in non-decreasing time and number exactly `events`; memory holds only the
//! flows in progress, so it follows the rate, not the number of events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::arrive::Cast;
use super::fact::Label;
use super::flow::Flow;
use super::plan::{Launch, Pacing, Plan, Work};
use super::random::{Random, small};
use super::schema::{Fact, Schema};
use super::{Line, Options};

/// The lines of a run. Also an [`Iterator`]; [`Traffic::next_into`] reuses the caller's buffer.
#[derive(Debug)]
pub struct Traffic {
    schema: Schema,
    seed: u64,
    events: u64,
    written: u64,
    now_ms: i64,
    /// Next event of each source and flow: time, order of scheduling, who.
    agenda: BinaryHeap<Reverse<(i64, u64, Turn)>>,
    order: u64,
    flows: Vec<Option<Flow>>,
    free: Vec<u32>,
    sources: Vec<Source>,
    launches: std::vec::IntoIter<Launch>,
    pending: Option<Launch>,
    deploys_until: u64,
    cast: Cast,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Source(u32),
    Flow(u32),
}

#[derive(Clone, Debug)]
struct Source {
    work: Work,
    random: Random,
    done: u64,
    count: u64,
    gap_ms: f64,
    pacing: Pacing,
}

impl Source {
    fn gap(&mut self, level: f64) -> i64 {
        let gap_ms = match self.pacing {
            Pacing::Random => self.random.exponential(self.gap_ms),
            Pacing::Daily => self.random.exponential(self.gap_ms / level),
            Pacing::Even(late) => {
                let late = f64::from(self.random.below(late + 1)) / 1000.0;
                self.gap_ms * (1.0 + late)
            }
        };
        // Rounded so that the mean gap survives whole milliseconds.
        i64::from(small(gap_ms + 0.5))
    }
}

impl Traffic {
    /// Begins a run.
    pub fn new(options: &Options) -> Self {
        let plan = Plan::new(options.scenario, options.schema, options.events);
        let mut launches = plan.launches.into_iter();
        Self {
            schema: options.schema,
            seed: options.seed,
            events: options.events,
            written: 0,
            now_ms: options.start_ms,
            agenda: BinaryHeap::new(),
            order: 0,
            flows: Vec::new(),
            free: Vec::new(),
            sources: Vec::new(),
            pending: launches.next(),
            launches,
            deploys_until: plan.deploys_until,
            cast: Cast::new(options.seed, plan.account_bits),
        }
    }

    /// Appends the next line to `json` (without a newline) and returns its time and label; none
    /// once all events are written.
    pub fn next_into(&mut self, json: &mut String) -> Option<(i64, Label)> {
        while self.written < self.events {
            self.launch();
            let Reverse((now_ms, _, turn)) = self.agenda.pop()?;
            self.now_ms = now_ms;
            match turn {
                Turn::Source(at) => self.arrive(at),
                Turn::Flow(at) => {
                    if let Some(label) = self.step(at, json) {
                        return Some((now_ms, label));
                    }
                }
            }
        }
        None
    }

    fn schedule(&mut self, time_ms: i64, turn: Turn) {
        self.order += 1;
        self.agenda.push(Reverse((time_ms, self.order, turn)));
    }

    /// Starts the sources whose line has come.
    fn launch(&mut self) {
        while let Some(launch) = self.pending.take_if(|l| l.at_line <= self.written) {
            self.pending = self.launches.next();
            let at = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
            let mut source = Source {
                work: launch.work,
                random: Random::new(self.seed, 100 + u64::from(at)),
                done: 0,
                count: launch.count,
                gap_ms: launch.gap_ms,
                pacing: launch.pacing,
            };
            let first_ms = self.now_ms + launch.delay_ms + source.gap(1.0);
            self.sources.push(source);
            self.schedule(first_ms, Turn::Source(at));
        }
    }

    fn arrive(&mut self, at: u32) {
        let Some(source) = self.sources.get_mut(at as usize) else {
            return;
        };
        let hushed = source.work == Work::Deploys && self.written > self.deploys_until;
        let begun = (!hushed).then(|| {
            self.cast
                .arrive(source.work, source.done, self.now_ms, &mut source.random)
        });
        source.done += 1;
        if source.done < source.count {
            let next_ms = self.now_ms + source.gap(self.cast.level(self.now_ms));
            self.schedule(next_ms, Turn::Source(at));
        }
        if let Some((flow, second)) = begun {
            self.begin(flow);
            if let Some(second) = second {
                self.begin(second);
            }
        }
    }

    fn begin(&mut self, flow: Flow) {
        let Some(first_ms) = flow.next_ms() else {
            return;
        };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.flows.push(None);
                u32::try_from(self.flows.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(slot) = self.flows.get_mut(at as usize) {
            *slot = Some(flow);
            self.schedule(first_ms, Turn::Flow(at));
        }
    }

    /// Takes a flow's next step; writes it if the schema has a word for it.
    fn step(&mut self, at: u32, json: &mut String) -> Option<Label> {
        let slot = self.flows.get_mut(at as usize)?;
        let flow = slot.as_mut()?;
        let step = flow.take()?;
        let fact = Fact {
            time_ms: self.now_ms,
            seed: self.seed,
            line: self.written + 1,
            step,
            flow,
        };
        let written = self.schema.write(&fact, json);
        let next_ms = flow.next_ms();
        if next_ms.is_none() {
            *slot = None;
            self.free.push(at);
        }
        if let Some(next_ms) = next_ms {
            self.schedule(next_ms, Turn::Flow(at));
        }
        if !written {
            return None;
        }
        self.written += 1;
        Some(Label::new(self.written, step.label))
    }

    /// Flows in progress: what memory follows.
    #[cfg(test)]
    pub(super) fn in_progress(&self) -> usize {
        self.flows.len()
    }
}

impl Iterator for Traffic {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let mut json = String::with_capacity(1024);
        let (time_ms, label) = self.next_into(&mut json)?;
        Some(Line {
            time_ms,
            json,
            label,
        })
    }
}
