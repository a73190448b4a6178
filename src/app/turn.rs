//! The engine's turn: in which order a batch, the time that passes and what people ask for become alerts,
//! snapshots and a frontier.
//!
//! Owns the order and what is still owed. All it touches outside the engine and the desk goes through
//! `Effects`: the daemon has threads, files and metrics behind them (`work`), the simulation virtual time. No
//! thread, no clock, no log. Invariant: nothing is done before what stands above it in `settle` is durable.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

mod chores;
mod effects;

pub use self::chores::Settings;
pub use self::effects::{Effects, Happening, Trouble};
use super::ask::Ask;
use super::commit::Committed;
use super::course::Course;
use super::meta;
use super::pipeline::{Intake, Rules};
use super::reload::{self, Probation};
use crate::decode::DeadLetter;
use crate::engine::alert::Alert;
use crate::engine::exchange::Origin;
use crate::engine::{Input, Shards};
use crate::model::{Span, WallTime};
use crate::source::ledger::Frontier;
use crate::source::{Notice, Partition};

/// See the module's text.
pub struct Turn<S, E> {
    pub course: Course<S>,
    pub effects: E,
    pub settings: Settings,
    /// The detectors in force, and those of before while the new may be noise.
    rules: Arc<Rules>,
    probation: Option<Probation>,
    /// What is owed: whether the desk has gone over to the rules, what came with the batch, and what
    /// people ask for.
    is_adopted: bool,
    letters: Vec<(Origin, DeadLetter)>,
    notices: Vec<Notice>,
    /// Partitions whose loss an operator has accepted, which is not yet said of their alerts.
    decided: Vec<Partition>,
    read_at: Option<Instant>,
    asks: VecDeque<Ask>,
    /// Nothing more comes; what the engine holds since is no state to go on from.
    is_closed: bool,
    /// The newest snapshot was left out for an older one.
    is_fallback: bool,
    /// A partition begins that no snapshot knows; the source gives what it has.
    begins: bool,
    reads: bool,
    /// Where the newest snapshot stands.
    kept: Frontier,
    kept_house: WallTime,
    pruned: WallTime,
    saved: WallTime,
    /// How long the last snapshot took.
    took: Span,
}

impl<S: Shards, E: Effects> Turn<S, E> {
    /// The turn of a life that begins. Detectors may have changed or gone while nothing ran: that is owed.
    /// `kept` is where the newest snapshot stands.
    pub fn new(
        course: Course<S>,
        effects: E,
        rules: Arc<Rules>,
        kept: Frontier,
        settings: Settings,
    ) -> Self {
        let now = effects.now();
        Self {
            course,
            effects,
            settings,
            rules,
            probation: None,
            is_adopted: false,
            letters: Vec::new(),
            notices: Vec::new(),
            decided: Vec::new(),
            read_at: None,
            asks: VecDeque::new(),
            is_closed: false,
            is_fallback: false,
            begins: false,
            reads: false,
            kept,
            kept_house: now,
            pruned: now,
            saved: now,
            took: Span::ZERO,
        }
    }

    /// Where what was restored is not the newest there is: a base is owed before anything is committed, for
    /// what is ahead of the rows now would by and by seem to fit.
    #[must_use]
    pub fn falling_back(self, is_fallback: bool) -> Self {
        Self {
            is_fallback,
            ..self
        }
    }

    /// Takes in a batch after stage 1, once all before it is settled.
    ///
    /// # Errors
    /// Only where a test ends the life here.
    pub fn take(&mut self, intake: &mut Intake) -> Result<(), Trouble> {
        if !Arc::ptr_eq(&intake.rules, &self.rules) {
            self.change_rules(&intake.rules);
        }
        // Where batches leave no pause to look in, too, time passes.
        self.course.engine.watch(self.effects.now());
        self.course.take(&intake.routed, &intake.notices);
        self.course.note_last(&intake.last);
        self.effects.point("batch-taken")?;
        let passed = &self.course.engine.take_passed();
        let program = self.course.engine.program();
        self.effects.hear(&Happening::Taken {
            intake,
            passed,
            program,
        });
        self.watch_over(passed.iter().map(|p| p.events).sum(), &[]);
        let assigned = |n: &Notice| matches!(n, Notice::Assigned { .. });
        self.reads = intake.records() > 0 || intake.notices.iter().any(assigned);
        self.letters.append(&mut intake.dead);
        self.notices.append(&mut intake.notices);
        self.read_at = Some(intake.read_at);
        Ok(())
    }

    /// Nothing came: the clock goes on.
    pub fn look(&mut self) {
        self.course.engine.advance(self.effects.now());
    }

    /// Nothing more will come: the alerts that only time brings come now. The state of before is what a later
    /// process goes on from, for which time has not run ahead; it is written first.
    ///
    /// # Errors
    /// As `snapshot`.
    pub fn close(&mut self) -> Result<(), Trouble> {
        self.snapshot()?;
        self.is_closed = true;
        self.course.engine.handle(&Input::End { until: None });
        Ok(())
    }

    /// What somebody asks for, in turn with everything else that decides.
    pub fn ask(&mut self, ask: Ask) {
        self.asks.push_back(ask);
    }

    /// Does what is owed, in this order. What is done is owed no more: after an error that may pass,
    /// settling again goes on where it stood.
    ///
    /// # Errors
    /// Something could not be made durable; nothing that stands behind it is done.
    pub fn settle(&mut self) -> Result<(), Trouble> {
        self.supersede()?;
        self.adopt()?;
        self.bury()?;
        self.tell()?;
        self.heed();
        self.decide()?;
        self.tell()?;
        self.begin()?;
        self.answer()?;
        self.keep_house()?;
        self.save()?;
        self.prune()
    }

