//! One life of the process: the product's parts between a start and the next death.
//!
//! Owns nothing that outlives it: the log, the store and the snapshot files are the world's. Does
//! the daemon's turn (`app::work`) step by step, in one thread.

use std::sync::Arc;
use std::time::Duration;

use tidegate::app::commit::Desk;
use tidegate::app::course::Course;
use tidegate::app::stage::{Beside, Stage};
use tidegate::app::state_dir::{Place, Snapshots};
use tidegate::decode::DeadLetter;
use tidegate::deliver::body;
use tidegate::engine::containment::policy::{Answer, Policy};
use tidegate::engine::exchange::{Origin, Routed};
use tidegate::engine::outbox::Message;
use tidegate::engine::program::Program;
use tidegate::engine::snapshot::{Refused, Saved};
use tidegate::engine::{Engine, Input, Output};
use tidegate::enrich::Tables;
use tidegate::model::WallTime;
use tidegate::model::ids::Id;
use tidegate::source::ledger::Frontier;
use tidegate::source::{Batch, Notice, Partition, Source};
use tidegate::store::outbox::StoreOutbox;
use tidegate::store::{self, Store, StoreError, rows};

use crate::crash::Crashes;
use crate::log::{Reader, SharedLog, TOPIC};
use crate::mutant::Mutant;
use crate::profile::{ENDPOINTS, Profile};
use crate::random::Random;
use crate::receiver::Receiver;
use crate::rig::Rig;
use crate::sender::Sender;

/// How often the clock is looked at, at least (ms): as seldom as the engine allows.
const LOOK: i64 = 2000;

/// Why a step did not come to its end.
#[derive(Debug)]
pub enum Stopped {
    /// The process is dead.
    Died,
    /// The disk is full: the same is tried again, and nothing is read until it succeeds.
    Stuck,
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Stuck,
            StoreError::Crashed(_) => Self::Died,
            other => panic!("the store failed on its own: {other}"),
        }
    }
}

pub struct Node {
    stage: Stage,
    pub course: Course<Rig>,
    pub reader: Reader,
    pub senders: Vec<Sender>,
    pub snapshots: Snapshots,
    outbox: StoreOutbox,
    batch: Batch,
    /// Of the batch that was taken: what is to be heeded once it is committed.
    notices: Vec<Notice>,
    pub uncommitted: bool,
    /// How long it was awake since it last looked at the clock.
    pub awake: i64,
    /// Positions of dead letters in the last batch.
    pub dead: Vec<(Origin, DeadLetter)>,
    pub halted: Vec<Partition>,
    /// Whether it began with a snapshot, and with how many shards.
    pub restored: bool,
    pub shards: usize,
    crashes: Crashes,
    mutant: Mutant,
}

/// What a node is started on.
pub struct Site<'a> {
    pub profile: &'a Profile,
    pub program: &'a Arc<Program>,
    pub store: Arc<dyn Store>,
    pub log: SharedLog,
    pub shards: usize,
    pub random: Random,
    pub crashes: Crashes,
    pub mutant: Mutant,
}

