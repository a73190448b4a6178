//! Carries out the plan of faults: begins them, ends those that pass, lets the process die.

use tidegate::engine::containment::Record;
use tidegate::engine::containment::policy::Answer;
use tidegate::model::ids::Id;

use crate::disk::Tear;
use crate::fault::Fault;
use crate::invariants::HUMAN;
use crate::node::Stopped;
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
                Fault::FullDisk { .. } => {
                    self.store.set_full(false);
                    self.disk.set_full(false);
                }
                Fault::Webhook { endpoint, .. } => self.receivers[endpoint].mood = Mood::Well,
                Fault::Pause { .. } => {
                    if let Some(node) = &mut self.node {
                        node.turn.effects.reader.resume();
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
        self.log.borrow_mut().lost.remove(&partition);
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
            Fault::CrashAt { point, n, down } => {
                self.crashes.arm(point, n);
                self.down_after_crash = down;
                if point == "draining" {
                    self.stop(down);
                }
            }
            Fault::CrashInSnapshot { tear, down } => {
                let tear = if self.originals.is_some() {
                    Tear::After
                } else {
                    tear
                };
                self.disk.tear(tear);
                self.down_after_crash = down;
            }
            Fault::Damage { pick, down } => {
                self.die(down);
                self.damage(pick);
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
            Fault::Human { answer, pick } => self.answer(answer, pick),
            Fault::Reload { down } => self.reload(down),
            passing => self.begin(passing),
        }
    }

    /// Begins what passes by itself.
    fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Lost { partition, time } => {
                self.log.borrow_mut().lost.insert(partition);
                self.lasts(time, fault);
            }
            Fault::Pause { time } => {
                if let Some(node) = &mut self.node {
                    node.turn.effects.reader.pause();
                }
                self.lasts(time, fault);
            }
            Fault::FullDisk { time } => {
                self.store.set_full(true);
                self.disk.set_full(true);
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
            at_once => unreachable!("{at_once:?}"),
        }
    }

    pub(super) fn die(&mut self, down: i64) {
        self.note("dies");
        self.node = None;
        self.store.restart();
        self.disk.cut();
        self.crashes.restart();
        self.kept_house = None;
        self.start_at = self.now + down;
    }

    /// In good order: what was taken is committed, and a snapshot written.
    pub(super) fn stop(&mut self, down: i64) {
        if let Some(mut node) = self.node.take() {
            let now = self.clock();
            if node.settle(now).is_ok() {
                drop(node.turn.finish());
            }
        }
        self.die(down);
    }

    /// Somebody answers about an action that waits or stands, or by mistake about another one.
    fn answer(&mut self, answer: Answer, pick: u64) {
        let now = self.clock();
        let Some(mut node) = self.node.take() else {
            return;
        };
        let state = node.turn.course.desk.state();
        let of = |records: Vec<&Record>| -> Vec<Id> {
            records.iter().map(|r| r.action.action_id).collect()
        };
        let (waiting, standing) = (of(state.pending().collect()), of(state.active().collect()));
        let fits = match answer {
            Answer::Approve | Answer::Deny => &waiting,
            Answer::Revert => &standing,
        };
        let place = |many: usize| usize::try_from(pick).unwrap_or(0) % many.max(1);
        let wrong = Id([7; 32]);
        let id = fits.get(place(fits.len())).copied().unwrap_or(wrong);
        match node.answer((id, answer, HUMAN), now) {
            Err(Stopped::Died) => self.die(self.down_after_crash),
            Ok(done) => {
                assert!(
                    done.is_none_or(|done| done == (id != wrong)),
                    "{answer:?} of {id}"
                );
                self.node = Some(node);
            }
            Err(Stopped::Stuck) => self.node = Some(node),
        }
    }

    /// The detectors' files change, while it runs or while it is down; those that stay keep their state.
    fn reload(&mut self, down: Option<i64>) {
        if let Some(down) = down {
            self.stop(down);
        }
        std::mem::swap(&mut self.program, &mut self.other);
        if let Some(node) = &mut self.node {
            node.reload(&self.program);
        }
    }

    /// A file of a snapshot is not what was written.
    fn damage(&mut self, pick: u64) {
        // Where the log has lost something, what is read again from an older one is not all there.
        if self.originals.is_some() {
            return;
        }
        let Some((before, behind)) = self.disk.damage(pick) else {
            return;
        };
        self.note(&format!("{before} before the damage, {behind} behind it"));
        if before > 0 && behind > 0 {
            self.chains.damaged = Some(before);
        }
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
