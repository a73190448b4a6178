//! What the checks see of a world: the rows as of the last commit, the running engine's numbers, the
//! log and the receivers.
//!
//! Reads only. Rows are read once per step in which the store did something.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use tidegate::deliver::body;
use tidegate::engine::alert::Alert;
use tidegate::engine::containment::Record;
use tidegate::engine::containment::policy::Change;
use tidegate::engine::outbox::Message;
use tidegate::engine::watermark::Counts;
use tidegate::model::WallTime;
use tidegate::model::ids::Id;
use tidegate::store::memory::MemoryStore;
use tidegate::store::rows::{actions, messages};
use tidegate::store::{self, Range, StoreError, Table, View, format};

use crate::log::Sum;
use crate::profile::ENDPOINTS;
use crate::receiver::Receiver;
use crate::world::World;

/// What the store holds. Alerts and changes are decoded once, when they are first seen.
#[derive(Clone, Default)]
pub struct Rows {
    /// Every revision by its key, as stored.
    pub alerts: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Ids of all alerts.
    pub ids: BTreeSet<Id>,
    pub changes: Vec<Change>,
    pub active: Vec<Record>,
    /// Waiting messages by endpoint and number.
    pub outbox: BTreeMap<(String, u64), Message>,
    pub depths: Vec<(String, u64)>,
    /// Numbers of messages that were given up.
    pub buried: Vec<u64>,
    /// The `seq` the policy remembers.
    pub seq: u64,
    /// Bytes of every message whose cause is committed, by webhook id.
    pub bodies: BTreeMap<String, String>,
    /// An alert revision that is not what it was.
    pub changed: Option<Vec<u8>>,
    /// All alert revisions, in the order in which they were first seen.
    pub told: Vec<Alert>,
    /// Whether every alert was looked at the last time.
    pub whole: bool,
    /// Per receiver how many first receipts were looked at.
    looked: [usize; 2],
}

pub struct Sight<'a> {
    pub world: &'a World,
    pub watermark: Option<i64>,
    pub counts: Option<Counts>,
    pub frontier: BTreeMap<i32, i64>,
    pub bytes: u64,
    /// Steps the store has taken: when they are the same, so are the rows.
    pub steps: u64,
    pub rows: &'a Rows,
}

impl<'a> Sight<'a> {
    pub fn of(world: &'a mut World, rows: &'a Rows) -> Self {
        let engine = world.node.as_mut().map(|n| &mut n.turn.course.engine);
        let stats = engine.map(|e| (e.stats(), e.frontier().map(|(_, p, n)| (p, n)).collect()));
        let (stats, frontier) = stats.map_or((None, BTreeMap::new()), |(s, f)| (Some(s), f));
        Self {
            watermark: stats.as_ref().map(|s| s.watermark.0),
            counts: stats.as_ref().map(|s| s.counts),
            bytes: stats.iter().flat_map(|s| &s.usage).map(|u| u.bytes).sum(),
            frontier,
            steps: world.store.steps(),
            rows,
            world,
        }
    }

    pub fn receivers(&self) -> impl Iterator<Item = (&'a Receiver, &'static str)> {
        self.world.receivers.iter().zip(ENDPOINTS)
    }

    pub fn receiver(&self, endpoint: &str) -> Option<&'a Receiver> {
        self.receivers()
            .find(|(_, name)| *name == endpoint)
            .map(|(r, _)| r)
    }

    /// What the records inside the running engine's state hold; `late` are those that may be.
    pub fn taken_in(&self) -> Sum {
        let log = self.world.log.borrow();
        let mut all = Sum::default();
        for (number, next) in &self.frontier {
            let index = usize::try_from(*number).unwrap();
            let lost = self.world.halted.contains(number);
            let before = self.world.originals.as_ref().filter(|_| lost);
            let lane = before.map_or(&log.lanes[index], |lanes| &lanes[index]);
            let sum = lane.before(*next);
            all.events += sum.events;
            all.duplicates += sum.duplicates;
            all.late += sum.late;
        }
        all
    }

    /// Messages handed to a receiver in this step: when, and when they must no longer be.
    pub fn attempted(&self) -> impl Iterator<Item = (i64, &'a Message)> {
        let senders = self.world.node.iter().flat_map(|n| &n.senders);
        senders.flat_map(|s| s.attempted.iter().map(|(at, message)| (*at, &**message)))
    }
}

