//! The outbox: numbered messages per endpoint, and the list of those given up.
//!
//! A message's row is written with the commit of what it tells and goes with the commit that
//! settles it, so it is sent at least once. Each endpoint's rows are capped: the oldest alert gives
//! way, an action never does.

use std::ops::ControlFlow;

use super::{DeadLetter, Delivery, next_number, number, put};
use crate::engine::outbox::{Draft, Kind, Message, Settled, Verdict};
use crate::model::WallTime;
use crate::store::{Range, StoreError, Table, Tx, View, format};

/// Most dead letters kept; the oldest goes beyond.
pub const DEAD_LETTERS_MAX: u64 = 10_000;

fn prefix(endpoint: &str) -> Vec<u8> {
    // The length in front: one endpoint's name may begin with another's.
    [
        &(endpoint.len() as u64).to_be_bytes()[..],
        endpoint.as_bytes(),
    ]
    .concat()
}

fn message_key(endpoint: &str, number: u64) -> Vec<u8> {
    [prefix(endpoint), number.to_be_bytes().to_vec()].concat()
}

fn depth_key(endpoint: &str) -> Vec<u8> {
    format!("outbox_depth/{endpoint}").into_bytes()
}

fn gave_way_key(endpoint: &str) -> Vec<u8> {
    format!("outbox_gave_way/{endpoint}").into_bytes()
}

/// The newest alert of an endpoint that gave way to another one: none with this number or a lower one is there
/// any more.
///
/// # Errors
/// When the row is damaged.
pub fn gave_way(view: &(impl View + ?Sized), endpoint: &str) -> Result<u64, StoreError> {
    count(view, &gave_way_key(endpoint))
}

/// How many messages wait for an endpoint.
///
/// # Errors
/// When the row is damaged.
pub fn depth(view: &(impl View + ?Sized), endpoint: &str) -> Result<u64, StoreError> {
    count(view, &depth_key(endpoint))
}

fn count(view: &(impl View + ?Sized), key: &[u8]) -> Result<u64, StoreError> {
    view.get(Table::Meta, key)?
        .map_or(Ok(0), |bytes| number(&bytes, "meta"))
}

fn set_count(tx: &mut dyn Tx, key: &[u8], count: u64) -> Result<(), StoreError> {
    tx.put(Table::Meta, key, &count.to_be_bytes())
}

/// What became of a message that was put into an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    pub number: u64,
    /// The outbox was full: its oldest alert was given up.
    pub gave_way: bool,
}

/// Puts a message into an endpoint's outbox.
///
/// # Errors
/// When it cannot be written.
pub fn push(
    tx: &mut dyn Tx,
    endpoint: &str,
    draft: &Draft,
    messages_max: u64,
) -> Result<Pushed, StoreError> {
    let is_full = depth(tx, endpoint)? >= messages_max;
    let gave_way = is_full && make_room(tx, endpoint, draft.created_at)?;
    let number = next_number(tx, "outbox")?;
    let message = Message {
        number,
        endpoint: endpoint.to_owned(),
        draft: draft.clone(),
    };
    put(tx, Table::Outbox, &message_key(endpoint, number), &message)?;
    let depth_then = depth(tx, endpoint)? + 1;
    set_count(tx, &depth_key(endpoint), depth_then)?;
    Ok(Pushed { number, gave_way })
}

/// Gives up the oldest message that is not about an action; false if there is none.
fn make_room(tx: &mut dyn Tx, endpoint: &str, at: WallTime) -> Result<bool, StoreError> {
    let mut oldest = None;
    tx.scan(
        Table::Outbox,
        &Range::prefix(&prefix(endpoint)),
        &mut |_, bytes| {
            let message: Message = format::decode(bytes)?;
            if message.draft.slot.is_some() {
                return Ok(ControlFlow::Continue(()));
            }
            oldest = Some(message);
            Ok(ControlFlow::Break(()))
        },
    )?;
    let Some(message) = oldest else {
        return Ok(false);
    };
    let verdict = Verdict::Dead("the outbox of the endpoint is full".to_owned());
    let settled = Settled::of(&message, verdict, 0, at);
    settle(tx, endpoint, &[settled])?;
    set_count(tx, &gave_way_key(endpoint), message.number)?;
    Ok(true)
}

