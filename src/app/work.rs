//! The engine's thread: batches in, alerts committed, snapshots written, until told to stop.
//!
//! Invariant: a snapshot is written only after everything it contains has been committed, so a
//! restart from it finds every alert before it in the store, and makes those after it again.

#![expect(clippy::disallowed_methods, reason = "times snapshots and waits")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use tokio::sync::Notify;

use super::ask::Ask;
use super::commit::Committed;
use super::course::Course;
use super::dead::{DeadLetters, Unwritten};
use super::measures::Measures;
use super::meta;
use super::pipeline::{Intake, Next, Pipeline, Rules};
use super::reload::{self, Noise, Probation};
use super::shelf::Shelf;
use super::state_dir::StateDir;
use super::threads::Threads;
use super::view::Shared;
use crate::deliver::Clock;
use crate::engine::Input;
use crate::engine::alert::Alert;
use crate::model::fault::Class;
use crate::model::{EventTime, Span};
use crate::source::Notice;
use crate::source::ledger::Frontier;
use crate::store::StoreError;
use crate::store::snapshot::SnapshotError;

/// How long it waits for a batch before it looks at its other duties.
const WAIT: Duration = Duration::from_millis(100);
/// How often gauges are set and actions' ends are looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(500);
/// How often rows that are kept long enough are looked for, and how many go in one commit.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNE_MAX: usize = 1000;
/// Reading stands still while a snapshot is made: at least this many times as long passes before the
/// next one, however often they are asked for.
const SNAPSHOT_SHARE: u32 = 9;
/// The wait before a failed commit is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// All that the thread owns.
pub struct Work {
    pub course: Course<Threads>,
    pub pipeline: Pipeline,
    pub state: StateDir,
    pub dead: DeadLetters,
    pub shared: Arc<Shared>,
    pub measures: Measures,
    /// The detectors in force, and where to put those of before if the new are noise.
    pub rules: Arc<Rules>,
    pub shelf: Arc<Shelf<Rules>>,
    pub probation: Option<Probation>,
    pub noise: Noise,
    pub wakes: Vec<Arc<Notify>>,
    pub asks: Receiver<Ask>,
    pub clock: Arc<dyn Clock>,
    pub snapshot_every: Duration,
    /// Where the newest snapshot stands.
    pub kept: Frontier,
    /// How long closed alerts and ended actions are kept.
    pub keep: Span,
    pub stop: Arc<AtomicBool>,
    /// Why another part has ended the process, if it has.
    pub failure: Arc<OnceLock<String>>,
}

impl Work {
    /// # Errors
    /// The source has ended with an error, or the store failed for good.
    pub fn run(mut self) -> anyhow::Result<()> {
        let result = self.turn().and_then(|()| match self.failure.get() {
            Some(why) => Err(anyhow::anyhow!(why.clone())),
            None => Ok(()),
        });
        self.shared.draining();
        let result = result.and_then(|()| {
            crate::crash::point("draining");
            self.snapshot()
        });
        self.shared
            .ended(result.as_ref().err().map(|e| format!("{e:#}")));
        self.pipeline.join();
        result
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        // Detectors may have changed or gone while nothing ran.
        self.adopt()?;
        let mut stopping = false;
        let (mut kept_house, mut saved) = (Instant::now(), Instant::now());
        let (mut pruned, mut took) = (Instant::now(), Duration::ZERO);
        loop {
            if self.stop.load(Ordering::Relaxed) && !stopping {
                stopping = true;
                self.shared.draining();
                self.pipeline.stop();
            }
            match self.pipeline.next(WAIT) {
                Next::Intake(intake) => {
                    self.take(&intake)?;
                    self.pipeline.recycle(intake);
                }
                Next::Nothing => {
                    self.course.engine.advance(self.clock.now());
                    self.tell(None)?;
                }
                Next::End if stopping => return Ok(()),
                // Files have an end; the alerts that only time brings come now.
                Next::End => {
                    self.course.engine.handle(&Input::End { until: None });
                    return self.tell(None);
                }
                Next::Failed(error) => return Err(error.into()),
            }
            self.answer()?;
            if kept_house.elapsed() >= HOUSEKEEPING {
                kept_house = Instant::now();
                self.keep_house()?;
            }
            if saved.elapsed() >= self.snapshot_every.max(took * SNAPSHOT_SHARE) {
                let began = Instant::now();
                self.snapshot()?;
                saved = Instant::now();
                took = saved - began;
            }
            if pruned.elapsed() >= PRUNE_EVERY && self.prune()? < PRUNE_MAX {
                pruned = Instant::now();
            }
        }
    }