impl Rows {
    /// The rows as they are, given those of an earlier look. Every alert is looked at when `whole`,
    /// else those that messages and actions name.
    pub fn after(mut self, store: &MemoryStore, receivers: &[Receiver], whole: bool) -> Self {
        store::read(store, |view| self.look(view, receivers, whole)).unwrap();
        self
    }

    fn look(
        &mut self,
        view: &dyn View,
        receivers: &[Receiver],
        whole: bool,
    ) -> Result<(), StoreError> {
        (self.outbox, self.depths) = (BTreeMap::new(), Vec::new());
        self.whole = whole;
        for endpoint in ENDPOINTS {
            self.depths
                .push((endpoint.to_owned(), messages::depth(view, endpoint)?));
            for message in messages::load(view, endpoint, 0, usize::MAX)? {
                self.outbox
                    .insert((endpoint.to_owned(), message.number), message);
            }
        }
        let last = self.changes.last().map_or(0, |c| c.record.action.seq);
        let fresh = actions::changes_after(view, last, usize::MAX)?;
        if whole || !fresh.is_empty() {
            let state = actions::load(view)?;
            self.seq = state.journal().seq();
            self.active = state.active().chain(state.pending()).cloned().collect();
        }
        for change in fresh {
            let draft = body::action(&change);
            self.bodies.extend(draft.map(|d| (d.webhook_id, d.body)));
            for alert in &change.record.action.reason.alerts {
                self.note_all(view, *alert)?;
            }
            self.changes.push(change);
        }
        let sent = receivers
            .iter()
            .zip(&mut self.looked)
            .flat_map(|(r, looked)| {
                let fresh = r
                    .order
                    .iter()
                    .skip(*looked)
                    .map(|id| r.taken[id].message.draft.subject);
                *looked = r.order.len();
                fresh.collect::<Vec<Id>>()
            });
        let named: Vec<Id> = sent
            .chain(self.outbox.values().map(|m| m.draft.subject))
            .collect();
        for id in named {
            self.note_all(view, id)?;
        }
        let buried = messages::dead_letters(view, None, usize::MAX)?;
        self.buried = buried.into_iter().map(|l| l.message.number).collect();
        if whole {
            let seen = self.note(view, &Range::all())?;
            if seen < self.alerts.len() {
                self.changed = Some(Vec::new());
            }
        }
        Ok(())
    }

    /// Notes every revision of an alert.
    fn note_all(&mut self, view: &dyn View, id: Id) -> Result<(), StoreError> {
        self.note(view, &Range::prefix(&id.0)).map(drop)
    }

    fn note(&mut self, view: &dyn View, range: &Range) -> Result<usize, StoreError> {
        let mut seen = 0;
        view.scan(Table::Alerts, range, &mut |key, bytes| {
            seen += 1;
            match self.alerts.get(key) {
                Some(before) if before == bytes => {}
                Some(_) => self.changed = Some(key.to_vec()),
                None => {
                    let alert: Alert = format::decode(bytes)?;
                    let draft = body::alert(&alert, WallTime(0));
                    self.bodies.insert(draft.webhook_id, draft.body);
                    self.ids.insert(alert.alert_id);
                    self.alerts.insert(key.to_vec(), bytes.to_vec());
                    self.told.push(alert);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(seen)
    }

    /// Whether a message that waited had a reason not to be sent: its end, a later one of its slot,
    /// or that it was given up.
    pub fn may_go(&self, message: &Message, now: i64) -> bool {
        let draft = &message.draft;
        // An action's message ends in its seq; the clock may have been set back since.
        let last = draft.webhook_id.rsplit('_').next();
        let seq: u64 = last.and_then(|n| n.parse().ok()).unwrap_or(u64::MAX);
        let later = |c: &Change| {
            let slot = format!("{} {}", c.record.action.verb.name(), c.record.action.target);
            let told = body::action(c).is_some_and(|d| d.webhook_id != draft.webhook_id);
            draft.slot.as_deref() == Some(&slot) && told && c.record.action.seq > seq
        };
        draft.expires_at.is_some_and(|end| end.0 <= now)
            || self.changes.iter().rev().any(later)
            || self.buried.contains(&message.number)
    }
}
