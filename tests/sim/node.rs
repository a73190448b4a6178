//! One life of the process: the product's parts between a start and the next death.
//!
//! Owns nothing that outlives it: the log, the store and the disk are the world's. The turn is the
//! product's own (`app::turn`); this gives it batches and the time, in one thread.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidegate::app::ask::Ask;
use tidegate::app::commit::{Committed, Desk};
use tidegate::app::course::Course;
use tidegate::app::pipeline::{Intake, Rules};
use tidegate::app::reload::Noise;
use tidegate::app::stage::Stage;
use tidegate::app::state_dir::Place;
use tidegate::app::turn::{Effects as _, Settings, Trouble, Turn};
use tidegate::deliver::body;
use tidegate::engine::containment::policy::{Answer, Policy};
use tidegate::engine::exchange::Routed;
use tidegate::engine::outbox::Message;
use tidegate::engine::program::Program;
use tidegate::engine::snapshot::{Refused, Saved};
use tidegate::engine::{Engine, Input, Output};
use tidegate::enrich::Tables;
use tidegate::model::ids::Id;
use tidegate::model::{Span, WallTime};
use tidegate::source::ledger::Frontier;
use tidegate::source::{Batch, Notice, Partition, Record, Source as _};
use tidegate::store::memory::MemoryStore;
use tidegate::store::outbox::StoreOutbox;
use tidegate::store::{self, Store, StoreError, rows};

use crate::crash::Crashes;
use crate::disk::Disk;
use crate::edges::Edges;
use crate::log::{Reader, SharedLog, TOPIC};
use crate::mutant::Mutant;
use crate::profile::{ENDPOINTS, Profile};
use crate::random::Random;
use crate::receiver::Receiver;
use crate::rig::{Found, Rig};
use crate::sender::Sender;

/// How often the clock is looked at, at least (ms): as seldom as the engine allows.
const LOOK: i64 = 2000;
/// How often ends of actions are looked at, at least (ms).
const HOUSE_EVERY: i64 = 500;

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

impl From<Trouble> for Stopped {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Store(error) => error.into(),
            // A snapshot that nothing may go on without.
            full @ Trouble::Snapshot(_) if full.may_pass() => Self::Stuck,
            other => panic!("it failed on its own: {other}"),
        }
    }
}

/// Why a life did not begin.
#[derive(Debug)]
pub enum Unborn {
    Died,
    /// The snapshots cannot be used, and why.
    Refused(String),
}

impl From<Stopped> for Unborn {
    fn from(_: Stopped) -> Self {
        Self::Died
    }
}

impl<E: std::error::Error> From<E> for Unborn {
    fn from(refused: E) -> Self {
        Self::Refused(refused.to_string())
    }
}

pub struct Node {
    stage: Stage,
    pub turn: Turn<Rig, Edges>,
    pub senders: Vec<Sender>,
    outbox: StoreOutbox,
    batch: Batch,
    intake: Box<Intake>,
    /// How long it was awake since it last looked at the clock.
    pub awake: i64,
    /// By its clock: actions whose end was before it are over.
    pub kept_house: Option<i64>,
    started: i64,
    /// Whether something is owed from before: at the start, and where there was no room.
    owes: bool,
    pub halted: Vec<Partition>,
    /// With how many files of snapshots it began, and with how many shards.
    pub restored: usize,
    pub shards: usize,
    mutant: Mutant,
}

/// What a node is started on.
pub struct Site<'a> {
    pub profile: &'a Profile,
    pub program: &'a Arc<Program>,
    pub store: Arc<dyn Store>,
    pub memory: MemoryStore,
    pub log: SharedLog,
    pub disk: Disk,
    pub now: i64,
    pub shards: usize,
    pub random: Random,
    pub crashes: Crashes,
    pub mutant: Mutant,
}

