//! What an action must pass before it is issued: the two-key kill-switch, the gate for what cannot
//! be undone or can be spoofed, and the budgets.
//!
//! Owns these three checks; decides nothing else and issues nothing.

use super::state::{Opinion, State};
use super::{Policy, Wish, Withheld};
use crate::engine::containment::{Record, Scope, Verb};
use crate::model::{Span, WallTime};

/// What the gate says.
pub(super) enum Passage {
    /// Go on, with the record that waited until now, if one did.
    Open { waiting: Option<Box<Record>> },
    /// A human, or a second detector, has to agree; the text says so.
    Waits(&'static str),
}

impl Policy {
    pub(super) fn gate(&self, state: &mut State, wish: &Wish<'_>) -> Passage {
        let slot = (wish.target.clone(), wish.verb);
        if wish.verb == Verb::DisableFlow {
            let rules = &self.settings.kill_switch;
            let opinion = Opinion {
                detector: wish.detector.id.clone(),
                alert: wish.alert.alert_id,
                at: wish.now,
            };
            let agreeing = state.agree(&wish.target, opinion, rules.within, wish.now);
            if agreeing < rules.detectors_min {
                return Passage::Waits("the kill-switch needs a second detector or a human");
            }
            return Passage::Open {
                waiting: state.pending.remove(&slot).map(Box::new),
            };
        }
        let harms_account = wish.target.scope == Scope::Account && wish.verb == Verb::Block;
        let risky = wish.verb.is_irreversible() || harms_account;
        if risky && wish.detector.spoofable > self.settings.spoofable_max {
            return Passage::Waits(
                "an attacker could have caused this on purpose: a human decides",
            );
        }
        Passage::Open { waiting: None }
    }

    /// Why one more action would be too many, if it would. Simulated ones have budgets of their
    /// own, so that a shadow mode shows what enforcement would do and takes nothing from it.
    pub(super) fn over_budget(
        &self,
        state: &State,
        verb: Verb,
        simulated: bool,
        now: WallTime,
    ) -> Option<Withheld> {
        let budgets = &self.settings.budgets;
        if state.spent_within(Span::minutes(1), simulated, now) >= budgets.actions_per_minute {
            return Some(Withheld::BudgetRate);
        }
        let active = state.active_count(verb, simulated);
        (active >= budgets.active_max_of(verb)).then_some(Withheld::BudgetActive)
    }
}