/// Up to `limit` messages of an endpoint with numbers above `after`, in order.
///
/// # Errors
/// When one is damaged.
pub fn load(
    view: &dyn View,
    endpoint: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<Message>, StoreError> {
    let range = Range::prefix(&prefix(endpoint)).after(message_key(endpoint, after));
    super::list(view, Table::Outbox, &range, limit, |_| true)
}

/// The oldest message that waits for an endpoint.
///
/// # Errors
/// When it is damaged.
pub fn oldest(view: &dyn View, endpoint: &str) -> Result<Option<Message>, StoreError> {
    Ok(load(view, endpoint, 0, 1)?.pop())
}

/// Takes messages out. Those that are no longer there are passed over: settling twice is harmless.
///
/// # Errors
/// When they cannot be written.
pub fn settle(tx: &mut dyn Tx, endpoint: &str, settled: &[Settled]) -> Result<(), StoreError> {
    let mut gone = 0;
    for one in settled {
        let key = message_key(endpoint, one.number);
        let Some(bytes) = tx.get(Table::Outbox, &key)? else {
            continue;
        };
        tx.delete(Table::Outbox, &key)?;
        gone += 1;
        let message: Message = format::decode(&bytes)?;
        match &one.verdict {
            Verdict::Delivered => record_delivery(tx, message, one)?,
            Verdict::Dead(reason) | Verdict::Refused(reason) => {
                bury(tx, message, reason.clone(), one)?;
            }
            Verdict::Expired | Verdict::Coalesced(_) => {}
        }
    }
    let left = depth(tx, endpoint)?.saturating_sub(gone);
    set_count(tx, &depth_key(endpoint), left)
}

fn record_delivery(tx: &mut dyn Tx, message: Message, one: &Settled) -> Result<(), StoreError> {
    let draft = message.draft;
    let about_action = match draft.kind {
        Kind::ActionRequested
        | Kind::ActionExtended
        | Kind::ActionReverted
        | Kind::ActionExpired => true,
        Kind::AlertOpened
        | Kind::AlertUpdated
        | Kind::AlertClosed
        | Kind::IncidentOpened
        | Kind::IncidentUpdated
        | Kind::IncidentContained
        | Kind::IncidentClosed
        | Kind::Test => false,
    };
    if !about_action {
        return Ok(());
    }
    let key = [&draft.subject.0[..], &message.number.to_be_bytes()].concat();
    let delivery = Delivery {
        endpoint: message.endpoint,
        webhook_id: draft.webhook_id,
        kind: draft.kind,
        created_at: draft.created_at,
        delivered_at: one.at,
        attempts: one.attempts,
    };
    put(tx, Table::Deliveries, &key, &delivery)
}

fn bury(
    tx: &mut dyn Tx,
    message: Message,
    reason: String,
    one: &Settled,
) -> Result<(), StoreError> {
    let buried = b"dead_letters";
    let mut total = count(tx, buried)?;
    while total >= DEAD_LETTERS_MAX {
        let mut first = None;
        tx.scan(Table::DeadLetters, &Range::all(), &mut |key, _| {
            first = Some(key.to_vec());
            Ok(ControlFlow::Break(()))
        })?;
        let Some(key) = first else { break };
        tx.delete(Table::DeadLetters, &key)?;
        total -= 1;
    }
    let key = message.number.to_be_bytes();
    let letter = DeadLetter {
        message,
        reason,
        attempts: one.attempts,
        at: one.at,
    };
    put(tx, Table::DeadLetters, &key, &letter)?;
    set_count(tx, buried, total + 1)
}

/// Up to `limit` messages that were given up, newest first.
///
/// # Errors
/// When one is damaged.
pub fn dead_letters(
    view: &dyn View,
    endpoint: Option<&str>,
    limit: usize,
) -> Result<Vec<DeadLetter>, StoreError> {
    super::list(
        view,
        Table::DeadLetters,
        &Range::all().reversed(),
        limit,
        |l: &DeadLetter| endpoint.is_none_or(|e| e == l.message.endpoint),
    )
}
