//! Alerts: every revision by id, and an index of the newest ones by time.
//!
//! A revision is written once: writing it again, as a replay does, changes nothing and says so.

use std::ops::ControlFlow;

use super::{number, sortable};
use crate::engine::alert::{Alert, Status};
use crate::model::ids::Id;
use crate::model::{EventTime, Level};
use crate::store::{Range, StoreError, Table, Tx, View, format};

/// Alerts looked at at once for retention.
const PAGE: usize = 500;

/// Which alerts to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A detector's id or name.
    pub detector: Option<String>,
    pub status: Option<Status>,
    pub level_min: Option<Level>,
    /// Not before this event time.
    pub since: Option<EventTime>,
    /// Before this event time.
    pub until: Option<EventTime>,
    /// Some value of the key is this.
    pub key_value: Option<String>,
    /// Only alerts that stand behind this one: where the last page ended.
    pub behind: Option<(EventTime, Id)>,
}

impl Filter {
    fn takes(&self, alert: &Alert) -> bool {
        let d = &alert.detector;
        self.detector
            .as_ref()
            .is_none_or(|want| *want == d.id || *want == d.name)
            && self.status.is_none_or(|want| want == alert.status)
            && self.level_min.is_none_or(|least| d.level >= least)
            && self
                .key_value
                .as_ref()
                .is_none_or(|want| alert.key.0.iter().any(|(_, value)| value == want))
    }

    fn range(&self) -> Range {
        let mut range = Range::all();
        if let Some(since) = self.since {
            range.from = std::ops::Bound::Included(sortable(since.0).to_vec());
        }
        let mut end = self.until.map(|until| sortable(until.0).to_vec());
        if let Some((time, id)) = self.behind {
            let mark = time_key(time, id);
            end = Some(end.map_or(mark.clone(), |e| e.min(mark)));
        }
        match end {
            Some(end) => range.before(end).reversed(),
            None => range.reversed(),
        }
    }
}

fn alert_key(id: Id, revision: u32) -> Vec<u8> {
    [&id.0[..], &revision.to_be_bytes()].concat()
}

fn time_key(time: EventTime, id: Id) -> Vec<u8> {
    [&sortable(time.0)[..], &id.0].concat()
}

/// Writes an alert revision if it is new; tells whether it was.
///
/// # Errors
/// When it cannot be read or written.
pub fn insert(tx: &mut dyn Tx, alert: &Alert) -> Result<bool, StoreError> {
    let key = alert_key(alert.alert_id, alert.revision);
    if exists(tx, alert.alert_id, alert.revision)? {
        return Ok(false);
    }
    if let Some(newest) = newest(tx, alert.alert_id)? {
        if newest.revision > alert.revision {
            super::put(tx, Table::Alerts, &key, alert)?;
            return Ok(true);
        }
        tx.delete(Table::AlertsByTime, &time_key(newest.time, newest.alert_id))?;
    }
    super::put(tx, Table::Alerts, &key, alert)?;
    let index = time_key(alert.time, alert.alert_id);
    tx.put(
        Table::AlertsByTime,
        &index,
        &u64::from(alert.revision).to_be_bytes(),
    )?;
    Ok(true)
}

/// Whether an alert revision is stored: then a replay brought it, and policy has run for it.
///
/// # Errors
/// When it cannot be read.
pub fn exists(view: &(impl View + ?Sized), id: Id, revision: u32) -> Result<bool, StoreError> {
    Ok(view.get(Table::Alerts, &alert_key(id, revision))?.is_some())
}

/// The id under which an alert is kept that its detector calls `id`. It is another one where the episode of
/// that id was closed because its detector was changed: the changed one knows nothing of it and gives its
/// first episode of the key in the same slot the same id, if its version is the same. That episode is no
/// replay of the other one, and a replay of it finds it. So it is with a partition that stands still again at
/// the same place after an operator has decided.
///
/// # Errors
/// When an alert is damaged.
pub fn kept_as(view: &(impl View + ?Sized), id: Id, revision: u32) -> Result<Id, StoreError> {
    let mut last = id;
    while newest(view, last.successor())?.is_some() {
        last = last.successor();
    }
    // What goes on is of an episode that has begun.
    let is_over = revision == 0 && is_lost(view, last)?;
    Ok(if is_over { last.successor() } else { last })
}

/// Whether an alert was closed because its detector was changed or taken out, or an operator has decided.
fn is_lost(view: &(impl View + ?Sized), id: Id) -> Result<bool, StoreError> {
    let Some(newest) = newest(view, id)? else {
        return Ok(false);
    };
    let Some(before) = newest.revision.checked_sub(1) else {
        return Ok(false);
    };
    let before: Option<Alert> = super::get(view, Table::Alerts, &alert_key(id, before))?;
    Ok(before.is_some_and(|before| newest.is_loss_of(&before)))
}

