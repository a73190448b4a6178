//! What the API shows of a running daemon: the store's rows, and what the engine's thread tells.
//!
//! Reads go straight to the store's last commit. What changes something goes through the engine's
//! thread, so that one thread decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crossbeam_channel::Sender;
use tokio::sync::watch;

use super::ask::{self, Ask};
use super::commit::{Committed, Desk};
use super::shelf::Shelf;
use crate::api::View;
use crate::api::view::{
    ActionDetail, ActionQuery, AlertDetail, AlertQuery, Changes, Decision, Delivered, DetectorView,
    Point, Readiness, Reason, Refused, Unavailable,
};
use crate::deliver::{Clock, Counters};
use crate::engine::alert::Alert;
use crate::engine::containment::{Receipt, Record};
use crate::engine::detector::plan::{Detector, Plan};
use crate::engine::rule::Usage;
use crate::engine::shard::usage_by_detector;
use crate::model::WallTime;
use crate::model::ids::Id;
use crate::source::Partition;
use crate::store::rows::{actions, alerts};
use crate::store::{self, Store, StoreError};
use crate::telemetry::Metrics;

mod gauges;
mod mutes;

/// The console's plot: points of this length, and how many.
const POINT_MS: i64 = 10_000;
const POINTS: usize = 360;
/// Different troubles of the source that are kept to be shown.
const TROUBLES: usize = 4;

#[derive(Default)]
struct Told {
    halted: BTreeMap<String, String>,
    /// What cannot be written, and why; reading stands still meanwhile.
    unwritten: BTreeMap<&'static str, String>,
    ended: Option<String>,
    /// What the source says is wrong since it last gave a record.
    troubles: BTreeSet<String>,
    /// Partitions that have not been read to their end since the start.
    backlog: BTreeSet<Partition>,
    /// Endpoints of which it was told that they are gone.
    gone: BTreeSet<String>,
    usage: Vec<Usage>,
    alerts_by_detector: BTreeMap<String, u64>,
    points: BTreeMap<i64, Point>,
    last_faults: BTreeMap<(String, &'static str), u64>,
}

/// See the module's text.
pub struct Shared {
    store: Arc<dyn Store>,
    plan: Arc<Shelf<Plan>>,
    metrics: Metrics,
    /// Of the endpoints; none before the state is restored.
    counters: OnceLock<Vec<Arc<Counters>>>,
    asks: Sender<Ask>,
    clock: Arc<dyn Clock>,
    newest_change: watch::Sender<u64>,
    assigned: AtomicBool,
    engine_ended: AtomicBool,
    saved_at: AtomicI64,
    events: AtomicU64,
    told: Mutex<Told>,
}

impl Shared {
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        plan: Arc<Plan>,
        metrics: Metrics,
        asks: Sender<Ask>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let seconds = clock.now().0 / 1000;
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
        metrics.start_time_seconds.set([], seconds as f64);
        Self {
            store,
            plan: Shelf::new(plan),
            metrics,
            counters: OnceLock::new(),
            asks,
            clock,
            newest_change: watch::Sender::new(0),
            assigned: AtomicBool::new(false),
            engine_ended: AtomicBool::new(false),
            saved_at: AtomicI64::new(0),
            events: AtomicU64::new(0),
            told: Mutex::default(),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has something done on the engine's thread, in turn with everything else that decides.
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Desk, WallTime) -> Result<(Committed, T), StoreError> + Send + 'static,
    ) -> Result<T, Refused> {
        let busy = || Refused::Unavailable("the engine is busy: try again".to_owned());
        ask::ask(&self.asks, work).ok_or_else(busy)
    }

    /// The source has its partitions.
    pub fn assigned(&self) {
        self.assigned.store(true, Ordering::Relaxed);
        self.told().troubles.clear();
    }

    /// The source cannot read, and why.
    pub fn trouble(&self, detail: &str) {
        let mut told = self.told();
        if told.troubles.len() < TROUBLES {
            told.troubles.insert(detail.to_owned());
        }
    }

    /// A partition is read from now on.
    pub fn begun(&self, partition: Partition) {
        self.told().backlog.insert(partition);
    }

    /// A partition has been read to its end, or is not read on.
    pub fn caught_up(&self, partition: Partition) {
        self.told().backlog.remove(&partition);
    }

    /// The state is restored, and these are the endpoints that are sent to.
    pub fn restored(&self, counters: Vec<Arc<Counters>>) {
        let _once = self.counters.set(counters);
    }

    fn counters(&self) -> impl Iterator<Item = &Arc<Counters>> {
        self.counters.get().into_iter().flatten()
    }

