//! What the engine's thread tells the metrics. Owns their wording as labels and the differences
//! between running totals; decides nothing.

use std::collections::BTreeMap;
use std::time::Instant;

use super::commit::Committed;
use super::pipeline::Intake;
use crate::engine::alert::Alert;
use crate::engine::containment::policy::State;
use crate::engine::detector::plan::{Mode, Plan};
use crate::engine::program::Program;
use crate::engine::rule::Usage;
use crate::engine::shard::usage_by_detector;
use crate::engine::snapshot::Kind;
use crate::engine::watermark::Passed;
use crate::model::{Span, WallTime};
use crate::source::Lag;
use crate::source::kafka::packed;
use crate::telemetry::Metrics;
use crate::telemetry::metric::Label;

/// So many keys lost between two looks (half a second) are an explosion.
const EXPLOSION: u64 = 100;

/// See the module's text.
pub struct Measures {
    metrics: Metrics,
    /// The sources' topics, by their number.
    names: Vec<String>,
    /// What each rule's state had come to when last told.
    told: Vec<Usage>,
    /// What unpacking had come to then.
    unpacked: packed::Numbers,
}

impl Measures {
    #[must_use]
    pub fn new(metrics: Metrics, names: Vec<String>) -> Self {
        Self {
            metrics,
            names,
            told: Vec::new(),
            unpacked: packed::Numbers::default(),
        }
    }

    fn source(&self, number: usize) -> Label {
        Label::configured(self.names.get(number).map_or("", String::as_str))
    }

    /// A batch that has been decoded and taken in; `passed` is what the engine made of it.
    pub fn intake(&self, intake: &Intake, passed: &[Passed], program: &Program) {
        let metrics = &self.metrics;
        for (number, passed) in passed.iter().enumerate() {
            let source = self.source(number);
            metrics.events_decoded.add([source.clone()], passed.events);
            metrics.events_late.add([source.clone()], passed.late);
            metrics.events_duplicate.add([source], passed.duplicate);
        }
        for (origin, letter) in &intake.dead {
            let source = self.source(usize::from(origin.source));
            metrics
                .events_dead_lettered
                .add([source, letter.reason.name().into()], 1);
        }
        for (number, (records, bytes)) in intake.received.iter().enumerate() {
            metrics.events_received.add([self.source(number)], *records);
            metrics.received_bytes.add([self.source(number)], *bytes);
        }
        metrics.events_contained.add([], intake.routed.contained);
        let keyless = intake.routed.keyless.iter().enumerate();
        for (rule, count) in keyless.filter(|(_, count)| **count > 0) {
            metrics
                .events_uncounted
                .add([detector(program, rule)], *count);
        }
    }

    /// An alert that is new. `read_at` is when the batch that crossed the bound was read.
    pub fn alert(&self, alert: &Alert, read_at: Option<Instant>, now: WallTime) {
        let metrics = &self.metrics;
        let detector = Label::configured(&alert.detector.name);
        metrics
            .alerts
            .add([detector.clone(), alert.detector.level.name().into()], 1);
        metrics.detections.add([detector], 1);
        let since = |from: i64| seconds(now.0 - from);
        metrics
            .detection_latency_event_seconds
            .observe([], since(alert.time.0));
        metrics
            .kpi_time_to_detect_seconds
            .observe([], since(alert.first.0));
        if let Some(read_at) = read_at {
            metrics
                .detection_latency_ingest_seconds
                .observe([], read_at.elapsed().as_secs_f64());
        }
    }

    /// Revisions that a silence kept from being told.
    pub fn silenced(&self, alerts: &[Alert]) {
        for alert in alerts.iter().filter(|a| a.silenced.is_some()) {
            let name = Label::configured(&alert.detector.name);
            self.metrics
                .alerts_suppressed
                .add([name, "silence".into()], 1);
        }
    }

    /// Alerts that gave way in outboxes that were full, by endpoint.
    pub fn gave_way(&self, alerts: &BTreeMap<String, u64>) {
        for (endpoint, count) in alerts {
            let labels = [Label::configured(endpoint), "outbox full".into()];
            self.metrics.messages_dropped.add(labels, *count);
        }
    }

    /// What a commit decided.
    pub fn decided(&self, committed: &Committed, state: &State) {
        for plan in &committed.plans {
            for change in plan.changes() {
                let action = &change.record.action;
                let step = if action.simulated {
                    "simulated"
                } else {
                    change.step.name()
                };
                self.metrics
                    .actions
                    .add([action.verb.name().into(), step.into()], 1);
            }
            for omission in plan.omissions() {
                self.metrics
                    .actions_withheld
                    .add([omission.why.name().into()], 1);
            }
        }
        if !committed.plans.is_empty() {
            self.active(state);
        }
    }

    /// Actions in force, by verb.
    fn active(&self, state: &State) {
        let mut active: BTreeMap<&'static str, f64> = BTreeMap::new();
        for record in state.active() {
            *active.entry(record.action.verb.name()).or_default() += 1.0;
        }
        self.metrics.actions_active.clear();
        for (verb, count) in active {
            self.metrics.actions_active.set([verb.into()], count);
        }
    }

