//! Ends of logs: when one is told, and when it is taken back.
//!
//! An end lets event time pass without a record, so it must be known, not assumed. Invariant: no end
//! stands while its partition has records to be read or its broker is not heard.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::super::{Batch, Notice, Partition};
use super::KafkaSource;
use super::hearing::Ear;

/// The client reports every second; after so long without a report nothing is known to be heard.
pub(super) const REPORT_MAX: Duration = Duration::from_secs(3);

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
            self.go_deaf(batch);
        }
    }

    /// Nothing of what was known holds any more, and how long somebody is silent counts from here.
    pub(super) fn go_deaf(&mut self, batch: &mut Batch) {
        for lane in self.lanes.values_mut() {
            (lane.ear, lane.heard_at, lane.given_up) = (Ear::Deaf, Instant::now(), false);
        }
        self.forget_ends(batch);
        self.await_anew();
    }

    /// Takes in what the statistics say: ends of logs, how far away they are, and who is heard. An end that they
    /// tell of stands behind records that may still wait (`Drain`).
    pub(super) fn observe(&mut self, batch: &mut Batch) {
        let report = self.consumer.context().take();
        let is_told = report.is_some();
        let mut seen = Vec::new();
        for (topic, number, bounds) in report.into_iter().flatten() {
            let Some(partition) = self.find(&topic, number) else {
                continue;
            };
            let Some(lane) = self.lanes.get_mut(&partition) else {
                continue;
            };
            lane.see(bounds);
            seen.push(partition);
            if lane.eof > lane.reached() {
                self.drain.expect(partition, lane.eof, bounds.waiting);
            } else {
                self.drain.forget(partition);
            }
        }
        for (partition, eof) in self.drain.proven() {
            if let Some(lane) = self.lanes.get_mut(&partition) {
                lane.empty_to = lane.empty_to.max(eof);
                seen.push(partition);
            }
        }
        for partition in seen {
            self.tell_end(partition, batch);
        }
        if is_told {
            self.reported_at = Instant::now();
            self.give_up(batch);
        }
    }

    /// Tells whether the partition is at its end, if that is new.
    fn tell_end(&mut self, partition: Partition, batch: &mut Batch) {
        let Some(lane) = self.lanes.get_mut(&partition) else {
            return;
        };
        let at_end = lane.is_at_end();
        if !at_end && !lane.given_up && (lane.high > lane.reached() || !lane.ear.is_sure()) {
            lane.take_back(partition, batch);
        }
        if at_end && !lane.ended && lane.halted.is_none() {
            lane.ended = true;
            batch.notices.push(Notice::End {
                partition,
                next: lane.reached(),
            });
        }
    }

    /// One broker that stays away must not stop what the others tell, nor all brokers of a source what other
    /// sources tell: where somebody is heard, those that have been silent for as long as a stall takes hold event
    /// time back no longer. Where nobody is, it is this machine that is cut off.
    pub(super) fn give_up(&mut self, batch: &mut Batch) {
        let limit = self.settings.stall_after();
        let mut running = self.lanes.values().filter(|l| l.halted.is_none());
        self.hears = running.any(|l| l.ear.is_sure());
        if !self.hears && !self.heard_beside {
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