/// The newest revision of an alert.
///
/// # Errors
/// When it is damaged.
pub fn newest(view: &(impl View + ?Sized), id: Id) -> Result<Option<Alert>, StoreError> {
    let mut found = None;
    view.scan(
        Table::Alerts,
        &Range::prefix(&id.0).reversed(),
        &mut |_, bytes| {
            found = Some(format::decode(bytes)?);
            Ok(ControlFlow::Break(()))
        },
    )?;
    Ok(found)
}

/// Every revision of an alert, in order.
///
/// # Errors
/// When one is damaged.
pub fn revisions(view: &dyn View, id: Id) -> Result<Vec<Alert>, StoreError> {
    super::list(
        view,
        Table::Alerts,
        &Range::prefix(&id.0),
        usize::MAX,
        |_| true,
    )
}

/// The newest revisions of up to `limit` alerts, newest time first.
///
/// # Errors
/// When one is damaged.
pub fn list(view: &dyn View, filter: &Filter, limit: usize) -> Result<Vec<Alert>, StoreError> {
    select(view, &filter.range(), limit, |alert| filter.takes(alert))
}

/// The newest revisions of up to `limit` of these alerts that are open, newest time first; from
/// behind the alert where the last page ended.
///
/// # Errors
/// When one is damaged.
pub fn open_of(
    view: &dyn View,
    these: impl Fn(&Alert) -> bool,
    behind: Option<(EventTime, Id)>,
    limit: usize,
) -> Result<Vec<Alert>, StoreError> {
    let filter = Filter {
        status: Some(Status::Open),
        behind,
        ..Filter::default()
    };
    let wanted = |alert: &Alert| filter.takes(alert) && these(alert);
    select(view, &filter.range(), limit, wanted)
}

fn select(
    view: &dyn View,
    range: &Range,
    limit: usize,
    wanted: impl Fn(&Alert) -> bool,
) -> Result<Vec<Alert>, StoreError> {
    let mut alerts = Vec::new();
    if limit == 0 {
        return Ok(alerts);
    }
    view.scan(Table::AlertsByTime, range, &mut |key, revision| {
        let alert = indexed(view, key, revision)?;
        if wanted(&alert) {
            alerts.push(alert);
        }
        Ok(if alerts.len() < limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(alerts)
}

fn indexed(view: &dyn View, key: &[u8], revision: &[u8]) -> Result<Alert, StoreError> {
    let lost = || StoreError::Damaged {
        place: "alerts_by_time".to_owned(),
        what: format!("row {} names an alert that is not there", hex::encode(key)),
    };
    let id: [u8; 32] = key
        .get(8..)
        .and_then(|k| k.try_into().ok())
        .ok_or_else(lost)?;
    let revision = u32::try_from(number(revision, "alerts_by_time")?).map_err(|_| lost())?;
    super::get(view, Table::Alerts, &alert_key(Id(id), revision))?.ok_or_else(lost)
}

/// Takes out up to `limit` alerts from before a time that are over, with all their revisions; tells
/// how many went. For retention.
///
/// # Errors
/// When they cannot be read or written.
pub fn prune(
    tx: &mut dyn Tx,
    before: EventTime,
    is_over: impl Fn(&Alert) -> bool,
    limit: usize,
) -> Result<usize, StoreError> {
    let (mut gone, mut range) = (0, Range::all().before(sortable(before.0).to_vec()));
    // Page by page: those that stay must not stand in the way of the others.
    loop {
        let page = keys(tx, &range)?;
        let Some(last) = page.last() else {
            return Ok(gone);
        };
        range = range.after(last.clone());
        for index in page {
            let Some(id) = index.get(8..).and_then(|k| <[u8; 32]>::try_from(k).ok()) else {
                continue;
            };
            if newest(tx, Id(id))?.is_some_and(|alert| !is_over(&alert)) {
                continue;
            }
            super::clear(tx, Table::Alerts, &Range::prefix(&id))?;
            tx.delete(Table::AlertsByTime, &index)?;
            gone += 1;
            if gone == limit {
                return Ok(gone);
            }
        }
    }
}

/// The first keys of the index in a range.
fn keys(tx: &dyn Tx, range: &Range) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut keys = Vec::new();
    tx.scan(Table::AlertsByTime, range, &mut |key, _| {
        keys.push(key.to_vec());
        Ok(if keys.len() < PAGE {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(keys)
}
