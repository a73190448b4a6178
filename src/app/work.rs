//! The engine's thread: batches in, alerts committed, snapshots written, until told to stop.
//!
//! Invariant: a snapshot is written only after everything it contains has been committed, so a
//! restart from it finds every alert before it in the store, and makes those after it again.

#![expect(clippy::disallowed_methods, reason = "times snapshots and waits")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use tokio::sync::Notify;

use super::commit::Committed;
use super::course::Course;
use super::dead::DeadLetters;
use super::pipeline::{Intake, Next, Pipeline};
use super::state_dir::StateDir;
use super::threads::Threads;
use super::view::{Ask, Shared};
use crate::deliver::Clock;
use crate::engine::Input;
use crate::engine::alert::Alert;
use crate::source::Notice;
use crate::store::StoreError;
use crate::telemetry::Metrics;
use crate::telemetry::metric::Label;

/// How long it waits for a batch before it looks at its other duties.
const WAIT: Duration = Duration::from_millis(100);
/// How often gauges are set and actions' ends are looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(500);
/// The wait before a failed commit is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// All that the thread owns.
pub struct Work {
    pub course: Course<Threads>,
    pub pipeline: Pipeline,
    pub state: StateDir,
    pub dead: DeadLetters,
    pub shared: Arc<Shared>,
    pub metrics: Metrics,
    pub wakes: Vec<Arc<Notify>>,
    pub decisions: Receiver<Ask>,
    pub clock: Arc<dyn Clock>,
    pub snapshot_every: Duration,
    pub stop: Arc<AtomicBool>,
}