    /// Ends the life in good order, once all is settled.
    ///
    /// # Errors
    /// The last snapshot cannot be written, and will not be.
    pub fn finish(&mut self) -> Result<(), Trouble> {
        self.effects.point("draining")?;
        self.snapshot()
    }

    /// Goes over to the detectors that the batch was routed by.
    fn change_rules(&mut self, rules: &Arc<Rules>) {
        let before = std::mem::replace(&mut self.rules, Arc::clone(rules));
        let held = self.course.engine.stats().usage;
        let restored = self.course.engine.reload(Arc::clone(&rules.program));
        self.is_adopted = false;
        let holds = self.course.engine.stats().usage;
        self.effects.hear(&Happening::Reloaded {
            before: &before.program,
            after: &rules.program,
            restored,
            held: &held,
            holds: &holds,
        });
        let (noise, now) = (self.settings.noise, self.effects.now());
        // What is on probation itself is nothing to go back to; and going back is not on probation again.
        let current = self.probation.take();
        let before = current.map_or(before, Probation::into_before);
        self.probation = (!Arc::ptr_eq(&before, rules)).then(|| {
            let changed = reload::changed(&before.program, &rules.program);
            Probation::begin(before, changed, noise, now)
        });
    }

    /// Takes a new set of detectors back that alerts without end.
    fn watch_over(&mut self, events: u64, alerts: &[Alert]) {
        let Some(probation) = &mut self.probation else {
            return;
        };
        if let Some((name, before)) = probation.note(events, alerts) {
            self.effects.hear(&Happening::Noisy(&name));
            self.effects.put_back(before);
        } else if probation.is_over(self.effects.now()) {
            self.probation = None;
        }
    }

    /// Puts a base behind the snapshots that were left out.
    fn supersede(&mut self) -> Result<(), Trouble> {
        if self.is_fallback {
            self.keep()?;
            self.is_fallback = false;
        }
        Ok(())
    }

    /// The desk goes over to the detectors in force.
    fn adopt(&mut self) -> Result<(), Trouble> {
        if self.is_adopted {
            return Ok(());
        }
        let (program, now) = (&self.rules.program, self.effects.now());
        let done = self.course.desk.adopt(program, now)?;
        self.is_adopted = true;
        self.effects.hear(&Happening::Adopted(&done.alerts));
        self.follow(&done);
        Ok(())
    }

    fn bury(&mut self) -> Result<(), Trouble> {
        if self.letters.is_empty() {
            return Ok(());
        }
        self.effects.bury(self.course.names(), &self.letters)?;
        self.letters.clear();
        self.effects.point("dead-letters-written")
    }

    /// Commits what the engine has to say.
    fn tell(&mut self) -> Result<(), Trouble> {
        let done = self.course.commit(self.effects.now())?;
        if done.is_empty() {
            return Ok(());
        }
        let (alerts, read_at) = (&done.alerts, self.read_at);
        self.effects.hear(&Happening::Told { alerts, read_at });
        self.effects.point("alerts-told")?;
        self.follow(&done);
        self.watch_over(0, &done.alerts);
        Ok(())
    }

    /// Heeds what the source said beside the batch, now that what it follows is committed.
    fn heed(&mut self) {
        self.read_at = None;
        for notice in self.notices.drain(..) {
            self.course.heed(&notice);
            match &notice {
                Notice::Assigned { partition, .. } => {
                    let topic = self.course.name(partition.topic);
                    self.begins |= self.kept.next(topic, partition.number).is_none();
                }
                Notice::Halted {
                    partition,
                    next,
                    cause,
                } => {
                    let place = (self.course.name(partition.topic), partition.number);
                    let (key, now) = (&self.rules.program.key, self.effects.now());
                    let alert = meta::partition_halted(key, place, *next, *cause, now);
                    self.course.raise(alert);
                }
                Notice::Accepted { partition, .. } | Notice::Gone { partition } => {
                    self.decided.push(*partition);
                }
                _ => {}
            }
            self.effects.hear(&Happening::Heeded(&notice));
        }
    }

    /// What an operator has decided is open no more, before what stands still now is told.
    fn decide(&mut self) -> Result<(), Trouble> {
        while let Some(partition) = self.decided.last() {
            let topic = self.course.name(partition.topic).to_owned();
            let place = (topic.as_str(), partition.number);
            let done = self.course.desk.decide(place, self.effects.now())?;
            self.decided.pop();
            self.follow(&done);
        }
        Ok(())
    }

    /// Where a partition begins that no snapshot knows is kept before anything more is read of it, also if that
    /// has to wait for a disk: after a kill, "from now on" must not mean from then on.
    fn begin(&mut self) -> Result<(), Trouble> {
        if self.begins {
            self.keep()?;
            self.begins = false;
        }
        if std::mem::take(&mut self.reads) {
            self.effects.hear(&Happening::Reading);
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<(), Trouble> {
        while let Some(ask) = self.asks.front_mut() {
            let done = ask.carry_out(&mut self.course.desk, self.effects.now())?;
            self.asks.pop_front();
            self.follow(&done);
        }
        Ok(())
    }

    /// What a commit has brought about is seen and sent.
    fn follow(&mut self, done: &Committed) {
        let state = self.course.desk.state();
        self.effects.hear(&Happening::Committed { done, state });
    }
}

#[cfg(test)]
mod tests;
