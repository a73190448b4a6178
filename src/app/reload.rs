//! Detectors that change while events flow: a thread looks at their files, tries a new set on the
//! newest records, and puts it in force as a whole or not at all.
//!
//! The engine goes over with the first batch that was routed by the new set (`Turn`), and
//! back by itself if a changed detector then alerts without end (`Probation`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use super::detectors;
use super::looking;
use super::pipeline::Rules;
use super::sample::Sample;
use super::shelf::Shelf;
use super::stage::{Beside, Stage};
use crate::decode::Schema;
use crate::deliver::{Clock as _, SystemClock};
use crate::engine::alert::{Alert, Status};
use crate::engine::detector::{self, SourceFile};
use crate::engine::exchange::Routed;
use crate::engine::program::{Program, Settings};
use crate::engine::{Engine, Input, Output};
use crate::enrich::Tables;
use crate::model::{Span, WallTime};
use crate::telemetry::Metrics;

/// Faults of one set that are logged.
const FAULTS_SHOWN: usize = 20;
/// Fewer alerts than this are never too many.
const ALERTS_MIN: u64 = 20;
/// One of so many events at least is no rare one.
const COMMON: u64 = 10;
/// How long a new set is watched.
const PROBATION: Span = Span::seconds(60);
/// Memory of a trial.
const TRIAL_MEMORY: usize = 64 << 20;

/// How many alerts a changed detector may open.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// Per thousand events.
    pub per_thousand_max: u64,
}

impl Noise {
    fn is_too_much(self, alerts: u64, events: u64) -> bool {
        alerts >= ALERTS_MIN && alerts * 1000 > self.per_thousand_max * events
    }
}

/// All that the watching thread owns.
pub struct Watch {
    pub dir: std::path::PathBuf,
    pub rules: Arc<Shelf<Rules>>,
    pub tables: Arc<Shelf<Tables>>,
    pub sample: Arc<Sample>,
    /// The schemas that topics are configured to have.
    pub hints: Vec<Option<Schema>>,
    pub noise: Noise,
    pub metrics: Metrics,
    /// The files last looked at, in force or refused.
    pub seen: Vec<SourceFile>,
}

impl Watch {
    /// Looks for changed files every `every` until `stop`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        mut self,
        every: Duration,
        stop: Arc<AtomicBool>,
    ) -> std::io::Result<JoinHandle<()>> {
        looking::every("detectors", every, stop, move || self.look())
    }

    fn look(&mut self) {
        let files = match detectors::files(Some(&self.dir)) {
            Ok(files) => detectors::sources(&files),
            Err(error) => {
                tracing::error!(%error, "detector files cannot be read; those before stay");
                return;
            }
        };
        if files == self.seen {
            return;
        }
        let outcome = match self.try_out(&files) {
            Ok(rules) => {
                self.rules.put(rules);
                "done"
            }
            Err(faults) => {
                for fault in faults.iter().take(FAULTS_SHOWN) {
                    tracing::error!(fault, "changed detectors are refused; those before stay");
                }
                "refused"
            }
        };
        self.seen = files;
        self.metrics
            .reloads
            .add(["detectors".into(), outcome.into()], 1);
    }

    /// Compiles the files and tries what has changed on the sample.
    fn try_out(&self, files: &[SourceFile]) -> Result<Arc<Rules>, Vec<String>> {
        let compiled = detector::compile(files, &detector::Options::default());
        let faults: Vec<String> = compiled
            .diagnostics
            .iter()
            .filter(|d| d.is_fault())
            .map(ToString::to_string)
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let now = self.rules.get();
        let plan = Arc::new(compiled.plan);
        let (key, settings) = (now.program.key.clone(), now.program.settings.clone());
        let program = Arc::new(Program::new(plan, key, settings));
        let tables = self.tables.get();
        let rules = Rules::new(program, &tables);
        let changed = changed(&now.program, &rules.program);
        if changed.is_empty() {
            // What only goes, or is worded anew, has nothing to be tried.
            return Ok(rules);
        }
        let (events, heard) = self.rehearse(&rules, tables);
        let changed = heard.iter().filter(|(name, _)| changed.contains(*name));
        let faults: Vec<String> = changed
            .filter_map(|(name, heard)| {
                let Heard { alerts, seen, .. } = *heard;
                if heard.is_without_end(events) {
                    Some(format!(
                        "{name} would have opened with the first of the last {seen} events it counts, and stayed open: \
                         it says nothing; raise its bound"
                    ))
                } else if self.noise.is_too_much(alerts, events) {
                    Some(format!(
                        "{name} would have opened {alerts} alerts over the last {events} events; \
                         raise its bound, or detectors.alerts_per_thousand_max if it is meant to"
                    ))
                } else {
                    None
                }
            })
            .collect();
        if faults.is_empty() {
            Ok(rules)
        } else {
            Err(faults)
        }
    }

    /// Runs the sample through stage 1 and an engine of its own: events, and what each detector had of them.
    fn rehearse(&self, rules: &Rules, tables: Arc<Tables>) -> (u64, BTreeMap<String, Heard>) {
        let program = &rules.program;
        let settings = Settings {
            sorted: true,
            memory: TRIAL_MEMORY,
            ..program.settings.clone()
        };
        let trial = Program::new(Arc::clone(&program.plan), program.key.clone(), settings);
        let trial = Arc::new(trial);
        let mut stage = Stage::new(&trial, rules.projection.clone(), tables);
        let mut engine = Engine::new(Arc::clone(&trial), 1);
        let (mut routed, mut dead) = (Routed::default(), Vec::new());
        let mut heard: BTreeMap<String, Heard> = BTreeMap::new();
        let note = |engine: &mut Engine, heard: &mut BTreeMap<String, Heard>| {
            while let Some(Output::Alert(alert)) = engine.poll() {
                heard
                    .entry(alert.detector.name.clone())
                    .or_default()
                    .note(&alert);
            }
        };
        let now = SystemClock::new().now();
        for batch in self.sample.batches() {
            routed.clear();
            dead.clear();
            for record in batch.records() {
                let beside = Beside::of(&record, &self.hints, now);
                stage.work(record.payload, &beside, &mut routed, &mut dead);
            }
            for o in &routed.observations {
                let name = &trial.detector(usize::from(o.rule)).name;
                match heard.get_mut(name) {
                    Some(heard) => heard.see(o.time),
                    None => heard.entry(name.clone()).or_default().see(o.time),
                }
            }
            engine.handle(&Input::Batch(&routed));
            note(&mut engine, &mut heard);
        }
        let events = engine.counts().events;
        engine.handle(&Input::End { until: None });
        note(&mut engine, &mut heard);
        (events, heard)
    }
}

