//! One run: the world in which processes live and die, step by step on virtual time.
//!
//! Owns both clocks, the log, the store, the snapshot files and the receivers; carries out the
//! plan of faults; asks the invariants after every step. Nothing here waits or is random by itself.

mod doubt;
mod inject;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use tidegate::engine::program::Program;
use tidegate::model::Span;
use tidegate::store::Store;
use tidegate::store::memory::MemoryStore;

use crate::arrival::{self, Arrival, Line};
use crate::crash::Crashes;
use crate::detectors::Set;
use crate::disk::Disk;
use crate::fact::Fact;
use crate::fault::{self, Fault};
use crate::invariants::{Book, Clean, Rows, Sight};
use crate::log::{Lane, Log, SharedLog};
use crate::mutant::Mutant;
use crate::node::{Node, Site, Stopped, Unborn};
use crate::oracle::{self, Doubt, Unsure};
use crate::profile::Profile;
use crate::random::Random;
use crate::receiver::Receiver;
use crate::rig::Seen;
use crate::workload::{self, START};
use doubt::Stood;

/// Time that passes after the last event, without a fault and in large steps: all deadlines come,
/// also those of an hour's hold after an hour's window.
const REST: i64 = 130 * 60_000;
const REST_STEP: i64 = 60_000;
const REST_SNAPSHOT: i64 = 25 * 60_000;
/// Steps between two looks at every alert.
const WHOLE_EVERY: u64 = 40;

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Violation {
    pub seed: u64,
    pub step: u64,
    pub what: String,
}

/// How a run went.
pub struct Outcome {
    pub steps: u64,
    pub injected: BTreeMap<&'static str, u64>,
    /// A hash over everything that happened, in order.
    pub trace: blake3::Hash,
    /// Where the process died at crash points, and how often.
    pub died: BTreeMap<&'static str, u64>,
    /// Keys that went for want of memory.
    pub evicted: u64,
    pub world: World,
}

/// What lives went on from.
#[derive(Clone, Debug, Default)]
pub struct Chains {
    /// How many files it was, and how often.
    pub restored: BTreeMap<usize, u64>,
    /// How many files are before the one that was damaged in the middle of the newest chain.
    damaged: Option<usize>,
    /// How often a life went on with just those.
    pub halved: u64,
}

impl Chains {
    fn restore(&mut self, files: usize) {
        *self.restored.entry(files).or_default() += 1;
        self.halved += u64::from(self.damaged.take() == Some(files));
    }
}

pub struct World {
    pub profile: Profile,
    pub facts: Vec<Fact>,
    /// The program in force, and the one after the next change of the detectors.
    pub program: Arc<Program>,
    other: Arc<Program>,
    mutant: Mutant,
    pub now: i64,
    /// When the last event has arrived.
    end: i64,
    /// How far the machine's clock is from the true time.
    skew: i64,
    arrivals: std::vec::IntoIter<Arrival>,
    next_arrival: Option<Arrival>,
    pub log: SharedLog,
    /// The log as it was before it lost anything, and what would have come to the part that lost its end.
    pub originals: Option<Vec<Lane>>,
    /// The partition whose end was lost.
    cut: Option<usize>,
    pub store: MemoryStore,
    rows: Arc<dyn Store>,
    crashes: Crashes,
    pub evicted: u64,
    /// By the process's clock: no action whose end was before it stands any more.
    pub kept_house: Option<i64>,
    pub disk: Disk,
    pub receivers: Vec<Receiver>,
    pub node: Option<Node>,
    start_at: i64,
    /// When it was a process's turn before.
    turned: i64,
    shards: usize,
    lives: u64,
    faults: fault::Plan,
    /// Passing faults and when they end.
    passing: Vec<(i64, Fault)>,
    down_after_crash: i64,
    random: Random,
    pub steps: u64,
    pub injected: BTreeMap<&'static str, u64>,
    trace: blake3::Hasher,
    /// Per partition the furthest offset that any life has taken in.
    pub reached: BTreeMap<i32, i64>,
    pub halted: BTreeSet<i32>,
    pub chains: Chains,
    /// Where the engine stood when it was last asked what was late.
    stood: Stood,
    pub doubt: Doubt,
    /// What that leaves unsaid.
    pub unsure: Unsure,
}

/// The facts and lines of a seed, and how they come into the log.
fn input(profile: &Profile) -> (Vec<Fact>, Vec<Arrival>) {
    let facts = match profile.set {
        Set::Own => workload::own(profile.seed, profile.minutes, profile.is_small),
        Set::Shipped => Vec::new(),
    };
    let lines: Vec<Line> = match profile.set {
        Set::Own => facts
            .iter()
            .enumerate()
            .map(|(n, f)| Line::of_fact(n, f))
            .collect(),
        Set::Shipped => {
            let lines = workload::scenario(profile.scenario, profile.seed, 3000);
            lines.into_iter().map(Line::of_scenario).collect()
        }
    };
    let mut random = Random::new(profile.seed, "arrivals");
    let arrivals = arrival::arrivals(&lines, &profile.producers, &mut random);
    (facts, arrivals)
}