impl Work {
    /// # Errors
    /// The source has ended with an error, or the store failed for good.
    pub fn run(mut self) -> anyhow::Result<()> {
        let result = self.turn();
        self.pipeline.stop();
        self.shared
            .ended(result.as_ref().err().map(|e| format!("{e:#}")));
        if result.is_ok() {
            self.snapshot()?;
        }
        self.pipeline.join();
        result
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        let mut stopping = false;
        let (mut kept_house, mut saved) = (Instant::now(), Instant::now());
        loop {
            if self.stop.load(Ordering::Relaxed) && !stopping {
                stopping = true;
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
            if saved.elapsed() >= self.snapshot_every {
                saved = Instant::now();
                self.snapshot()?;
            }
        }
    }

    fn take(&mut self, intake: &Intake) -> anyhow::Result<()> {
        let before = self.course.engine.counts();
        self.course.take(&intake.routed, &intake.notices);
        let after = self.course.engine.counts();
        self.shared.count_events(after.events - before.events);
        let assigned = |n: &Notice| matches!(n, Notice::Assigned { .. });
        if intake.records > 0 || intake.notices.iter().any(assigned) {
            self.shared.assigned();
        }
        let source = || Label::from("all");
        self.metrics
            .events_late
            .add([source()], after.late - before.late);
        self.metrics
            .events_duplicate
            .add([source()], after.duplicate - before.duplicate);
        self.count(intake);
        self.bury(intake)?;
        self.tell(Some(intake.read_at))?;
        for notice in &intake.notices {
            self.heed(notice);
        }
        self.tell(None)
    }

    fn count(&self, intake: &Intake) {
        let mut per_source = vec![(0u64, 0u64); self.course.names().len()];
        for mark in &intake.routed.marks {
            if let Some((events, _)) = per_source.get_mut(usize::from(mark.origin.source)) {
                *events += 1;
            }
        }
        for (origin, letter) in &intake.dead {
            if let Some((_, dead)) = per_source.get_mut(usize::from(origin.source)) {
                *dead += 1;
            }
            let name = self.course.name(origin.source);
            let labels = [Label::configured(name), letter.reason.name().into()];
            self.metrics.events_dead_lettered.add(labels, 1);
        }
        for (name, (events, _)) in self.course.names().iter().zip(&per_source) {
            if *events > 0 {
                self.metrics
                    .events_decoded
                    .add([Label::configured(name), "any".into()], *events);
            }
        }
        let all = match self.course.names() {
            [one] => Label::configured(one),
            _ => "all".into(),
        };
        self.metrics
            .events_received
            .add([all.clone()], intake.records);
        self.metrics.received_bytes.add([all], intake.bytes);
    }

    fn bury(&self, intake: &Intake) -> anyhow::Result<()> {
        loop {
            match self.dead.write(self.course.names(), &intake.dead) {
                Ok(0) => return Ok(()),
                Ok(left_out) => {
                    tracing::warn!(left_out, "the dead-letter file is full: move it away");
                    return Ok(());
                }
                Err(error) if self.stop.load(Ordering::Relaxed) => anyhow::bail!(error),
                Err(error) => {
                    tracing::error!(error, "dead letters cannot be written; trying again");
                    std::thread::sleep(RETRY);
                }
            }
        }
    }

    fn heed(&mut self, notice: &Notice) {
        self.course.heed(notice);
        match notice {
            Notice::Assigned { .. } => {}
            Notice::End { .. } => self.shared.caught_up(),
            Notice::Halted {
                partition,
                next,
                cause,
            } => {
                let topic = self.course.name(partition.topic);
                let name = format!("{topic}/{}", partition.number);
                tracing::error!(
                    partition = name,
                    next,
                    ?cause,
                    "the partition is stopped: its log no longer holds what comes next; decide whether to go on without it"
                );
                self.metrics
                    .partitions_halted
                    .set([Label::configured(topic)], 1.0);
                self.shared
                    .halted(&name, &format!("{cause:?} at offset {next}"));
            }
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
    }

    /// Commits what the engine has to say and wakes those who send it.
    fn tell(&mut self, read_at: Option<Instant>) -> anyhow::Result<()> {
        let committed = self.insist(|work| work.course.commit(work.clock.now()))?;
        if committed.is_empty() {
            return Ok(());
        }
        for alert in committed.alerts.iter().filter(|a| a.revision == 0) {
            self.measure(alert, read_at);
        }
        self.follow(&committed);
        Ok(())
    }

    fn measure(&self, alert: &Alert, read_at: Option<Instant>) {
        let detector = Label::configured(&alert.detector.name);
        self.metrics
            .alerts
            .add([detector.clone(), alert.detector.level.name().into()], 1);
        self.metrics.detections.add([detector], 1);
        let seconds = |from: i64| {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a latency")]
            let seconds = (self.clock.now().0 - from).max(0) as f64 / 1000.0;
            seconds
        };
        self.metrics
            .detection_latency_event_seconds
            .observe([], seconds(alert.time.0));
        self.metrics
            .kpi_time_to_detect_seconds
            .observe([], seconds(alert.first.0));
        if let Some(read_at) = read_at {
            self.metrics
                .detection_latency_ingest_seconds
                .observe([], read_at.elapsed().as_secs_f64());
        }
        tracing::info!(alert = %alert.alert_id, detector = alert.detector.name, summary = alert.summary, "alert");
    }

    fn follow(&self, committed: &Committed) {
        for plan in &committed.plans {
            for change in plan.changes() {
                let action = &change.record.action;
                let state = if action.simulated {
                    "simulated"
                } else {
                    change.step.name()
                };
                self.metrics
                    .actions
                    .add([action.verb.name().into(), state.into()], 1);
            }
            for omission in plan.omissions() {
                self.metrics
                    .actions_withheld
                    .add([omission.why.name().into()], 1);
            }
        }
        self.shared
            .committed(committed, self.course.desk.state().journal().seq());
        if committed.messages > 0 {
            self.wakes.iter().for_each(|wake| wake.notify_one());
        }
    }

    /// Tries a commit until it succeeds or cannot; nothing goes on past what is not durable.
    fn insist<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, StoreError>,
    ) -> anyhow::Result<T> {
        loop {
            match attempt(self) {
                Ok(value) => {
                    self.shared.store_trouble(None);
                    return Ok(value);
                }
                Err(error) if error.class().may_pass() && !self.stop.load(Ordering::Relaxed) => {
                    tracing::error!(%error, "cannot commit; reading stands still until it can");
                    self.shared.store_trouble(Some(error.to_string()));
                    std::thread::sleep(RETRY);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// People's decisions about actions, in turn with everything else that decides.
    fn answer(&mut self) -> anyhow::Result<()> {
        while let Ok(ask) = self.decisions.try_recv() {
            let d = ask.decision.clone();
            let note = if d.reason.is_empty() {
                d.by.clone()
            } else {
                format!("{}: {}", d.by, d.reason)
            };
            let done = self.insist(|work| {
                work.course
                    .desk
                    .answer(d.action_id, d.answer, &note, work.clock.now())
            })?;
            if let Ok(committed) = &done {
                self.follow(committed);
            }
            ask.reply(done.map(|_| ()));
        }
        Ok(())
    }

    fn keep_house(&mut self) -> anyhow::Result<()> {
        let committed = self.insist(|work| work.course.desk.tick(work.clock.now()))?;
        self.follow(&committed);
        let stats = self.course.engine.stats();
        let program = Arc::clone(self.course.engine.program());
        for (rule, usage) in stats.usage.iter().enumerate() {
            let name = || [Label::configured(&program.detector(rule).name)];
            #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
            {
                self.metrics.keys.set(name(), usage.keys as f64);
                self.metrics.state_bytes.set(name(), usage.bytes as f64);
            }
        }
        self.shared.usage(stats.usage);
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
        {
            let delay = (self.clock.now().0 - stats.watermark.0).max(0) as f64 / 1000.0;
            self.metrics
                .watermark_delay_seconds
                .set(["all".into()], delay.min(1e9));
            for lag in self.pipeline.lag().into_iter().flatten() {
                let topic = self.course.name(lag.partition.topic);
                let labels = [
                    "kafka".into(),
                    Label::configured(topic),
                    lag.partition.number.into(),
                ];
                self.metrics
                    .consumer_lag_events
                    .set(labels, lag.records.max(0) as f64);
            }
        }
        self.shared.set_gauges();
        Ok(())
    }

    fn snapshot(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        // Every commit has succeeded by now, or the thread has ended.
        let Some((body, place)) = self.course.snapshot() else {
            return Ok(());
        };
        match self.state.snapshots.save(body, &place) {
            Ok(size) => {
                self.pipeline.publish(place.frontier);
                self.metrics
                    .snapshot_duration_seconds
                    .observe([], began.elapsed().as_secs_f64());
                #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
                self.metrics.snapshot_bytes.set([], size as f64);
                self.shared.saved();
            }
            // The one before it still stands; after a crash a little more is read again.
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "no snapshot could be written")
            }
        }
        Ok(())
    }
}
