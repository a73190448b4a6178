//! Messages on their way out: the plain rows that the store keeps and that deliver sends, and the
//! port through which deliver reaches them.
//!
//! Owns their shape, neither where they are kept nor how they are sent. A message's id and bytes
//! never change once it is numbered, so a receiver that dedupes on the id sees each one once.

use serde::{Deserialize, Serialize};

use crate::engine::containment::{Target, Verb};
use crate::model::fault::Class;
use crate::model::ids::Id;
use crate::model::{EventTime, Level, WallTime};

/// What a message tells (CONTRACTS.md, "A webhook").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    #[serde(rename = "tidegate.alert.opened.v1")]
    AlertOpened,
    #[serde(rename = "tidegate.alert.updated.v1")]
    AlertUpdated,
    #[serde(rename = "tidegate.alert.closed.v1")]
    AlertClosed,
    #[serde(rename = "tidegate.incident.opened.v1")]
    IncidentOpened,
    #[serde(rename = "tidegate.incident.updated.v1")]
    IncidentUpdated,
    #[serde(rename = "tidegate.incident.contained.v1")]
    IncidentContained,
    #[serde(rename = "tidegate.incident.closed.v1")]
    IncidentClosed,
    #[serde(rename = "tidegate.action.requested.v1")]
    ActionRequested,
    #[serde(rename = "tidegate.action.extended.v1")]
    ActionExtended,
    #[serde(rename = "tidegate.action.reverted.v1")]
    ActionReverted,
    #[serde(rename = "tidegate.action.expired.v1")]
    ActionExpired,
    /// A `webhook test`: tells nothing.
    #[serde(rename = "tidegate.test.v1")]
    Test,
}

impl Kind {
    /// Every kind, in the order of the contract.
    pub const ALL: [Self; 12] = [
        Self::AlertOpened,
        Self::AlertUpdated,
        Self::AlertClosed,
        Self::IncidentOpened,
        Self::IncidentUpdated,
        Self::IncidentContained,
        Self::IncidentClosed,
        Self::ActionRequested,
        Self::ActionExtended,
        Self::ActionReverted,
        Self::ActionExpired,
        Self::Test,
    ];

    /// The `type` in the body.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AlertOpened => "tidegate.alert.opened.v1",
            Self::AlertUpdated => "tidegate.alert.updated.v1",
            Self::AlertClosed => "tidegate.alert.closed.v1",
            Self::IncidentOpened => "tidegate.incident.opened.v1",
            Self::IncidentUpdated => "tidegate.incident.updated.v1",
            Self::IncidentContained => "tidegate.incident.contained.v1",
            Self::IncidentClosed => "tidegate.incident.closed.v1",
            Self::ActionRequested => "tidegate.action.requested.v1",
            Self::ActionExtended => "tidegate.action.extended.v1",
            Self::ActionReverted => "tidegate.action.reverted.v1",
            Self::ActionExpired => "tidegate.action.expired.v1",
            Self::Test => "tidegate.test.v1",
        }
    }

    /// Whether it asks an enforcer to restrict someone: what the allow-list forbids even now.
    #[must_use]
    pub const fn restricts(self) -> bool {
        matches!(self, Self::ActionRequested | Self::ActionExtended)
    }
}

/// A message before the store has numbered it for an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The `webhook-id`: the same for every attempt and every endpoint.
    pub webhook_id: String,
    pub kind: Kind,
    /// Messages of one lane are sent one at a time, in order: a target's, or an alert's.
    pub lane: String,
    /// In an outage a later message of the same slot replaces this one; `None` is never replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// The alert, incident or action it is about.
    pub subject: Id,
    /// Whom it asks to restrict, for the check at delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concerns: Option<Concern>,
    /// How bad it is, for endpoints that want only the worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    pub created_at: WallTime,
    /// When what it answers began, by the events: containment is measured from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<EventTime>,
    /// Not sent from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<WallTime>,
    /// The JSON text as it is signed and sent.
    pub body: String,
    /// Where in `body` the value of `data` begins; it ends before the last byte.
    pub data_at: usize,
}

impl Draft {
    /// The value of `data` alone.
    #[must_use]
    pub fn data(&self) -> &str {
        let end = self.body.len().saturating_sub(1);
        self.body.get(self.data_at..end).unwrap_or(&self.body)
    }
}

/// The target and verb an action message is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concern {
    pub target: Target,
    pub verb: Verb,
    pub simulated: bool,
}

/// A numbered row of one endpoint's outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Rises with every message; never used twice.
    pub number: u64,
    pub endpoint: String,
    pub draft: Draft,
}

/// A message that needs no more attempts, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub number: u64,
    pub webhook_id: String,
    pub kind: Kind,
    pub verdict: Verdict,
    pub attempts: u32,
    /// When the message was made.
    pub created_at: WallTime,
    /// As in `Draft`; `None` for what was only simulated.
    pub began_at: Option<EventTime>,
    /// When it was settled.
    pub at: WallTime,
}

impl Settled {
    /// The end of `message`.
    #[must_use]
    pub fn of(message: &Message, verdict: Verdict, attempts: u32, at: WallTime) -> Self {
        let draft = &message.draft;
        let real = draft.concerns.as_ref().is_none_or(|c| !c.simulated);
        Self {
            number: message.number,
            webhook_id: draft.webhook_id.clone(),
            kind: draft.kind,
            verdict,
            attempts,
            created_at: draft.created_at,
            began_at: draft.began_at.filter(|_| real),
            at,
        }
    }
}

/// How a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// Its end had come before it could be sent.
    Expired,
    /// A later message of its slot, of this number, says all that counts.
    Coalesced(u64),
    /// Its target is on the allow-list by now.
    Refused(String),
    /// Given up; kept on the list of dead letters.
    Dead(String),
}

/// The outbox cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct OutboxError {
    /// Whether to try again.
    pub class: Class,
    pub what: String,
}

/// Where deliver finds its messages. The store implements it; tests have one in memory.
pub trait Outbox: Send + Sync {
    /// Up to `limit` messages of an endpoint with numbers above `after`, in order.
    ///
    /// # Errors
    /// When the rows cannot be read.
    fn load(&self, endpoint: &str, after: u64, limit: usize) -> Result<Vec<Message>, OutboxError>;

    /// How many messages wait for an endpoint.
    ///
    /// # Errors
    /// When it cannot be read.
    fn depth(&self, endpoint: &str) -> Result<u64, OutboxError>;

    /// The newest alert of an endpoint that gave way because the outbox was full: none with this number or a
    /// lower one is there any more.
    ///
    /// # Errors
    /// When it cannot be read.
    fn gave_way(&self, endpoint: &str) -> Result<u64, OutboxError>;

    /// Takes messages out, all in one durable step.
    ///
    /// # Errors
    /// When the rows cannot be written; nothing is taken out then.
    fn settle(&self, endpoint: &str, settled: &[Settled]) -> Result<(), OutboxError>;
}
