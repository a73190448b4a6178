//! What people decide: approve or deny what waits, revert what is active.
//!
//! A human overrides budgets and the second key, never the allow-list. What a human took back
//! stays back for `human_hold`, so that the next revision of the same alert does not redo it.

use super::{ActionPlan, Phase, Policy, State, Step};
use crate::engine::containment::{Target, Verb};
use crate::model::WallTime;
use crate::model::ids::Id;

/// What a human says about one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Approve,
    Deny,
    Revert,
}

/// Why an answer changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such action waits for an answer.
    #[error("no action of this id waits for approval: list those that do with `tidegate actions`")]
    NotPending,
    /// No such action is active.
    #[error("no action of this id is active: it has ended or was never issued")]
    NotActive,
    /// The target is on the allow-list.
    #[error("the target is on the allow-list: take it off first")]
    Allowed,
}

impl Policy {
    /// Carries out an answer.
    ///
    /// # Errors
    /// When the action is not in a state that the answer fits.
    pub fn answer(
        &self,
        state: &mut State,
        action_id: Id,
        answer: Answer,
        note: &str,
        now: WallTime,
    ) -> Result<ActionPlan, Refusal> {
        match answer {
            Answer::Approve => self.approve(state, action_id, note, now),
            Answer::Deny => self.deny(state, action_id, note, now),
            Answer::Revert => self.revert(state, action_id, note, now),
        }
    }

    fn approve(
        &self,
        state: &mut State,
        id: Id,
        note: &str,
        now: WallTime,
    ) -> Result<ActionPlan, Refusal> {
        let slot = waiting(state, id)?;
        if self.allow.covers(&slot.0, now) {
            return Err(Refusal::Allowed);
        }
        let mut plan = ActionPlan::default();
        if let Some(mut record) = state.pending.remove(&slot) {
            record.action.expires_at = now + record.ttl;
            self.issue(state, record, now, &mut plan);
            plan.annotate(note);
            if let Some(active) = state.active.get_mut(&slot) {
                active.note = Some(note.to_owned());
            }
        }
        Ok(plan)
    }

    fn deny(
        &self,
        state: &mut State,
        id: Id,
        note: &str,
        now: WallTime,
    ) -> Result<ActionPlan, Refusal> {
        let slot = waiting(state, id)?;
        let mut plan = ActionPlan::default();
        if let Some(mut record) = state.pending.remove(&slot) {
            record.phase = Phase::Denied;
            record.note = Some(note.to_owned());
            record.changed_at = now;
            record.action.seq = state.next_seq();
            plan.change(Step::Denied, &record);
            state.hold(slot, now + self.settings.human_hold);
        }
        Ok(plan)
    }

    fn revert(
        &self,
        state: &mut State,
        id: Id,
        note: &str,
        now: WallTime,
    ) -> Result<ActionPlan, Refusal> {
        let slot = state
            .active
            .iter()
            .find(|(_, r)| r.action.action_id == id)
            .map(|(slot, _)| slot.clone())
            .ok_or(Refusal::NotActive)?;
        let mut plan = ActionPlan::default();
        if let Some(mut record) = state.active.remove(&slot) {
            record.phase = Phase::Reverted;
            record.note = Some(note.to_owned());
            record.changed_at = now;
            record.action.seq = state.next_seq();
            plan.change(Step::Reverted, &record);
            state.hold(slot, now + self.settings.human_hold);
        }
        Ok(plan)
    }
}

fn waiting(state: &State, id: Id) -> Result<(Target, Verb), Refusal> {
    state
        .pending
        .iter()
        .find(|(_, r)| r.action.action_id == id)
        .map(|(slot, _)| slot.clone())
        .ok_or(Refusal::NotPending)
}
