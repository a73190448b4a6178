//! One transaction per batch of alerts: the alert, what is decided about it, and the messages
//! about both.
//!
//! Invariant: policy runs once for each alert revision, in the transaction that first inserts it.
//! A replayed revision is found in the store and changes nothing, so nothing is decided or sent
//! twice; one of a changed detector is no replay of what the detector before it told
//! (`alerts::kept_as`). Nothing is sent that is not committed. `mutes` has what people keep from being told.

mod mutes;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::mutes::Mutes;
use super::meta;
use crate::deliver::{Settings as Delivery, body};
use crate::engine::alert::{Alert, DetectorRef, Status};
use crate::engine::containment::policy::{ActionPlan, Answer, Policy, Refusal, State};
use crate::engine::detector::plan::{Detector, Plan};
use crate::engine::outbox::Draft;
use crate::engine::program::Program;
use crate::model::ids::Id;
use crate::model::{EventTime, Span, WallTime};
use crate::store::rows::{self, Definitions, actions, alerts as alert_rows, messages};
use crate::store::{self, Store, StoreError, Tx};

/// Alerts closed in one transaction when detectors went.
const CLOSED_PAGE: usize = 256;

/// What a commit brought about.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// The alerts that are new, with the ids of their actions.
    pub alerts: Vec<Alert>,
    pub plans: Vec<ActionPlan>,
    /// Messages put into outboxes: there is something to send.
    pub messages: usize,
    /// Alerts that gave way in outboxes that were full, by endpoint.
    pub gave_way: BTreeMap<String, u64>,
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
    mutes: Mutes,
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
        mut policy: Policy,
        delivery: Delivery,
        plan: Arc<Plan>,
    ) -> Result<Self, StoreError> {
        let (state, mutes, commits) = store::read(&*store, |view| {
            let mutes = Mutes::load(view, policy.allow())?;
            Ok((actions::load(view)?, mutes, rows::commits(view)?))
        })?;
        policy.set_allow(mutes.allow_list());
        Ok(Self {
            store,
            policy,
            state,
            delivery,
            plan,
            mutes,
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
        let (committed, state, commits) = store::write(&*self.store, |tx| {
            let (mut state, mut done) = (self.state.clone(), Committed::default());
            for alert in alerts {
                self.record_one(tx, alert, &mut state, now, &mut done)?;
            }
            Ok((done, state, rows::count_commit(tx)?))
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
        let alert_id = alert_rows::kept_as(tx, alert.alert_id, alert.revision)?;
        if alert_rows::exists(tx, alert_id, alert.revision)? {
            return Ok(());
        }
        let mut alert = Alert {
            alert_id,
            ..alert.clone()
        };
        let voice = self.mutes.voice(tx, &alert, now)?;
        alert.silenced = voice.silenced_by;
        if voice.silenced_by.is_none() {
            self.act(tx, &mut alert, state, now, done)?;
        }
        alert_rows::insert(tx, &alert)?;
        crate::crash::point("alert-written");
        if voice.silenced_by.is_none() {
            let draft = body::alert_to(&alert, voice.told, now);
            self.send(tx, std::iter::once(draft), done)?;
        }
        done.alerts.push(alert);
        Ok(())
    }

    /// Decides about an alert, and writes the ids of its actions into it.
    fn act(
        &self,
        tx: &mut dyn Tx,
        alert: &mut Alert,
        state: &mut State,
        now: WallTime,
        done: &mut Committed,
    ) -> Result<(), StoreError> {
        let Some(detector) = self.detector(alert) else {
            return Ok(());
        };
        let plan = self.policy.decide(state, alert, detector, now);
        self.mutes.count_withheld(tx, alert, &plan, now)?;
        alert.actions = plan.actions().to_vec();
        actions::save(tx, &plan, state)?;
        let began_at = Some(alert.first);
        let drafts = plan.changes().iter().filter_map(body::action);
        self.send(tx, drafts.map(|d| Draft { began_at, ..d }), done)?;
        if !plan.is_empty() {
            done.plans.push(plan);
        }
        Ok(())
    }

    fn send(
        &self,
        tx: &mut dyn Tx,
        drafts: impl Iterator<Item = Draft>,
        done: &mut Committed,
    ) -> Result<(), StoreError> {
        for draft in drafts {
            for endpoint in self.delivery.route(&draft) {
                let pushed = messages::push(tx, endpoint, &draft, self.delivery.outbox_max)?;
                done.messages += 1;
                if pushed.gave_way {
                    *done.gave_way.entry(endpoint.to_owned()).or_default() += 1;
                }
            }
        }
        Ok(())
    }

    /// Goes on with these detectors, at the start and after a reload, and closes the open alerts of
    /// those that are not as they were: nothing watches these episodes any more. The last state of
    /// each stands, with the reason behind its summary. What stands of their actions ends by itself.
    ///
    /// # Errors
    /// When the store cannot be written; what was closed before stays closed.
    pub fn adopt(&mut self, program: &Program, now: WallTime) -> Result<Committed, StoreError> {
        self.plan = Arc::clone(&program.plan);
        let plan = Arc::clone(&program.plan);
        let after = Definitions(program.definitions());
        let before = store::read(&*self.store, |view| rows::definitions(view))?;
        // Of one that nobody has remembered only its version tells.
        let known = |of: &DetectorRef| {
            let same = |d: &Detector| d.id == of.id && d.version == of.version;
            plan.detectors.iter().any(same)
        };
        let is_lost = |of: &DetectorRef| match (before.0.get(&of.id), after.0.get(&of.id)) {
            (Some(before), Some(after)) => before != after,
            _ => !known(of),
        };
        let closed = self.close(
            |alert| !meta::is_own(&alert.detector) && is_lost(&alert.detector),
            Alert::lost,
            now,
        )?;
        if before != after {
            store::write(&*self.store, |tx| rows::set_definitions(tx, &after))?;
        }
        Ok(closed)
    }

    /// An operator has decided to go on: closes what is open about this partition's standing still. Should it
    /// stand at the same place again, that is another alert.
    ///
    /// # Errors
    /// When the store cannot be written; what was closed before stays closed.
    pub fn decide(
        &mut self,
        partition: (&str, i32),
        now: WallTime,
    ) -> Result<Committed, StoreError> {
        let of_it = |alert: &Alert| meta::is_halt_of(alert, partition);
        self.close(of_it, Alert::decided, now)
    }

    /// Closes those of these alerts that are open.
    fn close(
        &mut self,
        these: impl Fn(&Alert) -> bool,
        closed: fn(Alert) -> Alert,
        now: WallTime,
    ) -> Result<Committed, StoreError> {
        let (mut all, mut behind) = (Committed::default(), None);
        loop {
            let open = store::read(&*self.store, |view| {
                alert_rows::open_of(view, &these, behind, CLOSED_PAGE)
            })?;
            let Some(last) = open.last() else {
                return Ok(all);
            };
            behind = Some((last.time, last.alert_id));
            let closed: Vec<Alert> = open.into_iter().map(closed).collect();
            let committed = self.record(&closed, now)?;
            all.alerts.extend(committed.alerts);
            all.messages += committed.messages;
            for (endpoint, count) in committed.gave_way {
                *all.gave_way.entry(endpoint).or_default() += count;
            }
        }
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

    /// Takes out alerts that are over and ended actions from before these times, up to `limit` of
    /// each; tells how many went.
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
            let is_over = |alert: &Alert| self.is_over(alert, alerts);
            let gone = alert_rows::prune(tx, alerts, is_over, limit)?;
            Ok(gone.max(actions::prune(tx, ended, limit)?))
        })
    }

    /// Whether nothing more comes of an alert at this event time: it is closed, or a moment that no
    /// hold lengthens any more.
    fn is_over(&self, alert: &Alert, now: EventTime) -> bool {
        let rule = |d: &Detector| self.plan.rules.get(d.rule);
        let hold = match self.detector(alert) {
            Some(d) if rule(d).is_some_and(|r| !r.kind.closes()) => Some(d.suppress),
            Some(_) => None,
            None => meta::is_moment(&alert.detector).then_some(Span::ZERO),
        };
        let ends = hold.map(|hold| alert.last.0.saturating_add(hold.0));
        alert.status == Status::Closed || ends.is_some_and(|end| end < now.0)
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
        let (mut done, commits) = store::write(&*self.store, |tx| {
            actions::save(tx, &plan, &state)?;
            let mut done = Committed::default();
            let drafts = plan.changes().iter().filter_map(body::action);
            self.send(tx, drafts, &mut done)?;
            Ok((done, rows::count_commit(tx)?))
        })?;
        (self.state, self.commits) = (state, commits);
        done.plans.push(plan);
        Ok(done)
    }
}

#[cfg(test)]
mod tests;
