//! Actions: the policy's memory, each action's life, the stream of changes, and receipts.
//!
//! A plan and the state it leads to are written together: after a restart the policy goes on from
//! exactly the plans that were committed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::{get, list, put};
use crate::engine::containment::policy::{ActionPlan, Change, State};
use crate::engine::containment::{Phase, Receipt, Record, Target, Verb};
use crate::model::WallTime;
use crate::model::ids::Id;
use crate::store::rows::Delivery;
use crate::store::{Range, StoreError, Table, Tx, View, format};

const JOURNAL: &[u8] = b"policy_journal";

fn slot_key(target: &Target, verb: Verb) -> Vec<u8> {
    let mut key = Vec::new();
    for part in [target.scope.name(), target.value.as_str(), verb.name()] {
        key.extend_from_slice(&(part.len() as u64).to_be_bytes());
        key.extend_from_slice(part.as_bytes());
    }
    key
}

/// Writes a plan's changes and the state after it.
///
/// # Errors
/// When they cannot be written.
pub fn save(tx: &mut dyn Tx, plan: &ActionPlan, state: &State) -> Result<(), StoreError> {
    for change in plan.changes() {
        let action = &change.record.action;
        put(tx, Table::Changes, &action.seq.to_be_bytes(), change)?;
        put(tx, Table::Actions, &action.action_id.0, &change.record)?;
        let slot = slot_key(&action.target, action.verb);
        match change.record.phase {
            Phase::Active | Phase::PendingApproval => {
                put(tx, Table::ActiveActions, &slot, &change.record)?;
            }
            Phase::Superseded | Phase::Reverted | Phase::Expired | Phase::Denied => {
                tx.delete(Table::ActiveActions, &slot)?;
            }
        }
    }
    put(tx, Table::Meta, JOURNAL, state.journal())
}

/// The policy's memory as of the last commit.
///
/// # Errors
/// When a row is damaged.
pub fn load(view: &dyn View) -> Result<State, StoreError> {
    let journal = get(view, Table::Meta, JOURNAL)?.unwrap_or_default();
    Ok(State::restore(journal, active(view)?))
}

/// Every active or waiting action.
///
/// # Errors
/// When a row is damaged.
pub fn active(view: &dyn View) -> Result<Vec<Record>, StoreError> {
    list(
        view,
        Table::ActiveActions,
        &Range::all(),
        usize::MAX,
        |_| true,
    )
}

/// One action with its life so far.
///
/// # Errors
/// When the row is damaged.
pub fn find(view: &(impl View + ?Sized), id: Id) -> Result<Option<Record>, StoreError> {
    get(view, Table::Actions, &id.0)
}

/// Up to `limit` actions as they are now, newest change first; `before` is the `seq` of the last
/// one of the page before.
///
/// # Errors
/// When a row is damaged.
pub fn newest(
    view: &dyn View,
    phase: Option<Phase>,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let mut range = Range::all();
    if let Some(seq) = before {
        range = range.before(seq.to_be_bytes().to_vec());
    }
    let mut seen = BTreeSet::new();
    let mut records: Vec<Record> = Vec::new();
    if limit == 0 {
        return Ok(records);
    }
    view.scan(Table::Changes, &range.reversed(), &mut |_, bytes| {
        let change: Change = format::decode(bytes)?;
        let id = change.record.action.action_id;
        // Not the newest change of its action: it was on a page before.
        let current = seen.insert(id)
            && find(view, id)?.is_some_and(|r| r.action.seq == change.record.action.seq);
        if current && phase.is_none_or(|p| p == change.record.phase) {
            records.push(change.record);
        }
        Ok(if records.len() < limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(records)
}

/// Up to `limit` changes after a `seq`, in order: what the pull stream sends.
///
/// # Errors
/// When a row is damaged.
pub fn changes_after(view: &dyn View, seq: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
    let range = Range::all().after(seq.to_be_bytes().to_vec());
    list(view, Table::Changes, &range, limit, |_| true)
}

/// The lowest `seq` still kept: a reader that has seen less needs the full set again.
///
/// # Errors
/// When the row is damaged.
pub fn first_change(view: &dyn View) -> Result<Option<u64>, StoreError> {
    let first = list(view, Table::Changes, &Range::all(), 1, |_: &Change| true)?;
    Ok(first.first().map(|c| c.record.action.seq))
}

/// Takes out up to `limit` changes from before a time, and actions that ended with them, with
/// what is known of their deliveries.
///
/// # Errors
/// When they cannot be read or written.
pub fn prune(tx: &mut dyn Tx, before: WallTime, limit: usize) -> Result<usize, StoreError> {
    let mut old: Vec<Change> = Vec::new();
    tx.scan(Table::Changes, &Range::all(), &mut |_, bytes| {
        let change: Change = format::decode(bytes)?;
        if change.record.changed_at >= before || old.len() >= limit {
            return Ok(ControlFlow::Break(()));
        }
        old.push(change);
        Ok(ControlFlow::Continue(()))
    })?;
    for change in &old {
        let action = &change.record.action;
        tx.delete(Table::Changes, &action.seq.to_be_bytes())?;
        let ended = !matches!(change.record.phase, Phase::Active | Phase::PendingApproval);
        if ended {
            tx.delete(Table::Actions, &action.action_id.0)?;
            for table in [Table::Receipts, Table::Deliveries] {
                super::clear(tx, table, &Range::prefix(&action.action_id.0))?;
            }
        }
    }
    Ok(old.len())
}

/// Keeps what an enforcer says about an action.
///
/// # Errors
/// When it cannot be written.
pub fn add_receipt(tx: &mut dyn Tx, receipt: &Receipt) -> Result<(), StoreError> {
    let n = super::next_number(tx, "receipts")?;
    let key = [&receipt.action_id.0[..], &n.to_be_bytes()].concat();
    put(tx, Table::Receipts, &key, receipt)
}

/// What enforcers said about an action, in the order it came.
///
/// # Errors
/// When a row is damaged.
pub fn receipts(view: &dyn View, id: Id) -> Result<Vec<Receipt>, StoreError> {
    list(
        view,
        Table::Receipts,
        &Range::prefix(&id.0),
        usize::MAX,
        |_| true,
    )
}

/// When and to whom the messages about an action were delivered.
///
/// # Errors
/// When a row is damaged.
pub fn deliveries(view: &dyn View, id: Id) -> Result<Vec<Delivery>, StoreError> {
    list(
        view,
        Table::Deliveries,
        &Range::prefix(&id.0),
        usize::MAX,
        |_| true,
    )
}