    /// Endpoints that have said that they are gone (410) since this was last asked.
    pub fn newly_gone(&self) -> Vec<String> {
        let mut told = self.told();
        let gone = self.counters().map(|c| c.read()).filter(|c| c.disabled);
        let gone = gone.map(|c| c.endpoint);
        gone.filter(|name| told.gone.insert(name.clone())).collect()
    }

    /// Events taken in so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    pub fn count_events(&self, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
        self.point(|p| p.events += events);
    }

    fn point(&self, change: impl FnOnce(&mut Point)) {
        let at = self.clock.now().0.div_euclid(POINT_MS) * POINT_MS;
        let mut told = self.told();
        let fresh = || Point {
            time: WallTime(at),
            events: 0,
            alerts: 0,
            actions: 0,
        };
        change(told.points.entry(at).or_insert_with(fresh));
        while told.points.len() > POINTS {
            told.points.pop_first();
        }
    }

    /// A partition stands still for good; tells how many of the topic do.
    pub fn halted(&self, topic: &str, partition: &str, why: &str) -> usize {
        let mut told = self.told();
        told.halted.insert(partition.to_owned(), why.to_owned());
        let of_topic = |name: &&String| name.rsplit_once('/').is_some_and(|(t, _)| t == topic);
        told.halted.keys().filter(of_topic).count()
    }

    /// A part cannot be written and why, or can again.
    pub fn trouble_with(&self, part: &'static str, why: Option<String>) {
        let mut told = self.told();
        match why {
            Some(why) => drop(told.unwritten.insert(part, why)),
            None => drop(told.unwritten.remove(part)),
        }
    }

    /// What was read is finished, and nothing more is.
    pub fn draining(&self) {
        self.told().ended = Some("draining: nothing more is read".to_owned());
    }

    /// The engine's thread is at its end; with an error if it failed.
    pub fn ended(&self, error: Option<String>) {
        self.told().ended = Some(error.unwrap_or_else(|| "the source has ended".to_owned()));
        self.engine_ended.store(true, Ordering::Relaxed);
    }

    pub fn committed(&self, committed: &Committed, seq: u64) {
        let opened = committed.alerts.iter().filter(|a| a.revision == 0);
        let changes: usize = committed.plans.iter().map(|p| p.changes().len()).sum();
        let mut count = 0;
        for alert in opened {
            *self
                .told()
                .alerts_by_detector
                .entry(alert.detector.id.clone())
                .or_default() += 1;
            count += 1;
        }
        if count > 0 || changes > 0 {
            self.point(|p| {
                p.alerts += count;
                p.actions += changes as u64;
            });
        }
        self.newest_change.send_if_modified(|newest| {
            let moved = *newest < seq;
            *newest = (*newest).max(seq);
            moved
        });
    }

    /// Other detectors are in force.
    pub fn set_plan(&self, plan: Arc<Plan>) {
        self.plan.put(plan);
    }

    pub fn usage(&self, usage: Vec<Usage>) {
        self.told().usage = usage;
    }

    pub fn saved(&self) {
        self.saved_at.store(self.clock.now().0, Ordering::Relaxed);
    }
}

fn unavailable(error: StoreError) -> Unavailable {
    Unavailable(error.to_string())
}

impl View for Shared {
    fn alerts(&self, query: &AlertQuery) -> Result<Vec<Alert>, Unavailable> {
        let filter = alerts::Filter {
            detector: query.detector.clone(),
            status: query.status,
            level_min: query.level_min,
            since: query.since,
            until: query.until,
            key_value: query.key.clone(),
            behind: query.behind,
        };
        store::read(&*self.store, |view| {
            alerts::list(view, &filter, query.limit)
        })
        .map_err(unavailable)
    }

    fn alert(&self, id: Id) -> Result<Option<AlertDetail>, Unavailable> {
        let read = store::read(&*self.store, |view| alerts::revisions(view, id));
        let revisions = read.map_err(unavailable)?;
        Ok(revisions
            .last()
            .cloned()
            .map(|alert| AlertDetail { alert, revisions }))
    }

    fn actions(&self, query: &ActionQuery) -> Result<Vec<Record>, Unavailable> {
        let read =
            |view: &dyn store::View| actions::newest(view, query.phase, query.before, query.limit);
        store::read(&*self.store, read).map_err(unavailable)
    }