/// What a detector had of the sample.
#[derive(Clone, Debug, Default)]
struct Heard {
    /// Observations of events that it counts, and the times of the first and last.
    seen: u64,
    first: Option<i64>,
    last: Option<i64>,
    /// Alerts it opened, when the first one did, and the last event of one that closed.
    alerts: u64,
    opened: Option<i64>,
    closed: Option<i64>,
}

impl Heard {
    fn see(&mut self, time: i64) {
        self.seen += 1;
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = self.last.max(Some(time));
    }

    fn note(&mut self, alert: &Alert) {
        self.alerts += u64::from(alert.revision == 0);
        self.opened = self.opened.or(Some(alert.time.0));
        if alert.status == Status::Closed {
            self.closed = Some(alert.last.0);
        }
    }

    /// One alert, from the first event to the last, of what is no rare event: it holds whatever comes.
    fn is_without_end(&self, events: u64) -> bool {
        let is_common = self.seen >= ALERTS_MIN && self.seen * COMMON >= events;
        let at_once = self.opened.is_some() && self.opened == self.first;
        let to_the_end = self.closed.is_none() || self.closed >= self.last;
        is_common && self.alerts == 1 && at_once && to_the_end
    }
}

/// The names of detectors whose rules are not as they were.
#[must_use]
pub fn changed(before: &Program, after: &Program) -> BTreeSet<String> {
    let keep = after.keep(&before.identities());
    let fresh = keep.iter().enumerate().filter(|(_, kept)| kept.is_none());
    fresh
        .map(|(rule, _)| after.detector(rule).name.clone())
        .collect()
}

/// A set of detectors that has just come in force, and the one to go back to.
pub struct Probation {
    before: Arc<Rules>,
    changed: BTreeSet<String>,
    until: WallTime,
    noise: Noise,
    events: u64,
    alerts: BTreeMap<String, u64>,
    /// One was named.
    is_failed: bool,
}

impl Probation {
    /// Begins with the first batch under the new rules.
    #[must_use]
    pub fn begin(
        before: Arc<Rules>,
        changed: BTreeSet<String>,
        noise: Noise,
        now: WallTime,
    ) -> Self {
        Self {
            before,
            changed,
            until: now + PROBATION,
            noise,
            events: 0,
            alerts: BTreeMap::new(),
            is_failed: false,
        }
    }

    /// The rules to go back to.
    #[must_use]
    pub fn into_before(self) -> Arc<Rules> {
        self.before
    }

    #[must_use]
    pub fn is_over(&self, now: WallTime) -> bool {
        now > self.until
    }

    /// Counts what has happened; a changed detector that alerts too much is named, with the rules
    /// to go back to, once: by the time they are in force there may be others.
    pub fn note(&mut self, events: u64, alerts: &[Alert]) -> Option<(String, Arc<Rules>)> {
        self.events += events;
        for alert in alerts.iter().filter(|a| a.revision == 0) {
            if self.changed.contains(&alert.detector.name) {
                *self.alerts.entry(alert.detector.name.clone()).or_default() += 1;
            }
        }
        if self.is_failed {
            return None;
        }
        let mut counts = self.alerts.iter();
        let (noisy, _) = counts.find(|(_, n)| self.noise.is_too_much(**n, self.events))?;
        self.is_failed = true;
        Some((noisy.clone(), Arc::clone(&self.before)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_with_the_first_event_and_never_closes_is_without_end() {
        let seen = |opened, closed| Heard {
            seen: 30,
            first: Some(100),
            last: Some(400),
            alerts: 1,
            opened: Some(opened),
            closed,
        };
        assert!(seen(100, None).is_without_end(100));
        assert!(
            seen(100, Some(400)).is_without_end(100),
            "the sample's end closed it"
        );
        assert!(
            !seen(130, None).is_without_end(100),
            "there were events below its bound"
        );
        assert!(!seen(100, Some(300)).is_without_end(100), "it rested");
        assert!(
            !Heard {
                seen: 3,
                ..seen(100, None)
            }
            .is_without_end(100),
            "few say nothing"
        );
        assert!(
            !Heard {
                alerts: 2,
                ..seen(100, None)
            }
            .is_without_end(100)
        );
    }

    #[test]
    fn noise_is_a_share_with_a_floor() {
        let noise = Noise {
            per_thousand_max: 20,
        };
        assert!(!noise.is_too_much(19, 19), "few are never too many");
        assert!(noise.is_too_much(21, 1000));
        assert!(!noise.is_too_much(20, 1000));
    }
}
