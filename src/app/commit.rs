//! One transaction per batch of alerts: the alert, what is decided about it, and the messages
//! about both.
//!
//! Invariant: policy runs once for each alert revision, in the transaction that first inserts it.
//! A replayed revision is found in the store and changes nothing, so nothing is decided or sent
//! twice; nothing is sent that is not committed.

use std::sync::Arc;

use crate::deliver::{Settings as Delivery, body};
use crate::engine::alert::Alert;
use crate::engine::containment::policy::{ActionPlan, Answer, Policy, Refusal, State};
use crate::engine::detector::plan::{Detector, Plan};
use crate::engine::outbox::Draft;
use crate::model::ids::Id;
use crate::model::{EventTime, WallTime};
use crate::store::rows::{self, actions, alerts as alert_rows, messages};
use crate::store::{self, Store, StoreError, Tx};

/// What a commit brought about.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// The alerts that are new, with the ids of their actions.
    pub alerts: Vec<Alert>,
    pub plans: Vec<ActionPlan>,
    /// Messages put into outboxes: there is something to send.
    pub messages: usize,
}

impl Committed {
    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty() && self.plans.is_empty() && self.messages == 0
    }
}

/// Owns the policy's memory between commits. One thread writes.
pub struct Desk {
    store: Arc<dyn Store>,
    policy: Policy,
    state: State,
    delivery: Delivery,
    plan: Arc<Plan>,
    /// Commits so far, as the store counts them.
    commits: u64,
}

impl Desk {
    /// Goes on from what the store holds.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(
        store: Arc<dyn Store>,
        policy: Policy,
        delivery: Delivery,
        plan: Arc<Plan>,
    ) -> Result<Self, StoreError> {
        let (state, commits) = store::read(&*store, |view| {
            Ok((actions::load(view)?, rows::commits(view)?))
        })?;
        Ok(Self {
            store,
            policy,
            state,
            delivery,
            plan,
            commits,
        })
    }

    /// Commits of this and earlier lives; those of a later state are more.
    #[must_use]
    pub const fn commits(&self) -> u64 {
        self.commits
    }

    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Goes on with other detectors.
    pub fn set_plan(&mut self, plan: Arc<Plan>) {
        self.plan = plan;
    }

    fn detector(&self, alert: &Alert) -> Option<&Detector> {
        self.plan
            .detectors
            .iter()
            .find(|d| d.id == alert.detector.id)
    }

    /// Records alerts and all that follows from them.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub fn record(&mut self, alerts: &[Alert], now: WallTime) -> Result<Committed, StoreError> {
        if alerts.is_empty() {
            return Ok(Committed::default());
        }
        let mut state = self.state.clone();
        let (committed, commits) = store::write(&*self.store, |tx| {
            state = self.state.clone();
            let mut done = Committed::default();
            for alert in alerts {
                self.record_one(tx, alert, &mut state, now, &mut done)?;
            }
            Ok((done, rows::count_commit(tx)?))
        })?;
        (self.state, self.commits) = (state, commits);
        Ok(committed)
    }

    fn record_one(
        &self,
        tx: &mut dyn Tx,
        alert: &Alert,
        state: &mut State,
        now: WallTime,
        done: &mut Committed,
    ) -> Result<(), StoreError> {
        if alert_rows::exists(tx, alert.alert_id, alert.revision)? {
            return Ok(());
        }
        let plan = self
            .detector(alert)
            .map(|d| self.policy.decide(state, alert, d, now));
        let mut alert = alert.clone();
        if let Some(plan) = plan {
            alert.actions = plan.actions().to_vec();
            actions::save(tx, &plan, state)?;
            let began_at = Some(alert.first);
            let drafts = plan.changes().iter().filter_map(body::action);
            done.messages += self.send(tx, drafts.map(|d| Draft { began_at, ..d }))?;
            if !plan.is_empty() {
                done.plans.push(plan);
            }
        }
        alert_rows::insert(tx, &alert)?;
        crate::crash::point("alert-written");
        done.messages += self.send(tx, std::iter::once(body::alert(&alert, now)))?;
        done.alerts.push(alert);
        Ok(())
    }

    fn send(
        &self,
        tx: &mut dyn Tx,
        drafts: impl Iterator<Item = Draft>,
    ) -> Result<usize, StoreError> {
        let mut sent = 0;
        for draft in drafts {
            for endpoint in self.delivery.route(&draft) {
                messages::push(tx, endpoint, &draft, self.delivery.outbox_max)?;
                sent += 1;
            }
        }
        Ok(sent)
    }

    /// Ends actions whose time is over.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub fn tick(&mut self, now: WallTime) -> Result<Committed, StoreError> {
        if self.state.next_end().is_none_or(|end| end > now) {
            return Ok(Committed::default());
        }
        let mut state = self.state.clone();
        let plan = self.policy.tick(&mut state, now);
        self.save(plan, state)
    }

    /// Takes out closed alerts and ended actions from before these times, up to `limit` of each;
    /// tells how many went.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune(
        &self,
        alerts: EventTime,
        ended: WallTime,
        limit: usize,
    ) -> Result<usize, StoreError> {
        store::write(&*self.store, |tx| {
            let gone = alert_rows::prune(tx, alerts, limit)?;
            Ok(gone.max(actions::prune(tx, ended, limit)?))
        })
    }

    /// A human approves, denies or reverts an action.
    ///
    /// # Errors
    /// When the answer does not fit the action, or the store cannot be written.
    pub fn answer(
        &mut self,
        id: Id,
        answer: Answer,
        note: &str,
        now: WallTime,
    ) -> Result<Result<Committed, Refusal>, StoreError> {
        let mut state = self.state.clone();
        match self.policy.answer(&mut state, id, answer, note, now) {
            Ok(plan) => self.save(plan, state).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn save(&mut self, plan: ActionPlan, state: State) -> Result<Committed, StoreError> {
        let (messages, commits) = store::write(&*self.store, |tx| {
            actions::save(tx, &plan, &state)?;
            let sent = self.send(tx, plan.changes().iter().filter_map(body::action))?;
            Ok((sent, rows::count_commit(tx)?))
        })?;
        (self.state, self.commits) = (state, commits);
        Ok(Committed {
            alerts: Vec::new(),
            plans: vec![plan],
            messages,
        })
    }
}