impl Node {
    /// Starts on what an earlier life has left. `Err` says why the snapshots cannot be used.
    pub fn start(site: Site<'_>, mut snapshots: Snapshots) -> Result<Self, String> {
        let commits = store::read(&*site.store, |view| rows::commits(view)).unwrap();
        let saved = snapshots.load(commits).map_err(|e| format!("{e:#}"))?;
        let restored = saved.is_some();
        let (chain, place) = saved.unwrap_or_default();
        let frontier = misread(&site, place.frontier);
        let reader = Reader::open(site.log.clone(), &frontier, site.random.clone());
        let engine = |shards| {
            let rig = Rig::new(site.program, shards, site.mutant, site.random.clone());
            Engine::over(Arc::clone(site.program), rig)
        };
        let (mut shards, mut running) = (site.shards, engine(site.shards));
        if restored {
            let saved = || Saved::read(&chain).map_err(|e| e.to_string());
            match running.restore(saved()?, &place.topics) {
                Ok(_) => {}
                // The operator does as the message says.
                Err(Refused::Shards { found, .. }) => {
                    (shards, running) = (found, engine(found));
                    running
                        .restore(saved()?, &place.topics)
                        .map_err(|e| e.to_string())?;
                }
                Err(refused) => return Err(refused.to_string()),
            }
        }
        let policy = Policy::new(site.profile.policy(site.mutant), &site.program.key).unwrap();
        let delivery = site.profile.delivery();
        let plan = Arc::clone(&site.program.plan);
        let desk = Desk::open(Arc::clone(&site.store), policy, delivery.clone(), plan).unwrap();
        let senders = delivery
            .webhooks
            .iter()
            .map(|e| Sender::new(&e.name, e.rules(), 7));
        let projection = site.program.projection(&[]);
        let tables = Arc::new(Tables::default());
        Ok(Self {
            stage: Stage::new(site.program, projection, tables),
            course: Course::new(running, desk, vec![TOPIC.to_owned()]),
            halted: reader
                .halted()
                .iter()
                .map(|(partition, _)| *partition)
                .collect(),
            reader,
            senders: senders.collect(),
            snapshots,
            outbox: StoreOutbox::new(site.store),
            batch: Batch::default(),
            notices: Vec::new(),
            uncommitted: false,
            awake: 0,
            dead: Vec::new(),
            restored,
            shards,
            crashes: site.crashes,
            mutant: site.mutant,
        })
    }

    /// Reads and takes in one batch; tells how many records it had, or none if nothing came.
    pub fn read(&mut self, now: i64, early: &mut [Receiver]) -> Result<Option<usize>, Stopped> {
        self.finish(now)?;
        self.batch.clear();
        self.reader.poll(&mut self.batch, Duration::ZERO).unwrap();
        self.crashes.point("source-polled")?;
        if self.batch.is_empty() {
            if self.mutant != Mutant::NoTimers {
                self.look(now);
            }
            self.uncommitted = true;
            self.finish(now)?;
            return Ok(None);
        }
        let mut routed = Routed::default();
        self.dead.clear();
        for record in self.batch.records() {
            let beside = Beside::of(&record, &[], WallTime(now));
            self.crashes.point("record-decoding")?;
            self.stage
                .work(record.payload, &beside, &mut routed, &mut self.dead);
        }
        self.crashes.point("batch-decoded")?;
        self.notices = self.batch.notices.clone();
        self.spoil(&mut routed);
        self.course.take(&routed, &self.notices);
        self.uncommitted = true;
        self.crashes.point("batch-taken")?;
        if !self.dead.is_empty() {
            self.crashes.point("dead-letters-written")?;
        }
        self.misbehave(now, early)?;
        self.finish(now)?;
        Ok(Some(self.batch.len()))
    }

    /// Tells the engine the time as often as a process does that is awake.
    fn look(&mut self, now: i64) {
        let mut at = now - std::mem::take(&mut self.awake);
        while at < now {
            self.course.engine.advance(WallTime(at));
            at += LOOK;
        }
        self.course.engine.advance(WallTime(now));
    }

    /// Commits what was taken and heeds its notices; goes on where it was stuck.
    pub fn finish(&mut self, now: i64) -> Result<(), Stopped> {
        if !self.uncommitted {
            return Ok(());
        }
        let committed = self.course.commit(WallTime(now))?;
        if !committed.is_empty() {
            self.crashes.point("alerts-told")?;
        }
        for notice in std::mem::take(&mut self.notices) {
            self.course.heed(&notice);
        }
        self.course.commit(WallTime(now))?;
        self.uncommitted = false;
        Ok(())
    }

    /// Ends actions whose time is over.
    pub fn keep_house(&mut self, now: i64) -> Result<(), Stopped> {
        if self.mutant != Mutant::NeverExpires {
            self.course.desk.tick(WallTime(now))?;
        }
        Ok(())
    }

    /// A human answers about an action, as through the API; tells whether it was done.
    pub fn answer(
        &mut self,
        id: Id,
        answer: Answer,
        note: &str,
        now: i64,
    ) -> Result<bool, Stopped> {
        self.finish(now)?;
        let done = self.course.desk.answer(id, answer, note, WallTime(now))?;
        Ok(done.is_ok())
    }