    fn take(&mut self, intake: &Intake) -> anyhow::Result<()> {
        if !Arc::ptr_eq(&intake.rules, &self.rules) {
            self.change_rules(&intake.rules)?;
        }
        self.course.take(&intake.routed, &intake.notices);
        self.course.note_last(&intake.last);
        crate::crash::point("batch-taken");
        let passed = self.course.engine.take_passed();
        let events = passed.iter().map(|p| p.events).sum();
        self.shared.count_events(events);
        self.watch_over(events, &[]);
        self.measures
            .intake(intake, &passed, self.course.engine.program());
        self.bury(intake)?;
        self.tell(Some(intake.read_at))?;
        for notice in &intake.notices {
            self.heed(notice)?;
        }
        self.tell(None)?;
        self.keep_places(&intake.notices)?;
        let assigned = |n: &Notice| matches!(n, Notice::Assigned { .. });
        if intake.records() > 0 || intake.notices.iter().any(assigned) {
            self.shared.assigned();
        }
        Ok(())
    }

    /// Where a partition begins that no snapshot knows is kept before anything is read of it: after a kill,
    /// "from now on" must not mean from then on.
    fn keep_places(&mut self, notices: &[Notice]) -> anyhow::Result<()> {
        let unknown = |n: &Notice| match n {
            Notice::Assigned { partition, .. } => {
                let topic = self.course.name(partition.topic);
                self.kept.next(topic, partition.number).is_none()
            }
            _ => false,
        };
        if notices.iter().any(unknown) {
            self.snapshot()?;
        }
        Ok(())
    }

    /// Goes over to the detectors that the next batch was routed by.
    fn change_rules(&mut self, rules: &Arc<Rules>) -> anyhow::Result<()> {
        let before = std::mem::replace(&mut self.rules, Arc::clone(rules));
        let (old, new) = (&before.program, &rules.program);
        let usage = self.course.engine.stats().usage;
        let kept = old.keep(&new.identities());
        for (rule, _) in kept.iter().enumerate().filter(|(_, at)| at.is_none()) {
            let keys = usage.get(rule).map_or(0, |u| u.keys);
            tracing::warn!(
                detector = old.detector(rule).name,
                keys,
                "changed or gone: its windows are lost"
            );
        }
        let restored = self.course.engine.reload(Arc::clone(new));
        let (kept, fresh) = (restored.kept, restored.fresh);
        tracing::info!(kept, fresh, "detectors reloaded");
        self.shared.set_plan(Arc::clone(&new.plan));
        let usage = self.course.engine.stats().usage;
        self.measures.reloaded(&new.plan, usage);
        let changed = reload::changed(old, new);
        let now = Instant::now();
        // Going back is not on probation again.
        self.probation = match self.probation.take() {
            Some(_) => None,
            None => Some(Probation::begin(before, changed, self.noise, now)),
        };
        self.adopt()
    }

    /// The desk goes over to the detectors in force.
    fn adopt(&mut self) -> anyhow::Result<()> {
        let program = Arc::clone(&self.rules.program);
        let committed = self.insist(|work| work.course.desk.adopt(&program, work.clock.now()))?;
        if !committed.is_empty() {
            let closed = committed.alerts.len();
            tracing::warn!(
                closed,
                "alerts closed: their detectors were changed or went"
            );
            self.follow(&committed);
        }
        Ok(())
    }