impl Site<'_> {
    fn rules(&self) -> Arc<Rules> {
        Rules::new(Arc::clone(self.program), &Tables::default())
    }

    fn engine(&self, shards: usize, found: &Found) -> Engine<Rig> {
        let chance = (self.mutant, self.random.clone(), found.clone());
        let rig = Rig::new(self.program, shards, chance);
        Engine::over(Arc::clone(self.program), rig)
    }
}

impl Node {
    /// Starts on what an earlier life has left.
    pub fn start(site: Site<'_>) -> Result<Self, Unborn> {
        let mut snapshots = site.disk.open();
        let commits = store::read(&*site.store, |view| rows::commits(view)).unwrap();
        let saved = snapshots.load(commits);
        let (chain, place) = saved
            .map_err(|e| Unborn::Refused(format!("{e:#}")))?
            .unwrap_or_default();
        let (restored, is_fallback) = (chain.len(), snapshots.is_fallback());
        let is_taken = |chain: &Vec<Vec<u8>>| {
            let saved = Saved::read(chain).ok();
            let mut engine = site.engine(site.shards, &Found::new(&site.memory));
            saved.is_some_and(|saved| engine.restore(saved, &place.topics).is_ok())
        };
        let chain = misfile(site.mutant, &chain)
            .filter(is_taken)
            .unwrap_or(chain);
        let kept = place.frontier.clone();
        let frontier = misread(&site, place.frontier);
        let reader = Reader::open(site.log.clone(), &frontier, site.random.clone());
        let found = Found::new(&site.memory);
        let (mut shards, mut engine) = (site.shards, site.engine(site.shards, &found));
        if restored > 0 {
            let saved = Saved::read(&chain)?;
            site.crashes.point("state-read")?;
            match engine.restore(saved, &place.topics) {
                Ok(_) => {}
                // The operator does as the message says.
                Err(Refused::Shards { found: cut, .. }) => {
                    (shards, engine) = (cut, site.engine(cut, &found));
                    engine.restore(Saved::read(&chain)?, &place.topics)?;
                }
                Err(refused) => return Err(refused.into()),
            }
            site.crashes.point("state-restored")?;
        }
        let policy = Policy::new(site.profile.policy(site.mutant), &site.program.key).unwrap();
        let delivery = site.profile.delivery();
        let plan = Arc::clone(&site.program.plan);
        let desk = Desk::open(Arc::clone(&site.store), policy, delivery.clone(), plan).unwrap();
        let senders = delivery
            .webhooks
            .iter()
            .map(|e| Sender::new(&e.name, e.rules(), 7));
        let halted = reader.halted().iter().map(|(p, _)| *p).collect();
        let rules = site.rules();
        let edges = Edges {
            now: site.now,
            reader,
            rules: Arc::clone(&rules),
            snapshots,
            disk: site.disk,
            crashes: site.crashes,
            mutant: site.mutant,
            found,
            saved: None,
            gap: false,
            said: Vec::new(),
        };
        let course =
            Course::new(engine, desk, vec![TOPIC.to_owned()]).after(place.last, place.logs);
        let settings = settings(site.profile, site.mutant);
        Ok(Self {
            stage: stage(&rules),
            intake: Intake::fresh(&rules),
            turn: Turn::new(course, edges, rules, kept, settings).falling_back(is_fallback),
            senders: senders.collect(),
            outbox: StoreOutbox::new(site.store),
            batch: Batch::default(),
            awake: 0,
            kept_house: None,
            started: site.now,
            owes: true,
            halted,
            restored,
            shards,
            mutant: site.mutant,
        })
    }

