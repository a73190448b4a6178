//! Carries out the plan of faults: begins them, ends those that pass, lets the process die.

use tidegate::source::Source;

use crate::disk::Tear;
use crate::fault::Fault;
use crate::receiver::Mood;

use super::World;

impl World {
    /// Ends faults whose time is over.
    pub(super) fn pass(&mut self) {
        let now = self.now;
        let (over, rest) = self.passing.drain(..).partition(|(until, _)| *until <= now);
        self.passing = rest;
        let over: Vec<(i64, Fault)> = over;
        for (_, fault) in over {
            match fault {
                Fault::Lost { partition, .. } => self.find(partition),
                Fault::FullDisk { .. } => self.store.set_full(false),
                Fault::Webhook { endpoint, .. } => self.receivers[endpoint].mood = Mood::Well,
                Fault::Pause { .. } => {
                    if let Some(node) = &mut self.node {
                        node.reader.resume();
                    }
                }
                _ => {}
            }
        }
    }

    /// A lost partition is back.
    fn find(&mut self, partition: usize) {
        let still = |f: &Fault| matches!(f, Fault::Lost { partition: p, .. } if *p == partition);
        if self.passing.iter().any(|(_, f)| still(f)) {
            return;
        }
        let mut log = self.log.borrow_mut();
        log.lost.remove(&partition);
        let number = i32::try_from(partition).unwrap();
        let from = self.reached.get(&number).copied().unwrap_or(0);
        if log.lanes.len() > 1 {
            self.overtaken
                .push((partition, from, log.lanes[partition].high()));
        }
    }

    fn lasts(&mut self, time: i64, fault: Fault) {
        self.passing.push((self.now + time, fault));
    }

    pub(super) fn inject(&mut self, fault: Fault) {
        *self.injected.entry(fault.name()).or_default() += 1;
        self.note(&format!("{fault:?}"));
        match fault {
            Fault::Crash { down } => self.die(down),
            Fault::CrashInStore { step, down } => {
                self.store.crash_at(step);
                self.down_after_crash = down;
            }
            Fault::CrashInSnapshot { tear, down } => {
                let tear = if self.originals.is_some() {
                    Tear::After
                } else {
                    tear
                };
                self.tear = Some(tear);
                self.snapshot_at = self.now;
                self.down_after_crash = down;
            }
            Fault::Restart { down } => self.stop(down),
            Fault::ClockStep { by, down } => {
                self.stop(down);
                self.skew += by;
            }
            Fault::Reshard { shards, down } => {
                self.stop(down);
                self.shards = shards;
            }
            Fault::Rebuild { shards, down } => {
                self.die(down);
                // Where the log has lost something, nothing can be rebuilt from it.
                if self.originals.is_none() {
                    self.disk.clear();
                    self.shards = shards;
                }
            }
            Fault::Truncate {
                partition,
                beginning,
                down,
            } => {
                self.die(down);
                self.truncate(partition, beginning);
            }
            Fault::Lost { partition, time } => {
                self.log.borrow_mut().lost.insert(partition);
                self.lasts(time, fault);
            }
            Fault::Pause { time } => {
                if let Some(node) = &mut self.node {
                    node.reader.pause();
                }
                self.lasts(time, fault);
            }
            Fault::FullDisk { time } => {
                self.store.set_full(true);
                self.lasts(time, fault);
            }
            Fault::Webhook {
                endpoint,
                mood,
                time,
            } => {
                self.receivers[endpoint].mood = mood;
                self.lasts(time, fault);
            }
            Fault::Lag { time } => self.lasts(time, fault),
        }
    }

    pub(super) fn die(&mut self, down: i64) {
        self.note("dies");
        self.node = None;
        self.store.restart();
        self.start_at = self.now + down;
    }

    /// In good order: what was taken is committed, and a snapshot written.
    pub(super) fn stop(&mut self, down: i64) {
        if let Some(mut node) = self.node.take() {
            let now = self.clock();
            if node.finish(now).is_ok() && !self.is_full() {
                self.snapshot(&mut node);
            }
        }
        self.die(down);
    }

    /// The log loses what the next life would read first.
    fn truncate(&mut self, partition: usize, beginning: bool) {
        if self.originals.is_some() || self.disk.files().len() < 2 {
            return;
        }
        let next = self.kept(partition);
        let mut log = self.log.borrow_mut();
        self.originals = Some(log.lanes.clone());
        let lane = &mut log.lanes[partition];
        match (next, beginning) {
            (Some(next), true) if next < lane.high() => lane.low = next + 1,
            (Some(next), false) if next > 0 => {
                lane.cut(next - 1);
                self.cut = Some(partition);
            }
            _ => self.originals = None,
        }
        drop(log);
        self.note("truncated");
    }

    /// Where the newest good snapshot stands in a partition.
    fn kept(&self, partition: usize) -> Option<i64> {
        let (_, place) = self.disk.open().load(u64::MAX).ok()??;
        place
            .frontier
            .next(crate::log::TOPIC, i32::try_from(partition).unwrap())
    }
}
