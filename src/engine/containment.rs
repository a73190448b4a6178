//! What can be done about an alert: verbs, targets and actions. Their JSON form is a contract
//! (CONTRACTS.md, "A webhook").
//!
//! Owns the words; `policy` decides, `allow` protects. Nothing but `policy` makes an `ActionPlan`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::ids::Id;
use crate::model::{Span, WallTime, duration};

pub mod allow;
pub mod policy;

/// What an enforcer is asked to do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    Throttle,
    Block,
    Challenge,
    HoldMail,
    DisableFlow,
    RevokeTokens,
    RevokeSessions,
    RequireMfa,
    FreezeDeploys,
    NotifyUser,
    /// Takes back an earlier action on the same target.
    Allow,
}

impl Verb {
    /// Every verb a detector may ask for, with its name in files.
    pub const ALL: [(&'static str, Self); 10] = [
        ("throttle", Self::Throttle),
        ("block", Self::Block),
        ("challenge", Self::Challenge),
        ("hold_mail", Self::HoldMail),
        ("disable_flow", Self::DisableFlow),
        ("revoke_tokens", Self::RevokeTokens),
        ("revoke_sessions", Self::RevokeSessions),
        ("require_mfa", Self::RequireMfa),
        ("freeze_deploys", Self::FreezeDeploys),
        ("notify_user", Self::NotifyUser),
    ];

    /// Its name in files and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Block => "block",
            Self::Challenge => "challenge",
            Self::HoldMail => "hold_mail",
            Self::DisableFlow => "disable_flow",
            Self::RevokeTokens => "revoke_tokens",
            Self::RevokeSessions => "revoke_sessions",
            Self::RequireMfa => "require_mfa",
            Self::FreezeDeploys => "freeze_deploys",
            Self::NotifyUser => "notify_user",
            Self::Allow => "allow",
        }
    }

    /// Its place among verbs of which one on a target makes the weaker ones needless.
    #[must_use]
    pub const fn strength(self) -> Option<u8> {
        match self {
            Self::Throttle => Some(1),
            Self::Challenge => Some(2),
            Self::Block => Some(3),
            Self::HoldMail
            | Self::DisableFlow
            | Self::RevokeTokens
            | Self::RevokeSessions
            | Self::RequireMfa
            | Self::FreezeDeploys
            | Self::NotifyUser
            | Self::Allow => None,
        }
    }

    /// Whether nothing brings back what it took.
    #[must_use]
    pub const fn is_irreversible(self) -> bool {
        matches!(self, Self::RevokeTokens | Self::RevokeSessions)
    }
}

/// Whom an action concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Ip,
    Cidr,
    Asn,
    Geo,
    Account,
    Token,
    Flow,
}

/// The one thing an action is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    pub scope: Scope,
    pub value: String,
}

impl Scope {
    /// Its name in files and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Cidr => "cidr",
            Self::Asn => "asn",
            Self::Geo => "geo",
            Self::Account => "account",
            Self::Token => "token",
            Self::Flow => "flow",
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.scope.name(), self.value)
    }
}

/// One step for enforcers, with its end built in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub action_id: Id,
    pub target: Target,
    pub verb: Verb,
    /// Rises with every action on the same target; an enforcer ignores what is not newer.
    pub seq: u64,
    pub issued_at: WallTime,
    pub expires_at: WallTime,
    pub supersedes: Option<Id>,
    /// True in shadow mode: to be logged, not enforced.
    pub simulated: bool,
    pub undo: Undo,
    pub reason: Reason,
    pub parameters: BTreeMap<String, String>,
}

/// What takes an action back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    pub verb: Verb,
}

/// Why an action was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub alerts: Vec<Id>,
    pub incident_id: Option<Id>,
}

/// Where an action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for a human, or for a second detector.
    PendingApproval,
    Active,
    /// A stronger or an enforced action took its place.
    Superseded,
    Reverted,
    Expired,
    /// A human said no, or no one said yes in time.
    Denied,
}

/// An action and its life so far, as the store keeps it and the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub action: Action,
    pub phase: Phase,
    /// Ids of the detectors that asked for it.
    pub detectors: Vec<String>,
    /// How long it lasts from each time it is asked for.
    #[serde(with = "duration")]
    pub ttl: Span,
    pub changed_at: WallTime,
    pub extensions: u32,
    /// Why it waits, was denied or reverted, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What an enforcer says it did about an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    #[schemars(with = "String")]
    pub action_id: Id,
    /// Which enforcer.
    pub enforcer: String,
    pub outcome: Outcome,
    /// When it took effect, by the enforcer's clock.
    #[schemars(with = "String")]
    pub at: WallTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What became of an action at an enforcer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Applied,
    Refused,
    Undone,
    Failed,
}