    /// Reads and takes in one batch; tells how many records it had, or none if nothing came.
    pub fn read(&mut self, now: i64, early: &mut [Receiver]) -> Result<Option<usize>, Stopped> {
        // Otherwise what is due falls into the turn of a batch, as it does in the daemon.
        if self.owes {
            self.settle(now)?;
        }
        self.batch.clear();
        let edges = &mut self.turn.effects;
        edges.reader.poll(&mut self.batch, Duration::ZERO).unwrap();
        edges.crashes.point("source-polled")?;
        let rules = Arc::clone(&edges.rules);
        let changed = !Arc::ptr_eq(&rules, &self.intake.rules);
        if self.batch.is_empty() && !changed {
            if self.mutant != Mutant::NoTimers {
                self.look(now);
            }
            self.settle(now)?;
            return Ok(None);
        }
        if changed {
            self.stage = stage(&rules);
        }
        self.decode(&rules, now)?;
        self.spoil();
        // The time since the last look is told when nothing more comes.
        self.turn.effects.now = now - self.awake;
        self.turn.take(&mut self.intake)?;
        self.misbehave(now, early)?;
        self.settle(now)?;
        Ok(Some(self.batch.len()))
    }

    fn decode(&mut self, rules: &Arc<Rules>, now: i64) -> Result<(), Stopped> {
        let crashes = &self.turn.effects.crashes;
        for _ in self.batch.records() {
            crashes.point("record-decoding")?;
        }
        self.intake.begin(rules, Instant::now(), WallTime(now));
        self.intake
            .decode(&mut self.batch, &[], &mut self.stage, || stage(rules));
        crashes.point("batch-decoded")
    }

    /// Tells the engine the time as often as a process does that is awake.
    fn look(&mut self, now: i64) {
        let mut at = now - std::mem::take(&mut self.awake);
        while at < now {
            self.turn.effects.now = at;
            self.turn.look();
            at += LOOK;
        }
        self.turn.effects.now = now;
        self.turn.look();
    }

    /// Does what is owed; goes on where it was stuck.
    pub fn settle(&mut self, now: i64) -> Result<(), Stopped> {
        self.turn.effects.now = now;
        let result = self.turn.settle().map_err(Stopped::from);
        self.owes = result.is_err();
        result?;
        // A life that has just begun has not looked yet.
        let at = now - HOUSE_EVERY;
        self.kept_house = (at >= self.started).then_some(at).or(self.kept_house);
        Ok(())
    }

    /// A human answers about an action, as through the API; tells whether it was done, if that is sure
    /// to depend on the action alone.
    pub fn answer(
        &mut self,
        (id, answer, note): (Id, Answer, &'static str),
        now: i64,
    ) -> Result<Option<bool>, Stopped> {
        let owed = self.owes;
        let told = Arc::new(Mutex::new(None));
        let tell = Arc::clone(&told);
        self.turn.ask(Ask::new(move |desk, now| {
            let done = desk.answer(id, answer, note, now)?;
            *tell.lock().unwrap() = Some(done.is_ok());
            Ok(done.unwrap_or_else(|_| Committed::default()))
        }));
        self.settle(now)?;
        let told = *told.lock().unwrap();
        Ok(told.filter(|_| !owed))
    }

    /// What is read from now on is routed by other detectors.
    pub fn reload(&mut self, program: &Arc<Program>) {
        self.turn.effects.rules = Rules::new(Arc::clone(program), &Tables::default());
    }

    /// Sends what may go. Its trouble with the disk is not the engine's.
    pub fn deliver(
        &mut self,
        receivers: &mut [Receiver],
        now: i64,
        random: &mut Random,
    ) -> Result<(), Stopped> {
        for (sender, receiver) in self.senders.iter_mut().zip(receivers) {
            let broken = (&self.turn.effects.crashes, self.mutant);
            match sender.step(&self.outbox, receiver, now, random, broken) {
                Err(Stopped::Died) => return Err(Stopped::Died),
                Ok(()) | Err(Stopped::Stuck) => {}
            }
        }
        Ok(())
    }

    /// What mutants do to a batch on its way to the engine.
    fn spoil(&mut self) {
        let routed = &mut self.intake.routed;
        match self.mutant {
            Mutant::Panics => panic!("as it should"),
            Mutant::NoDedupe => routed.marks.iter_mut().for_each(|m| m.id = 0),
            Mutant::LateDropped => {
                let watermark = self.turn.course.engine.stats().watermark.0;
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
                    self.intake.notices.extend(others.map(|number| Notice::End {
                        partition: Partition { topic: 0, number },
                        next: 0,
                    }));
                }
                self.intake.notices.dedup();
            }
            Mutant::LettersTell => {
                for (origin, letter) in &mut self.intake.dead {
                    let own = |r: &Record<'_>| r.offset == origin.offset;
                    let mut records = self.batch.records().filter(own);
                    let bytes = records.next().map_or(&b""[..], |r| r.payload);
                    letter.detail.push_str(&String::from_utf8_lossy(bytes));
                }
            }
            _ => {}
        }
    }