    /// Takes a new set of detectors back that alerts without end.
    fn watch_over(&mut self, events: u64, alerts: &[Alert]) {
        let Some(probation) = &mut self.probation else {
            return;
        };
        if let Some((name, before)) = probation.note(events, alerts) {
            tracing::error!(
                detector = name,
                "alerts without end since the reload; the detectors before it are put back"
            );
            self.measures.reverted();
            self.shelf.put(before);
        } else if probation.is_over(Instant::now()) {
            self.probation = None;
        }
    }

    fn bury(&mut self, intake: &Intake) -> anyhow::Result<()> {
        if intake.dead.is_empty() {
            return Ok(());
        }
        let left_out = self.insist_on("dead letters", Unwritten::class, |work| {
            work.dead.write(work.course.names(), &intake.dead)
        })?;
        if left_out > 0 {
            tracing::warn!(left_out, "the dead-letter file is full: move it away");
        }
        crate::crash::point("dead-letters-written");
        Ok(())
    }

    /// Commits an alert about tidegate itself.
    fn raise(&mut self, alert: &Alert) -> anyhow::Result<()> {
        let alerts = std::slice::from_ref(alert);
        let committed = self.insist(|work| work.course.desk.record(alerts, work.clock.now()))?;
        self.follow(&committed);
        Ok(())
    }

    fn heed(&mut self, notice: &Notice) -> anyhow::Result<()> {
        self.course.heed(notice);
        match notice {
            Notice::Assigned { partition, .. } => self.shared.begun(*partition),
            Notice::Behind { .. } => {}
            Notice::Accepted {
                partition,
                next,
                cause,
            } => tracing::warn!(
                partition = format!("{}/{}", self.course.name(partition.topic), partition.number),
                next,
                %cause,
                "the loss is accepted: reading goes on at what the log still holds"
            ),
            Notice::End { partition, .. } => {
                self.shared.assigned();
                self.shared.caught_up(*partition);
            }
            Notice::Halted {
                partition,
                next,
                cause,
            } => {
                self.shared.caught_up(*partition);
                let topic = self.course.name(partition.topic);
                let name = format!("{topic}/{}", partition.number);
                tracing::error!(
                    partition = name,
                    next,
                    %cause,
                    "the partition is stopped: its log no longer holds what comes next; decide whether to go on without it"
                );
                let halted = self
                    .shared
                    .halted(topic, &name, &format!("offset {next}: {cause}"));
                self.measures.halted(topic, halted);
                let place = (topic, partition.number);
                let (key, now) = (&self.rules.program.key, self.clock.now());
                let alert = meta::partition_halted(key, place, *next, *cause, now);
                self.raise(&alert)?;
            }
            Notice::Silent { partition } => tracing::error!(
                partition = format!("{}/{}", self.course.name(partition.topic), partition.number),
                "nobody answers for the partition: event time goes on without it, and what it brings later may be late"
            ),
            Notice::Stalled { partition, next } => {
                tracing::warn!(
                    ?partition,
                    next,
                    "the source gave nothing though there was more; reconnected"
                );
            }
            Notice::Trouble { detail } => {
                tracing::warn!(detail, "the source has trouble");
                self.shared.trouble(detail);
            }
        }
        Ok(())
    }

    /// Commits what the engine has to say and wakes those who send it.
    fn tell(&mut self, read_at: Option<Instant>) -> anyhow::Result<()> {
        let committed = self.insist(|work| work.course.commit(work.clock.now()))?;
        if committed.is_empty() {
            return Ok(());
        }
        for alert in committed.alerts.iter().filter(|a| a.revision == 0) {
            self.measures.alert(alert, read_at, self.clock.now());
            if alert.silenced.is_some() {
                continue;
            }
            tracing::info!(alert = %alert.alert_id, detector = alert.detector.name, summary = alert.summary, "alert");
        }
        crate::crash::point("alerts-told");
        self.follow(&committed);
        self.watch_over(0, &committed.alerts);
        Ok(())
    }

    fn follow(&self, committed: &Committed) {
        self.measures.silenced(&committed.alerts);
        self.measures.decided(committed, self.course.desk.state());
        self.shared
            .committed(committed, self.course.desk.state().journal().seq());
        if committed.messages > 0 {
            self.wakes.iter().for_each(|wake| wake.notify_one());
        }
    }

