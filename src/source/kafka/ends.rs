//! Ends of logs: when one is told, and when it is taken back.
//!
//! An end lets event time pass without a record, so it must be known, not assumed. Invariant: no end
//! stands while its partition has records to be read, its broker is not heard, or nobody reads.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::super::{Batch, Notice, Partition};
use super::context::Bounds;
use super::hearing::Ear;
use super::{KafkaSource, Lane};

/// The client reports every second; after so long without a report nothing is known to be heard.
const REPORT_MAX: Duration = Duration::from_secs(3);

impl Lane {
    /// All before it was read.
    pub(super) fn reached(&self) -> i64 {
        self.next.max(self.empty_to)
    }

    /// Takes in what a report says; true if all the log holds was read. `drained`: no record that
    /// the client has fetched is still to be given.
    fn see(&mut self, bounds: Bounds, drained: bool) -> bool {
        self.ear = self.ear.after(bounds.heard);
        if bounds.heard.is_some() {
            self.heard_at = Instant::now();
        }
        self.given_up &= !self.ear.is_sure();
        self.high = bounds.high.max(self.next);
        if drained {
            self.empty_to = self.empty_to.max(bounds.eof);
        }
        let told = bounds.eof == self.next || (drained && bounds.eof > self.next);
        told && self.high <= self.reached() && self.ear.is_sure()
    }

    /// The end that was told, perhaps in this very batch, is none.
    fn take_back(&mut self, partition: Partition, batch: &mut Batch) {
        if !self.ended {
            return;
        }
        (self.ended, self.given_up) = (false, false);
        let same = |n: &Notice| matches!(n, Notice::End { partition: p, .. } if *p == partition);
        batch.notices.retain(|n| !same(n));
        batch.notices.push(Notice::Behind { partition });
    }
}

impl KafkaSource {
    /// Takes back the ends that were told: nobody looks for new ones, or could see them.
    pub(super) fn forget_ends(&mut self, batch: &mut Batch) {
        for (partition, lane) in &mut self.lanes {
            lane.take_back(*partition, batch);
        }
    }

    /// Where no report has come for long, this process stood still: what it knew is old.
    pub(super) fn listen(&mut self, batch: &mut Batch) {
        if self.reported_at.elapsed() > REPORT_MAX {
            for lane in self.lanes.values_mut() {
                (lane.ear, lane.heard_at, lane.given_up) = (Ear::Deaf, Instant::now(), false);
            }
            self.forget_ends(batch);
            self.await_anew();
        }
    }

    /// Takes in what the statistics say: ends of logs, how far away they are, and who is heard.
    pub(super) fn observe(&mut self, batch: &mut Batch) {
        let Some(seen) = self.consumer.context().take() else {
            return;
        };
        self.reported_at = Instant::now();
        // Records the client has fetched but not yet given stand before the end it tells of.
        let drained = batch.records().next().is_none();
        for (topic, number, bounds) in seen {
            let Some(partition) = self.find(&topic, number) else {
                continue;
            };
            let Some(lane) = self.lanes.get_mut(&partition) else {
                continue;
            };
            let at_end = lane.see(bounds, drained);
            if !at_end && !lane.given_up && (lane.high > lane.reached() || !lane.ear.is_sure()) {
                lane.take_back(partition, batch);
            }
            if at_end && !lane.ended && !self.paused && lane.halted.is_none() {
                lane.ended = true;
                batch.notices.push(Notice::End {
                    partition,
                    next: lane.reached(),
                });
            }
        }
        self.give_up(batch);
    }

    /// One broker that stays away must not stop what the others tell: where some are heard, those that
    /// have been silent for as long as a stall takes hold event time back no longer.
    fn give_up(&mut self, batch: &mut Batch) {
        let limit = self.settings.stall_after();
        let running = || self.lanes.values().filter(|l| l.halted.is_none());
        if self.paused || !running().any(|l| l.ear.is_sure()) {
            return;
        }
        for (partition, lane) in self.lanes.iter_mut().filter(|(_, l)| l.halted.is_none()) {
            if !lane.ear.is_sure() && !lane.given_up && lane.heard_at.elapsed() > limit {
                (lane.given_up, lane.ended) = (true, true);
                let partition = *partition;
                batch.notices.push(Notice::Silent { partition });
            }
        }
        self.give_up_unread(limit, batch);
    }
}
