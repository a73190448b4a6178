//! Notes what a run leaves in doubt: late events that some life had in time, what the log lost, and
//! what went for want of memory.
//!
//! It asks the engine for nothing but its counters, and holds them against what was read.

use std::collections::{BTreeMap, BTreeSet};

use crate::arrival::Arrival;
use crate::fact::Fact;
use crate::invariants::Clean;
use crate::log::Written;
use crate::node::Node;
use crate::oracle::{self, Doubt};

use super::World;

/// Per partition the next offset, and how many events were late until there.
#[derive(Default)]
pub struct Stood {
    next: BTreeMap<i32, i64>,
    late: u64,
}

impl Stood {
    pub fn of(node: &Node) -> Self {
        let engine = &node.turn.course.engine;
        Self {
            next: engine.frontier().map(|(_, p, n)| (p, n)).collect(),
            late: engine.counts().late,
        }
    }
}

impl Doubt {
    /// As it is at the beginning: what the run without a fault has left, if this is another one.
    pub fn of(facts: &[Fact], arrivals: &[Arrival], clean: Option<&Clean>) -> Self {
        let late = arrivals.iter().map(|a| &a.record).filter(|r| r.late);
        let ids = late.flat_map(|r| &r.facts).map(|f| facts[*f].id);
        let mut doubt = Self {
            late: ids.collect(),
            ..Self::default()
        };
        if let Some(clean) = clean {
            doubt.join(&clean.doubt);
        }
        doubt
    }
}

impl World {
    fn ids<'a>(&self, records: impl Iterator<Item = &'a Written>) -> BTreeSet<u64> {
        let facts = records.flat_map(|r| &r.facts);
        facts.map(|f| self.facts[*f].id).collect()
    }

    fn doubt_more(&mut self, more: &Doubt) {
        self.doubt.join(more);
        self.unsure = oracle::unsure(&self.facts, &self.doubt);
    }

    /// What this life has taken in since the last look: if not all was late that is so as a rule, nobody
    /// knows which of it was.
    pub(super) fn note_doubt(&mut self, node: &Node) {
        let (before, stands) = (std::mem::take(&mut self.stood), Stood::of(node));
        let mut more = Doubt::default();
        {
            let log = self.log.borrow();
            let late: Vec<&Written> = stands
                .next
                .iter()
                .flat_map(|(number, next)| {
                    let from = before.next.get(number).copied().unwrap_or(0);
                    let lane = &log.lanes[usize::try_from(*number).unwrap()];
                    lane.part(from, *next)
                })
                .filter(|r| r.late && !r.duplicate)
                .collect();
            if stands.late.saturating_sub(before.late) < late.len() as u64 {
                more.early = self.ids(late.iter().copied());
                more.blind = more.early.is_empty();
            }
        }
        for (number, next) in &stands.next {
            let reached = self.reached.entry(*number).or_default();
            *reached = (*reached).max(*next);
        }
        self.stood = stands;
        if more.blind || !more.early.is_subset(&self.doubt.early) {
            self.doubt_more(&more);
        }
    }

    /// Detectors that have no room for a key.
    pub(super) fn note_forgotten(&mut self, node: &mut Node) {
        let engine = &mut node.turn.course.engine;
        let usage = engine.stats().usage;
        self.evicted = self.evicted.max(usage.iter().map(|u| u.evicted).sum());
        let plan = &engine.program().plan;
        let short = plan.rules.iter().zip(&usage);
        let short = short.filter(|(_, u)| u.evicted + u.refused > 0);
        let forgot: BTreeSet<String> = short
            .map(|(rule, _)| plan.detectors[rule.detector].name.clone())
            .collect();
        if !forgot.is_subset(&self.doubt.forgot) {
            self.doubt_more(&Doubt {
                forgot,
                ..Doubt::default()
            });
        }
    }

    /// What a life that begins will never read: partitions that stand still from here on.
    pub(super) fn note_lost(&mut self, node: &Node) {
        let Some(originals) = self.originals.as_ref().filter(|_| !node.halted.is_empty()) else {
            return;
        };
        let more = {
            let log = self.log.borrow();
            let mut lost: Vec<&Written> = Vec::new();
            for partition in &node.halted {
                let index = usize::try_from(partition.number).unwrap();
                let next = self.stood.next.get(&partition.number).copied();
                let lanes = [&originals[index], &log.lanes[index]];
                let gone = lanes
                    .iter()
                    .flat_map(|l| l.part(next.unwrap_or(0), i64::MAX));
                let to_come = self.next_arrival.iter().chain(self.arrivals.as_slice());
                let to_come = to_come.filter(|a| a.partition == index);
                lost.extend(gone.chain(to_come.map(|a| &a.record)));
            }
            lost.retain(|r| r.events > 0 && !r.duplicate);
            let ids = self.ids(lost.iter().copied());
            Doubt {
                blind: ids.is_empty() && !lost.is_empty(),
                lost: ids,
                ..Doubt::default()
            }
        };
        if more.blind || !more.lost.is_subset(&self.doubt.lost) {
            self.doubt_more(&more);
        }
    }
}
