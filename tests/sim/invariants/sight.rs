//! What the checks see of a world: the rows as of the last commit, the running engine's numbers, the
//! log and the receivers.
//!
//! Reads only. Rows are read when a check asks for them, once per step.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tidegate::deliver::body;
use tidegate::engine::alert::Alert;
use tidegate::engine::containment::Record;
use tidegate::engine::containment::policy::Change;
use tidegate::engine::outbox::Message;
use tidegate::engine::watermark::Counts;
use tidegate::model::WallTime;
use tidegate::store::rows::{actions, messages};
use tidegate::store::{self, Range, Table, format};

use crate::log::Written;
use crate::profile::ENDPOINTS;
use crate::receiver::Receiver;
use crate::world::World;

/// What the store holds.
pub struct Rows {
    /// Every revision, by id, as JSON.
    pub alerts: BTreeMap<(String, u32), String>,
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
}

pub struct Sight<'a> {
    pub world: &'a World,
    pub watermark: Option<i64>,
    pub counts: Option<Counts>,
    pub frontier: BTreeMap<i32, i64>,
    pub bytes: u64,
    /// Steps the store has taken: when they are the same, so are the rows.
    pub steps: u64,
    rows: OnceCell<Rows>,
}

impl<'a> Sight<'a> {
    pub fn of(world: &'a mut World) -> Self {
        let engine = world.node.as_mut().map(|n| &mut n.course.engine);
        let stats = engine.map(|e| (e.stats(), e.frontier().map(|(_, p, n)| (p, n)).collect()));
        let (stats, frontier) = stats.map_or((None, BTreeMap::new()), |(s, f)| (Some(s), f));
        Self {
            watermark: stats.as_ref().map(|s| s.watermark.0),
            counts: stats.as_ref().map(|s| s.counts),
            bytes: stats.iter().flat_map(|s| &s.usage).map(|u| u.bytes).sum(),
            frontier,
            steps: world.store.steps(),
            rows: OnceCell::new(),
            world,
        }
    }

    pub fn rows(&self) -> &Rows {
        self.rows.get_or_init(|| Rows::of(self.world))
    }

    pub fn receivers(&self) -> impl Iterator<Item = (&'a Receiver, &'static str)> {
        self.world.receivers.iter().zip(ENDPOINTS)
    }

    pub fn receiver(&self, endpoint: &str) -> Option<&'a Receiver> {
        self.receivers()
            .find(|(_, name)| *name == endpoint)
            .map(|(r, _)| r)
    }

    /// The records inside the running engine's state.
    pub fn taken_in(&self) -> Vec<Written> {
        let log = self.world.log.borrow();
        let mut all = Vec::new();
        for (number, next) in &self.frontier {
            let index = usize::try_from(*number).unwrap();
            let lost = self.world.halted.contains(number);
            let before = self.world.originals.as_ref().filter(|_| lost);
            let lane = before.map_or(&log.lanes[index], |lanes| &lanes[index]);
            let next = usize::try_from(*next).unwrap().min(lane.records.len());
            all.extend(lane.records[..next].iter().cloned());
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
    fn of(world: &World) -> Self {
        let read = store::read(&world.store, |view| {
            let mut alerts: Vec<Alert> = Vec::new();
            view.scan(Table::Alerts, &Range::all(), &mut |_, bytes| {
                alerts.push(format::decode(bytes)?);
                Ok(ControlFlow::Continue(()))
            })?;
            let (mut outbox, mut depths) = (BTreeMap::new(), Vec::new());
            for endpoint in ENDPOINTS {
                depths.push((endpoint.to_owned(), messages::depth(view, endpoint)?));
                for message in messages::load(view, endpoint, 0, usize::MAX)? {
                    outbox.insert((endpoint.to_owned(), message.number), message);
                }
            }
            let changes = actions::changes_after(view, 0, usize::MAX)?;
            let seq = actions::load(view)?.journal().seq();
            let active = actions::active(view)?;
            let buried = messages::dead_letters(view, None, usize::MAX)?;
            let buried = buried.into_iter().map(|l| l.message.number).collect();
            Ok((alerts, changes, active, outbox, depths, buried, seq))
        });
        let (alerts, changes, active, outbox, depths, buried, seq) = read.unwrap();
        let of_alerts = alerts.iter().map(|a| body::alert(a, WallTime(0)));
        let of_actions = changes.iter().filter_map(body::action);
        let bodies = of_alerts
            .chain(of_actions)
            .map(|d| (d.webhook_id, d.body))
            .collect();
        let json = |a: &Alert| serde_json::to_string(a).unwrap();
        let alerts = alerts
            .iter()
            .map(|a| ((a.alert_id.to_string(), a.revision), json(a)))
            .collect();
        Self {
            alerts,
            changes,
            active,
            outbox,
            depths,
            buried,
            seq,
            bodies,
        }
    }

    /// Whether a message that waited had a reason not to be sent: its end, a later one of its slot,
    /// or that it was given up.
    pub fn may_go(&self, message: &Message, now: i64) -> bool {
        let draft = &message.draft;
        let later = |c: &Change| {
            let slot = format!("{} {}", c.record.action.verb.name(), c.record.action.target);
            let told = body::action(c).is_some_and(|d| d.webhook_id != draft.webhook_id);
            draft.slot.as_deref() == Some(&slot) && told && c.record.changed_at >= draft.created_at
        };
        draft.expires_at.is_some_and(|end| end.0 <= now)
            || self.changes.iter().rev().any(later)
            || self.buried.contains(&message.number)
    }
}