/// Runs a seed without a fault by one shard, or with faults, given what the run without told.
pub fn run(profile: &Profile, mutant: Mutant, clean: Option<&Clean>) -> Result<Outcome, Violation> {
    let (facts, arrivals) = input(profile);
    let end = arrivals.last().map_or(START, |a| a.at);
    let mut world = World::new(profile, (facts, arrivals), clean, mutant, end);
    let (mut book, mut rows, mut steps, mut lives) =
        (Book::new(clean.map(|c| &c.told)), Rows::default(), 0, 0);
    while world.now < end + REST || world.owes() {
        world.step();
        if steps != world.store.steps() {
            steps = world.store.steps();
            let whole = world.steps.is_multiple_of(WHOLE_EVERY) || lives != world.lives;
            lives = world.lives;
            rows = rows.after(&world.store, &world.receivers, whole);
        }
        let sight = Sight::of(&mut world, &rows);
        if let Err(what) = book.check(&sight) {
            let (seed, step) = (profile.seed, world.steps);
            return Err(Violation { seed, step, what });
        }
    }
    let trace = world.trace.finalize();
    let (steps, injected) = (world.steps, world.injected.clone());
    let (died, evicted) = (world.crashes.hit(), world.evicted);
    Ok(Outcome {
        died,
        evicted,
        steps,
        injected,
        trace,
        world,
    })
}

impl World {
    fn new(
        profile: &Profile,
        (facts, arrivals): (Vec<Fact>, Vec<Arrival>),
        clean: Option<&Clean>,
        mutant: Mutant,
        end: i64,
    ) -> Self {
        let faulty = clean.is_some();
        let doubt = Doubt::of(&facts, &arrivals, clean);
        let unsure = oracle::unsure(&facts, &doubt);
        let program = profile.program(mutant, false);
        let store = MemoryStore::new();
        let crashes = Crashes::new(&store);
        let rows = Seen {
            store: store.clone(),
            crashes: crashes.clone(),
            mutant,
        };
        let lanes = vec![Lane::default(); profile.producers.partitions];
        let log = Log {
            lanes,
            ..Log::default()
        };
        let first = arrivals.first().map_or(START, |a| a.at);
        let faults = if faulty {
            fault::plan(profile, (first, end))
        } else {
            fault::Plan::new()
        };
        let mut arrivals = arrivals.into_iter();
        Self {
            next_arrival: arrivals.next(),
            arrivals,
            profile: profile.clone(),
            facts,
            mutant,
            now: first - 5000,
            end,
            skew: 0,
            log: Rc::new(RefCell::new(log)),
            originals: None,
            cut: None,
            store,
            rows: Arc::new(rows),
            disk: Disk::new(program.key.clone()),
            program,
            other: profile.program(mutant, true),
            crashes,
            evicted: 0,
            kept_house: None,
            receivers: vec![Receiver::default(), Receiver::default()],
            node: None,
            start_at: 0,
            turned: first - 5000,
            shards: if faulty { profile.shards } else { 1 },
            lives: 0,
            faults,
            passing: Vec::new(),
            down_after_crash: 1000,
            random: Random::new(profile.seed, if faulty { "world" } else { "clean" }),
            steps: 0,
            injected: BTreeMap::new(),
            trace: blake3::Hasher::new(),
            reached: BTreeMap::new(),
            halted: BTreeSet::new(),
            chains: Chains::default(),
            stood: Stood::default(),
            doubt,
            unsure,
        }
    }

    /// What the process takes for the time.
    pub fn clock(&self) -> i64 {
        self.now + self.skew
    }

    pub fn lives(&self) -> u64 {
        self.lives
    }

    fn note(&mut self, what: &str) {
        self.trace.update(what.as_bytes());
        self.trace.update(b"\n");
        if std::env::var_os("TIDEGATE_SIM_TRACE").is_some() {
            println!("{:>6} {} {what}", self.steps, self.now - START);
        }
    }

    /// Whether something is still on its way though all faults are over.
    fn owes(&self) -> bool {
        self.node.is_none() || !self.passing.is_empty()
    }