    /// Goes over to other detectors, as the daemon does between two batches; tells how many rules kept
    /// their state.
    pub fn reload(&mut self, program: &Arc<Program>, now: i64) -> Result<usize, Stopped> {
        self.finish(now)?;
        let tables = Arc::new(Tables::default());
        self.stage = Stage::new(program, program.projection(&[]), tables);
        let kept = self.course.engine.reload(Arc::clone(program)).kept;
        self.course.desk.adopt(program, WallTime(now))?;
        Ok(kept)
    }

    /// Sends what may go. Its trouble with the disk is not the engine's.
    pub fn deliver(
        &mut self,
        receivers: &mut [Receiver],
        now: i64,
        random: &mut Random,
    ) -> Result<(), Stopped> {
        for (sender, receiver) in self.senders.iter_mut().zip(receivers) {
            let broken = (&self.crashes, self.mutant);
            match sender.step(&self.outbox, receiver, now, random, broken) {
                Err(Stopped::Died) => return Err(Stopped::Died),
                Ok(()) | Err(Stopped::Stuck) => {}
            }
        }
        Ok(())
    }

    /// What mutants do to a batch on its way to the engine.
    fn spoil(&mut self, routed: &mut Routed) {
        match self.mutant {
            Mutant::NoDedupe => routed.marks.iter_mut().for_each(|m| m.id = 0),
            Mutant::LateDropped => {
                let watermark = self.course.engine.stats().watermark.0;
                let mut kept = Routed::default();
                let mut rest = routed.observations.as_slice();
                for mark in &routed.marks {
                    let (own, others) = rest.split_at(usize::from(mark.observations));
                    rest = others;
                    if mark.time > watermark {
                        kept.marks.push(*mark);
                        kept.observations.extend_from_slice(own);
                    }
                }
                kept.text = std::mem::take(&mut routed.text);
                *routed = kept;
            }
            Mutant::IdleTakesTime => {
                for mark in &routed.marks {
                    let others = (0..8).filter(|n| *n != mark.origin.partition);
                    self.notices.extend(others.map(|number| Notice::End {
                        partition: Partition { topic: 0, number },
                        next: 0,
                    }));
                }
                self.notices.dedup();
            }
            _ => {}
        }
    }

    /// What mutants do between taking a batch and its commit.
    fn misbehave(&mut self, now: i64, receivers: &mut [Receiver]) -> Result<(), Stopped> {
        match self.mutant {
            Mutant::SnapshotBeforeCommit => {
                let mut frontier = Frontier::default();
                for (_, partition, next) in self.course.engine.frontier() {
                    frontier.advance(TOPIC, partition, next);
                }
                let place = Place {
                    topics: vec![TOPIC.to_owned()],
                    frontier,
                    commits: self.course.desk.commits(),
                    ..Place::default()
                };
                let taken = self.course.engine.snapshot(self.snapshots.due());
                self.snapshots.save(taken, &place).unwrap();
            }
            Mutant::SentBeforeCommit => {
                let mut alerts = Vec::new();
                while let Some(Output::Alert(alert)) = self.course.engine.poll() {
                    let draft = body::alert(&alert, WallTime(now));
                    let message = Message {
                        number: 0,
                        endpoint: ENDPOINTS[0].to_owned(),
                        draft,
                    };
                    receivers[0].attempt(&message, &mut Random::new(0, "mutant"));
                    alerts.push(*alert);
                }
                self.course.desk.record(&alerts, WallTime(now))?;
            }
            Mutant::EndsEarly => self.course.engine.handle(&Input::End { until: None }),
            _ => {}
        }
        Ok(())
    }
}

/// Where a mutant begins to read instead.
fn misread(site: &Site<'_>, frontier: Frontier) -> Frontier {
    let log = site.log.borrow();
    let lanes = log.lanes.iter().enumerate();
    let number = |n: usize| i32::try_from(n).unwrap();
    let mut other = Frontier::default();
    match site.mutant {
        Mutant::NoReplay => lanes.for_each(|(n, l)| other.advance(TOPIC, number(n), l.high())),
        Mutant::FrontierUnchecked => {
            for (n, lane) in lanes {
                let next = frontier.next(TOPIC, number(n)).unwrap_or(lane.low);
                other.advance(TOPIC, number(n), next.clamp(lane.low, lane.high()));
            }
        }
        _ => return frontier,
    }
    other
}
