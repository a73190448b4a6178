//! From an alert to what is done about it: the only place that makes an `ActionPlan`.
//!
//! Owns the guardrails: shadow mode, allow-list, budgets, the two-key kill-switch, time limits, one
//! action per target and verb. Keeps no state of its own and reads no clock: `State` and the wall
//! time are arguments, so the same calls in the same order give the same plans.

use std::collections::BTreeMap;

use super::allow::AllowList;
use super::{Action, Phase, Reason, Record, Target, Undo, Verb};
use crate::engine::alert::{Alert, Status};
use crate::engine::detector::plan::{Detector, Mode, Respond};
use crate::model::ids::{HashKey, Id};
use crate::model::redact::Redactor;
use crate::model::{Span, WallTime};

mod gate;
mod human;
mod plan;
pub mod settings;
pub mod state;
mod target;

pub use human::{Answer, Refusal};
pub use plan::{ActionPlan, Change, Omission, Step, Withheld};
pub use settings::Settings;
pub use state::{Journal, State};
pub use target::is_protected;

/// The rules of one deployment.
#[derive(Clone, Debug)]
pub struct Policy {
    settings: Settings,
    allow: AllowList,
    key: HashKey,
}

/// One step a detector asks for, with its target worked out.
struct Wish<'a> {
    alert: &'a Alert,
    detector: &'a Detector,
    incident: Option<Id>,
    verb: Verb,
    target: Target,
    ttl: Span,
    simulated: bool,
    now: WallTime,
}

impl Wish<'_> {
    fn without(&self, why: Withheld) -> Omission {
        let (verb, alert) = (self.verb, self.alert.alert_id);
        Omission {
            verb,
            target: Some(self.target.clone()),
            why,
            alert,
        }
    }
}

impl Policy {
    /// Checks the settings and makes the rules.
    ///
    /// # Errors
    /// One text per fault, with its path below `containment`.
    pub fn new(settings: Settings, key: &HashKey) -> Result<Self, Vec<String>> {
        let mut faults = settings.faults();
        match AllowList::build(&settings.allow, Redactor::new(key)) {
            Ok(allow) if faults.is_empty() => {
                let key = HashKey::new(key.derive("tidegate 2026 action ids"));
                Ok(Self {
                    settings,
                    allow,
                    key,
                })
            }
            Ok(_) => Err(faults),
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        }
    }

    /// Takes over a new allow-list; the next `tick` reverts what it protects.
    pub fn set_allow(&mut self, allow: AllowList) {
        self.allow = allow;
    }

    /// The allow-list, also for the check at delivery.
    #[must_use]
    pub const fn allow(&self) -> &AllowList {
        &self.allow
    }

    /// The rules as configured.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Decides what to do about one alert revision. Call it once per revision, when that revision
    /// is first stored, and store the state with it.
    #[must_use]
    pub fn decide(
        &self,
        state: &mut State,
        alert: &Alert,
        detector: &Detector,
        now: WallTime,
    ) -> ActionPlan {
        self.decide_in(state, alert, detector, None, now)
    }

    /// What `decide` would do, with nothing done: for `explain` and for people who are to approve.
    #[must_use]
    pub fn preview(
        &self,
        state: &State,
        alert: &Alert,
        detector: &Detector,
        now: WallTime,
    ) -> ActionPlan {
        self.decide(&mut state.clone(), alert, detector, now)
    }

    /// `decide` for an alert that belongs to an incident, which the actions' reason then names.
    #[must_use]
    pub fn decide_in(
        &self,
        state: &mut State,
        alert: &Alert,
        detector: &Detector,
        incident: Option<Id>,
        now: WallTime,
    ) -> ActionPlan {
        let mut plan = ActionPlan::default();
        if alert.status == Status::Closed || detector.mode == Mode::Alert {
            return plan;
        }
        let real = self.settings.mode.enforces() && detector.mode == Mode::Contain;
        for respond in detector.respond.iter().filter(|r| detector.asks(r, alert)) {
            match self.wish(alert, detector, respond, !real, now) {
                Ok(wish) => self.grant(state, &Wish { incident, ..wish }, &mut plan),
                Err((target, why)) => {
                    let (verb, alert) = (respond.verb, alert.alert_id);
                    plan.omit(Omission {
                        verb,
                        target,
                        why,
                        alert,
                    });
                }
            }
        }
        plan
    }