    /// What mutants do between taking a batch and its commit.
    fn misbehave(&mut self, now: i64, receivers: &mut [Receiver]) -> Result<(), Stopped> {
        let course = &mut self.turn.course;
        match self.mutant {
            Mutant::SnapshotBeforeCommit if course.engine.has_output() => {
                let mut frontier = Frontier::default();
                for (_, partition, next) in course.engine.frontier() {
                    frontier.advance(TOPIC, partition, next);
                }
                let place = Place {
                    topics: vec![TOPIC.to_owned()],
                    frontier,
                    commits: course.desk.commits(),
                    ..Place::default()
                };
                let taken = course.engine.snapshot(self.turn.effects.due());
                self.turn.effects.save(taken, &place)?;
                self.turn.effects.publish(place.frontier);
            }
            Mutant::SentBeforeCommit => {
                let mut alerts = Vec::new();
                while let Some(Output::Alert(alert)) = course.engine.poll() {
                    let draft = body::alert(&alert, WallTime(now));
                    let message = Message {
                        number: 0,
                        endpoint: ENDPOINTS[0].to_owned(),
                        draft,
                    };
                    receivers[0].attempt(&message, &mut Random::new(0, "mutant"));
                    alerts.push(*alert);
                }
                course.desk.record(&alerts, WallTime(now))?;
            }
            Mutant::EndsEarly => self.turn.course.engine.handle(&Input::End { until: None }),
            _ => {}
        }
        Ok(())
    }
}

fn stage(rules: &Arc<Rules>) -> Stage {
    let tables = Arc::new(Tables::default());
    Stage::new(&rules.program, rules.projection.clone(), tables)
}

/// What the turn is told, and what mutants make of it.
fn settings(profile: &Profile, mutant: Mutant) -> Settings {
    Settings {
        house_every: match mutant {
            Mutant::NeverExpires => Span::days(365),
            _ => Span(HOUSE_EVERY),
        },
        snapshot_every: Span(profile.snapshot_every),
        prune_every: Span::seconds(60),
        keep: match mutant {
            Mutant::PrunedEarly => Span::ZERO,
            _ => Span::days(365),
        },
        noise: Noise {
            per_thousand_max: 1_000_000,
        },
    }
}

/// What a mutant takes for the chain: an increment is left out, or taken twice, and what follows is numbered as if
/// that were none of its business.
fn misfile(mutant: Mutant, chain: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    // A base, and two increments of which the first changes what the second stands on.
    let [base, first, rest @ ..] = chain else {
        return None;
    };
    let mut other = match mutant {
        _ if rest.is_empty() => return None,
        Mutant::IncrementMissed => [std::slice::from_ref(base), rest].concat(),
        Mutant::IncrementTwice => [&[base.clone(), first.clone(), first.clone()], rest].concat(),
        _ => return None,
    };
    for (body, nth) in other.iter_mut().skip(1).zip(1..) {
        // Behind the form, which is as short: a number below 128 is one byte.
        body[1] = nth;
    }
    Some(other)
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