    fn action(&self, id: Id) -> Result<Option<ActionDetail>, Unavailable> {
        let read = store::read(&*self.store, |view| {
            let Some(record) = actions::find(view, id)? else {
                return Ok(None);
            };
            let deliveries = actions::deliveries(view, id)?
                .into_iter()
                .map(|d| Delivered {
                    endpoint: d.endpoint,
                    kind: d.kind.name().to_owned(),
                    delivered_at: d.delivered_at,
                    attempts: d.attempts,
                });
            Ok(Some(ActionDetail {
                record: record.into(),
                receipts: actions::receipts(view, id)?,
                deliveries: deliveries.collect(),
            }))
        });
        read.map_err(unavailable)
    }

    fn changes(&self, since: Option<u64>, limit: usize) -> Result<Changes, Unavailable> {
        let read = store::read(&*self.store, |view| {
            let kept = match since {
                Some(since) => actions::first_change(view)?.is_none_or(|first| first <= since + 1),
                None => false,
            };
            match since {
                Some(since) if kept => {
                    Ok(Changes::Since(actions::changes_after(view, since, limit)?))
                }
                _ => {
                    let active = actions::active(view)?;
                    Ok(Changes::Full {
                        active,
                        seq: actions::load(view)?.journal().seq(),
                    })
                }
            }
        });
        read.map_err(unavailable)
    }

    fn newest_change(&self) -> watch::Receiver<u64> {
        self.newest_change.subscribe()
    }

    fn detectors(&self) -> Result<Vec<DetectorView>, Unavailable> {
        let told = self.told();
        let plan = self.plan.get();
        let held = usage_by_detector(&plan, &told.usage);
        let view = |(d, usage): (&Detector, Usage)| DetectorView {
            id: d.id.clone(),
            name: d.name.clone(),
            title: d.title.clone(),
            description: d.description.clone(),
            version: d.version,
            level: d.level,
            mode: d.mode,
            tags: d.tags.clone(),
            runbook: d.runbook.clone(),
            file: format!("{}:{}", d.file, d.line),
            keys: usage.keys,
            bytes: usage.bytes,
            alerts: told.alerts_by_detector.get(&d.id).copied().unwrap_or(0),
        };
        Ok(plan.detectors.iter().zip(held).map(view).collect())
    }

    fn timeline(&self) -> Result<Vec<Point>, Unavailable> {
        Ok(self.told().points.values().copied().collect())
    }

    fn decide(&self, decision: &Decision) -> Result<Record, Refused> {
        let d = decision.clone();
        let note = if d.reason.is_empty() {
            d.by
        } else {
            format!("{}: {}", d.by, d.reason)
        };
        let (id, answer) = (d.action_id, d.answer);
        let decided = self.ask(move |desk, now| {
            Ok(match desk.answer(id, answer, &note, now)? {
                Ok(done) => (done, Ok(())),
                Err(refusal) => (Committed::default(), Err(refusal)),
            })
        })?;
        decided.map_err(|refusal| Refused::Conflict(refusal.to_string()))?;
        let found = store::read(&*self.store, |view| actions::find(view, decision.action_id));
        found
            .map_err(|e| Refused::Unavailable(e.to_string()))?
            .ok_or(Refused::Unknown)
    }

    fn receive(&self, receipt: &Receipt, _by: &str) -> Result<(), Refused> {
        let written = store::write(&*self.store, |tx| {
            let known = actions::find(tx, receipt.action_id)?.is_some();
            if known {
                actions::add_receipt(tx, receipt)?;
            }
            Ok(known)
        });
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refused::Unknown),
            Err(error) => Err(Refused::Unavailable(error.to_string())),
        }
    }

    fn alive(&self) -> Result<(), Vec<String>> {
        if self.engine_ended.load(Ordering::Relaxed) {
            return Err(vec!["engine".to_owned()]);
        }
        Ok(())
    }

    fn ready(&self) -> Readiness {
        let told = self.told();
        let mut reasons = Vec::new();
        let mut because = |part: &str, reason: &str| {
            reasons.push(Reason {
                part: part.to_owned(),
                reason: reason.to_owned(),
            });
        };
        if self.counters.get().is_none() {
            because(
                "restore",
                "restoring: the state of before is being taken up",
            );
        } else if !self.assigned.load(Ordering::Relaxed) {
            because("source", "no partition has been read yet");
            for trouble in &told.troubles {
                because("source", trouble);
            }
        }
        for (part, why) in &told.unwritten {
            because(part, why);
        }
        for (partition, why) in &told.halted {
            because(&format!("source {partition}"), why);
        }
        if let Some(why) = &told.ended {
            because("engine", why);
        }
        Readiness::of(reasons, told.backlog.len())
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }
}
