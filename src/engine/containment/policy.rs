//! From an alert to what is done about it: the only place that makes an `ActionPlan`.
//!
//! Owns the guardrails: shadow mode, allow-list, budgets, the two-key kill-switch, time limits, one
//! action per target and verb. Keeps no state of its own and reads no clock: `State` and the wall
//! time are arguments, so the same calls in the same order give the same plans.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::allow::AllowList;
use super::{Action, Phase, Reason, Record, Target, Undo, Verb};
use crate::engine::alert::{Alert, Status};
use crate::engine::detector::plan::{Detector, Mode, Respond};
use crate::engine::outbox::Kind;
use crate::model::ids::{HashKey, Id};
use crate::model::redact::Redactor;
use crate::model::{Span, WallTime};

mod gate;
mod human;
pub mod settings;
pub mod state;
mod target;

pub use human::{Answer, Refusal};
pub use settings::Settings;
pub use state::{Journal, State};

/// What happened to an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Waits for a human or a second detector; nothing is sent.
    Pending,
    Requested,
    Extended,
    /// Replaced by the action that follows in the plan; that one's `supersedes` tells enforcers.
    Superseded,
    Reverted,
    Expired,
    /// Was pending and will not be; nothing is sent.
    Denied,
}

impl Step {
    /// A word for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Requested => "requested",
            Self::Extended => "extended",
            Self::Superseded => "superseded",
            Self::Reverted => "reverted",
            Self::Expired => "expired",
            Self::Denied => "denied",
        }
    }

    /// Whether a new action begins with it.
    #[must_use]
    pub const fn is_first(self) -> bool {
        matches!(self, Self::Pending | Self::Requested)
    }

    /// The message that tells enforcers, if one does.
    #[must_use]
    pub const fn message(self) -> Option<Kind> {
        match self {
            Self::Requested => Some(Kind::ActionRequested),
            Self::Extended => Some(Kind::ActionExtended),
            Self::Reverted => Some(Kind::ActionReverted),
            Self::Expired => Some(Kind::ActionExpired),
            Self::Pending | Self::Superseded | Self::Denied => None,
        }
    }
}

/// One change of one action, with the action as it is after it. Each has a `seq` of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub step: Step,
    pub record: Record,
}

/// Why something that was asked for is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Withheld {
    /// The alert does not carry the field that names the target.
    NoTarget,
    /// The field names something no enforcer can act on.
    NoScope,
    /// The value is no address, range or number of its scope.
    InvalidTarget,
    /// The range is wider than `widest_ipv4` or `widest_ipv6`.
    TooWide,
    /// On the allow-list.
    Allowed,
    /// More than `budgets.actions_per_minute`.
    BudgetRate,
    /// More than `budgets.active_max` (or the verb's own) at once.
    BudgetActive,
    /// A stronger action on the target is active.
    StrongerActive,
    /// A human took the same action back a short time ago.
    HeldByHuman,
}

impl Withheld {
    /// A word for metrics and for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoTarget => "no_target",
            Self::NoScope => "no_scope",
            Self::InvalidTarget => "invalid_target",
            Self::TooWide => "too_wide",
            Self::Allowed => "allowed",
            Self::BudgetRate => "budget_rate",
            Self::BudgetActive => "budget_active",
            Self::StrongerActive => "stronger_active",
            Self::HeldByHuman => "held_by_human",
        }
    }
}

/// A step a detector asked for that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omission {
    pub verb: Verb,
    pub target: Option<Target>,
    pub why: Withheld,
    pub alert: Id,
}

/// What is decided: changes in order, and what was withheld. Made by `Policy` and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionPlan {
    changes: Vec<Change>,
    omissions: Vec<Omission>,
    actions: Vec<Id>,
}

impl ActionPlan {
    /// The changes, in the order of their `seq`.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What was asked for and is not done.
    #[must_use]
    pub fn omissions(&self) -> &[Omission] {
        &self.omissions
    }

    /// The ids of every action that stands for the alert, new or not: the alert's `actions`.
    #[must_use]
    pub fn actions(&self) -> &[Id] {
        &self.actions
    }

    /// Whether nothing changed and nothing was withheld.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.omissions.is_empty()
    }

    fn change(&mut self, step: Step, record: &Record) {
        self.changes.push(Change { step, record: record.clone() });
    }

    fn stand(&mut self, id: Id) {
        if !self.actions.contains(&id) {
            self.actions.push(id);
        }
    }
}

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
                Ok(Self { settings, allow, key })
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
        for respond in &detector.respond {
            match self.wish(alert, detector, respond, !real, now) {
                Ok(wish) => self.grant(state, &Wish { incident, ..wish }, &mut plan),
                Err((target, why)) => plan.omissions.push(Omission {
                    verb: respond.verb,
                    target,
                    why,
                    alert: alert.alert_id,
                }),
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
        let network = alert.key.get("source.as.number").or(alert.context.get("source.as.number"));
        let in_allowed_network = target.scope.is_network()
            && network
                .and_then(|text| super::allow::asn_number(text))
                .is_some_and(|asn| self.allow.covers_asn(asn, now));
        if in_allowed_network || self.allow.covers(&target, now) {
            return Err((Some(target), Withheld::Allowed));
        }
        let ttl = self.settings.ttl(respond.verb, respond.ttl);
        let verb = respond.verb;
        Ok(Wish { alert, detector, incident: None, verb, target, ttl, simulated, now })
    }

    fn grant(&self, state: &mut State, wish: &Wish<'_>, plan: &mut ActionPlan) {
        let slot = (wish.target.clone(), wish.verb);
        if let Some(id) = self.keep(state, &slot, wish, plan) {
            plan.stand(id);
            return;
        }
        if let Some(stronger) = state.stronger(wish.verb, &wish.target, wish.simulated) {
            plan.stand(stronger);
            return plan.omit(wish, Withheld::StrongerActive);
        }
        if state.is_held(&slot, wish.now) {
            return plan.omit(wish, Withheld::HeldByHuman);
        }
        match self.gate(state, wish) {
            gate::Passage::Open { waiting } => {
                if let Some(why) = self.over_budget(state, wish.verb, wish.simulated, wish.now) {
                    return plan.omit(wish, why);
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
                reason: Reason { alerts: vec![wish.alert.alert_id], incident_id: wish.incident },
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
        state.active.insert((record.action.target.clone(), record.action.verb), record);
    }

    fn wait(&self, state: &mut State, wish: &Wish<'_>, note: &str, plan: &mut ActionPlan) {
        let slot = (wish.target.clone(), wish.verb);
        if let Some(waiting) = state.pending.get(&slot) {
            return plan.stand(waiting.action.action_id);
        }
        if state.pending.len() >= self.settings.budgets.pending_max {
            return plan.omit(wish, Withheld::BudgetActive);
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

impl ActionPlan {
    fn omit(&mut self, wish: &Wish<'_>, why: Withheld) {
        self.omissions.push(Omission {
            verb: wish.verb,
            target: Some(wish.target.clone()),
            why,
            alert: wish.alert.alert_id,
        });
    }
}

#[cfg(test)]
mod tests;