    fn wish<'a>(
        &self,
        alert: &'a Alert,
        detector: &'a Detector,
        respond: &Respond,
        simulated: bool,
        now: WallTime,
    ) -> Result<Wish<'a>, (Option<Target>, Withheld)> {
        let target = target::of(alert, respond).map_err(|why| (None, why))?;
        if self.settings.is_too_wide(&target) {
            return Err((Some(target), Withheld::TooWide));
        }
        if target::is_protected(&target, alert, &self.allow, now) {
            return Err((Some(target), Withheld::Allowed));
        }
        let ttl = self.settings.ttl(respond.verb, respond.ttl);
        let verb = respond.verb;
        Ok(Wish {
            alert,
            detector,
            incident: None,
            verb,
            target,
            ttl,
            simulated,
            now,
        })
    }

    fn grant(&self, state: &mut State, wish: &Wish<'_>, plan: &mut ActionPlan) {
        let slot = (wish.target.clone(), wish.verb);
        if let Some(id) = self.keep(state, &slot, wish, plan) {
            plan.stand(id);
            return;
        }
        if let Some(stronger) = state.stronger(wish.verb, &wish.target, wish.simulated) {
            plan.stand(stronger);
            return plan.omit(wish.without(Withheld::StrongerActive));
        }
        if state.is_held(&slot, wish.now) {
            return plan.omit(wish.without(Withheld::HeldByHuman));
        }
        match self.gate(state, wish) {
            gate::Passage::Open { waiting } => {
                if let Some(why) = self.over_budget(state, wish.verb, wish.simulated, wish.now) {
                    return plan.omit(wish.without(why));
                }
                let record = waiting.map_or_else(|| self.draft(wish), |w| self.wake(*w, wish));
                self.issue(state, record, wish.now, plan);
            }
            gate::Passage::Waits(note) => self.wait(state, wish, note, plan),
        }
    }

    /// Keeps the action that already stands on the slot, longer if that changes much. `None` when
    /// there is none, or when an enforced one is to take the place of a simulated one.
    fn keep(
        &self,
        state: &mut State,
        slot: &(Target, Verb),
        wish: &Wish<'_>,
        plan: &mut ActionPlan,
    ) -> Option<Id> {
        let record = state.active.get(slot)?;
        if record.action.simulated && !wish.simulated {
            return None;
        }
        let id = record.action.action_id;
        // A detector in shadow mode must not prolong what another one enforces.
        if record.action.simulated == wish.simulated {
            let end =
                (wish.now + wish.ttl).min(record.action.issued_at + self.settings.lifetime_max);
            // A flood raises a revision per event; enforcers hear only of what matters to them.
            if end - record.action.expires_at >= Span(wish.ttl.0 / 4) && end > wish.now {
                let seq = state.next_seq();
                let record = state.active.get_mut(slot)?;
                record.action.expires_at = end;
                record.action.seq = seq;
                record.extensions = record.extensions.saturating_add(1);
                record.changed_at = wish.now;
                record.join(wish.alert.alert_id, &wish.detector.id);
                let record = record.clone();
                plan.change(Step::Extended, &record);
            }
        }
        Some(id)
    }

    fn draft(&self, wish: &Wish<'_>) -> Record {
        let action_id = self.key.digest(&[
            b"action",
            &wish.alert.alert_id.0,
            &wish.alert.revision.to_be_bytes(),
            wish.verb.name().as_bytes(),
            wish.target.scope.name().as_bytes(),
            wish.target.value.as_bytes(),
        ]);
        Record {
            action: Action {
                action_id,
                target: wish.target.clone(),
                verb: wish.verb,
                seq: 0,
                issued_at: wish.now,
                expires_at: wish.now + wish.ttl,
                supersedes: None,
                simulated: wish.simulated,
                undo: Undo { verb: Verb::Allow },
                reason: Reason {
                    alerts: vec![wish.alert.alert_id],
                    incident_id: wish.incident,
                },
                parameters: BTreeMap::new(),
            },
            phase: Phase::PendingApproval,
            detectors: vec![wish.detector.id.clone()],
            ttl: wish.ttl,
            changed_at: wish.now,
            extensions: 0,
            note: None,
        }
    }

    /// A record that waited and now may be issued.
    fn wake(&self, mut waiting: Record, wish: &Wish<'_>) -> Record {
        waiting.join(wish.alert.alert_id, &wish.detector.id);
        waiting.action.simulated = wish.simulated;
        waiting.action.expires_at = wish.now + waiting.ttl;
        waiting
    }

    /// Makes a record active: replaces weaker or simulated ones on its target, and counts it.
    fn issue(&self, state: &mut State, mut record: Record, now: WallTime, plan: &mut ActionPlan) {
        for mut old in state.take_weaker(&record.action) {
            old.phase = Phase::Superseded;
            old.changed_at = now;
            old.action.seq = state.next_seq();
            record.action.supersedes = Some(old.action.action_id);
            plan.change(Step::Superseded, &old);
        }
        record.phase = Phase::Active;
        record.note = None;
        record.changed_at = now;
        record.action.issued_at = now;
        record.action.seq = state.next_seq();
        state.spend(now, record.action.simulated);
        plan.stand(record.action.action_id);
        plan.change(Step::Requested, &record);
        state
            .active
            .insert((record.action.target.clone(), record.action.verb), record);
    }

    fn wait(&self, state: &mut State, wish: &Wish<'_>, note: &str, plan: &mut ActionPlan) {
        let slot = (wish.target.clone(), wish.verb);
        if let Some(waiting) = state.pending.get(&slot) {
            return plan.stand(waiting.action.action_id);
        }
        if state.pending.len() >= self.settings.budgets.pending_max {
            return plan.omit(wish.without(Withheld::BudgetActive));
        }
        let mut record = self.draft(wish);
        record.note = Some(note.to_owned());
        record.action.expires_at = wish.now + self.settings.kill_switch.pending_for;
        record.action.seq = state.next_seq();
        plan.stand(record.action.action_id);
        plan.change(Step::Pending, &record);
        state.pending.insert(slot, record);
    }

    /// Ends what has run out, and takes back what the allow-list protects by now. Call it at
    /// least whenever `State::next_end` has come.
    #[must_use]
    pub fn tick(&self, state: &mut State, now: WallTime) -> ActionPlan {
        let mut plan = ActionPlan::default();
        let over = |r: &Record| r.action.expires_at <= now;
        for mut record in state::take(&mut state.active, over) {
            record.phase = Phase::Expired;
            record.changed_at = now;
            record.action.seq = state.next_seq();
            plan.change(Step::Expired, &record);
        }
        let protected = |r: &Record| self.allow.covers(&r.action.target, now);
        for mut record in state::take(&mut state.active, protected) {
            record.phase = Phase::Reverted;
            record.note = Some("the target is on the allow-list by now".to_owned());
            record.changed_at = now;
            record.action.seq = state.next_seq();
            plan.change(Step::Reverted, &record);
        }
        for mut record in state::take(&mut state.pending, |r| over(r) || protected(r)) {
            record.phase = Phase::Denied;
            record.note = Some("no one approved it in time".to_owned());
            record.changed_at = now;
            record.action.seq = state.next_seq();
            plan.change(Step::Denied, &record);
        }
        state.prune(now, self.settings.kill_switch.within);
        plan
    }
}

#[cfg(test)]
mod tests;