    /// Tries a commit until it succeeds or cannot.
    fn insist<T>(
        &mut self,
        attempt: impl FnMut(&mut Self) -> Result<T, StoreError>,
    ) -> anyhow::Result<T> {
        self.insist_on("store", StoreError::class, attempt)
    }

    /// Tries until it succeeds or cannot; nothing goes on past what is not durable.
    fn insist_on<T, E: std::error::Error + Send + Sync + 'static>(
        &mut self,
        part: &'static str,
        class: impl Fn(&E) -> Class,
        mut attempt: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> anyhow::Result<T> {
        loop {
            match attempt(self) {
                Ok(value) => {
                    self.shared.trouble_with(part, None);
                    return Ok(value);
                }
                Err(error) if class(&error).may_pass() && !self.stop.load(Ordering::Relaxed) => {
                    tracing::error!(part, %error, "cannot write; reading stands still until it can");
                    self.shared.trouble_with(part, Some(error.to_string()));
                    std::thread::sleep(RETRY);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What people ask for, in turn with everything else that decides.
    fn answer(&mut self) -> anyhow::Result<()> {
        while let Ok(mut ask) = self.asks.try_recv() {
            let done = self.insist(|work| {
                let now = work.clock.now();
                ask.carry_out(&mut work.course.desk, now)
            })?;
            self.follow(&done);
        }
        Ok(())
    }

    fn keep_house(&mut self) -> anyhow::Result<()> {
        let ended = self.insist(|work| work.course.desk.tick(work.clock.now()))?;
        self.follow(&ended);
        let released = self.insist(|work| work.course.desk.release(work.clock.now()))?;
        self.follow(&released);
        let stats = self.course.engine.stats();
        let program = Arc::clone(self.course.engine.program());
        for (rule, evicted) in self.measures.rules(&program, &stats.usage) {
            let name = &program.detector(rule).name;
            let now = self.clock.now();
            self.raise(&meta::key_explosion(&program.key, name, evicted, now))?;
        }
        for endpoint in self.shared.newly_gone() {
            let now = self.clock.now();
            self.raise(&meta::endpoint_gone(&program.key, &endpoint, now))?;
        }
        self.shared.usage(stats.usage);
        let lags = self.pipeline.lag().unwrap_or_default();
        self.measures
            .delays(stats.watermark.0, self.clock.now(), &lags);
        self.shared.set_gauges();
        Ok(())
    }

    /// Takes out what is kept long enough, by the clock and by event time: events recorded long ago
    /// are not old before they have been told. Returns how much went.
    fn prune(&mut self) -> anyhow::Result<usize> {
        let now = self.clock.now();
        let told = self.course.engine.stats().watermark.0.min(now.0);
        let alerts = EventTime(told.saturating_sub(self.keep.0));
        let actions = now - self.keep;
        self.insist(|work| work.course.desk.prune(alerts, actions, PRUNE_MAX))
    }

    fn snapshot(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        // Every commit has succeeded by now, or the thread has ended.
        let Some((taken, place)) = self.course.snapshot(self.state.snapshots.due()) else {
            return Ok(());
        };
        let kind = taken.kind;
        // What the frontier leaves behind must not be lost with a power cut.
        let synced = self.dead.sync().map_err(anyhow::Error::from);
        match synced.and_then(|()| self.state.snapshots.save(taken, &place)) {
            Ok(size) => {
                self.kept.clone_from(&place.frontier);
                self.pipeline.publish(place.frontier);
                self.measures.snapshot(kind, began, size as u64);
                self.shared.saved();
            }
            // The one before it still stands; after a crash a little more is read again.
            Err(error) if may_pass(&error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "no snapshot could be written; it is tried again"
                );
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Whether a snapshot that failed of this may succeed later.
fn may_pass(error: &anyhow::Error) -> bool {
    let snapshot = error
        .downcast_ref::<SnapshotError>()
        .map(SnapshotError::class);
    let letters = error.downcast_ref::<Unwritten>().map(Unwritten::class);
    snapshot.or(letters).is_some_and(Class::may_pass)
}