    /// These rules are in force now, with this state to begin with.
    pub fn reloaded(&mut self, plan: &Plan, usage: Vec<Usage>) {
        self.told = usage;
        self.metrics.keys.clear();
        self.metrics.state_bytes.clear();
        self.loaded(plan);
    }

    /// Detectors in force, by mode.
    fn loaded(&self, plan: &Plan) {
        for mode in [Mode::Shadow, Mode::Alert, Mode::Contain] {
            let count = plan.detectors.iter().filter(|d| d.mode == mode).count();
            #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
            self.metrics
                .detectors_loaded
                .set([mode.name().into()], count as f64);
        }
    }

    /// A changed set was taken back.
    pub fn reverted(&self) {
        self.metrics
            .reloads
            .add(["detectors".into(), "reverted".into()], 1);
    }

    /// The rules' state as it is now. Returns the rules that lost many keys since the last time.
    pub fn rules(&mut self, program: &Program, usage: &[Usage]) -> Vec<(usize, u64)> {
        let mut explosions = Vec::new();
        self.told.resize(usage.len(), Usage::default());
        let metrics = &self.metrics;
        let plan = &program.plan;
        let held = usage_by_detector(plan, usage);
        for (detector, held) in plan.detectors.iter().zip(held) {
            let name = || [Label::configured(&detector.name)];
            #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
            {
                metrics.keys.set(name(), held.keys as f64);
                metrics.state_bytes.set(name(), held.bytes as f64);
            }
        }
        for (rule, (now, told)) in usage.iter().zip(&mut self.told).enumerate() {
            let name = || [detector(program, rule)];
            let grown = |now: u64, told: u64| now.saturating_sub(told);
            let evicted = grown(now.evicted, told.evicted) + grown(now.refused, told.refused);
            if evicted > 0 {
                metrics.evictions.add(name(), evicted);
            }
            if evicted >= EXPLOSION {
                explosions.push((rule, evicted));
            }
            let suppressed = grown(now.suppressed, told.suppressed);
            if suppressed > 0 {
                let [name] = name();
                metrics
                    .alerts_suppressed
                    .add([name, "suppress".into()], suppressed);
            }
            *told = *now;
        }
        explosions
    }

    /// How far behind event time and reading are.
    pub fn delays(&self, watermark: i64, now: WallTime, lags: &[Lag]) {
        self.metrics
            .watermark_delay_seconds
            .set([], seconds(now.0 - watermark).min(1e9));
        for lag in lags {
            let topic = self.source(usize::from(lag.partition.topic));
            #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
            let records = lag.records.max(0) as f64;
            self.metrics
                .consumer_lag_events
                .set([topic, lag.partition.number.into()], records);
        }
    }

    /// What unpacking takes now, and has come to.
    pub fn unpacking(&mut self, now: packed::Numbers) {
        let (metrics, told) = (&self.metrics, std::mem::replace(&mut self.unpacked, now));
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
        {
            metrics.unpacked_bytes.set([], now.held as f64);
            metrics.unpacked_bytes_most.set([], now.most as f64);
        }
        let codecs = packed::CODECS
            .iter()
            .zip(now.unpacked.iter().zip(told.unpacked));
        for (codec, (now, told)) in codecs {
            metrics.batches_unpacked.add([(*codec).into()], now - told);
        }
        let causes = packed::CAUSES
            .iter()
            .zip(now.refused.iter().zip(told.refused));
        for (cause, (now, told)) in causes {
            metrics.batches_refused.add([(*cause).into()], now - told);
        }
        let passed_over = now.passed_over - told.passed_over;
        metrics.batches_passed_over.add([], passed_over);
        metrics.unpack_waits.add([], now.waits - told.waits);
    }

    /// A partition that stands still for good.
    pub fn halted(&self, topic: &str, count: usize) {
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
        self.metrics
            .partitions_halted
            .set([Label::configured(topic)], count as f64);
    }

    /// So many offsets were taken by retention before they were read, and an operator has accepted that.
    pub fn lost(&self, topic: &str, offsets: i64) {
        self.metrics
            .records_lost
            .add([Label::configured(topic)], offsets.unsigned_abs());
    }

    /// A snapshot was written.
    pub fn snapshot(&self, kind: Kind, took: Span, bytes: u64) {
        let kind = || {
            [Label::from(match kind {
                Kind::Base => "base",
                Kind::Increment => "increment",
            })]
        };
        self.metrics
            .snapshot_duration_seconds
            .observe(kind(), seconds(took.0));
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
        self.metrics.snapshot_bytes.set(kind(), bytes as f64);
    }
}

fn detector(program: &Program, rule: usize) -> Label {
    Label::configured(&program.detector(rule).name)
}

/// Milliseconds as seconds, from 0.
#[must_use]
pub fn seconds(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a latency")]
    let seconds = ms.max(0) as f64 / 1000.0;
    seconds
}
