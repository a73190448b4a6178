//! The words of each message: envelope, webhook id, lane and slot (CONTRACTS.md, "A webhook").
//!
//! Pure. The same alert revision or action change always gives the same id and the same bytes, so
//! a replay or a repeated attempt tells a receiver nothing new.

use serde::Serialize;

use crate::engine::alert::{Alert, Status};
use crate::engine::containment::policy::Change;
use crate::engine::outbox::{Concern, Draft, Kind};
use crate::model::ids::Id;
use crate::model::{Level, WallTime};

/// The message about an alert revision.
#[must_use]
pub fn alert(alert: &Alert, now: WallTime) -> Draft {
    alert_to(alert, alert.revision > 0, now)
}

/// The same to receivers that may not have heard of the alert (`told`) though it has revisions.
#[must_use]
pub fn alert_to(alert: &Alert, told: bool, now: WallTime) -> Draft {
    let kind = match (alert.status, told) {
        (Status::Closed, _) => Kind::AlertClosed,
        (Status::Open, false) => Kind::AlertOpened,
        (Status::Open, true) => Kind::AlertUpdated,
    };
    // Event time: the same whenever it is replayed.
    let at = if kind == Kind::AlertOpened {
        alert.time
    } else {
        alert.last
    };
    let (body, data_at) = envelope(kind, &at, alert);
    Draft {
        webhook_id: format!("{}_{}", alert.alert_id, alert.revision),
        kind,
        lane: format!("alert:{}", alert.alert_id),
        slot: None,
        subject: alert.alert_id,
        concerns: None,
        level: Some(alert.detector.level),
        created_at: now,
        began_at: None,
        expires_at: None,
        body,
        data_at,
    }
}

/// The message about a change of an action; none for those that enforcers need not hear of.
#[must_use]
pub fn action(change: &Change) -> Option<Draft> {
    let kind = change.step.message()?;
    let action = &change.record.action;
    let at = change.record.changed_at;
    let (body, data_at) = envelope(kind, &at, action);
    let state = match kind {
        Kind::ActionExtended => "extended",
        Kind::ActionReverted => "reverted",
        Kind::ActionExpired => "expired",
        Kind::ActionRequested
        | Kind::AlertOpened
        | Kind::AlertUpdated
        | Kind::AlertClosed
        | Kind::IncidentOpened
        | Kind::IncidentUpdated
        | Kind::IncidentContained
        | Kind::IncidentClosed
        | Kind::Test => "requested",
    };
    Some(Draft {
        // An action is extended more than once: its seq keeps the ids apart.
        webhook_id: format!("{}_{state}_{}", action.action_id, action.seq),
        kind,
        lane: format!("target:{}", action.target),
        slot: Some(format!("{} {}", action.verb.name(), action.target)),
        subject: action.action_id,
        concerns: Some(Concern {
            target: action.target.clone(),
            verb: action.verb,
            simulated: action.simulated,
        }),
        level: None,
        created_at: at,
        began_at: None,
        expires_at: kind.restricts().then_some(action.expires_at),
        body,
        data_at,
    })
}

/// The message about a state of an incident; `revision` keeps its ids apart.
#[must_use]
pub fn incident(
    kind: Kind,
    id: Id,
    revision: u32,
    level: Option<Level>,
    data: &impl Serialize,
    now: WallTime,
) -> Draft {
    let (body, data_at) = envelope(kind, &now, data);
    Draft {
        webhook_id: format!("{id}_{revision}"),
        kind,
        lane: format!("incident:{id}"),
        slot: None,
        subject: id,
        concerns: None,
        level,
        created_at: now,
        began_at: None,
        expires_at: None,
        body,
        data_at,
    }
}

/// A message that only tests the way (`tidegate webhook test`).
#[must_use]
pub fn test(id: Id, now: WallTime) -> Draft {
    let data = serde_json::json!({ "text": "a test of this endpoint: nothing has happened" });
    Draft {
        webhook_id: id.to_string(),
        ..incident(Kind::Test, id, 0, None, &data, now)
    }
}

/// The body, and where `data` begins in it.
fn envelope(kind: Kind, at: &impl std::fmt::Display, data: &impl Serialize) -> (String, usize) {
    let mut body = format!(r#"{{"type":"{}","timestamp":"{at}","data":"#, kind.name());
    let data_at = body.len();
    // Our own types have string keys and finite numbers: there is nothing that has no JSON form.
    body.push_str(&serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned()));
    body.push('}');
    (body, data_at)
}

#[cfg(test)]
mod tests;
