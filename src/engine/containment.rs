//! What can be done about an alert: verbs, targets and actions. Their JSON form is a contract
//! (CONTRACTS.md, "A webhook").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::WallTime;
use crate::model::ids::Id;

/// What an enforcer is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    pub scope: Scope,
    pub value: String,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    pub verb: Verb,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub alerts: Vec<Id>,
    pub incident_id: Option<Id>,
}