    fn step(&mut self) {
        self.steps += 1;
        let step_max = if self.now > self.end {
            REST_STEP
        } else {
            self.profile.step_max
        };
        self.now += self.random.between(1, step_max);
        if self.now > self.end {
            self.crashes.disarm();
        }
        self.append();
        self.pass();
        while let Some(at) = self
            .faults
            .keys()
            .next()
            .copied()
            .filter(|at| *at <= self.now)
        {
            let fault = self.faults.remove(&at).unwrap();
            self.inject(fault);
        }
        if self.node.is_none() && self.now >= self.start_at {
            self.start();
        }
        if let Err(Stopped::Died) = self.turn() {
            self.die(self.down_after_crash);
        }
    }

    /// What producers have written by now.
    fn append(&mut self) {
        while let Some(arrival) = self.next_arrival.take_if(|a| a.at <= self.now) {
            // A log that lost its end stays as it is: if it grew beyond what was read, offsets
            // alone could not tell.
            let lane = arrival.partition;
            match &mut self.originals {
                Some(lanes) if self.cut == Some(lane) => lanes[lane].append(arrival.record),
                _ => self.log.borrow_mut().lanes[lane].append(arrival.record),
            }
            self.next_arrival = self.arrivals.next();
        }
    }

    fn site(&self) -> Site<'_> {
        Site {
            profile: &self.profile,
            program: &self.program,
            store: Arc::clone(&self.rows),
            log: Rc::clone(&self.log),
            memory: self.store.clone(),
            disk: self.disk.clone(),
            now: self.clock(),
            shards: self.shards,
            random: Random::new(self.profile.seed, &format!("reader {}", self.lives)),
            crashes: self.crashes.clone(),
            mutant: self.mutant,
        }
    }

    fn start(&mut self) {
        self.lives += 1;
        let mut node = match Node::start(self.site()) {
            Ok(node) => node,
            Err(Unborn::Died) => return self.die(self.down_after_crash),
            Err(Unborn::Refused(why)) => {
                // The operator does as the message says.
                assert!(why.contains("move them away to rebuild"), "{why}");
                self.note("no snapshot is good");
                self.disk.clear();
                Node::start(self.site()).unwrap()
            }
        };
        self.shards = node.shards;
        if self.is_paused() {
            node.turn.effects.reader.pause();
        }
        self.halted.extend(node.halted.iter().map(|p| p.number));
        self.chains.restore(node.restored);
        self.note(&format!(
            "starts, {} shards, restored {}",
            node.shards, node.restored
        ));
        self.stood = Stood::of(&node);
        self.note_lost(&node);
        self.node = Some(node);
    }

    fn is_paused(&self) -> bool {
        self.passing
            .iter()
            .any(|(_, f)| matches!(f, Fault::Pause { .. }))
    }

    /// What a living process does in one step.
    fn turn(&mut self) -> Result<(), Stopped> {
        let now = self.clock();
        let awake = self.now - std::mem::replace(&mut self.turned, self.now);
        let Some(mut node) = self.node.take() else {
            return Ok(());
        };
        let lags = self
            .passing
            .iter()
            .any(|(_, f)| matches!(f, Fault::Lag { .. }));
        node.awake = awake;
        let result = self.work(&mut node, now, lags);
        self.note_doubt(&node);
        if self.profile.is_small {
            self.note_forgotten(&mut node);
        }
        self.node = Some(node);
        result
    }

    fn work(&mut self, node: &mut Node, now: i64, lags: bool) -> Result<(), Stopped> {
        if self.now > self.end {
            node.turn.settings.snapshot_every = Span(REST_SNAPSHOT);
        }
        let read = self.read(node, now, lags);
        for said in std::mem::take(&mut node.turn.effects.said) {
            self.note(&said);
        }
        if let Err(Stopped::Died) = read {
            return read;
        }
        self.kept_house = node.kept_house;
        node.deliver(&mut self.receivers, now, &mut self.random)?;
        let stats = node.turn.course.engine.stats();
        let counts = stats.counts;
        let told = self
            .receivers
            .iter()
            .map(|r| r.order.len())
            .collect::<Vec<_>>();
        self.note(&format!(
            "{counts:?} {:?} {told:?} {}",
            stats.watermark,
            self.store.steps()
        ));
        Ok(())
    }

    /// The engine's thread. Where the process hangs, nobody tells the engine the time either.
    fn read(&mut self, node: &mut Node, now: i64, lags: bool) -> Result<(), Stopped> {
        if lags {
            return node.settle(now);
        }
        for _ in 0..self.random.between(1, 30) {
            let records = self.random.between(1, 200);
            node.turn.effects.reader.records_max = usize::try_from(records).unwrap();
            match node.read(now, &mut self.receivers)? {
                Some(records) => self.note(&format!("read {records}")),
                None => break,
            }
        }
        if self.disk.has_tear() && !self.disk.is_full() {
            node.turn.snapshot()?;
        }
        Ok(())
    }

    /// Bytes that all rules may use.
    pub const fn memory(&self) -> usize {
        self.profile.memory()
    }
}
