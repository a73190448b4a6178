//! What the policy decided, as a value: changes of actions in order, and what was withheld.
//!
//! Owns the value only. Everyone may read a plan; only the policy, in the folder above, can fill
//! one, so whoever holds a plan knows that the guardrails were passed.

use serde::{Deserialize, Serialize};

use crate::engine::containment::{Record, Target, Verb};
use crate::engine::outbox::Kind;
use crate::model::ids::Id;

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

    pub(super) fn change(&mut self, step: Step, record: &Record) {
        self.changes.push(Change {
            step,
            record: record.clone(),
        });
    }

    pub(super) fn stand(&mut self, id: Id) {
        if !self.actions.contains(&id) {
            self.actions.push(id);
        }
    }

    pub(super) fn omit(&mut self, omission: Omission) {
        self.omissions.push(omission);
    }

    /// Lets a human's words stand beside the change made last.
    pub(super) fn annotate(&mut self, note: &str) {
        if let Some(change) = self.changes.last_mut() {
            change.record.note = Some(note.to_owned());
        }
    }
}
